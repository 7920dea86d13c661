"""What is usual, and whether a session is unlike it: like is compared with like, by a band around the median.

One new value cannot be tested for significance against a handful of old ones (the smallest p that one against N can
reach is 1 / (N + 1)), so nothing here speaks of p: a value is slower when it lies above the band, and no verdict is
given before there are enough values for one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Literal

from msgspec import Struct

from nimble_watch.session.model import Session

LEAST, MOST = 5, 20
"""How many sessions a band needs, and the newest of how many it is made."""

TOTAL = "total"
"""The name of the whole, beside those of the phases."""

Verdict = Literal["faster", "same", "slower", "unknown"]

_SPREADS, _SHARE, _FLOOR_MS = 3.0, 0.10, 2000.0
_SIGMA = 1.4826
"""The factor from the median absolute deviation to a standard deviation, for a normal distribution."""
_DEMO = "demo"


class Band(Struct, frozen=True):
    """Which durations (milliseconds) are usual: the median of `count` values, and the edges of the band around it."""

    center: float
    low: float
    high: float
    count: int


class Step(Struct, frozen=True):
    """From value number `at` of a series on, the median is `after` where it was `before` (milliseconds)."""

    at: int
    before: float
    after: float


def band(values: Sequence[float]) -> Band | None:
    """Give the band of durations (milliseconds): median plus or minus three spreads, a tenth or 2 s, whichever is most.

    The spread is 1.4826 times the median absolute deviation.  None for fewer than `LEAST` values.
    """
    if len(values) < LEAST:
        return None
    center = median(values)
    half = _half(center, values)
    return Band(center, max(0.0, center - half), center + half, len(values))


def _half(center: float, values: Sequence[float]) -> float:
    spread = _SIGMA * median(abs(value - center) for value in values)
    return max(_SPREADS * spread, _SHARE * center, _FLOOR_MS)


def judge(value: float | None, usual: Band | None) -> Verdict:
    """Say how a duration (milliseconds) compares with what is usual."""
    if value is None or usual is None:
        return "unknown"
    if value < usual.low:
        return "faster"
    return "slower" if value > usual.high else "same"


def step(values: Sequence[float]) -> Step | None:
    """Find where a series (oldest first) changed its level for good; None if it did not, or cannot be told.

    The place is the one that leaves the least distance to a median before it and one after it, each of at least
    `LEAST` values.  It counts if the two levels are further apart than the band of either, so that noise is no step.
    """
    splits = range(LEAST, len(values) - LEAST + 1)
    if not splits:
        return None
    at = min(splits, key=lambda place: _distance(values[:place]) + _distance(values[place:]))
    before, after = median(values[:at]), median(values[at:])
    if abs(after - before) <= max(_half(before, values[:at]), _half(after, values[at:])):
        return None
    return Step(at, before, after)


def _distance(values: Sequence[float]) -> float:
    center = median(values)
    return sum(abs(value - center) for value in values)


def likeness(session: Session) -> dict[str, str]:
    """Give what two sessions must agree on for their durations to be compared, by the name that people give it."""
    about = session.comparable or {}
    shapes = about.get("shapes")
    return {
        "operation": session.operation or "unknown",
        "environment": session.environment or "unknown",
        "region": session.region or "unknown",
        "shapes": " + ".join(map(str, shapes)) if isinstance(shapes, list) and shapes else "unknown",
        "image": str(about.get("image") or "unknown"),
    }


def is_demo(session: Session) -> bool:
    """Tell whether a session only showed something: it says nothing about how long the work takes."""
    return _DEMO in session.tags or session.environment == _DEMO


def alike(session: Session, others: Sequence[Session]) -> list[Session]:
    """Give the sessions before this one that it may be compared with, whatever became of them, newest first."""
    wanted = likeness(session)
    return [
        other
        for other in others
        if other.session_id != session.session_id
        and other.state != "open"
        and not is_demo(other)
        and _before(other, session)
        and likeness(other) == wanted
    ]


def _before(other: Session, session: Session) -> bool:
    return other.start_ms is None or session.start_ms is None or other.start_ms <= session.start_ms


def succeeded(session: Session) -> bool:
    """Tell whether a session counts as one that went well; the guide's own files say nothing of a result."""
    return session.result in ("success", None)


def total_ms(session: Session) -> int | None:
    """Give how long a session took, in milliseconds."""
    figures = session.performance
    if figures.total_duration_ms is not None:
        return figures.total_duration_ms
    return None if figures.total_duration is None else figures.total_duration * 1000


def phase_ms(session: Session) -> Iterator[tuple[str, int]]:
    """Give the phases that went well, each with how long it took in milliseconds; a repetition is not one of them."""
    for name, phase in session.phases.items():
        if phase.result not in ("success", None) or "#" in name:
            continue
        if phase.duration_ms is not None:
            yield name, phase.duration_ms
        elif phase.duration is not None:
            yield name, phase.duration * 1000


class Row(Struct, frozen=True):
    """One line of the comparison: a phase or the total, how long it took (milliseconds), what is usual, the verdict."""

    name: str
    value: int | None
    usual: Band | None
    verdict: Verdict


def rows(session: Session, usual: Sequence[Session]) -> list[Row]:
    """Compare a session's phases, and its total, with sessions like it that went well (newest first).

    One that did not go well may have taken longer than those, but ending early does not make it faster.
    """
    newest = usual[:MOST]
    before: dict[str, list[float]] = defaultdict(list)
    for other in newest:
        for name, lasted in phase_ms(other):
            before[name].append(lasted)
        if (lasted_in_all := total_ms(other)) is not None:
            before[TOTAL].append(lasted_in_all)
    now: dict[str, int | None] = {**dict(phase_ms(session)), TOTAL: total_ms(session)}
    found = [_row(name, value, band(before[name])) for name, value in now.items()]
    return found if succeeded(session) else [*found[:-1], _unless_slower(found[-1])]


def _unless_slower(row: Row) -> Row:
    return row if row.verdict == "slower" else Row(row.name, row.value, row.usual, "unknown")


def _row(name: str, value: int | None, usual: Band | None) -> Row:
    return Row(name, value, usual, judge(value, usual))


def newest(sessions: Sequence[Session]) -> Session:
    """Give the session that others are held against: the newest that has ended, else the newest."""
    return next((session for session in sessions if session.state != "open"), sessions[0])
