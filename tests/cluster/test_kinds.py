"""Every kind of obstacle on the live cluster: shown and kept where it is there, silent where it only looks like it.

All cases are played at the same time, once, each under a `nimble-watch exec` of its own; the tests then read what a
person saw, and the session.  So all is real from the kubelet's word to the line on stderr, in minutes instead of forty.
What our own watcher saw beside them goes through a replay too, so that recordings are known to be worth something.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from nimble_watch.prices import Price, price
from nimble_watch.rules import all_rules
from tests.cluster.harness import Cluster
from tests.cluster.kinds.cases import CASES
from tests.cluster.kinds.drive import PHASE, Played, play
from tests.cluster.kinds.shown import PATIENCE, SHOWN, Block, blocks
from tests.cluster.kinds.told import told_kinds

KINDS = sorted({case.kind for case in CASES})

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

WAIT = "image-pull-slow"


@pytest.fixture(scope="module")
def played(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Played]:
    """Play all cases."""
    return play(cluster, CASES, tmp_path_factory.mktemp("kinds"))


def counted(one: Played) -> list[dict[str, Any]]:
    """Give the obstacles of a session that stand for themselves."""
    return [entry for entry in one.session["obstacles"] if entry["outcome"] not in ("superseded", "withdrawn")]


def opened(one: Played, kind: str) -> Block:
    """Give what was said when the kind was first told."""
    found = [block for block in blocks(one.said) if block.kind == kind and "waiting" in block.rows]
    assert found, f"{kind} was not told: {one.said}"
    return found[0]


@pytest.mark.parametrize("kind", sorted(SHOWN))
def test_a_person_sees_what_is_wrong_why_what_to_type_and_whether_waiting_helps(
    played: dict[tuple[str, str], Played], kind: str
) -> None:
    one, wanted = played[kind, "raises"], SHOWN[kind]
    block = opened(one, kind)
    assert wanted.says in block.rows[wanted.said_by], "their own sentence, and whose it is"
    assert block.rows["cause"]
    assert block.rows["do"]
    assert wanted.type in block.rows.get("type", "")
    assert bool(wanted.type) == ("type" in block.rows)
    assert block.rows["waiting"].startswith(tuple(PATIENCE[verdict] for verdict in wanted.verdicts))


@pytest.mark.parametrize("kind", sorted(SHOWN))
def test_what_a_held_gpu_costs_per_hour_is_shown_and_where_none_is_held_nothing(
    played: dict[tuple[str, str], Played], kind: str
) -> None:
    one, shape = played[kind, "raises"], SHOWN[kind].shape
    (obstacle,) = (entry for entry in counted(one) if entry["kind"] == kind)
    assert {held["shape"] for held in obstacle["held"]} == ({shape} if shape else set())
    if not shape:
        assert "cost" not in opened(one, kind).rows
        return
    node = price(shape)
    assert isinstance(node, Price)
    share = (node.usd_per_hour / node.gpus).quantize(Decimal("0.01"))
    assert opened(one, kind).rows["cost"] == f"${share} per hour while it stands ({shape})"
    assert obstacle["cost_impact_usd"] is not None


@pytest.mark.parametrize("kind", sorted(SHOWN))
def test_the_session_keeps_the_obstacle_with_all_that_was_known_of_it(
    played: dict[tuple[str, str], Played], kind: str
) -> None:
    one, wanted = played[kind, "raises"], SHOWN[kind]
    (obstacle,) = counted(one)
    assert (obstacle["kind"], obstacle["type"]) == (kind, all_rules()[kind].type)
    assert obstacle["verdict"] in wanted.verdicts
    assert wanted.says in obstacle["evidence"]
    assert obstacle["root_cause"]
    assert obstacle["fix"]
    assert obstacle["phase"] == PHASE
    assert one.session["phases"][PHASE]["obstacles"] == [obstacle["id"]]
    assert obstacle["delay_ms"] == sum(end - start for start, end in obstacle["intervals"])
    assert (obstacle["delay_ms"] > 0) == (kind != "phase-failed"), "known only when the phase is over"
    assert any(line.startswith(f"  {kind}: ") for line in one.said), "the phase's own summary names it"
    if obstacle["verdict"] == "terminal":
        final = [line for line in one.said if line.startswith(f"{kind}: ") and "waiting no longer helps" in line]
        assert final or opened(one, kind).rows["waiting"].startswith(PATIENCE["terminal"])


def test_a_slow_pull_is_a_wait_with_its_exact_length_and_its_cost_and_no_obstacle(
    played: dict[tuple[str, str], Played],
) -> None:
    one = played[WAIT, "raises"]
    assert one.session["obstacles"] == []
    (wait,) = (entry for entry in one.session["waits"] if entry["what"] == WAIT)
    assert wait["detail"].startswith("pulling nvcr.io/")
    assert wait["duration_ms"] == wait["end_ms"] - wait["start_ms"] > 60_000
    (line,) = (line for line in one.said if line.startswith("waiting for 1:"))
    assert f": {wait['detail']}, $" in line
    assert line.endswith(" so far")


@pytest.mark.parametrize("side", ["raises", "near_miss"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_child_s_status_is_our_own(played: dict[tuple[str, str], Played], kind: str, side: str) -> None:
    one = played[kind, side]
    assert (one.status, one.session["phases"][PHASE]["exit"]) == (one.own, one.own)


@pytest.mark.parametrize("kind", KINDS)
def test_its_near_miss_is_neither_shown_nor_kept(played: dict[tuple[str, str], Played], kind: str) -> None:
    one = played[kind, "near_miss"]
    assert one.session["cluster"], f"it was not watched: {one.session['unknown']} {one.said}"
    assert kind not in {block.kind for block in blocks(one.said)}, one.said
    assert kind not in {entry["kind"] for entry in one.session["obstacles"]}
    if kind == WAIT:
        assert WAIT not in {entry["what"] for entry in one.session["waits"]}


@pytest.mark.parametrize("kind", KINDS)
def test_a_recording_of_it_tells_the_same(played: dict[tuple[str, str], Played], kind: str) -> None:
    assert kind in told_kinds(played[kind, "raises"].signals)
    assert kind not in told_kinds(played[kind, "near_miss"].signals)


def test_what_helm_waited_for_in_vain_is_told_instead_of_helms_time_out(
    played: dict[tuple[str, str], Played],
) -> None:
    (obstacle,) = counted(played["helm-timeout", "near_miss"])
    assert obstacle["kind"] == "image-not-found"
    assert "helm-timeout" in {symptom["kind"] for symptom in obstacle["symptoms"]}
