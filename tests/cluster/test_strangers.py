"""Many deploy into one cluster: only what the phase is responsible for is blamed, priced or stopped for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cluster.desk import Ended, deployment, manifest, watched
from tests.cluster.harness import Cluster, until

pytestmark = pytest.mark.cluster


def blamed(ended: Ended) -> set[str]:
    """Give what the session's obstacles are about."""
    return {
        subject for obstacle in ended.session["obstacles"] for subject in (obstacle["subject"], *obstacle["subjects"])
    }


def image_is_missing(cluster: Cluster, namespace: str, name: str) -> None:
    """Wait until a Deployment's pod cannot get its image."""
    until(
        lambda: "ImagePull" in cluster.kubectl("get", "pods", "-n", namespace, "-l", f"app={name}", "-o", "json"),
        f"{name} to fail",
    )


def test_only_our_release_is_blamed_among_a_broken_older_one_and_two_of_a_colleague(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    """One release stood broken before us, a colleague breaks one beside it and one elsewhere while we deploy ours."""
    with cluster.namespace(f"{namespace}-colleague") as elsewhere:
        cluster.apply(deployment("older", pull="not-found"), namespace=namespace)
        image_is_missing(cluster, namespace, "older")
        ours = manifest(tmp_path, "ours", deployment("ours", pull="not-found", pull_seconds=0.5))
        theirs = manifest(tmp_path, "theirs", deployment("theirs", pull="not-found"))
        begun = tmp_path / "begun"

        def colleague() -> None:
            """Deploy the same into both namespaces from a process that the phase has nothing to do with."""
            until(begun.exists, "the phase to begin")
            for space in (namespace, elsewhere):
                cluster.kubectl("create", "-f", str(theirs), "--field-manager=colleague", "-n", space)

        with ThreadPoolExecutor(1) as hands:
            done = hands.submit(colleague)
            ended = watched(
                cluster,
                tmp_path / "sessions",
                f"touch {begun}; sleep 1\n"
                f"kubectl apply -n {namespace} -f {ours}\n"
                f"kubectl rollout status -n {namespace} deployment/ours --timeout=20s",
            )
            done.result()
        image_is_missing(cluster, namespace, "theirs")
        image_is_missing(cluster, elsewhere, "theirs")
    assert ended.status == 1
    terminal = [obstacle for obstacle in ended.session["obstacles"] if obstacle["verdict"] == "terminal"]
    assert [obstacle["kind"] for obstacle in terminal] == ["image-not-found"]
    assert "ours" in terminal[0]["subject"]
    assert f"{namespace}/older" in ended.stderr, "what is broken beside ours is one counted line"
    assert ended.session["performance"]["obstacle_count"] == 1
    assert not any("theirs" in subject or "older" in subject for subject in blamed(ended)), blamed(ended)


def test_trouble_that_began_before_the_phase_counts_once_it_blocks_what_we_deploy(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    """A second apply that changes nothing waits its whole limit on what was broken before."""
    ours = deployment("ours", pull="not-found")
    cluster.apply(ours, namespace=namespace)
    image_is_missing(cluster, namespace, "ours")
    path = manifest(tmp_path, "ours", ours)
    ended = watched(
        cluster,
        tmp_path / "sessions",
        f"kubectl apply -n {namespace} -f {path} && kubectl rollout status -n {namespace} deploy/ours --timeout=15s",
    )
    assert ended.status == 1
    assert ended.kinds == {"image-not-found"}
    [obstacle] = ended.session["obstacles"]
    total = ended.session["performance"]["total_duration_ms"]
    assert 0 < obstacle["delay_ms"] <= total, "its delay counts from the phase's start on, not from before"
