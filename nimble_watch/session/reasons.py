"""Why what is unknown is: a field of a session that is null because nobody knows has its reason beside it.

A field that is null because there is nothing (no signal, no root, no CI system) needs none; the schema that comes with
the program (`data/`) says of every field which of the two it is, and demands the reasons.
"""

from __future__ import annotations

from collections.abc import Mapping

from nimble_watch.session.model import Costs, Obstacle, Performance, Phase, Session
from nimble_watch.session.times import moment

_Part = Session | Costs | Phase | Obstacle | Performance
_OPEN = "the session is still open"
_RUNS = "the phase has not ended"
_NOT_RECORDED = "not recorded"
_SESSION = {
    "operation": _NOT_RECORDED,
    "start_time": "its beginning was not recorded",
    "environment": _NOT_RECORDED,
    "region": "OCI_REGION is not set, and no node of the session named its region",
    "uid": _NOT_RECORDED,
    "host": _NOT_RECORDED,
    "cluster": "no cluster was watched",
    "comparable": "no node of the session was seen",
}
_ENDED = {
    "end_time": _NOT_RECORDED,
    "result": _NOT_RECORDED,
    "exit": "a signal ended it, or nobody told its status",
}
_COSTS = {
    "estimated_hourly": "no plan was given",
    "actual_hourly": "no node of the session was seen",
    "session_total": "nothing was metered",
    "blocked_usd": "no obstacle has a cost that is known",
    "between_phases_usd": "nothing was metered",
    "minimums_usd": "nothing was metered",
    "other_usd": "nothing was metered",
}
_OBSTACLE = dict.fromkeys(
    ("phase", "type", "description", "root_cause", "fix", "time_delay_seconds", "timestamp"), "not given"
)
_PERFORMANCE = {
    "total_duration": "the session's start or end is not known, or the clock was set back between them",
    "obstacle_count": _NOT_RECORDED,
    "total_obstacle_time": _NOT_RECORDED,
    "efficiency_score": "no time has passed",
}


_TIMES = (("start_time", "start_ms"), ("end_time", "end_ms"))
_SPANS = (
    ("duration", "duration_ms"),
    ("time_delay_seconds", "delay_ms"),
    ("total_duration", "total_duration_ms"),
    ("total_obstacle_time", "total_obstacle_ms"),
)


def say_why(session: Session, *, always: str = "") -> None:
    """Give every unknown field its reason where it has none yet, and take away the reasons of those that are known.

    What others wrote in the guide's units only is known in milliseconds too.

    `always` is the reason of them all, for a file of which nobody knows how it was made.
    """

    def explain(part: _Part, reasons: Mapping[str, str]) -> None:
        _explain(part, dict.fromkeys(reasons, always) if always else reasons)

    parts: list[_Part] = [session, session.performance, *session.phases.values(), *session.obstacles]
    for part in parts:
        _in_milliseconds(part)
    is_open = session.state == "open"
    explain(session, {**_SESSION, **(dict.fromkeys(_ENDED, _OPEN) if is_open else _ENDED)})
    explain(session.costs, _COSTS)
    for phase in session.phases.values():
        explain(phase, _of_phase(phase, session.costs, is_open=is_open))
    for obstacle in session.obstacles:
        cost = obstacle.unknown.get("cost_impact_usd", "not known what it held")
        explain(obstacle, {**_OBSTACLE, "cost_impact_usd": cost, "cost_attributed_usd": cost})
    explain(session.performance, _PERFORMANCE)


def _in_milliseconds(part: _Part) -> None:
    for text, exact in _TIMES:
        if getattr(part, exact, 0) is None:
            setattr(part, exact, moment(getattr(part, text)))
    for seconds, exact in _SPANS:
        if getattr(part, exact, 0) is None and (known := getattr(part, seconds)) is not None:
            setattr(part, exact, known * 1000)


def _of_phase(phase: Phase, costs: Costs, *, is_open: bool) -> dict[str, str]:
    runs = _RUNS if is_open else "its end was not seen"
    metered = costs.unknown.get("session_total", "the phase's share of the costs is not known")
    return {
        "start_time": _NOT_RECORDED,
        "end_time": runs,
        "duration": runs if phase.end_time is None else _NOT_RECORDED,
        "result": runs if phase.end_time is None else _NOT_RECORDED,
        "exit": _why_no_status(phase, runs),
        "command": "a script told of the phase, and not what it runs",
        "cost_usd": metered,
        "blocked_usd": metered if phase.cost_usd is None else "what obstacles held in it has no price",
        "idle_usd": metered if phase.cost_usd is None else "which of the nodes' time pods held was not recorded",
    }


def _why_no_status(phase: Phase, runs: str) -> str:
    if phase.end_time is None:
        return runs
    return "a signal ended it" if phase.signal is not None else "not seen"


def _explain(part: _Part, reasons: Mapping[str, str]) -> None:
    for name, why in reasons.items():
        if getattr(part, name) is None:
            part.unknown.setdefault(name, why)
        elif part.unknown.get(name, "").partition(";")[0] != _AT_LEAST:
            part.unknown.pop(name, None)


_AT_LEAST = "at least"
"""How the reason begins that stands beside a figure which is known in part."""
