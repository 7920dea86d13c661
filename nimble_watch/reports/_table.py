"""A table of sessions, one line each: what `list` and `wide` share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nimble_watch.reports._words import UNKNOWN, counted, cut, money, one_line, percent, seconds
from nimble_watch.session import Session

NARROW = ("SESSION", "OPERATION", "ENV", "RESULT", "DURATION", "EFFICIENCY", "COST", "OBSTACLES")
_RIGHT = frozenset(("DURATION", "EFFICIENCY", "COST", "OBSTACLES", "OBSTACLE TIME"))
_WIDEST = 28


def row(session: Session) -> tuple[str, ...]:
    """Give the cells of the narrow table."""
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


def table(sessions: Sequence[Session], head: Sequence[str], cells: Callable[[Session], Sequence[str]]) -> str:
    """Give the whole table, its columns as wide as what stands in them."""
    if not sessions:
        return "No sessions yet.\n"
    rows = [head, *(cells(session) for session in sessions)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(head))]
    lines = []
    for texts in rows:
        columns = [
            text.rjust(width) if name in _RIGHT else text.ljust(width)
            for text, width, name in zip(texts, widths, head, strict=True)
        ]
        lines.append("  ".join(columns).rstrip())
    if any(session.costs.at_least for session in sessions):
        lines.append("+ at least: something in it has no price")
    return "\n".join(lines) + "\n"
