"""The first picture of a cluster, judged as a whole: its parts are listed one after the other.

A pod that is there before its events, its node or its claim would be told with half a cause, without its price, and a
moment later anew.  So what comes from the moment a cluster is found is held back until every kind has been listed, or
refused; a phase's end does not wait for it, nor does anything longer than ten seconds, in which a busy machine too has
listed what there is.  Where that is interrupted, by the phase's end or the cluster's loss, it is taken up again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from nimble_watch.signals import ClusterFound, ClusterLost, PhaseEnded, PhaseStarted, Signal, Synced, Unseen
from nimble_watch.state import LISTING


class FirstPicture:
    """Holds signals back while a cluster is seen for the first time; `due` is when to `release` them at the latest."""

    def __init__(self, kinds: Collection[str]) -> None:
        """Await these kinds."""
        self._kinds = frozenset(kinds)
        self._missing: set[str] = set()
        self._held: list[Signal] = []
        self._server = ""
        self._latest = 0.0
        self.due: float | None = None

    def take(self, signals: Sequence[Signal], now: float) -> list[Signal]:
        """Give of these signals, and of those held back, what may be taken in now, in order."""
        for signal in signals:
            match signal:
                case ClusterFound(server=server):
                    if server != self._server:
                        self._server, self._missing = server, set(self._kinds)
                    self._hold(now + LISTING)
                case PhaseStarted():
                    self._hold(self._latest)
                case Synced() | Unseen():
                    self._missing.discard(signal.kind)
                case ClusterLost() | PhaseEnded():
                    self.due = None
                case _:
                    pass
        self._held.extend(signals)
        return self.release() if self.due is None or not self._missing or self.due <= now else []

    def _hold(self, latest: float) -> None:
        if self._missing:
            self.due = self._latest = latest

    def release(self) -> list[Signal]:
        """Give all that is held back, and hold nothing until another beginning."""
        held, self._held = self._held, []
        self.due = None
        return held
