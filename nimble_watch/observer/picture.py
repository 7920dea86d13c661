"""The first picture of a cluster, judged as a whole: its parts are listed one after the other.

A pod that is there before its events, its node or its claim would be told with half a cause, without its price, and a
moment later anew.  So what comes from the moment a cluster is found is held back until every kind has been listed, or
refused; a phase's end does not wait for it, nor does anything longer than ten seconds, in which a busy machine too has
listed what there is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from nimble_watch.signals import ClusterFound, ClusterLost, PhaseEnded, Signal, Synced, Unseen
from nimble_watch.state import LISTING


class FirstPicture:
    """Holds signals back while a cluster is seen for the first time; `due` is when to `release` them at the latest."""

    def __init__(self, kinds: Collection[str]) -> None:
        """Await these kinds."""
        self._kinds = frozenset(kinds)
        self._missing: set[str] = set()
        self._held: list[Signal] = []
        self._server = ""
        self.due: float | None = None

    def take(self, signals: Sequence[Signal], now: float) -> list[Signal]:
        """Give of these signals, and of those held back, what may be taken in now, in order."""
        for signal in signals:
            match signal:
                case ClusterFound(server=server) if server != self._server:
                    self._server, self._missing, self.due = server, set(self._kinds), now + LISTING
                case Synced() | Unseen():
                    self._missing.discard(signal.kind)
                case ClusterLost() | PhaseEnded():
                    self._missing.clear()
                case _:
                    pass
        self._held.extend(signals)
        return [] if self._missing else self.release()

    def release(self) -> list[Signal]:
        """Give all that is held back; nothing is held from now on."""
        held, self._held = self._held, []
        self._missing.clear()
        self.due = None
        return held
