"""A watcher with an inbox that tests can wait on, and a look at whether it leaves anything behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nimble_watch.cluster import Settings, Watcher
from nimble_watch.signals import ClusterLost, LogTail, Seen, Signal, Synced, Unseen
from tests.process.api_server import Answer, ApiServer

LIMIT = 15.0


def eventually(condition: Callable[[], object]) -> None:
    """Wait until a condition holds that no signal tells of."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


class Inbox:
    """Keeps what a watcher delivers, and waits for it."""

    def __init__(self) -> None:
        self.signals: list[Signal] = []
        self._came = threading.Condition()

    def put(self, *signals: Signal) -> None:
        """Take signals."""
        with self._came:
            self.signals.extend(signals)
            self._came.notify_all()

    def until(self, condition: Callable[[list[Signal]], object]) -> None:
        """Wait until a condition of all signals holds."""
        with self._came:
            assert self._came.wait_for(lambda: condition(self.signals), LIMIT), self.signals

    def names(self) -> list[str]:
        """Give what was seen, in order."""
        return [f"{one.change} {one.object.metadata.name}" for one in self.signals if isinstance(one, Seen)]

    def until_names(self, *names: str) -> None:
        """Wait until exactly this was seen."""
        self.until(lambda _: self.names() == list(names))

    def synced(self, kind: str = "Pod") -> list[Synced]:
        """Give the complete pictures of a kind."""
        return [one for one in self.signals if isinstance(one, Synced) and one.kind == kind]

    def unseen(self, kind: str = "Pod") -> list[Unseen]:
        """Give what was said to be invisible."""
        return [one for one in self.signals if isinstance(one, Unseen) and one.kind == kind]

    def tails(self) -> list[LogTail]:
        """Give the fetched logs."""
        return [one for one in self.signals if isinstance(one, LogTail)]

    def lost(self) -> list[str]:
        """Give why the cluster was lost, each time."""
        return [one.reason for one in self.signals if isinstance(one, ClusterLost)]


@contextmanager
def watched(
    tmp_path: Path, pods: Answer, *, namespaces: tuple[str, ...] = (), read_timeout: float = 10, **server: object
) -> Iterator[tuple[ApiServer, Inbox, Watcher]]:
    """Watch a server with these answers for pods."""
    with ApiServer(pods, **server) as api, watching(api.kubeconfig(tmp_path), namespaces, read_timeout) as (inbox, one):  # type: ignore[arg-type]  # passed on as it came
        yield api, inbox, one


@contextmanager
def watching(
    kubeconfig: Path | None, namespaces: tuple[str, ...] = (), read_timeout: float = 10, **more: object
) -> Iterator[tuple[Inbox, Watcher]]:
    """Watch with pauses so short that a test needs no patience, and see that nothing is left behind."""
    inbox = Inbox()
    settings = Settings(
        kubeconfig=str(kubeconfig or ""),
        read_timeout=read_timeout,
        backoff_least=0.01,
        backoff_most=0.05,
        forbidden_pause=0.05,
        look_for_kubeconfig=0.02,
        stagger=0,
        **more,  # type: ignore[arg-type]  # passed on as it came
    )
    ours = {thread.ident for thread in threading.enumerate()}
    watcher = Watcher(settings, inbox.put)
    watcher.start(namespaces)
    try:
        yield inbox, watcher
    finally:
        began = time.monotonic()
        assert watcher.stop()
        assert time.monotonic() - began < LIMIT
    left = [one.name for one in threading.enumerate() if one.ident not in ours and one.name.startswith("nimble-watch")]
    assert left == []
