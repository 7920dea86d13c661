"""Sessions as CSV (RFC 4180, but for the ends of lines), one line each; what is unknown is an empty cell."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from nimble_watch.reports import Report, View
from nimble_watch.reports._words import counted
from nimble_watch.session import Session
from nimble_watch.session.baseline import likeness

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins with one of these is run as a formula by spreadsheets (OWASP, CSV injection)."""
_HEAD = (
    "session_id", "operation", "environment", "region", "state", "result", "start_time", "end_time",
    "total_duration", "total_obstacle_time", "efficiency_score", "obstacle_count", "estimated_hourly",
    "actual_hourly", "session_total", "at_least", "currency", "shapes", "image", "obstacle_kinds", "tags",
)  # fmt: skip


def _cells(session: Session) -> Iterator[Any]:
    figures, costs, like = session.performance, session.costs, likeness(session)
    yield from (session.session_id, session.operation, session.environment, session.region, session.state)
    yield from (session.result, session.start_time, session.end_time)
    yield from (figures.total_duration, figures.total_obstacle_time, figures.efficiency_score, counted(session))
    yield from (costs.estimated_hourly, costs.actual_hourly, costs.session_total, costs.at_least, costs.currency)
    yield from ("" if like[name] == "unknown" else like[name] for name in ("shapes", "image"))
    yield " ".join(sorted({obstacle.kind or obstacle.type or "unknown" for obstacle in session.obstacles}))
    yield " ".join(session.tags)


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value


def _render(sessions: Sequence[Session], _view: View) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")  # as awk and cut expect it
    writer.writerow(_HEAD)
    writer.writerows([_cell(value) for value in _cells(session)] for session in sessions)
    return text.getvalue()


REPORT = Report(name="csv", about="one line each, for spreadsheets", render=_render)
