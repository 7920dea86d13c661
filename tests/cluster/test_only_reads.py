"""What nimble-watch asks of the API server, by the API server's own audit log."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.desk import deployment, manifest, watched
from tests.cluster.harness import Cluster, until

pytestmark = pytest.mark.cluster


def test_it_only_gets_lists_and_watches_and_never_touches_a_secret(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    """The watcher has an identity of its own here, so that what it asks can be told from what the phase asks."""
    watcher = cluster.user(f"{namespace}-watcher", groups=["system:masters"])
    path = manifest(tmp_path, "ours", deployment("ours", exit=1, log="cannot start", exit_after=0.2))
    hands = f"KUBECONFIG={cluster.kubeconfig} kubectl -n {namespace}"
    ended = watched(
        cluster,
        tmp_path / "sessions",
        f"{hands} apply -f {path}; "
        # a Deployment is available for the moment before its container exits, so its pods are asked instead
        f"for i in $(seq 300); do {hands} get events | grep -q BackOff && break; sleep 0.1; done; sleep 3; exit 5",
        kubeconfig=watcher,
    )
    assert ended.status == 5
    assert ended.kinds == {"crash-loop"}
    assert "  | cannot start" in ended.stderr, "the log's last lines were shown"
    asked = until(lambda: cluster.audit(f"{namespace}-watcher"), "the audit log")
    logs = [event for event in asked if event.get("objectRef", {}).get("subresource") == "log"]
    assert {event["verb"] for event in logs} == {"get"}
    assert {event["verb"] for event in asked} <= {"get", "list", "watch"}
    resources = {event.get("objectRef", {}).get("resource") for event in asked}
    assert "pods" in resources
    assert "secrets" not in resources


def test_with_rights_to_nothing_it_says_so_and_the_phase_goes_on(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    """A user without any right: one sentence about it, no obstacle invented, the child's status kept."""
    nobody = cluster.user(f"{namespace}-nobody")
    ended = watched(cluster, tmp_path / "sessions", "sleep 3; exit 4", kubeconfig=nobody)
    assert ended.status == 4
    about = [line for line in ended.stderr.splitlines() if "may not see" in line]
    assert len(about) == 1, ended.stderr
    assert "forbidden" in about[0]
    assert "get, list and watch on pods" in about[0]
    assert "the phase goes on" in about[0]
    assert ended.kinds == {"phase-failed"}
