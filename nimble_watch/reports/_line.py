"""The line a session leaves in all-sessions.txt, for grep and awk -F'|'."""

from __future__ import annotations

from nimble_watch.reports._words import counted, money, one_line, percent, seconds
from nimble_watch.session import Session


def history_line(session: Session) -> str:
    """Give the guide's line: the columns 4, 5 and 6 are duration, efficiency and cost; unknown is n/a."""
    figures = session.performance
    columns = (
        f"SESSION: {session.session_id}",
        one_line(session.operation),
        one_line(session.environment),
        seconds(figures.total_duration),
        percent(figures.efficiency_score),
        money(session.costs.session_total),
        f"{counted(session)} obstacles",
    )
    return " | ".join(columns)
