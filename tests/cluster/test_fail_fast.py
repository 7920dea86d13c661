"""Stopping helm in the middle, by us and by KILL: what is left of the release, and how one goes on from there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cluster.desk import environment, watched
from tests.cluster.harness import Cluster, CommandError, until
from tests.cluster.kinds.cases import CHART

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

GOOD = "--set image=registry.test/fail-fast:1.0"
MISSING = (
    "--set image=registry.test/fail-fast:missing"
    ' --set-json \'annotations={"scripted.nimble-watch.test/pull":"not-found"}\''
)


def upgrade(namespace: str, values: str) -> str:
    """Give the command that deploys, and waits long."""
    return f"exec helm upgrade --install nim {CHART} -n {namespace} --wait --timeout 10m {values}"


def run(cluster: Cluster, tmp_path: Path, script: str) -> str:
    """Run a script as a person would, without us, and give what it prints."""
    done = subprocess.run(
        ["sh", "-c", script],
        env=environment(cluster, tmp_path / "sessions"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise CommandError(done.stderr)
    return done.stdout


def status(cluster: Cluster, tmp_path: Path, namespace: str) -> str:
    """Give the release's status in helm's own words."""
    lines = run(cluster, tmp_path, f"helm status nim -n {namespace}").splitlines()
    return next(line.removeprefix("STATUS: ") for line in lines if line.startswith("STATUS: "))


def test_helm_is_stopped_at_once_for_an_image_that_does_not_exist_and_can_go_on_from_there(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    ended = watched(cluster, tmp_path / "sessions", upgrade(namespace, MISSING), flags=("--fail-fast",))
    assert ended.status == 121, ended.stderr
    phase, (stop,) = ended.session["phases"]["install"], ended.session["stops"]
    assert (phase["result"], phase["stopped"]) == ("failure", "fail-fast")
    assert (stop["kind"], stop["real"], stop["mistake"]) == ("image-not-found", True, False)
    assert stop["saved_seconds"] is None
    assert stop["unknown"]["saved_seconds"]
    told = ended.stderr
    order = ["image-not-found: ", "stopping phase install after ", "install: stopped by --fail-fast after "]
    places = [told.index(words) for words in order]
    assert places == sorted(places)
    assert [one["kind"] for one in ended.session["obstacles"]] == ["image-not-found"]
    assert status(cluster, tmp_path, namespace) == "failed"
    again = watched(cluster, tmp_path / "sessions", upgrade(namespace, GOOD), flags=("--fail-fast",))
    assert again.status == 0, again.stderr
    assert again.session["stops"] == [], "what stood there broken is what this phase mends"


def test_a_helm_that_was_killed_leaves_a_lock_and_the_command_that_we_name_takes_it_away(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    with subprocess.Popen(
        ["sh", "-c", upgrade(namespace, MISSING)],
        env=environment(cluster, tmp_path / "sessions"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as helm:
        until(lambda: cluster.kubectl("get", "deployments", "-n", namespace, "-o", "name"), "helm's deployment")
        helm.kill()
    assert status(cluster, tmp_path, namespace) == "pending-install"
    locked = watched(cluster, tmp_path / "sessions", upgrade(namespace, GOOD))
    assert locked.status == 1
    assert "helm-locked" in locked.kinds, locked.stderr
    (obstacle,) = [one for one in locked.session["obstacles"] if one["kind"] == "helm-locked"]
    assert obstacle["verdict"] == "terminal"
    run(cluster, tmp_path, obstacle["command"])
    assert watched(cluster, tmp_path / "sessions", upgrade(namespace, GOOD)).status == 0
    assert status(cluster, tmp_path, namespace) == "deployed"
