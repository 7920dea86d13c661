"""The shadow of --fail-fast: when it ends a phase, or would have, what that saves, and whether it was wrong.

A phase has at most one such moment: the first at which something proves that it cannot succeed.  What was given up then
is followed for as long as the session is watched; if it becomes ready all the same, that was our mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from nimble_watch.console import gave_up_wrongly
from nimble_watch.metering import Meter
from nimble_watch.objects import Ref
from nimble_watch.observer.core import Observer
from nimble_watch.observer.entries import where
from nimble_watch.obstacles import Fresh, Obstacle, is_ready, proven_by
from nimble_watch.session import Stop, milliseconds
from nimble_watch.signals import PhaseEnded, PhaseStarted, Seen

_STEADY = 10.0
"""Seconds for which an object must stay ready: one that crashes again and again is ready in between."""
_OPEN = "the phase has not ended"
_NOT_SAVED = ("saved_seconds", "saved_usd")


class _Followed(Struct):
    """A stop, what must become ready to prove it wrong, and since when that is ready (API server's clock)."""

    stop: Stop
    objects: list[tuple[Ref, int]]
    ready_since: float | None = None


class Shadow:
    """Follows what is certain, phase by phase; `keep` records a stop, `ask` requests the end of the phase."""

    def __init__(
        self,
        observer: Observer,
        meter: Meter,
        *,
        keep: Callable[[Stop], None],
        say: Callable[[list[str]], None],
        ask: Callable[[str, str], None] | None = None,
    ) -> None:
        """`ask` is given only with --fail-fast."""
        self._observer = observer
        self._meter = meter
        self._keep = keep
        self._say = say
        self._ask = ask
        self._fresh = Fresh(observer.state)
        self._phase = ""
        self._began = 0.0
        self._followed: list[_Followed] = []
        self.stop: Stop | None = None
        """The stop of the phase that runs, or that has just ended."""
        self.offset = 0.0
        """By how much the API server's clock is ahead of ours, on which sessions are kept."""

    def remember(self, stops: Iterable[Stop]) -> None:
        """Go on following what earlier commands of the same session gave up."""
        for stop in stops:
            objects = [
                (Ref(**{name: str(one.get(name, "")) for name in Ref._fields}), int(one.get("generation", 0)))
                for one in stop.objects
            ]
            if objects and not stop.mistake:
                self._followed.append(_Followed(stop, objects))

    def phase_started(self, signal: PhaseStarted) -> None:
        """Begin a phase."""
        self._fresh.phase_started()
        self._phase, self._began, self.stop = signal.phase, signal.at - self.offset, None

    def heard(self, signal: Seen, now: float) -> None:
        """Take an object that was seen: it may be new, and prove something; or be ready, and disprove it."""
        self._fresh.heard(signal, self._began + self.offset)
        uid = signal.object.metadata.uid
        for followed in list(self._followed):
            if any(reference.uid == uid for reference, _ in followed.objects):
                self._look_back(followed, now)

    # -- certain -------------------------------------------------------------------------------------------------------

    def look(self, now: float) -> None:
        """See whether anything is certain by now, unless something was before in this phase."""
        if self.stop is not None or not self._observer.tracker.phase:
            return
        for obstacle in self._observer.tracker.obstacles.values():
            if (subject := proven_by(obstacle, self._fresh, now)) is not None:
                self._be_certain(obstacle, subject, now)
                return

    def _be_certain(self, obstacle: Obstacle, subject: Ref, now: float) -> None:
        objects = [(one, self._generation(one)) for one in dict.fromkeys((subject, self._fresh.holder(subject)))]
        self.stop = Stop(
            phase=self._phase,
            obstacle=obstacle.id,
            kind=obstacle.kind,
            subject=where(subject),
            at_ms=milliseconds(now - self.offset),
            after_ms=milliseconds(now - self.offset - self._began),
            objects=[{**one._asdict(), "generation": generation} for one, generation in objects],
            unknown=dict.fromkeys(_NOT_SAVED, _OPEN),
        )
        self._followed.append(_Followed(self.stop, objects))
        self._keep(self.stop)
        if self._ask is not None:
            self._ask(self._phase, obstacle.kind)

    def _generation(self, reference: Ref) -> int:
        thing = self._observer.state.get(reference)
        return thing.metadata.generation if thing is not None else 0

    def phase_ended(self, signal: PhaseEnded) -> Stop | None:
        """Say what the phase's stop saved, or would have; None where nothing was certain."""
        if signal.result == "success":
            for followed in [one for one in self._followed if one.ready_since is not None]:
                self._admit(followed)  # the phase waited for just that, and nobody will look again
        stop = self.stop
        if stop is None or stop.phase != signal.phase or stop.mistake:
            return stop
        stop.real = signal.stopped == "fail-fast"
        if stop.real:
            stop.unknown = dict.fromkeys(_NOT_SAVED, "how long the phase would have gone on is not known")
        elif signal.result == "success":
            stop.unknown = dict.fromkeys(_NOT_SAVED, "the phase succeeded all the same")
        else:
            ended = signal.at - self.offset
            stop.saved_ms = max(0, milliseconds(ended) - stop.at_ms)
            stop.saved_usd, why = self._meter.saved(stop.at_ms / 1000 + self.offset, signal.at)
            stop.unknown = {"saved_usd": why} if why else {}
        self._keep(stop)
        return stop

    # -- hindsight -----------------------------------------------------------------------------------------------------

    @property
    def due(self) -> float | None:
        """When something that was given up will have been ready for long enough."""
        return min((one.ready_since + _STEADY for one in self._followed if one.ready_since is not None), default=None)

    def tick(self, now: float) -> None:
        """Let time pass."""
        for followed in [one for one in self._followed if one.ready_since is not None]:
            self._look_back(followed, now)

    def _look_back(self, followed: _Followed, now: float) -> None:
        if not any(is_ready(one, generation, self._observer.state) for one, generation in followed.objects):
            followed.ready_since = None
        elif followed.ready_since is None:
            followed.ready_since = now
        elif now >= followed.ready_since + _STEADY:
            self._admit(followed)

    def _admit(self, followed: _Followed) -> None:
        stop, since = followed.stop, followed.ready_since or 0.0
        self._followed.remove(followed)
        stop.mistake, stop.ready_ms = True, milliseconds(since - self.offset)
        stop.saved_ms = stop.saved_usd = None
        stop.unknown = dict.fromkeys(_NOT_SAVED, "it became ready all the same")
        self._keep(stop)
        self._say(gave_up_wrongly(stop))
