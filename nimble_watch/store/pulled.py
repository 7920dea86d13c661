"""Sessions of other machines, beside the own ones: brought by `session pull` and changed by nobody else.

They lie in the folder `shared` as `SESSION_ID.TAIL.json`, TAIL being the end of the session's uid: two machines may
well begin a session in the same second.  An own session that came back is shown once, in its highest revision.  Only
what people say of one that has ended is written there (`revision`), as a revision more.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from nimble_watch.session import Session, moment
from nimble_watch.store.files import StoreError, own_folder, read_whole, storing, write_whole

SHARED = "shared"
_PULLED = re.compile(r"(session-.+)\.[0-9a-f]{6}(?:[0-9a-f]{6})?\Z")
_SILENCE = 24 * 3600.0  # no CI job that still runs is likely to be older; a false alarm is worse than a late one
_ONLY_BEGUN = "only its beginning is known here"
_SHORT, _LONG = 6, 12  # letters of the uid; the longer where even those of one second have the shorter in common


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What tells a session and its versions from others."""

    session_id: str = ""
    uid: str | None = None
    revision: int = 0
    state: str | None = None
    vcs: Any = None


def read_head(document: bytes) -> Head | None:
    """Read what tells a session from others; None if it is no session of ours."""
    try:
        return msgspec.json.decode(document, type=Head)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def head_of(path: Path) -> Head | None:
    """Read a file's head; None if it is not there or cannot be read."""
    try:
        return read_head(read_whole(path))
    except StoreError:
        return None


def pulled_path(folder: Path, session_id: str) -> Path | None:
    """Give the path of a session that was pulled; None if the id is not one of those."""
    path = folder / SHARED / f"{session_id}.json"
    return path if is_pulled_id(session_id) and path.exists() else None


def is_pulled(path: Path) -> bool:
    """Tell by its path whether a session file was pulled."""
    return path.parent.name == SHARED and is_pulled_id(path.stem)


def is_pulled_id(session_id: str) -> bool:
    """Tell whether an id is that of a session that was pulled."""
    return _PULLED.match(session_id) is not None


def with_pulled(own: Iterable[str], pulled: Iterable[str], head: Callable[[str], Head | None]) -> list[str]:
    """Give the ids of the own sessions and of those that were pulled; of a session that is both only the newer one."""
    known = set(own)
    for name in pulled:
        own_id = name.rpartition(".")[0]
        if own_id not in known or (ours := head(own_id)) is None:
            known.add(name)
            continue
        theirs = head(name)
        if theirs is None or theirs.uid != ours.uid:
            known.add(name)
        elif theirs.revision > ours.revision:
            known.discard(own_id)
            known.add(name)
    return list(known)


def settle_pulled(session: Session, now: float) -> None:
    """Take a session that began on another machine, and of which nothing was heard for a day, as lost.

    What came of one that is open is the marker of its beginning, whose figures are those of that moment: zeros.
    """
    if session.state != "open":
        return
    figures = session.performance
    for name in ("total_duration", "total_duration_ms", "total_obstacle_time", "total_obstacle_ms", "efficiency_score"):
        setattr(figures, name, None)
        figures.unknown[name] = _ONLY_BEGUN
    began = session.start_ms if session.start_ms is not None else moment(session.start_time)
    if began is None or now - began / 1000 > _SILENCE:
        session.state, session.result = "ended", "lost"
        session.notes = [*session.notes, "nothing was heard of it after its start: its machine was probably lost"]


def keep_pulled(folder: Path, head: Head, document: bytes) -> bool:
    """Keep a session of the store, unless it is here in this revision or a higher one; tells whether it was new."""
    if not head.uid:
        raise StoreError(f"{head.session_id} has no uid")
    ours = head_of(folder / f"{head.session_id}.json")
    if ours is not None and ours.uid == head.uid and ours.revision >= head.revision:
        return False
    own_folder(folder / SHARED)
    for path in _places(folder, head.session_id, head.uid):
        there = head_of(path)
        if there is not None and there.uid != head.uid:
            continue
        if there is not None and there.revision > head.revision:
            return False
        with storing("read", path):
            if there is not None and there.revision == head.revision and _is_ours(path, document):
                return False
        write_whole(path, document, mode=0o400)
        return True
    raise StoreError(f"there are two sessions {head.session_id} with uids that end in {head.uid[-_LONG:]}")


def _is_ours(path: Path, document: bytes) -> bool:
    """Tell whether a file needs no writing: it holds this already, or what somebody here said of the session since."""
    return bool(path.stat().st_mode & stat.S_IWUSR) or read_whole(path) == document


def _places(folder: Path, session_id: str, uid: str) -> Iterable[Path]:
    digits = uid.replace("-", "")
    return (folder / SHARED / f"{session_id}.{digits[-length:]}.json" for length in (_SHORT, _LONG))
