"""What helped against a kind of obstacle before, out of the sessions of a folder.

It is looked for while a phase runs, so its reading is bounded in files, bytes and time; what cannot be read does not
matter, since nobody waits for it.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path

from nimble_watch.session import Remedy, Session, stamp
from nimble_watch.store.files import StoreError
from nimble_watch.store.history import load, session_ids, session_path

_FILES, _BYTES, _SECONDS, _MOST = 300, 4 << 20, 0.25, 3
_KINDS = 8
_AT_LEAST = 20
"""Files that are read however slow the machine is just then."""
_SAID = re.compile(rb'"annotated"\s*:\s*"|"source"\s*:\s*(?:"logged"|"foreign"|null)')
_BY_HAND = ("logged", "foreign", None)
"""Where an obstacle is from whose fix is somebody's word already: our own advice proves nothing."""


def what_helped(folder: Path, kind: str, *, afterwards: bool = False) -> list[Remedy]:
    """Give what people said that helped against a kind, newest first, each once; `afterwards`: by `annotate` only."""
    found: dict[str, Remedy] = {}
    with contextlib.suppress(StoreError):
        for session in _sessions(folder, kind):
            for obstacle in reversed(session.obstacles):
                said = obstacle.annotated is not None or (not afterwards and obstacle.source in _BY_HAND)
                if obstacle.fix and kind == (obstacle.kind or obstacle.type) and said:
                    found.setdefault(obstacle.fix, _remedy(session, obstacle.fix, obstacle.root_cause))
            if len(found) >= _MOST:
                break
    return list(found.values())[:_MOST]


def recall(folder: Path, session: Session) -> None:
    """Put beside each obstacle that was logged by hand what people found afterwards against its like, as beside ours.

    A script logs its own advice again and again, which is why that of other sessions is none.
    """
    known: dict[str, list[Remedy]] = {}
    for obstacle in session.obstacles:
        kind = obstacle.kind or obstacle.type
        if obstacle.source != "logged" or not kind or obstacle.helped_before:
            continue
        if kind not in known and len(known) < _KINDS:
            known[kind] = what_helped(folder, kind, afterwards=True)
        obstacle.helped_before = [
            remedy
            for remedy in known.get(kind, [])
            if remedy.fix != obstacle.fix and remedy.session < session.session_id  # ids sort by time
        ]


def _remedy(session: Session, fix: str, root_cause: str | None) -> Remedy:
    date = None if session.start_ms is None else stamp(session.start_ms)[:10]
    return Remedy(fix=fix, root_cause=root_cause, session=session.session_id, date=date)


def _sessions(folder: Path, kind: str) -> Iterator[Session]:
    """Read the newest sessions that name the kind; the others are not decoded."""
    until, word = time.monotonic() + _SECONDS, kind.encode()
    for number, session_id in enumerate(session_ids(folder)[:_FILES]):
        if number >= _AT_LEAST and time.monotonic() > until:
            return
        path = session_path(folder, session_id)
        if _names(path, word) and (session := load(path).session) is not None:
            yield session


def _names(path: Path, word: bytes) -> bool:
    """Tell whether a file names the kind, and somebody's word of an obstacle; the guide's own files name no source."""
    try:
        raw = path.read_bytes() if path.stat().st_size <= _BYTES else b""
    except OSError:
        return False
    return word in raw and (_SAID.search(raw) is not None or b'"source"' not in raw)
