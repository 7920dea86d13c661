"""The index of a sessions folder: what tables and comparisons show of each session, so that nobody opens every file.

It is a cache and nothing else: `.index` beside the sessions, which may be deleted at any time.  One that is missing,
cut short, damaged, of another version or another user's is not used and written anew; one that cannot be written is
done without.  An entry counts only while its file is the very one that was read: size, times and inode.  A file that
has just changed, whose next change might show in none of them, is not entered yet; a session that is open never is.

Measured with 10,000 sessions, against SQLite: both take 30 ms for 200 of them and 170 ms for all; this one is whole or
not there without locks, on any file system.
"""

from __future__ import annotations

import contextlib
import gc
import os
import time
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from nimble_watch import __version__
from nimble_watch.claim import JOURNALS, is_session_id
from nimble_watch.session import SCHEMA, Costs, Obstacle, Performance, Phase, Session, Stop
from nimble_watch.session.baseline import likeness
from nimble_watch.store.files import StoreError, read_whole, storing, write_whole
from nimble_watch.store.history import INDEX, SESSION_ID, Loaded, load, newest_first
from nimble_watch.store.pulled import SHARED, Head, head_of, is_pulled_id, with_pulled

_MAGIC = b"nimble-watch index 1\n"
_SETTLED_NS = 2_000_000_000
"""How old a file's last change must be: the clocks of file systems are as coarse as a second or two."""
_WORTH = 32
"""How many sessions must have been read anew for the index to be written: fewer are quickly read again."""
_MOST_BYTES = 256 * 1024
"""How large an index may be for each session of the folder, before it is taken for somebody's trap."""
_LEFT_OUT: dict[type[msgspec.Struct], frozenset[str]] = {
    Session: frozenset(("host", "vcs", "cluster", "namespaces", "waits", "notes", "unknown", "extra")),
    Phase: frozenset(("obstacles", "command", "cause", "unknown", "extra", "start_time", "end_time")),
    Obstacle: frozenset(
        (
            "description", "root_cause", "fix", "suggested_fix", "evidence", "command", "subject", "subjects",
            "since_ms", "intervals", "held", "unknown",
        )
    ),
    Costs: frozenset(("usage", "standing", "after", "sources", "price_source", "price_date", "extra")),
    Performance: frozenset(("unknown", "extra")),
    Stop: frozenset(("extra",)),
}  # fmt: skip
"""What no table and no comparison shows; the other fields are in the index."""


_Mark = tuple[int, int, int, int]
"""What a file is told by: size, time of its content's last change, of its own (both ns), inode."""
_UNSETTLED = frozenset(("open", "lost"))
"""State or result of a session whose file may be taken otherwise tomorrow without having changed."""


class _Entry(msgspec.Struct, array_like=True, frozen=True):
    """One session file: which one it was, what was wrong with it, and what is shown of it, encoded (empty: nothing)."""

    session_id: str
    mark: _Mark
    problems: list[str]
    like: tuple[str, ...]
    uid: str | None
    revision: int
    stopped: bool
    shown: bytes


