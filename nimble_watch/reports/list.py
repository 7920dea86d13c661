"""Sessions in a table, one line each, newest first."""

from __future__ import annotations

from collections.abc import Sequence

from nimble_watch.reports import Report, View
from nimble_watch.reports._stops import advice
from nimble_watch.reports._words import UNKNOWN, counted, cut, money, one_line, percent, seconds
from nimble_watch.session import Session

_HEAD = ("SESSION", "OPERATION", "ENV", "RESULT", "DURATION", "EFFICIENCY", "COST", "OBSTACLES")
_RIGHT = frozenset(("DURATION", "EFFICIENCY", "COST", "OBSTACLES"))
_WIDEST = 28


def _row(session: Session) -> tuple[str, ...]:
    figures = session.performance
    return (
        session.session_id,
        cut(one_line(session.operation), _WIDEST),
        cut(one_line(session.environment), _WIDEST),
        "open" if session.state == "open" else session.result or UNKNOWN,
        seconds(figures.total_duration),
        percent(figures.efficiency_score),
        money(session.costs.session_total) + ("+" if session.costs.at_least else ""),
        str(counted(session)),
    )


def _render(sessions: Sequence[Session], view: View) -> str:
    if not sessions:
        return "No sessions yet.\n"
    rows = [_HEAD, *(_row(session) for session in sessions)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEAD))]
    lines = []
    for row in rows:
        cells = [
            text.rjust(width) if head in _RIGHT else text.ljust(width)
            for text, width, head in zip(row, widths, _HEAD, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    if any(session.costs.at_least for session in sessions):
        lines.append("+ at least: something in it has no price")
    lines += filter(None, [advice(view.history)])
    return "\n".join(lines) + "\n"


REPORT = Report(name="list", about="sessions in a table, newest first", render=_render)
