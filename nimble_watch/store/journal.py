"""The journal: one append-only file per writer, one `write` per record, so that kill -9 at any instant loses nothing.

A record that was cut short is the last one of its file; it is dropped when read.  One that is broken further up (a disk
that lost a block) is reported with its file and line, and the rest is still read.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from nimble_watch.session import Record, encode_line
from nimble_watch.store.files import read_whole, storing, sync_folder
from nimble_watch.system import clock
from nimble_watch.system.calls import sync

_EDGES = frozenset(("session-started", "phase-started", "phase-ended", "obstacle-logged", "annotated", "session-ended"))
"""After these the record is forced to disk (0.25 ms); the others follow with the next one (0.001 ms each)."""


class Journal:
    """The journal of one writer (`observer`, `launcher`, `exec-4711`) in a session's journal folder.

    One thread writes.  Opened again under the same name it goes on counting.  Every failure is a StoreError.
    """

    def __init__(self, folder: Path, writer: str) -> None:
        self.path = folder / f"{writer}.jsonl"
        with storing("open", self.path):
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            self._fd = os.open(self.path, flags, 0o600)
            written = os.pread(self._fd, os.fstat(self._fd).st_size, 0)
        self._seq = written.count(b"\n")
        self._torn = bool(written) and not written.endswith(b"\n")
        self._named = bool(written)  # whether its name in the folder is on disk too

    def append(self, record: Mapping[str, Any]) -> Record:
        """Write a record, numbered, timed unless it says when, and on disk if it is an edge; give it as written."""
        whole: Record = {**record, "seq": self._seq + 1}
        whole.setdefault("time", clock.now())
        line = encode_line(whole)
        with storing("write", self.path):
            self._write(b"\n" + line if self._torn else line)
            self._seq += 1
            if whole.get("type") in _EDGES:
                self._force()
        return whole

    def content(self) -> bytes:
        """Give what was written so far, also when somebody has removed the file meanwhile."""
        with storing("read", self.path):
            return os.pread(self._fd, os.fstat(self._fd).st_size, 0)

    def _force(self) -> None:
        sync(self._fd)
        if not self._named:
            sync_folder(self.path.parent)
            self._named = True

    def _write(self, line: bytes) -> None:
        self._torn = True
        before = os.fstat(self._fd).st_size
        rest = memoryview(line)
        try:
            while rest:  # a regular file takes it in one write; a full disk takes a part and then says why
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, before)  # nobody else writes to it
                self._torn = False
            raise
        self._torn = False

    def flush(self) -> None:
        """Force everything written so far to disk."""
        with storing("write", self.path):
            self._force()

    def close(self) -> None:
        """Close the file."""
        with storing("close", self.path), contextlib.ExitStack() as stack:
            stack.callback(os.close, self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_records(folder: Path, problems: list[str]) -> list[Record]:
    """Read every journal of a session; what is broken goes to `problems`, named by file and line."""
    records: list[Record] = []
    with storing("read", folder):
        paths = sorted(folder.glob("*.jsonl"))
    for path in paths:
        records.extend(_records_of(path, problems))
    return records


def _records_of(path: Path, problems: list[str]) -> Iterator[Record]:
    lines = read_whole(path).split(b"\n")
    torn = lines.pop()  # empty unless the last write was cut short
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        record = _record(line)
        if record is None:
            problems.append(f"{path.name}: line {number} is not a record")
        else:
            yield {**record, "writer": path.stem}
    if torn and (record := _record(torn)) is not None:
        yield {**record, "writer": path.stem}


def _record(line: bytes) -> Record | None:
    try:
        record = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if not isinstance(record, dict) or not isinstance(record.get("type"), str):
        return None
    timed = isinstance(record.get("time"), int | float) and isinstance(record.get("seq"), int)
    return record if timed else None
