"""What the observer's core makes of a stream: the kinds of obstacle that it told, and the waits that are kinds."""

from __future__ import annotations

from collections.abc import Iterable

from nimble_watch.observer.replay import replay
from nimble_watch.signals import Signal

_WAITS = ("image-pull-slow", "phase-silent")
"""Kinds that are never an obstacle: their wait is what they tell."""


def told_kinds(signals: Iterable[Signal]) -> set[str]:
    """Give the kinds that were told."""
    kinds = set()
    for change in replay(signals):
        if change.obstacle is not None:
            kinds.add(change.obstacle.kind)
        elif change.wait is not None and change.wait.kind in _WAITS:
            kinds.add(change.wait.kind)
    return kinds
