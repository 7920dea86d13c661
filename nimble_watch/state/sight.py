"""What can be seen of the cluster, kind by kind, and why not: unknown is never empty."""

from __future__ import annotations

from nimble_watch.signals import Synced, Unseen

LISTING = 10.0
"""Seconds after a cluster was found for which everything waits for a first list that is still missing."""
_EXPECTED = 60.0
"""Seconds after a cluster was found for which that waits for it of which nothing true can be said without."""


class Sight:
    """Which kinds are listed, in all namespaces ("") or in one, and which are refused; `lost`: why none is, if so."""

    def __init__(self) -> None:
        """Begin without a cluster."""
        self.lost = "no cluster seen yet"
        self._found = 0.0
        self._listed: set[tuple[str, str]] = set()
        self._refused: dict[tuple[str, str], str] = {}

    def found(self, at: float) -> None:
        """Take note that a cluster answers since then."""
        self.lost, self._found = "", at

    def listed(self, signal: Synced) -> None:
        """Take note that a kind is known as a whole."""
        key = (signal.kind, signal.namespace)
        self._listed.add(key)
        self._refused.pop(key, None)

    def refused(self, signal: Unseen) -> None:
        """Take note that a kind cannot be seen."""
        self._refused[signal.kind, signal.namespace] = signal.reason

    def unseen(self, kind: str, namespace: str) -> str:
        """Say why objects of that kind (in that namespace) cannot be seen; empty when they can."""
        if self.lost:
            return self.lost
        if self._sees(kind, namespace):
            return ""
        refusal = self._refused.get((kind, namespace)) or self._refused.get((kind, ""))
        return refusal or f"{kind} not listed yet"

    def awaited(self, kind: str, namespace: str) -> float:
        """Give until when (epoch seconds) the first list of a kind may still come; 0 when it is there or refused.

        What is refused in all namespaces may still be listed in one.
        """
        if self.lost or self._sees(kind, namespace) or (kind, namespace) in self._refused:
            return 0.0
        return self._found + _EXPECTED

    def _sees(self, kind: str, namespace: str) -> bool:
        keys = ((kind, ""), (kind, namespace))
        return any(key in self._listed and key not in self._refused for key in keys)
