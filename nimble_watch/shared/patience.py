"""How long a store is tried: what another attempt may mend is tried again until time is up, and then says why."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from nimble_watch.retry import TryAgainError, keep_trying
from nimble_watch.shared.layout import SharedError
from nimble_watch.shared.protocol import SharedStore

_T = TypeVar("_T")


class Patience:
    """The time there is for what one command wants of a store; to be used from several threads."""

    def __init__(self, seconds: float, *, renewed: bool) -> None:
        self.trouble = ""
        """Why the last attempt failed that another one was to mend."""
        self._seconds = seconds
        self._renewed = renewed
        self._until = time.monotonic() + seconds
        self._stopped = threading.Event()
        threading.Thread(target=self._watch, name="patience", daemon=True).start()

    def _watch(self) -> None:
        while (left := self._until - time.monotonic()) > 0 and not self._stopped.wait(left):
            pass
        self._stopped.set()

    def end(self) -> None:
        """Let nobody wait any longer."""
        self._stopped.set()

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
            if self._renewed:
                self._until = time.monotonic() + self._seconds
            return results[0]
        raise SharedError(self.trouble, where=store.shown, advise="is it up, and reachable from here?")

    def list_all(self, store: SharedStore, prefix: str, after: str) -> list[str]:
        """Give all keys of a listing; one that breaks off goes on where it was."""
        found: list[str] = []

        def go_on() -> None:
            for key in store.list_keys(prefix, found[-1] if found else after):
                found.append(key)  # noqa: PERF402  what came before it broke off has to be kept

        self.persist(go_on, store)
        return found


@contextmanager
def patience(seconds: float, *, renewed: bool = False) -> Iterator[Patience]:
    """Give so much time for all that the block does, or, `renewed` with each success, for each part of it."""
    given = Patience(seconds, renewed=renewed)
    try:
        yield given
    finally:
        given.end()
