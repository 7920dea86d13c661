"""The journal's thread: writing may block, and a disk may be full; neither may hold up the loop."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

from nimble_watch.session import Record, Session
from nimble_watch.store import Journal, StoreError, begin, end, journal_folder, refold

_FOLD_EVERY = 1.0
"""Seconds between two versions of the session's JSON while a phase runs; the journal is always up to date."""

_Job = Callable[[], None]


class Scribe:
    """Writes the journal of one session and folds it into the session's files, in a thread of its own."""

    def __init__(self, folder: Path, session: str, writer: str, warn: Callable[[str], None]) -> None:
        self._folder = folder
        self._session = session
        self._writer = writer
        self._warn = warn
        self._journal: Journal | None = None
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._failed = False
        self._stale = False
        self._folded = 0.0
        self.result: Session | None = None
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def begin(self, record: Record) -> None:
        """Begin a session of our own with its first record."""
        self._jobs.put(lambda: self._begin(record))

    def append(self, record: Record) -> None:
        """Write a record; it carries its time, so that waiting in the queue does not change it."""
        record.setdefault("time", time.time())
        self._jobs.put(lambda: self._append(record))

    def finish(self, record: Record | None, patience: float) -> Session | None:
        """End the session with `record`, or leave it open without; give it as it was written, if there was time."""
        self._jobs.put(lambda: self._end(record))
        self._jobs.put(None)
        self._thread.join(patience)
        return self.result

    def _run(self) -> None:
        while True:
            timeout = None if not self._stale else max(0.0, self._folded + _FOLD_EVERY - time.monotonic())
            try:
                job = self._jobs.get(timeout=timeout)
            except queue.Empty:
                job = self._fold
            if job is None:
                return
            try:
                job()
            except StoreError as error:
                self._stale = False
                if not self._failed:
                    self._failed = True
                    self._warn(f"{error}; the phase goes on")

    def _begin(self, record: Record) -> None:
        begin(self._folder, self._session, record, writer=self._writer)
        self._folded = time.monotonic()

    def _append(self, record: Record) -> None:
        if self._journal is None:
            self._journal = Journal(journal_folder(self._folder, self._session), self._writer)
        self._journal.append(record)
        self._stale = True

    def _fold(self) -> None:
        self._stale, self._folded = False, time.monotonic()
        refold(self._folder, self._session)

    def _end(self, record: Record | None) -> None:
        if record is None:
            self.result = refold(self._folder, self._session)
        else:
            if self._journal is not None:
                self._journal.close()
                self._journal = None
            self.result = end(self._folder, self._session, record)
