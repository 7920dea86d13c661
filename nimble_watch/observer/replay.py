"""The same core over a recording, in virtual time: what would have been said, without a cluster and without waiting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nimble_watch.findings import Rule
from nimble_watch.objects import Ref
from nimble_watch.observer.core import Observer
from nimble_watch.obstacles import Change
from nimble_watch.rules import all_rules
from nimble_watch.signals import Signal


class _Collect:
    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.warnings: list[str] = []

    def heard(self, signal: Signal, entered: Sequence[Ref], now: float) -> None:
        """Nothing to do: the recording is known."""

    def changed(self, changes: Sequence[Change], now: float) -> None:  # noqa: ARG002  the interface's
        """Keep what changed."""
        self.changes.extend(changes)

    def warn(self, sentence: str) -> None:
        """Keep a warning."""
        self.warnings.append(sentence)


def replay(signals: Iterable[Signal], rules: Mapping[str, Rule] | None = None) -> list[Change]:
    """Give every change of obstacles and waits that a stream of signals leads to, in order.

    The clock is the signals' own; between two of them it stops at every moment at which time alone decides something.
    A rule that fails on the stream is an error here.
    """
    kept = _Collect()
    observer = Observer(all_rules() if rules is None else rules, kept)
    now = 0.0
    for signal in signals:
        while (due := observer.due) is not None and due <= signal.at:
            now = max(now, due)
            observer.tick(now)
        now = max(now, signal.at)
        observer.take((signal,), now)
    if kept.warnings:
        raise RuntimeError("; ".join(kept.warnings))
    return kept.changes
