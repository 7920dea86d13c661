"""The one loop's inside: each signal is taken in once, and rules are asked about what changed with it, nothing else.

Time is what the caller says it is.  Signals that arrive together are judged together, after the last of them; only
before an object goes away it is judged as it was, so that its last words are not lost.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from nimble_watch.findings import LookAgain, Rule
from nimble_watch.objects import Ref
from nimble_watch.obstacles import Change, Tracker
from nimble_watch.scope import Level, Scope
from nimble_watch.signals import PhaseEnded, PhaseStarted, Seen, Signal
from nimble_watch.state import ClusterState


class Report(Protocol):
    """Who is told what the observer makes of its signals."""

    def heard(self, signal: Signal, entered: Sequence[Ref], now: float) -> None:
        """Take a signal that has been taken in, and the objects that it brought into scope."""

    def changed(self, changes: Sequence[Change], now: float) -> None:
        """Take what became of obstacles and waits, causes first."""

    def warn(self, sentence: str) -> None:
        """Take trouble of our own, which the child must never notice."""


class Observer:
    """Holds what is known of one session and judges it anew with every batch of signals."""

    def __init__(self, rules: Mapping[str, Rule], report: Report, *, first: int = 1) -> None:
        """Begin knowing nothing; the first obstacle is numbered `first`."""
        self.state = ClusterState()
        self.scope = Scope(self.state)
        self.tracker = Tracker(self.state, self.scope, first=first)
        self._report = report
        self._by_kind: dict[str, list[Rule]] = {}
        for rule in rules.values():
            for kind in rule.subjects:
                self._by_kind.setdefault(kind, []).append(rule)
        self._rules = rules
        self._dirty: dict[str, Ref] = {}
        self._timers: dict[tuple[str, str], tuple[float, Ref]] = {}
        self._heap: list[tuple[float, str, str]] = []
        self._broken: set[str] = set()

    @property
    def due(self) -> float | None:
        """When time alone may change something next (epoch seconds); None while only a signal can."""
        while self._heap and self._timers.get(self._heap[0][1:], (None,))[0] != self._heap[0][0]:
            heapq.heappop(self._heap)
        ours = self._heap[0][0] if self._heap else None
        return min((at for at in (ours, self.tracker.due) if at is not None), default=None)

    def take(self, signals: Iterable[Signal], now: float) -> None:
        """Take in signals that arrived together."""
        state, scope, dirty = self.state, self.scope, self._dirty
        for signal in signals:
            going = signal.object.metadata.uid if isinstance(signal, Seen) and signal.change == "deleted" else ""
            edge = isinstance(signal, PhaseStarted | PhaseEnded)
            if edge or going in dirty:
                self._flush(now)
            changed = state.apply(signal)
            entered = scope.apply(signal)
            for reference in changed:
                # of what lies elsewhere only the end matters: somebody may still know it
                if going or not scope.is_far(reference.uid) or self.tracker.knows(reference):
                    dirty[reference.uid] = reference
            for reference in entered:
                dirty[reference.uid] = reference
            if isinstance(signal, PhaseStarted):
                self.tracker.phase_started(signal.phase, signal.at)
            if edge:
                self._flush(now)
            if isinstance(signal, PhaseEnded):
                self._tell(self.tracker.phase_ended(signal.at, failed=signal.result != "success"), now)
            self._report.heard(signal, entered, now)
        self._flush(now)

    def tick(self, now: float) -> None:
        """Let time pass: ask what was to be asked by now, and see which deadlines are over."""
        while self._heap and self._heap[0][0] <= now:
            at, uid, kind = heapq.heappop(self._heap)
            waiting = self._timers.get((uid, kind))
            if waiting is None or waiting[0] != at:
                continue
            del self._timers[uid, kind]
            self._ask(self._rules[kind], waiting[1], now)
        self._flush(now)

    def _flush(self, now: float) -> None:
        dirty = list(self._dirty.values())
        self._dirty.clear()
        for reference in dirty:
            self._judge(reference, now)
        self._tell(self.tracker.settle(now), now)

    def _tell(self, changes: Sequence[Change], now: float) -> None:
        if changes:
            self._report.changed([snapshot(change) for change in changes], now)

    def _judge(self, reference: Ref, now: float) -> None:
        rules = self._by_kind.get(reference.kind)
        if not rules:
            return
        if reference.kind != "Phase" and self.state.get(reference) is None:
            self.tracker.gone(reference)
            for rule in rules:
                self._timers.pop((reference.uid, rule.kind), None)
            return
        if reference.kind not in ("Phase", "Node") and not self.tracker.knows(reference):
            # what lies elsewhere is not judged at all: a cluster may hold ten thousand pods of others
            if self.scope.of(reference).level is Level.ELSEWHERE:
                return
        else:
            self.tracker.again(reference)
        for rule in rules:
            self._ask(rule, reference, now)

    def _ask(self, rule: Rule, reference: Ref, now: float) -> None:
        slot = (reference.uid, rule.kind)
        try:
            answers = list(rule.recognise(reference, self.state, now))
        except Exception as error:  # noqa: BLE001  a rule that fails must not stop the others, nor harm the child
            if rule.kind not in self._broken:
                self._broken.add(rule.kind)
                self._report.warn(f"rule {rule.kind} failed on {reference} ({type(error).__name__}: {error})")
            return
        if not answers and slot not in self._timers and not self.tracker.knows(reference):
            return  # nothing now, nothing before: almost always
        findings = [answer for answer in answers if not isinstance(answer, LookAgain)]
        again = min((answer.at for answer in answers if isinstance(answer, LookAgain)), default=None)
        self.tracker.judge(rule, reference, findings, now)
        if again is None or again <= now:
            self._timers.pop(slot, None)
        elif self._timers.get(slot, (None,))[0] != again:
            self._timers[slot] = (again, reference)
            heapq.heappush(self._heap, (again, *slot))


def snapshot(change: Change) -> Change:
    """Give a change with its obstacle as it is at this moment, whatever becomes of it."""
    if (now := change.obstacle) is None:
        return change
    copied = msgspec.structs.replace(
        now, subjects=dict(now.subjects), intervals=list(now.intervals), symptoms=list(now.symptoms)
    )
    return msgspec.structs.replace(change, obstacle=copied)
