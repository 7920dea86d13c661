"""How long a store is tried: what another attempt may mend is tried again until time is up, and then says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Timer
from typing import TypeVar

from nimble_watch.retry import TryAgainError, keep_trying
from nimble_watch.shared.layout import SharedError
from nimble_watch.shared.protocol import SharedStore

_T = TypeVar("_T")


class Patience:
    """The time there is for all that one command wants of a store; to be used from several threads."""

    def __init__(self, stopped: Event) -> None:
        self._stopped = stopped
        self.trouble = ""
        """Why the last attempt failed that another one was to mend."""

    def persist(self, call: Callable[[], _T], store: SharedStore) -> _T:
        """Give what `call` gives, tried again as long as there is time."""
        results: list[_T] = []

        def attempt() -> None:
            try:
                results.append(call())
            except TryAgainError as error:
                self.trouble = error.reason
                raise

        if keep_trying(attempt, self._stopped, least=0.2, most=5.0):
            return results[0]
        raise SharedError(
            self.trouble,
            where=store.shown,
            advise="is it up, and reachable from here? `nimble-watch session push` later",
        )

    def list_all(self, store: SharedStore, prefix: str, after: str) -> list[str]:
        """Give all keys of a listing; one that breaks off goes on where it was."""
        found: list[str] = []

        def go_on() -> None:
            for key in store.list_keys(prefix, found[-1] if found else after):
                found.append(key)  # noqa: PERF402  what came before it broke off has to be kept

        self.persist(go_on, store)
        return found


@contextmanager
def patience(seconds: float) -> Iterator[Patience]:
    """Give so much time from now on; after the block nobody waits any longer."""
    stopped = Event()
    timer = Timer(seconds, stopped.set)
    timer.daemon = True
    timer.start()
    try:
        yield Patience(stopped)
    finally:
        timer.cancel()
        stopped.set()
