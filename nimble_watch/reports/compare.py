"""The newest sessions side by side, and what to aim for next: the comparison of the user's guide.

Beneath it stands what people can trust: the newest session against those that are like it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import ROUND_HALF_UP, Decimal

from nimble_watch.reports import Report, View
from nimble_watch.reports._aims import against
from nimble_watch.reports._stops import advice
from nimble_watch.reports._trust import trust
from nimble_watch.reports._words import counted, money, one_line, percent, seconds
from nimble_watch.session import Session
from nimble_watch.session.baseline import newest

_FULL = Decimal(100)
_FASTER = Decimal("0.8")
_BETTER = Decimal(10)
_DEARER = Decimal("1.1")


def _line(session: Session) -> str:
    """Give a session in the guide's columns."""
    figures = session.performance
    return (
        f"{session.session_id} {one_line(session.operation):<15} {one_line(session.environment):<5} "
        f"{seconds(figures.total_duration)} {percent(figures.efficiency_score)} "
        f"{money(session.costs.session_total)} {counted(session)} obs"
    )


def _targets(session: Session) -> Iterator[str]:
    """Give what to aim for: a fifth faster, ten points better but at most 100, a tenth dearer at most."""
    duration = session.performance.total_duration
    if duration is None:
        yield "- Duration: n/a (the newest session has none)"
    else:
        target = (duration * _FASTER).quantize(Decimal(1), ROUND_HALF_UP)
        yield f"- Duration: Target < {target}s (20% faster)"
    score = session.performance.efficiency_score
    if score is None:
        yield "- Efficiency: n/a (the newest session has none)"
    elif score >= _FULL:
        yield f"- Efficiency: keep {percent(score)}"
    elif score + _BETTER >= _FULL:
        yield "- Efficiency: Target 100.0% (10% improvement, at most 100)"
    else:
        yield f"- Efficiency: Target > {score + _BETTER}% (10% improvement)"
    cost = session.costs.session_total
    if cost is None:
        why = session.costs.unknown.get("session_total", "not known")
        yield f"- Cost: n/a ({why})"
    else:
        yield f"- Cost: Monitor for {money(cost * _DEARER)} threshold"


def _render(sessions: Sequence[Session], view: View) -> str:
    lines = ["=== SESSION COMPARISON ===", ""]
    if not sessions:
        return "\n".join([*lines, "No sessions yet; `nimble-watch run` or `make all` makes the first one."]) + "\n"
    last = newest(sessions)
    lines += ["Recent Sessions:", *(_line(session) for session in sessions[: view.rows])]
    lines += ["", "Improvement Opportunities:", *_targets(last)]
    if held := list(against(last, view)):
        lines += ["", *held]
    lines += ["", *trust(last, sessions, width=view.width)]
    if said := advice(view.history):
        lines += ["", said]
    return "\n".join(lines) + "\n"


REPORT = Report(name="compare", about="the newest sessions side by side, and what to aim for", render=_render)
