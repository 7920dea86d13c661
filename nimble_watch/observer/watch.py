"""What the observer asks of the cluster's watch, which lies beside it and is handed in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from nimble_watch.signals import Put


class ServerClock(Protocol):
    """The API server's clock; `offset` is by how many seconds it is ahead of ours."""

    offset: float


class Watch(Protocol):
    """The cluster, watched: what we ask of `cluster.Watcher`."""

    @property
    def clock(self) -> ServerClock:
        """The clock by which the cluster's times are."""

    def start(self, namespaces: list[str]) -> None:
        """Begin to watch; returns at once."""

    def widen(self, namespace: str) -> None:
        """Watch a namespace too."""

    def look_again(self) -> None:
        """Look whether the kubeconfig is another one now."""

    def fetch_log(self, namespace: str, pod: str, container: str, *, previous: bool) -> None:
        """Fetch the last lines of a container's log; they come as a signal."""


OpenWatch = Callable[[Put, str, str], Watch]
"""Opens a watch that puts signals somewhere, given a kubeconfig and a context, empty for the usual ones."""
