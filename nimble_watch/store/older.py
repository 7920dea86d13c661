"""What files of the tracker before us lack or have wrong, settled when they are read; the files stay as they are.

It wrote 0 for costs that it did not know, added up delays that overlapped until the efficiency was negative, and left
phases without times.  Each value that is set aside is named, and unknown from then on.
"""

from __future__ import annotations

from nimble_watch.session import Costs, Session, efficiency, moment, performance, say_why
from nimble_watch.store.limits import set_aside

_FULL = 100


def settle(session: Session, problems: list[str]) -> None:
    """Fill in what older files lack, and set aside what cannot be true."""
    for name in ("start_time", "end_time"):
        text = getattr(session, name)
        if text is not None and moment(text) is None:
            problems.append(f"{name}: {text!r} is not a time")
    set_aside(session, problems)
    session.start_ms = session.start_ms if session.start_ms is not None else moment(session.start_time)
    session.end_ms = session.end_ms if session.end_ms is not None else moment(session.end_time)
    if session.schema is None:
        _no_zero(session.costs)
    score = session.performance.efficiency_score
    if score is not None and not 0 <= score <= _FULL:
        problems.append(f"performance.efficiency_score: {score} is not within 0 to 100; computed anew")
        _score(session)
    if session.schema is None:
        say_why(session, always="the file does not say")


def _no_zero(costs: Costs) -> None:
    """Take costs that are all zero as not known: a session that costs nothing at all has no need of a tracker."""
    names = ("estimated_hourly", "actual_hourly", "session_total")
    if any(getattr(costs, name) for name in names):
        return
    for name in names:
        if getattr(costs, name) is not None:
            setattr(costs, name, None)
            costs.unknown[name] = "the file says 0, as it does where nothing was known"


def _score(session: Session) -> None:
    """Compute the figures anew; where delays have no times, from the file's own sum, capped at the duration."""
    figures = session.performance
    total_ms = None if figures.total_duration is None else figures.total_duration * 1000
    again = performance(total_ms, session.obstacles, session.end_ms or session.start_ms or 0)
    untimed = any(one.time_delay_seconds and moment(one.timestamp) is None for one in session.obstacles)
    if untimed and total_ms is not None and figures.total_obstacle_time is not None:
        again.total_obstacle_ms = min(figures.total_obstacle_time * 1000, total_ms)
        again.total_obstacle_time = again.total_obstacle_ms // 1000
        again.efficiency_score = efficiency(total_ms, again.total_obstacle_ms)
    again.extra, session.performance = figures.extra, again
