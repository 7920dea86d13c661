"""Every kind that a phase's own output tells, in the words of the real tools: raised, and not where it was got over."""

from __future__ import annotations

import pytest

from nimble_watch.signals import Signal
from tests.cluster.harness import Cluster
from tests.cluster.kinds.spoken import SPOKEN, speak
from tests.cluster.kinds.told import told_kinds

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

KINDS = sorted({case.kind for case in SPOKEN})


@pytest.fixture(scope="module")
def spoken(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], list[Signal]]:
    """Play all cases."""
    with cluster.namespace("spoken") as namespace:
        return speak(cluster, namespace, SPOKEN, tmp_path_factory.mktemp("spoken"))


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_tool_says_is_told_as_its_kind_and_nothing_else(
    spoken: dict[tuple[str, str], list[Signal]], kind: str
) -> None:
    assert told_kinds(spoken[kind, "raises"]) == {kind}


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_phase_got_over_is_not(spoken: dict[tuple[str, str], list[Signal]], kind: str) -> None:
    assert kind not in told_kinds(spoken[kind, "near_miss"])
