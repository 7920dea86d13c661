"""The session's bill, written into it: what it cost in all, by phase, and what obstacles held of that."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from nimble_watch.session.model import Obstacle, Session, Standing
from nimble_watch.session.money import Blocked, cents, hours_with_a_node, largest_remainder, usage_by_phase
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


def block(session: Session, blocked: Blocked, until: int) -> None:
    """Write what obstacles held, in the whole session and in each phase."""
    known = [one.cost_attributed_usd for one in session.obstacles if one.cost_attributed_usd is not None]
    if known:
        session.costs.blocked_usd = sum(known, _NOTHING)
    if not blocked.impact:
        return
    counted = [one for one in session.obstacles if is_counted(one)]
    for phase in session.phases.values():
        if phase.start_ms is not None:
            span = (phase.start_ms, phase.end_ms if phase.end_ms is not None else until)
            phase.blocked_usd = cents(blocked.in_span(counted, span, until))


def sum_of(standing: list[Standing], given: Decimal | None) -> Decimal | None:
    """Add up what stands there per hour; what was given where nothing of it has a price."""
    rates = [one.usd_per_hour for one in standing if one.usd_per_hour is not None]
    return sum(rates, _NOTHING) if rates else given
