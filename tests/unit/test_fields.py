"""What a session says of itself beside the guide's figures: idle and blocked money, commands, reasons."""

from __future__ import annotations

from decimal import Decimal

import pytest

from nimble_watch import session as s
from nimble_watch.observer.entries import told_command
from nimble_watch.signals import Seen
from tests.unit.made import T0
from tests.unit.test_metering import metered, node, pod
from tests.unit.test_session import START, begun, folded, obstacle, usage

MS = s.milliseconds


def taken(start: float, end: float | None, share: str = "1") -> s.Taken:
    """Give what a pod held, from and until seconds after the session's start."""
    return s.Taken(share=Decimal(share), start_ms=MS(START + start), end_ms=None if end is None else MS(START + end))


def an_hour(*held: s.Taken, obstacles: tuple[s.Obstacle, ...] = ()) -> s.Session:
    """Give a session of one phase of an hour on a node for 2 USD, of which pods held parts."""
    return folded(
        begun(),
        s.phase_started("install", ["helm"], time=START),
        *(s.obstacle_opened(one, time=START + 1) for one in obstacles),
        s.phase_ended("install", result="success", exit=0, time=START + 3600),
        s.costs_known(s.Costs(usage=[usage(0, 3600, taken=list(held))]), time=START + 3600),
        s.session_ended("success", exit=0, time=START + 3600),
    )


@pytest.mark.parametrize(
    ("held", "idle"),
    [
        ([], "2.00"),
        ([taken(0, None)], "0.00"),
        ([taken(900, 2700)], "1.00"),
        ([taken(0, 3600, "0.25"), taken(1800, None, "0.5")], "1.00"),
        ([taken(3600, 3600)], "2.00"),
    ],
)
def test_what_no_pod_of_the_session_held_was_idle(held: list[s.Taken], idle: str) -> None:
    phase = an_hour(*held).phases["install"]
    assert (phase.cost_usd, phase.idle_usd) == (Decimal("2.00"), Decimal(idle))


def test_a_journal_that_did_not_record_who_held_a_node_leaves_idle_unknown_with_a_reason() -> None:
    session = folded(
        begun(),
        s.phase_started("install", time=START),
        s.costs_known(s.Costs(usage=[usage(0, 3600)]), time=START + 3600),
        s.session_ended("success", time=START + 3600),
    )
    phase = session.phases["install"]
    assert phase.idle_usd is None
    assert phase.unknown["idle_usd"] == "which of the nodes' time pods held was not recorded"


def test_what_was_metered_and_met_no_obstacle_was_blocked_by_none() -> None:
    session = an_hour(taken(0, None))
    assert (session.phases["install"].blocked_usd, session.costs.blocked_usd) == (Decimal("0.00"), Decimal("0.00"))


@pytest.mark.parametrize(("rate", "blocked"), [("2.00", "1.00"), (None, None)])
def test_what_an_obstacle_held_without_a_price_is_said_in_the_phase_too(rate: str | None, blocked: str | None) -> None:
    price = None if rate is None else Decimal(rate)
    held = [
        s.Held(resource="pod a", usd_per_hour=price, reason="" if rate else "no such shape"),
        s.Held(resource="pod b", shape="VM.GPU.X", reason="no such shape"),
    ]
    phase = an_hour(taken(0, None), obstacles=(obstacle(0, 1800, held=held),)).phases["install"]
    assert phase.blocked_usd == (None if blocked is None else Decimal(blocked))
    assert phase.unknown["blocked_usd"] == "at least; some of what obstacles held has no price"


def test_an_open_session_says_of_its_end_that_it_is_open() -> None:
    session = folded(begun(), s.phase_started("install", time=START))
    assert session.unknown["end_time"] == session.unknown["exit"] == "the session is still open"
    assert session.phases["install"].unknown["duration"] == "the phase has not ended"


def test_what_another_program_fills_in_is_unknown_no_more() -> None:
    records = [begun(region=None), s.phase_started("install", time=START)]
    assert folded(*records).unknown["region"].startswith("OCI_REGION is not set")
    assert "region" not in folded(*records, s.foreign_changes({"region": "us-ashburn-1"}, time=START + 1)).unknown


def test_the_meter_tells_which_part_of_a_node_that_came_for_the_session_its_pods_held() -> None:
    meter = metered(
        Seen(T0 + 2, "Node", "added", node("n", "BM.GPU.H100.8", at=T0 + 2), listed=False),
        Seen(T0 + 6, "Pod", "added", pod("p", "n", gpus=2), listed=False),
    )
    (use,) = meter.usage()
    assert use.share == Decimal(1)
    assert use.taken == [s.Taken(share=Decimal("0.25"), start_ms=MS(T0 + 5))]


@pytest.mark.parametrize(
    ("argv", "kept"),
    [
        (["/usr/bin/helm", "upgrade", "--password", "hunter2!"], ["/usr/bin/helm", "upgrade", "--password", "***"]),
        (["make", "NGC_API_KEY=hunter2!", "install"], ["make", "NGC_API_KEY=***", "install"]),
        (["sh", "-c", "a\x1b[31m\nb"], ["sh", "-c", "a^[[31m\\nb"]),
        (["sh", "-c", "x" * 501], ["sh", "-c", "x" * 499 + "…"]),
        (["echo", *("x" * 100)], ["echo", *("x" * 63), "…"]),
    ],
)
def test_a_command_is_kept_word_by_word_without_its_secrets(argv: list[str], kept: list[str]) -> None:
    assert told_command(argv) == kept
