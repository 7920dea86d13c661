"""The session's bill, written into it: what it cost in all, by phase, and what obstacles held of that."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from nimble_watch.session.model import Obstacle, Session, Standing
from nimble_watch.session.money import (
    Blocked,
    Span,
    cents,
    hours_with_a_node,
    largest_remainder,
    spans_of,
    taken_of,
    usage_by_phase,
)
from nimble_watch.session.scores import is_counted

_NOTHING = Decimal(0)


def price_obstacles(obstacles: Iterable[Obstacle], blocked: Blocked) -> None:
    """Write what each held and its share of it, rounded so that the shares add up; a hand-logged cost is its word."""
    shared = [obstacle for obstacle in obstacles if obstacle.id in blocked.impact]
    parts = largest_remainder([blocked.attributed.get(obstacle.id, _NOTHING) for obstacle in shared])
    for obstacle, part in zip(shared, parts, strict=True):
        obstacle.cost_impact_usd = cents(blocked.impact[obstacle.id])
        obstacle.cost_attributed_usd = part
    for obstacle in obstacles:
        if obstacle.id not in blocked.impact:
            obstacle.cost_attributed_usd = obstacle.cost_impact_usd
        if missing := blocked.unpriced.get(obstacle.id):
            obstacle.unknown["cost_impact_usd"] = "at least; without a price: " + "; ".join(dict.fromkeys(missing))
        elif obstacle.cost_impact_usd is None:
            obstacle.unknown.setdefault("cost_impact_usd", "not known what it held")


def total_up(session: Session, until: int) -> None:
    """Meter: every part rounded so that phases, between, minimums and other add up to the total."""
    costs = session.costs
    usage = costs.usage or []
    by_phase, between = usage_by_phase(usage, session.phases, until)
    parts = [*by_phase.values(), between, costs.minimums_usd or _NOTHING, costs.other_usd or _NOTHING]
    rounded = largest_remainder(parts)
    for phase, cost in zip(session.phases.values(), rounded, strict=False):
        phase.cost_usd = cost
    _idle(session, by_phase, until)
    costs.between_phases_usd, costs.minimums_usd, costs.other_usd = rounded[-3:]
    missing = dict.fromkeys(f"{use.shape or use.node}: {use.reason}" for use in usage if use.usd_per_hour is None)
    costs.unpriced = [*dict.fromkeys([*costs.unpriced, *missing])]
    priced = any(use.usd_per_hour is not None for use in usage)
    costs.at_least = costs.at_least or bool(missing)
    if missing and not priced:
        reason = "; ".join(missing)
        costs.unknown["session_total"] = costs.unknown["actual_hourly"] = f"no price: {reason}"
        return
    if "session_total" not in costs.sources:
        costs.session_total = sum(rounded, _NOTHING)
    if "actual_hourly" not in costs.sources and (hours := hours_with_a_node(usage, until)):
        metered = sum(by_phase.values(), between)
        costs.actual_hourly = cents(metered / hours)
    first = next((use for use in usage if use.usd_per_hour is not None), None)
    if first is not None:
        costs.price_source = costs.price_source or first.price_source or None
        costs.price_date = costs.price_date or first.price_date or None


def _idle(session: Session, by_phase: dict[str, Decimal], until: int) -> None:
    """Write what was paid for in each phase without a pod of the session on it; a node that still boots is idle too."""
    usage = session.costs.usage or []
    if any(use.taken is None for use in usage):
        return  # of a journal that did not record it
    held, _ = usage_by_phase(taken_of(usage), session.phases, until)
    for name, phase in session.phases.items():
        phase.idle_usd = cents(max(_NOTHING, by_phase[name] - held[name]))


def block(session: Session, blocked: Blocked, until: int) -> None:
    """Write what obstacles held, in the whole session and in each phase."""
    counted = [one for one in session.obstacles if is_counted(one)]
    known = [one.cost_attributed_usd for one in session.obstacles if one.cost_attributed_usd is not None]
    metered = session.costs.usage is not None and session.costs.session_total is not None
    if known or (metered and not counted):
        session.costs.blocked_usd = sum(known, Decimal("0.00"))
    for phase in session.phases.values():
        if phase.start_ms is None or not (blocked.impact or phase.cost_usd is not None):
            continue
        span = (phase.start_ms, phase.end_ms if phase.end_ms is not None else until)
        amount = cents(blocked.in_span(counted, span, until))
        if any(one.id in blocked.unpriced and _met(one, span, until) for one in counted):
            phase.unknown["blocked_usd"] = "at least; some of what obstacles held has no price"
            if not amount:
                continue
        phase.blocked_usd = amount


def _met(obstacle: Obstacle, span: Span, until: int) -> bool:
    return any(start < span[1] and end > span[0] for start, end in spans_of(obstacle, until))


def sum_of(standing: list[Standing], given: Decimal | None) -> Decimal | None:
    """Add up what stands there per hour; what was given where nothing of it has a price."""
    rates = [one.usd_per_hour for one in standing if one.usd_per_hour is not None]
    return sum(rates, _NOTHING) if rates else given
