"""How often kinds of obstacles were met, how long they stood in the way, what they cost: what reports add up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from msgspec import Struct, field

from nimble_watch.session import Obstacle, Session, is_counted

_NOTHING = Decimal(0)


class Tally(Struct):
    """One group of obstacles: how many, in which sessions, for how long (milliseconds), for how much (USD).

    `delay_ms` and `cost` are None where those of none are known; `unpriced` is how many have no cost.
    """

    times: int = 0
    sessions: set[str] = field(default_factory=set)
    delay_ms: int | None = None
    cost: Decimal | None = None
    unpriced: int = 0

    @property
    def at_least(self) -> bool:
        """Whether more was paid than is known."""
        return self.cost is not None and self.unpriced > 0

    def add(self, session: Session, obstacle: Obstacle) -> None:
        """Count one in."""
        self.times += 1
        self.sessions.add(session.session_id)
        if (delay := delay_ms(obstacle)) is not None:
            self.delay_ms = (self.delay_ms or 0) + delay
        cost = obstacle.cost_impact_usd if obstacle.cost_attributed_usd is None else obstacle.cost_attributed_usd
        if cost is None:
            self.unpriced += 1
        else:
            self.cost = (self.cost or _NOTHING) + cost


def kind_of(obstacle: Obstacle) -> str:
    """Give what an obstacle is called: the precise kind, else the type that somebody gave."""
    return obstacle.kind or obstacle.type or "unknown"


def delay_ms(obstacle: Obstacle) -> int | None:
    """Give for how many milliseconds an obstacle stood in the way, if that is known."""
    if obstacle.delay_ms is not None:
        return obstacle.delay_ms
    return None if obstacle.time_delay_seconds is None else max(0, obstacle.time_delay_seconds) * 1000


def tally(sessions: Iterable[Session], group: Callable[[Session, Obstacle], str]) -> dict[str, Tally]:
    """Add up the obstacles that count, by what `group` says."""
    found: dict[str, Tally] = defaultdict(Tally)
    for session in sessions:
        for obstacle in filter(is_counted, session.obstacles):
            found[group(session, obstacle)].add(session, obstacle)
    return found


def by_kind(sessions: Iterable[Session]) -> dict[str, Tally]:
    """Add up the obstacles that count by their kind."""
    return tally(sessions, lambda _session, obstacle: kind_of(obstacle))


def longest_first(kinds: Mapping[str, Tally]) -> list[str]:
    """Give the kinds that took the most time first."""
    return sorted(kinds, key=lambda kind: (-(kinds[kind].delay_ms or 0), kind))


def dearest_first(kinds: Mapping[str, Tally]) -> list[str]:
    """Give the kinds that cost most first: in money, and where that is the same or not known in time."""
    return sorted(kinds, key=lambda kind: (-(kinds[kind].cost or _NOTHING), -(kinds[kind].delay_ms or 0), kind))


def most_often_first(kinds: Mapping[str, Tally]) -> list[str]:
    """Give the kinds that were met most often first."""
    return sorted(kinds, key=lambda kind: (-kinds[kind].times, -(kinds[kind].delay_ms or 0), kind))
