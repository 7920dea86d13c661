"""Who pays for what: costs of overlapping things shared out so that the parts add up to the whole, to the cent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from itertools import pairwise

from nimble_watch.session.model import Obstacle, Phase, Usage

CENT = Decimal("0.01")
_HOUR_MS = Decimal(3_600_000)
_NOTHING = Decimal(0)

Span = tuple[int, int]


def cents(amount: Decimal) -> Decimal:
    """Round half up to the cent."""
    return amount.quantize(CENT, ROUND_HALF_UP)


def largest_remainder(parts: Sequence[Decimal]) -> list[Decimal]:
    """Round the parts to cents so that they add up to their rounded sum: the largest remainders are rounded up."""
    floors = [part.quantize(CENT, ROUND_FLOOR) for part in parts]
    missing = int((cents(sum(parts, _NOTHING)) - sum(floors, _NOTHING)) / CENT)
    order = sorted(range(len(parts)), key=lambda at: (floors[at] - parts[at], at))
    for at in order[:missing]:
        floors[at] += CENT
    return floors


def union_ms(spans: Iterable[Span]) -> int:
    """Give the length of the union of the spans."""
    total = 0
    reached: int | None = None
    for start, end in sorted(spans):
        if reached is None or start > reached:
            total += max(0, end - start)
            reached = max(start, end)
        elif end > reached:
            total += end - reached
            reached = end
    return total


def spans_of(obstacle: Obstacle, now_ms: int) -> list[Span]:
    """Give when an obstacle stood; one that still stands reaches to `now_ms`."""
    return [(start, now_ms if end is None else end) for start, end in obstacle.intervals]


def _overlap(first: Span, second: Span) -> Span | None:
    start, end = max(first[0], second[0]), min(first[1], second[1])
    return (start, end) if start < end else None


class Blocked:
    """What obstacles held: `impact` is all that each held, `attributed` shares overlaps; both by obstacle id, exact.

    `unpriced` names, by obstacle id, what it held that has no price.
    """

    def __init__(self, obstacles: Iterable[Obstacle], now_ms: int) -> None:
        self.impact: dict[str, Decimal] = {}
        self.attributed: dict[str, Decimal] = {}
        self.unpriced: dict[str, list[str]] = {}
        pieces: dict[str, list[tuple[Span, Decimal, str]]] = {}
        for obstacle in obstacles:
            for held in obstacle.held:
                if held.usd_per_hour is None:
                    reason = held.reason or "no price"
                    self.unpriced.setdefault(obstacle.id, []).append(f"{held.shape or held.resource}: {reason}")
                    continue
                rate = held.usd_per_hour * held.share / _HOUR_MS
                window = (
                    held.start_ms if held.start_ms is not None else -(2**62),
                    held.end_ms if held.end_ms is not None else 2**62,
                )
                spans = [span for stood in spans_of(obstacle, now_ms) if (span := _overlap(stood, window))]
                self.impact[obstacle.id] = self.impact.get(obstacle.id, _NOTHING) + rate * union_ms(spans)
                pieces.setdefault(held.resource, []).extend((span, rate, obstacle.id) for span in spans)
        self._share(pieces)

    def _share(self, pieces: Mapping[str, Sequence[tuple[Span, Decimal, str]]]) -> None:
        for claims in pieces.values():
            edges = sorted((at, at == end, n) for n, ((start, end), _, _) in enumerate(claims) for at in (start, end))
            active: set[int] = set()
            before = 0
            for at, ends, n in edges:
                if active and at > before:
                    self._pay([claims[one] for one in active], at - before)
                before = at
                if ends:
                    active.discard(n)
                else:
                    active.add(n)

    def _pay(self, claims: Sequence[tuple[Span, Decimal, str]], length: int) -> None:
        """Share what one resource cost for a while among those that held it: equally, at the highest rate claimed."""
        holders = {id_ for _, _, id_ in claims}
        part = max(rate for _, rate, _ in claims) * length / len(holders)
        for id_ in holders:
            self.attributed[id_] = self.attributed.get(id_, _NOTHING) + part

    def in_span(self, obstacles: Sequence[Obstacle], span: Span, now_ms: int) -> Decimal:
        """Give the exact cost that was blocked within one span (a phase)."""
        clipped = [
            _clip(obstacle, parts)
            for obstacle in obstacles
            if obstacle.held
            and (parts := [part for stood in spans_of(obstacle, now_ms) if (part := _overlap(stood, span))])
        ]
        return sum(Blocked(clipped, now_ms).attributed.values(), _NOTHING)


def _clip(obstacle: Obstacle, spans: Sequence[Span]) -> Obstacle:
    return Obstacle(id=obstacle.id, held=obstacle.held, intervals=[(start, end) for start, end in spans])


def usage_by_phase(
    usage: Iterable[Usage], phases: Mapping[str, Phase], now_ms: int
) -> tuple[dict[str, Decimal], Decimal]:
    """Share the metered cost out to phases, exactly: (by phase, between phases).

    Where two phases overlap, the one that started later pays.
    """
    spans = {
        name: (phase.start_ms, phase.end_ms if phase.end_ms is not None else now_ms)
        for name, phase in phases.items()
        if phase.start_ms is not None
    }
    costs = dict.fromkeys(phases, _NOTHING)
    between = _NOTHING
    for use in usage:
        if use.usd_per_hour is None:
            continue
        rate = use.usd_per_hour * use.share / _HOUR_MS
        whole = (use.start_ms, use.end_ms if use.end_ms is not None else now_ms)
        inner = {edge for span in spans.values() for edge in span if whole[0] < edge < whole[1]}
        edges = sorted({*whole, *inner})
        for start, end in pairwise(edges):
            running = [(from_, name) for name, (from_, to) in spans.items() if from_ <= start < to]
            cost = rate * (end - start)
            if running:
                costs[max(running)[1]] += cost
            else:
                between += cost
    return costs, between


def taken_of(usage: Iterable[Usage]) -> list[Usage]:
    """Give what the session's own pods held of what it pays for, as usage."""
    return [
        Usage(node=use.node, share=part.share, usd_per_hour=use.usd_per_hour, start_ms=part.start_ms, end_ms=end)
        for use in usage
        for part in use.taken or ()
        if (end := part.end_ms if part.end_ms is not None else use.end_ms) is None or end > part.start_ms
    ]


def hours_with_a_node(usage: Iterable[Usage], now_ms: int) -> Decimal:
    """Give the hours in which at least one node of the session stood."""
    return union_ms((use.start_ms, use.end_ms if use.end_ms is not None else now_ms) for use in usage) / _HOUR_MS
