"""What helped once is told when a real cluster brings the same trouble again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cluster.desk import NIMBLE_WATCH, environment, watched
from tests.cluster.harness import Cluster
from tests.cluster.test_fail_fast import MISSING, upgrade

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

HELPED = "Pushed the tag that CI had forgotten."


def test_what_helped_against_an_image_that_did_not_exist_is_told_with_its_block_the_next_time(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    sessions = tmp_path / "sessions"
    first = watched(cluster, sessions, upgrade(namespace, MISSING), flags=("--fail-fast",))
    assert first.kinds == {"image-not-found"}, first.stderr
    assert "helped last time" not in first.stderr
    name = first.session["session_id"]
    command = [NIMBLE_WATCH, "session", "annotate", "image-not-found", "--fix", HELPED]
    subprocess.run(command, env=environment(cluster, sessions), check=True, capture_output=True, timeout=60)
    script = upgrade(namespace, MISSING).replace("--install nim ", "--install again ")
    second = watched(cluster, sessions, script, flags=("--fail-fast",))
    (obstacle,) = second.session["obstacles"]
    assert (obstacle["kind"], obstacle["helped_before"][0]["session"]) == ("image-not-found", name)
    said = f"image-not-found: helped last time: {HELPED} ({name}, {first.session['start_time'][:10]})"
    assert said in second.stderr
    assert second.stderr.index("nimble-watch:   do ") < second.stderr.index(said)
    assert said.partition(": ")[2] in " ".join(
        (sessions / f"summary-{second.session['session_id']}.txt").read_text().split()
    )
