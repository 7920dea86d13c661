"""The user's guide, followed from top to bottom: its bash examples as they stand, in a repository of a user's own.

The blocks are cut out of the guide's own text and run by bash, with the embedded cluster's kubectl on PATH.  Only how
to install jq is left out, which nothing of ours needs.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.desk import deployment
from tests.cluster.harness import Cluster
from tests.process.repository import PHASES, Repository

pytestmark = pytest.mark.cluster

GUIDE = Path(__file__).parents[1] / "guide" / "session-tracking-guide.md"
EXAMPLE = GUIDE.with_name("session-20241012-143022.json")
BLOCKS: list[str] = re.findall(r"^```bash\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
FIRST_LINES = (
    "# Automatic initialization (recommended)",
    "# Complete workflow with tracking",
    "# Current session summary",
    "# Network issues",
    "# Example: Network timeout handling",
    "make session-compare",
    "# View all session history",
    "# scripts/run-workflow.sh",
    "# Enhanced timeout handling with obstacle logging",
    "# Enhanced cost tracking with session integration",
    "# Check permissions",
    "chmod +x scripts/session-tracker.sh",
    "# Check file existence",
    "# Enable debug output",
)
NOT_RUN = "# Install jq"


def block(first_line: str) -> str:
    """Give the one bash example that has a line at its beginning."""
    (found,) = [text for text in BLOCKS if first_line in text.splitlines()[:4]]
    return found


@pytest.fixture
def repository(cluster: Cluster, namespace: str, tmp_path: Path) -> Repository:
    """Give a repository of a user's own, whose kubeconfig points to the test's namespace."""
    for tool in ("bc", "timeout"):
        if shutil.which(tool) is None:
            pytest.skip(f"the guide's examples need {tool}, which is not installed: they were NOT run")
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(Path(cluster.kubeconfig).read_text())
    kubeconfig.chmod(0o600)
    cluster.kubectl("config", "set-context", "--current", "--namespace", namespace, kubeconfig=str(kubeconfig))
    repository = Repository(tmp_path, PATH=cluster.path, KUBECONFIG=str(kubeconfig))
    repository.install()
    return repository


def follow(repository: Repository, first_line: str, then: str = "", *, status: int = 0, **environ: str) -> str:
    """Run one example, in a shell that has sourced the library if it uses it, and give what it printed."""
    text = block(first_line)
    source = "" if "source scripts/_lib.sh" in text else "source scripts/_lib.sh\n"
    return repository.run("bash", "-c", f"{source}{text}{then}", status=status, **environ).stdout


def test_every_example_of_the_guide_is_run_but_how_to_install_jq() -> None:
    assert len(BLOCKS) == len(FIRST_LINES) + 1
    assert {block(line) for line in (*FIRST_LINES, NOT_RUN)} == set(BLOCKS)


def test_the_quick_start_leaves_the_files_that_the_guide_shows(repository: Repository) -> None:
    said = follow(repository, "# Automatic initialization (recommended)")
    assert [line for line in said.splitlines() if line.endswith(" ran")] == [f"{phase} ran" for phase in PHASES[:4]]
    assert repository.current()["operation"] == "manual"

    follow(repository, "# Complete workflow with tracking")
    found = repository.current()
    again = [f"{phase}#2" for phase in PHASES[:4]]  # `make all` joined the session that `make session-init` began
    assert list(found["phases"]) == [*PHASES[:4], *again, "cleanup"]

    said = follow(repository, "# Current session summary")
    assert f"=== SESSION SUMMARY: {found['session_id']} ===" in said
    assert "=== SESSION COMPARISON ===\n\nRecent Sessions:\nsession-" in said
    assert follow(repository, "make session-compare").startswith("=== SESSION COMPARISON ===")

    names = {path.name for path in repository.sessions.iterdir() if not path.name.startswith(".")}
    ended = {path.stem for path in repository.sessions.glob("session-*.json")} - {found["session_id"]}
    assert {"current.json", "all-sessions.txt", f"{found['session_id']}.json"} <= names
    assert {f"summary-{name}.txt" for name in ended} <= names

    for first_line in ("# Check permissions", "chmod +x scripts/session-tracker.sh", "# Check file existence"):
        follow(repository, first_line)
    done = repository.run("bash", "-c", block("# Enable debug output"))
    assert "=== SESSION SUMMARY" in done.stdout
    assert "nimble-watch debug: " in done.stderr


def test_obstacles_are_logged_as_the_guide_logs_them(repository: Repository) -> None:
    follow(repository, "# Network issues")
    logged = repository.current()["obstacles"]
    assert [(one["phase"], one["type"], one["time_delay_seconds"], one["cost_impact_usd"]) for one in logged] == [
        ("discover", "network-timeout", 45, 0.02),
        ("install", "resource-quota", 120, 0.15),
        ("deploy", "image-pull", 180, 0.25),
        ("verify", "config-error", 30, 0.05),
        ("verify", "performance", 300, 0.50),
    ]
    assert logged[0]["description"] == "kubectl connection timeout"
    assert logged[0]["root_cause"] == "Firewall blocking kubectl API access"
    assert logged[0]["fix"] == "Added security group rule for port 6443"
    assert all(re.fullmatch(r"obs-\d+-\d+", one["id"]) for one in logged)


def test_the_connection_check_logs_a_cluster_that_does_not_answer(repository: Repository) -> None:
    first_line = "# Example: Network timeout handling"
    follow(repository, first_line, "check_kubectl_connection")
    assert not repository.sessions.exists()
    follow(repository, first_line, "check_kubectl_connection", status=1, KUBECONFIG="/dev/null")
    (logged,) = repository.current()["obstacles"]
    assert (logged["type"], logged["description"]) == ("network-timeout", "kubectl connection failed")
    assert isinstance(logged["time_delay_seconds"], int)
    assert isinstance(logged["cost_impact_usd"], float | int)


def test_the_integrated_workflow_is_one_session_with_its_phases(repository: Repository) -> None:
    follow(repository, "# scripts/run-workflow.sh")
    found = repository.current()
    assert (found["state"], found["result"], found["operation"]) == ("ended", "success", "complete-workflow")
    assert list(found["phases"]) == list(PHASES[:4])
    assert found["obstacles"] == []

    (repository.scripts / "install.sh").write_text("#!/bin/sh\nexit 3\n")
    follow(repository, "# scripts/run-workflow.sh", status=1)
    found = repository.current()
    assert (found["state"], list(found["phases"])) == ("open", ["discover", "prereqs", "install"])
    (logged,) = [one for one in found["obstacles"] if one["source"] == "logged"]
    assert (logged["type"], logged["root_cause"]) == ("deployment-failure", "Resource constraints")
    assert (logged["time_delay_seconds"], logged["cost_impact_usd"]) == (0, 0)


def test_a_wait_with_a_limit_succeeds_fails_or_stalls_and_says_which(
    cluster: Cluster, namespace: str, repository: Repository
) -> None:
    first_line = "# Enhanced timeout handling with obstacle logging"
    follow(repository, first_line, status=1)  # there is no such pod yet, so kubectl fails at once
    (failed,) = repository.current()["obstacles"]
    assert (failed["type"], failed["phase"]) == ("execution-error", "verify")
    assert failed["description"] == "kubectl wait for pods failed with exit code 1"

    cluster.apply(deployment("nvidia-nim"), namespace=namespace)
    cluster.kubectl("rollout", "status", "deployment/nvidia-nim", "-n", namespace, "--timeout=60s")
    said = follow(repository, first_line)
    assert re.search(r"^\[SUCCESS\] kubectl wait for pods completed in \d+s$", said, re.MULTILINE)

    follow(repository, first_line, 'with_timeout_and_obstacle_tracking 1 "a slow wait" verify "sleep 60"', status=124)
    stalled = repository.current()["obstacles"][-1]
    assert (stalled["type"], stalled["description"]) == ("timeout", "a slow wait stalled after 1s")
    assert (stalled["time_delay_seconds"], stalled["cost_impact_usd"]) == (1, 0.001)


def test_costs_above_the_plan_are_an_obstacle(repository: Repository) -> None:
    first_line = "# Enhanced cost tracking with session integration"
    follow(repository, first_line, "track_session_costs 1.85 1.87")
    found = repository.current()
    assert (found["costs"]["estimated_hourly"], found["costs"]["actual_hourly"], found["obstacles"]) == (1.85, 1.87, [])
    follow(repository, first_line, "track_session_costs 1.00 1.30")
    (logged,) = repository.current()["obstacles"]
    assert (logged["phase"], logged["type"], logged["cost_impact_usd"]) == ("cost-tracking", "cost-variance", 0.3)
    assert re.fullmatch(r"Actual cost 30\.0*% higher than estimated", logged["description"])


def test_the_history_is_read_by_cat_grep_and_awk(repository: Repository) -> None:
    follow(repository, "# scripts/run-workflow.sh")
    repository.run("make", "session-init")
    repository.run("make", "session-end")
    lines = (repository.sessions / "all-sessions.txt").read_text().splitlines()
    assert len(lines) == 2
    columns = [line.split("|") for line in lines]
    said = follow(repository, "# View all session history").splitlines()
    assert said[:2] == lines
    assert said[2] == next(line for line in lines if "complete-workflow" in line)
    assert sorted(said[3:]) == sorted(" ".join(line[3:6]) for line in columns)
    assert all(re.fullmatch(r" \d+s ", line[3]) for line in columns)
    assert all(re.fullmatch(r" (\d+\.\d%|n/a) ", line[4]) for line in columns)


def test_every_field_of_the_guide_s_session_is_in_ours(repository: Repository) -> None:
    (shown,) = re.findall(r"^```json\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    example = json.loads(shown)
    assert example == json.loads(EXAMPLE.read_text())
    repository.bash(
        "init_session complete-workflow; start_phase discover; "
        "log_obstacle discover network-timeout d c f 45 0.02; end_phase discover; track_session_costs 1.85 1.87; "
        "end_session",
        OCI_REGION="us-phoenix-1",
    )
    example["phases"] = {"discover": example["phases"]["discover"]}
    assert list(lacking(example, repository.current())) == []


def lacking(theirs: Any, ours: Any, where: str = "") -> list[str]:
    """Name what the guide's session has and ours has not, or has as something else."""
    if isinstance(theirs, Mapping):
        missing = [f"{where}.{name}" for name in theirs if name not in ours]
        return missing + [gap for name in theirs if name in ours for gap in lacking(theirs[name], ours[name], name)]
    if isinstance(theirs, list):
        return lacking(theirs[0], ours[0], where) if theirs and isinstance(theirs[0], Mapping) else []
    alike = (int, float) if isinstance(theirs, int | float) else type(theirs)
    return [] if isinstance(ours, alike) else [f"{where}: {ours!r}"]


def test_the_guide_s_own_session_is_compared_as_it_shows(repository: Repository) -> None:
    repository.sessions.mkdir(parents=True)
    before = EXAMPLE.read_bytes()
    (repository.sessions / EXAMPLE.name).write_bytes(before)
    said = follow(repository, "make session-compare")
    shown = GUIDE.read_text()
    for line in said.splitlines()[:8]:
        assert line in shown or "Efficiency" in line, line
    assert (
        "- Duration: Target < 1478s (20% faster)\n- Efficiency: Target 100.0% (10% improvement, at most 100)\n" in said
    )
    assert "- Cost: Monitor for $0.17 threshold\n" in said
    assert (repository.sessions / EXAMPLE.name).read_bytes() == before
