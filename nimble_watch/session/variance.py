"""The plan against what stood there: more than a tenth dearer is an obstacle, cost-variance."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal

from nimble_watch.session.model import Costs, Obstacle
from nimble_watch.session.money import cents
from nimble_watch.session.times import stamp

COST_VARIANCE = "cost-variance"
_MOST = Decimal(10)  # percent above the plan from which on it is an obstacle


def percent_above(planned: Decimal | None, actual: Decimal | None) -> Decimal | None:
    """Give by how many percent an hour was dearer than planned if that is worth an obstacle, else None."""
    if not planned or actual is None:
        return None
    above = ((actual - planned) / planned * 100).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return above if above > _MOST else None


def given_variance(obstacle_id: str, above: Decimal, dearer: Decimal, at_ms: int) -> Obstacle:
    """Give the obstacle of two figures that a script gave; `dearer` is USD per hour, as in the user's guide."""
    return Obstacle(
        id=obstacle_id,
        phase="cost-tracking",
        type=COST_VARIANCE,
        kind=COST_VARIANCE,
        description=f"Actual cost {above}% higher than estimated",
        root_cause="Cost estimation model needs adjustment",
        fix="Update cost calculation algorithms",
        time_delay_seconds=0,
        cost_impact_usd=dearer,
        timestamp=stamp(at_ms),
        source="computed",
        outcome="logged",
    )


def metered_variance(costs: Costs, others: Iterable[Obstacle], hours: Decimal, at_ms: int) -> Obstacle | None:
    """Give the obstacle of a plan that the metered cost exceeds; none where one was logged, or both were given.

    Its cost is what was paid beyond the plan in the `hours` in which a node of the session stood.
    """
    planned, actual = costs.estimated_hourly, costs.actual_hourly
    above = percent_above(planned, actual)
    if above is None or planned is None or actual is None:
        return None
    if "actual_hourly" in costs.sources or any(one.type == COST_VARIANCE for one in others):
        return None
    whose = costs.sources.get("estimated_hourly", "the plan")
    return Obstacle(
        id=f"obs-{at_ms // 1000}-costs",
        phase="cost-tracking",
        type=COST_VARIANCE,
        kind=COST_VARIANCE,
        description=f"Actual cost {above}% higher than estimated",
        root_cause=f"An hour cost ${cents(actual)} instead of ${cents(planned)} ({whose}).",
        fix="Look which nodes the session held: `costs.usage` in its file names each with its share and price.",
        command="nimble-watch session show -o json",
        time_delay_seconds=0,
        cost_impact_usd=cents((actual - planned) * hours),
        timestamp=stamp(at_ms),
        source="computed",
        outcome="logged",
    )
