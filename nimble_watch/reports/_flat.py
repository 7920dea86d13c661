"""Sessions, their phases and their obstacles as flat rows, for spreadsheets and everything else that knows tables."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO

from msgspec import Struct

from nimble_watch.reports._words import counted
from nimble_watch.session import Session
from nimble_watch.session.baseline import likeness

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001  the full-width forms are meant
"""A cell that begins with one of these is run as a formula by spreadsheets (OWASP, CSV injection)."""


class Table(Struct, frozen=True):
    """The names of the columns, and the rows that one session gives, each a value for each name."""

    head: tuple[str, ...]
    rows: Callable[[Session], Iterator[tuple[Any, ...]]]


def _session(session: Session) -> Iterator[tuple[Any, ...]]:
    figures, costs, like = session.performance, session.costs, likeness(session)
    yield (
        *(session.session_id, session.operation, session.environment, session.region, session.state),
        *(session.result, session.start_time, session.end_time),
        *(figures.total_duration, figures.total_obstacle_time, figures.efficiency_score, counted(session)),
        *(costs.estimated_hourly, costs.actual_hourly, costs.session_total, costs.at_least, costs.currency),
        *(None if like[name] == "unknown" else like[name] for name in ("shapes", "image")),
        " ".join(sorted({obstacle.kind or obstacle.type or "unknown" for obstacle in session.obstacles})),
        " ".join(session.tags),
    )


_PHASE = (
    "start_time", "end_time", "duration", "result", "exit", "signal", "stopped", "cost_usd", "blocked_usd",
)  # fmt: skip
_OBSTACLE = (
    "id", "phase", "type", "kind", "verdict", "outcome", "subject", "timestamp", "time_delay_seconds",
    "cost_impact_usd", "cost_attributed_usd", "count", "description", "root_cause", "fix", "suggested_fix",
    "evidence", "root", "source",
)  # fmt: skip


def _phases(session: Session) -> Iterator[tuple[Any, ...]]:
    for name, phase in session.phases.items():
        yield (session.session_id, name, *(getattr(phase, column) for column in _PHASE), len(phase.obstacles))


def _obstacles(session: Session) -> Iterator[tuple[Any, ...]]:
    for obstacle in session.obstacles:
        yield (session.session_id, *(getattr(obstacle, column) for column in _OBSTACLE))


TABLES = {
    "sessions": Table(
        (
            "session_id", "operation", "environment", "region", "state", "result", "start_time", "end_time",
            "total_duration", "total_obstacle_time", "efficiency_score", "obstacle_count", "estimated_hourly",
            "actual_hourly", "session_total", "at_least", "currency", "shapes", "image", "obstacle_kinds", "tags",
        ),
        _session,
    ),
    "phases": Table(("session_id", "phase", *_PHASE, "obstacle_count"), _phases),
    "obstacles": Table(("session_id", *_OBSTACLE), _obstacles),
}  # fmt: skip
"""What a table has a row for: its columns, and how a session is turned into them."""


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value


def write_csv(sessions: Iterable[Session], table: str, out: TextIO, *, newline: str) -> None:
    """Write a table as CSV, row by row; what is unknown is an empty cell, and no cell is run as a formula."""
    writer = csv.writer(out, lineterminator=newline)
    writer.writerow(TABLES[table].head)
    for session in sessions:
        writer.writerows([_cell(value) for value in row] for row in TABLES[table].rows(session))
