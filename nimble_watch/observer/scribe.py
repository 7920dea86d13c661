"""The journal's thread: writing may block, and a disk may be full; neither may hold up the loop.

What cannot be written is kept and tried again with whatever comes next, and at the end, for which a part of the disk
was put by.  Every few seconds a sign of life is written: should this process be killed, it tells how long it lived.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from nimble_watch.console import one_line
from nimble_watch.session import Record, Remedy, Session, alive, helped_before, remembered
from nimble_watch.store import (
    Journal,
    StoreError,
    end,
    journal_folder,
    keep_reserve,
    present,
    refold,
    restore,
    use_reserve,
    what_helped,
)
from nimble_watch.system import clock

_FOLD_EVERY = 1.0
"""Seconds between two versions of the session's JSON while a phase runs; the journal is always up to date."""
_ALIVE_EVERY = 5.0
"""Seconds between two signs of life: by so much the end of a session whose process was killed may be too early."""
_MOST_UNWRITTEN = 20_000

_Job = Callable[[], None]


class Scribe:
    """Writes the journal of one session and folds it into the session's files, in a thread of its own."""

    def __init__(
        self,
        folder: Path,
        session: str,
        writer: str,
        warn: Callable[[str], None],
        say: Callable[[Iterable[str]], None],
    ) -> None:
        self._folder = folder
        self._session = session
        self._writer = writer
        self._warn = warn
        self._say = say
        self._journal: Journal | None = None
        self._unwritten: deque[Record] = deque(maxlen=_MOST_UNWRITTEN)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._recalled: dict[str, list[Remedy]] = {}
        self._failed = False
        self._stale = False
        self._folded = self._alive = time.monotonic()
        self._is_current = True
        self.result: Session | None = None
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def begin(self, record: Record) -> None:
        """Begin a session of our own with its first record."""
        self._jobs.put(lambda: self._begin(record))

    def append(self, record: Record) -> None:
        """Write a record; it carries its time, so that waiting in the queue does not change it."""
        record.setdefault("time", clock.now())
        self._jobs.put(lambda: self._append(record))

    def recall(self, obstacle: str, kind: str) -> None:
        """Record with an obstacle what helped against its kind before, and say it once: reading it may take a while."""
        self._jobs.put(lambda: self._recall(obstacle, kind))

    def finish(self, record: Record | None, patience: float) -> Session | None:
        """End the session with `record`, or leave it open without; give it as it was written, if there was time."""
        self._jobs.put(lambda: self._end(record))
        self._jobs.put(None)
        self._thread.join(patience)
        return self.result

    def _run(self) -> None:
        while True:
            due = self._alive + _ALIVE_EVERY
            if self._stale:
                due = min(due, self._folded + _FOLD_EVERY)
            try:
                job = self._jobs.get(timeout=max(0.0, due - time.monotonic()))
            except queue.Empty:
                job = self._fold if self._stale else self._live
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
        self._is_current = False
        self._append(record)
        self._fold()
        keep_reserve(self._folder, self._session)

    def _append(self, record: Record) -> None:
        self._unwritten.append(record)
        self._write()

    def _recall(self, obstacle: str, kind: str) -> None:
        known = self._recalled.get(kind)
        remedies = self._recalled[kind] = what_helped(self._folder, kind) if known is None else known
        if remedies:
            self._append({**remembered(obstacle, remedies), "time": clock.now()})
        if known is None:
            self._say(f"{kind}: {one_line(text)}" for text in helped_before(remedies))

    def _live(self) -> None:
        self._alive = time.monotonic()
        if self._unwritten:  # the disk is full: what has to be said comes first
            self._write()
        elif self._journal is not None:
            self._journal.append({**alive(), "time": clock.now()})

    def _write(self) -> None:
        """Write down what is not written yet."""
        if self._journal is None:
            self._journal = Journal(journal_folder(self._folder, self._session), self._writer)
        while self._unwritten:
            self._journal.append(self._unwritten[0])
            self._unwritten.popleft()
            self._stale = True

    def _fold(self) -> None:
        self._stale, self._folded = False, time.monotonic()
        self._put_back()
        if self._is_current:
            refold(self._folder, self._session)
        else:
            present(self._folder, self._session)
            self._is_current = True

    def _put_back(self) -> None:
        """Write the journal once more if somebody has removed its folder: the file that we hold still has it all."""
        folder = journal_folder(self._folder, self._session)
        if self._journal is None or self._journal.path.exists():
            return
        restore(self._folder, self._session)  # its lock is ours until this process ends
        self._is_current = False
        content = self._journal.content()
        with contextlib.suppress(OSError):
            path = folder / self._journal.path.name
            path.write_bytes(content)
            path.chmod(0o600)
        self._journal.close()
        self._journal = Journal(folder, self._writer)

    def _end(self, record: Record | None) -> None:
        if record is None:
            self._put_back()
            self._write()
            self.result = refold(self._folder, self._session)
            return
        use_reserve(self._folder, self._session)
        self._put_back()
        self._write()
        if not self._is_current:
            present(self._folder, self._session)
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        self.result = end(self._folder, self._session, record)
