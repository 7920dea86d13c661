"""Numbers that no session can hold: named with their field when a file is read, and unknown from then on.

A time before 1970 or after 9999, a negative duration, an amount beyond what anybody ever paid: arithmetic on them, and
calendars, would fail much later, and without naming the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import cache

import msgspec

from nimble_watch.session import LAST_MS, Obstacle, Session

_MOST_USD = Decimal(10) ** 12
_MOST = 2**53
"""The largest whole number that every JSON reader keeps exact."""
_MOMENTS = frozenset(("start_ms", "end_ms", "since_ms", "at_ms", "ready_ms"))
_SIGNED = frozenset(("clock_set_ms", "exit", "after_ms", "revision", "schema"))


def set_aside(session: Session, problems: list[str]) -> None:
    """Take every number that cannot be as unknown, and name it."""
    for where, part in _parts(session):
        unknown: dict[str, str] | None = getattr(part, "unknown", None)
        for name, default in _numbers_of(type(part)):
            value = getattr(part, name)
            if value is None or not (wrong := _wrong(name, value)):
                continue
            problems.append(f"{where}{name}: {value} {wrong}")
            setattr(part, name, default)
            if unknown is not None and default is None:
                unknown.setdefault(name, f"the file says {value}")
        if isinstance(part, Obstacle) and part.intervals:
            _check_intervals(part, where, problems)


def _parts(session: Session) -> Iterator[tuple[str, msgspec.Struct]]:
    """Give every part of a session with the beginning of its fields' names."""
    yield "", session
    yield "performance.", session.performance
    yield "costs.", session.costs
    for name, phase in session.phases.items():
        yield f"phases.{name}.", phase
        if phase.cause is not None:
            yield f"phases.{name}.cause.", phase.cause
    for at, obstacle in enumerate(session.obstacles):
        yield f"obstacles[{at}].", obstacle
        for number, held in enumerate(obstacle.held):
            yield f"obstacles[{at}].held[{number}].", held
    costs = session.costs
    lists: tuple[tuple[str, list[msgspec.Struct]], ...] = (
        ("waits", [*session.waits]),
        ("stops", [*session.stops]),
        ("costs.usage", [*(costs.usage or ())]),
        ("costs.standing", [*costs.standing]),
        ("costs.after", [*costs.after]),
    )
    for name, entries in lists:
        for at, entry in enumerate(entries):
            yield f"{name}[{at}].", entry
    for at, use in enumerate(costs.usage or ()):
        for number, taken in enumerate(use.taken or ()):
            yield f"costs.usage[{at}].taken[{number}].", taken


def _wrong(name: str, value: int | Decimal) -> str:
    if isinstance(value, Decimal):
        return "" if value.is_finite() and abs(value) < _MOST_USD else "is no amount"
    if name in _MOMENTS:
        return "" if 0 <= value <= LAST_MS else "is no time: they go from 1970 to 9999"
    if value < 0 and name not in _SIGNED:
        return "is negative"
    return "" if abs(value) <= _MOST else "is too large"


def _check_intervals(obstacle: Obstacle, where: str, problems: list[str]) -> None:
    for at, (start, end) in enumerate(obstacle.intervals):
        last = LAST_MS if end is None else end
        if not 0 <= start <= last <= LAST_MS:
            problems.append(f"{where}intervals[{at}]: {start} to {end} is no span of time")
    obstacle.intervals = [
        (start, end) for start, end in obstacle.intervals if 0 <= start <= (LAST_MS if end is None else end) <= LAST_MS
    ]


@cache
def _numbers_of(kind: type[msgspec.Struct]) -> tuple[tuple[str, int | Decimal | None], ...]:
    """Give the fields of a struct that are numbers, each with what stands for a value that is set aside."""
    found = []
    for entry in msgspec.structs.fields(kind):
        named = msgspec.inspect.type_info(entry.type)
        types = named.types if isinstance(named, msgspec.inspect.UnionType) else (named,)
        if any(isinstance(one, msgspec.inspect.IntType | msgspec.inspect.DecimalType) for one in types):
            found.append((entry.name, 0 if entry.default is msgspec.NODEFAULT else entry.default))
    return tuple(found)
