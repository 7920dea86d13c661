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
        f"{hands} apply -f {path}; {hands} rollout status deploy/ours --timeout=20s",
        kubeconfig=watcher,
    )
    assert ended.status == 1
    asked = until(lambda: cluster.audit(f"{namespace}-watcher"), "the audit log")
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
    assert "forbidden" in ended.stderr.lower() or "not allowed" in ended.stderr.lower(), ended.stderr
    assert ended.kinds == {"phase-failed"}
