"""Every kind of obstacle on the live cluster: raised where it is there, silent where it only looks like it.

All cases are played at the same time, once; the tests then ask what the observer's core makes of what our own watcher
saw.  So the way from the kubelet's word to the obstacle is the real one, in two minutes instead of forty.
"""

from __future__ import annotations

import pytest

from nimble_watch.observer.replay import replay
from tests.cluster.harness import Cluster
from tests.cluster.kinds.cases import CASES
from tests.cluster.kinds.drive import Played, play
from tests.cluster.kinds.told import told_kinds

KINDS = sorted({case.kind for case in CASES})

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]


@pytest.fixture(scope="module")
def played(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Played]:
    """Play all cases."""
    return play(cluster, CASES, tmp_path_factory.mktemp("kinds"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_is_raised(played: dict[tuple[str, str], Played], kind: str) -> None:
    assert kind in told_kinds(played[kind, "raises"].signals)


@pytest.mark.parametrize("kind", KINDS)
def test_its_near_miss_stays_silent(played: dict[tuple[str, str], Played], kind: str) -> None:
    assert kind not in told_kinds(played[kind, "near_miss"].signals)


def test_what_helm_waited_for_in_vain_is_told_instead_of_helms_time_out(
    played: dict[tuple[str, str], Played],
) -> None:
    changes = replay(played["helm-timeout", "near_miss"].signals)
    closed = [change.obstacle for change in changes if change.what == "closed" and change.obstacle is not None]
    assert [obstacle.kind for obstacle in closed] == ["image-not-found"]
    assert "helm-timeout" in {symptom.kind for symptom in closed[0].symptoms}
