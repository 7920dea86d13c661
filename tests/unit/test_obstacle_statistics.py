"""Which kinds of obstacles were met most often and cost most: over all sessions, by phase, environment and month."""

from __future__ import annotations

from decimal import Decimal

from nimble_watch import session as s
from nimble_watch.reports import View, report

DAY = 86_400_000
SEPTEMBER = 1_788_220_800_000
"""2026-09-01T00:00:00Z in milliseconds."""


def obstacle(kind: str, phase: str, seconds: int, cost: str | None, **fields: object) -> s.Obstacle:
    return s.Obstacle(
        id=f"obs-{kind}-{phase}-{seconds}",
        kind=kind,
        phase=phase,
        delay_ms=seconds * 1000,
        cost_impact_usd=None if cost is None else Decimal(cost),
        **fields,  # type: ignore[arg-type]  # any of its fields
    )


def session(day: int, environment: str, *obstacles: s.Obstacle, tags: tuple[str, ...] = ()) -> s.Session:
    return s.Session(
        session_id=f"session-day-{day}",
        environment=environment,
        start_ms=SEPTEMBER + day * DAY,
        state="ended",
        obstacles=list(obstacles),
        tags=list(tags),
    )


HISTORY = [
    session(
        30, "prod", obstacle("image-auth", "install", 60, "1.00"), obstacle("quota-exceeded", "install", 30, "9.00")
    ),
    session(2, "prod", obstacle("image-auth", "install", 60, "1.00"), obstacle("image-auth", "verify", 10, None)),
    session(
        1,
        "dev",
        obstacle("node-not-ready", "verify", 3600, "2.00"),
        obstacle("x", "verify", 9, "9", outcome="withdrawn"),
    ),
    session(0, "dev", obstacle("x", "install", 9999, "99.00"), tags=("demo",)),
    session(-40, "dev"),
]


def shown(*sessions: s.Session, width: int = 80) -> list[str]:
    return report("obstacles").render(sessions, View(width=width)).splitlines()


def test_the_kinds_stand_by_what_they_cost_with_how_often_and_how_long() -> None:
    lines = shown(*HISTORY)
    assert lines[:4] == [
        "What stood in the way in 4 sessions, 2026-07-23 to 2026-10-01; 1 demo left out:",
        "- most often: image-auth, 3 times",
        "- dearest: quota-exceeded, $9.00",
        "- longest: node-not-ready, 1:00:00",
    ]
    assert [line.split() for line in lines[5:9]] == [
        ["KIND", "TIMES", "SESSIONS", "DELAY", "COST"],
        ["quota-exceeded", "1", "1", "30", "s", "$9.00"],
        ["node-not-ready", "1", "1", "1:00:00", "$2.00"],
        ["image-auth", "3", "2", "2:10", "$2.00+"],
    ]
    assert lines[-1] == "+ at least: something in it has no price"


def test_each_phase_environment_and_month_has_its_most_frequent_and_its_dearest_kind() -> None:
    text = "\n".join(shown(*HISTORY))
    rows = [line.split() for line in text.splitlines()]
    assert ["install", "3", "2:30", "$11.00", "image-auth", "quota-exceeded"] in rows
    assert ["verify", "2", "1:00:10", "$2.00+", "node-not-ready", "node-not-ready"] in rows
    assert ["prod", "4", "2:40", "$11.00+", "image-auth", "quota-exceeded"] in rows
    assert ["dev", "1", "1:00:00", "$2.00", "node-not-ready", "node-not-ready"] in rows
    assert text.index("\n2026-10 ") < text.index("\n2026-09 ")


def test_what_has_no_cost_and_no_length_is_not_known_rather_than_nothing() -> None:
    lines = shown(session(0, "dev", s.Obstacle(id="obs-1", type="timeout")))
    assert lines[0] == "What stood in the way in 1 session, 2026-09-01:"
    assert lines[1:3] == ["- most often: timeout, 1 time", ""]
    assert ["timeout", "1", "1", "n/a", "n/a"] in [line.split() for line in lines]
    assert ["unknown", "1", "n/a", "n/a", "timeout", "timeout"] in [line.split() for line in lines]


def test_no_line_is_wider_than_the_screen() -> None:
    long = session(0, "e" * 50, obstacle("k" * 60, "p" * 40, 100_000, "123456.78"))
    assert max(map(len, shown(long, *HISTORY))) <= 80


def test_without_obstacles_there_is_nothing_to_add_up() -> None:
    assert shown(session(0, "dev"), session(1, "dev")) == ["No obstacle in 2 sessions."]
    assert shown() == ["No obstacle in 0 sessions."]
