"""Efficiency: how much of the time was not spent on obstacles, and the guide's words for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal

from nimble_watch.session.model import Obstacle, Performance
from nimble_watch.session.money import Span, spans_of, union_ms
from nimble_watch.session.times import moment, whole_seconds

_BANDS = (
    (Decimal(95), "Excellent", "Minimal obstacles, smooth execution"),
    (Decimal(85), "Good", "Few minor obstacles, mostly efficient"),
    (Decimal(70), "Fair", "Several obstacles, room for improvement"),
    (Decimal(0), "Poor", "Many obstacles, significant optimization needed"),
)

_VOID = ("superseded", "withdrawn")


def efficiency(total_ms: int, obstacle_ms: int) -> Decimal | None:
    """Give (total - obstacle time) / total in percent, to one decimal, half up; None if no time has passed."""
    if total_ms <= 0:
        return None
    share = Decimal(max(0, total_ms - obstacle_ms)) * 100 / Decimal(total_ms)
    return share.quantize(Decimal("0.1"), ROUND_HALF_UP)


def band(score: Decimal) -> tuple[str, str]:
    """Give the guide's word for a score, and its typical causes."""
    for least, word, causes in _BANDS:
        if score >= least:
            return word, causes
    return _BANDS[-1][1:]


def _delay_spans(obstacle: Obstacle, now_ms: int) -> list[Span]:
    """Give when an obstacle delayed; one with a delay and no intervals (logged by hand) ends at its timestamp."""
    if obstacle.intervals:
        return spans_of(obstacle, now_ms)
    end = moment(obstacle.timestamp)
    delay = obstacle.delay_ms
    if delay is None and obstacle.time_delay_seconds is not None:
        delay = obstacle.time_delay_seconds * 1000
    if end is None or delay is None or delay <= 0:
        return []
    return [(end - delay, end)]


def is_counted(obstacle: Obstacle) -> bool:
    """Tell whether an obstacle counts: not one that is another's symptom, nor one that may not be the phase's.

    Those stay in the list, as what was seen; the session's figures answer for what is surely its own.
    """
    scope = obstacle.extra.get("scope")
    doubtful = isinstance(scope, Mapping) and scope.get("sure") is False
    return obstacle.outcome not in _VOID and not doubtful


def performance(total_ms: int | None, obstacles: Sequence[Obstacle], now_ms: int) -> Performance:
    """Give the figures of a session: obstacle time is the union of the delays, at most the total."""
    counted = [obstacle for obstacle in obstacles if is_counted(obstacle)]
    union = union_ms(span for obstacle in counted for span in _delay_spans(obstacle, now_ms))
    obstacle_ms = union if total_ms is None else min(union, max(0, total_ms))
    score = None if total_ms is None else efficiency(total_ms, obstacle_ms)
    unknown: dict[str, str] = {}
    if total_ms is None:
        reason = "the session's start or end is not known, or the clock was set back between them"
        unknown["total_duration"] = unknown["efficiency_score"] = reason
    elif score is None:
        unknown["efficiency_score"] = "no time has passed"
    return Performance(
        total_duration=None if total_ms is None else whole_seconds(total_ms),
        obstacle_count=len(counted),
        total_obstacle_time=whole_seconds(obstacle_ms),
        efficiency_score=score,
        total_duration_ms=total_ms,
        total_obstacle_ms=obstacle_ms,
        unknown=unknown,
    )