class History:
    """The sessions of a folder as tables and comparisons show them; the sessions that come out lack the rest.

    Use it for one command: what happens to the folder afterwards is not seen.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        own, self._pulled = _scan(folder, pulled=False), _scan(folder / SHARED, pulled=True)
        self._marks = own | self._pulled
        self._open = _open_ids(folder)
        self._known = {entry.session_id: entry for entry in _read(folder, len(self._marks))}
        self._fresh: dict[str, _Entry] = {}
        self._unsettled: set[str] = set()
        self.ids = sorted(with_pulled(own, self._pulled, self._head), key=newest_first, reverse=True)

    def is_open(self, session_id: str) -> bool:
        """Tell whether a session was still open when this was made."""
        return session_id in self._open

    def load(self, session_id: str) -> Loaded:
        """Give one session."""
        path = self._path(session_id)
        entry = self._entry(session_id)
        if entry is None:
            return load(path)
        session = _DECODER.decode(entry.shown) if entry.shown else None
        return Loaded(path=path, session=session, problems=list(entry.problems))

    def stopped(self) -> list[Session]:
        """Give the sessions in which a phase was, or would have been, stopped, newest first."""
        found = []
        for session_id in self.ids:
            entry = self._entry(session_id)
            if entry is None or entry.stopped:
                session = self.load(session_id).session
                if session is not None and session.stops:
                    found.append(session)
        return found

    def like(self, session: Session) -> Iterator[str]:
        """Give the ids of those that a session may be compared with, itself perhaps among them, newest first."""
        wanted = tuple(likeness(session).values())
        for session_id in self.ids:
            entry = self._entry(session_id)
            if entry is not None and entry.like == wanted:
                yield session_id

    def _entry(self, session_id: str) -> _Entry | None:
        """Give what the index has of a session, or would have; None for one that must be read in any case."""
        mark = self._marks.get(session_id)
        if mark is None or session_id in self._open:
            return None
        for entries in (self._fresh, self._known):
            entry = entries.get(session_id)
            if entry is not None and entry.mark == mark:
                return entry
        loaded = load(self._path(session_id))
        try:
            entry = self._fresh[session_id] = _enter(session_id, mark, loaded)
        except (OverflowError, RecursionError):  # others' numbers have no end, nor do their objects
            return None
        if loaded.session is not None and {loaded.session.state, loaded.session.result} & _UNSETTLED:
            self._unsettled.add(session_id)
        return entry

    def _path(self, session_id: str) -> Path:
        return (self._folder / SHARED if session_id in self._pulled else self._folder) / f"{session_id}.json"

    def _head(self, session_id: str) -> Head | None:
        entry = self._entry(session_id)
        if entry is None:
            return head_of(self._path(session_id))
        return Head(uid=entry.uid, revision=entry.revision) if entry.shown else None

    def _lasts(self, entry: _Entry) -> bool:
        """Tell whether an entry is worth keeping: its file is as it was, and will not change unnoticed."""
        settled = time.time_ns() - entry.mark[2] > _SETTLED_NS and entry.session_id not in self._unsettled
        return settled and self._marks.get(entry.session_id) == entry.mark and entry.session_id not in self._open

    def save(self) -> None:
        """Write the index if there is enough that it lacks."""
        if len(self._fresh) < _WORTH:
            return
        unchanged = {name: one for name, one in self._fresh.items() if _mark(self._path(name)) == one.mark}
        entries = [one for one in {**self._known, **unchanged}.values() if self._lasts(one)]
        content = msgspec.msgpack.encode((_fingerprint(), entries))
        with contextlib.suppress(StoreError):  # it is a convenience
            write_whole(self._folder / INDEX, _MAGIC + _sum(content) + content, durable=False)


def _scan(folder: Path, *, pulled: bool) -> dict[str, _Mark]:
    with storing("read", folder):
        try:
            with os.scandir(folder) as entries:
                return {
                    entry.name[:-5]: _of(entry.stat(follow_symlinks=False))
                    for entry in entries
                    if entry.name.endswith(".json")
                    and SESSION_ID.match(entry.name[:-5])
                    and (not pulled or is_pulled_id(entry.name[:-5]))
                }
        except FileNotFoundError:
            return {}


def _of(found: os.stat_result) -> _Mark:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _mark(path: Path) -> _Mark | None:
    try:
        return _of(path.lstat())
    except OSError:
        return None


def _open_ids(folder: Path) -> frozenset[str]:
    try:
        return frozenset(path.name for path in (folder / JOURNALS).iterdir() if is_session_id(path.name))
    except OSError:
        return frozenset()


def _enter(session_id: str, mark: _Mark, loaded: Loaded) -> _Entry:
    session = loaded.session
    if session is None:
        return _Entry(session_id, mark, loaded.problems, (), None, 0, stopped=False, shown=b"")
    shown = msgspec.msgpack.encode(_slim(session))
    like, stopped = tuple(likeness(session).values()), bool(session.stops)
    return _Entry(session_id, mark, loaded.problems, like, session.uid, session.revision, stopped=stopped, shown=shown)


def _slim(part: msgspec.Struct) -> dict[str, Any]:
    """Give what is to be kept of a part of a session, but for what is as it is by default."""
    kept = {}
    for name, default in _kept_of(type(part)):
        value = getattr(part, name)
        if value == default:
            continue
        if isinstance(value, msgspec.Struct):
            value = _slim(value)
        elif isinstance(value, list):
            value = [_slim(one) if isinstance(one, msgspec.Struct) else one for one in value]
        elif isinstance(value, dict):
            value = {key: _slim(one) if isinstance(one, msgspec.Struct) else one for key, one in value.items()}
        kept[name] = value
    if isinstance(part, Obstacle) and part.extra:
        kept["extra"] = {"scope": part.extra["scope"]} if "scope" in part.extra else {}
    return kept


@cache
def _kept_of(kind: type[msgspec.Struct]) -> list[tuple[str, Any]]:
    left_out = _LEFT_OUT.get(kind, frozenset())
    return [
        (entry.name, entry.default if entry.default_factory is msgspec.NODEFAULT else entry.default_factory())
        for entry in msgspec.structs.fields(kind)
        if entry.name not in left_out
    ]


@cache
def _fingerprint() -> str:
    """Give what an index is made for: this version, and the fields of its sessions."""
    fields = [(kind.__name__, kind.__struct_fields__, sorted(out)) for kind, out in _LEFT_OUT.items()]
    return f"{__version__} {SCHEMA} {zlib.crc32(repr(fields).encode()):08x}"


def _sum(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "big")


def _read(folder: Path, sessions: int) -> list[_Entry]:
    """Read the index; nothing where it cannot be used."""
    path = folder / INDEX
    collecting = gc.isenabled()
    gc.disable()  # it would look through every entry again and again while they are made: half of the time
    try:
        found = path.lstat()
        if found.st_uid not in (os.geteuid(), 0) or found.st_size > _MOST_BYTES * (sessions + 1):
            return []
        raw = read_whole(path)
        content = raw[len(_MAGIC) + 4 :]
        if not raw.startswith(_MAGIC) or raw[len(_MAGIC) : len(_MAGIC) + 4] != _sum(content):
            return []
        made_for, entries = _FILE.decode(content)
    except (StoreError, OSError, msgspec.DecodeError):
        return []
    finally:
        if collecting:
            gc.enable()
    return entries if made_for == _fingerprint() else []


_FILE = msgspec.msgpack.Decoder(tuple[str, list[_Entry]])
_DECODER = msgspec.msgpack.Decoder(Session)
