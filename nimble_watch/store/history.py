"""Reading sessions: what lies in the folder is shown as far as it can be understood, and nothing is ever deleted."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from nimble_watch.claim import JOURNALS, is_session_id
from nimble_watch.cleaning import clean
from nimble_watch.session import SCHEMA, Session, from_document
from nimble_watch.store.files import StoreError, read_whole, storing
from nimble_watch.store.older import settle
from nimble_watch.store.pulled import SHARED, head_of, is_pulled, is_pulled_id, pulled_path, settle_pulled, with_pulled

SESSION_ID = re.compile(r"session-[A-Za-z0-9][A-Za-z0-9._-]{0,100}\Z")
CURRENT = "current.json"
INDEX = ".index"
_FULL = 100


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A session file as far as it could be read; `session` is None if nothing of it could, and `problems` say why."""

    path: Path
    session: Session | None
    problems: list[str]


def check_id(session_id: str) -> str:
    """Give the id back if it may be part of a path; else say what an id looks like."""
    if not SESSION_ID.match(session_id):
        raise StoreError(f"{clean(session_id)!r} is no session id; one looks like session-20241012-143022")
    return session_id


def session_path(folder: Path, session_id: str) -> Path:
    """Give the path of a session's file, also of one that was pulled."""
    return pulled_path(folder, check_id(session_id)) or folder / f"{session_id}.json"


def journal_folder(folder: Path, session_id: str) -> Path:
    """Give the folder of an open session's journals."""
    return folder / JOURNALS / check_id(session_id)


def is_open(folder: Path, session_id: str) -> bool:
    """Tell whether a session is still open: its journals are there."""
    return is_session_id(session_id) and journal_folder(folder, session_id).is_dir()


def current_id(folder: Path) -> str | None:
    """Give the id that current.json points to (a link of ours, or a copy made by another program)."""
    link = folder / CURRENT
    try:
        name = link.readlink().name.removesuffix(".json")
    except FileNotFoundError:
        return None
    except OSError:
        loaded = load(link)
        name = loaded.session.session_id if loaded.session else ""
    return name if SESSION_ID.match(name) else None


def session_ids(folder: Path) -> list[str]:
    """Give the ids of all sessions that have a file, those that were pulled included, newest first."""
    with storing("read", folder / SHARED):
        pulled = [path.stem for path in (folder / SHARED).glob("session-*.json") if is_pulled_id(path.stem)]
    both = with_pulled(own_ids(folder), pulled, lambda name: head_of(session_path(folder, name)))
    return sorted(both, key=newest_first, reverse=True)


def own_ids(folder: Path) -> list[str]:
    """Give the ids of the sessions of this machine, newest first."""
    with storing("read", folder):
        try:
            names = [path.name.removesuffix(".json") for path in folder.glob("session-*.json")]
        except FileNotFoundError:
            return []
    return sorted((name for name in names if SESSION_ID.match(name)), key=newest_first, reverse=True)


def newest_first(name: str) -> tuple[str, int, str]:
    """Give the key by which ids sort in time, also within a second."""
    stem, _, number = name.partition("-")[2].rpartition("-")
    if stem.count("-") == 1 and number.isdigit():  # session-20241012-143022-2, the second of that second
        return stem, int(number), name
    return name.removeprefix("session-"), 0, name


def load(path: Path) -> Loaded:
    """Read one session file; problems are sentences naming the field."""
    try:
        raw = read_whole(path)
    except StoreError as error:
        return Loaded(path=path, session=None, problems=[str(error)])
    return understand(path, raw)


def understand(path: Path, raw: bytes) -> Loaded:
    """Give the session that a file holds, from its bytes."""
    problems: list[str] = []
    try:
        document = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        what = "is empty" if not raw.strip() else f"is not whole JSON ({clean(str(error))})"
        return Loaded(path=path, session=None, problems=[f"{path.name} {what}"])
    if not isinstance(document, dict):
        return Loaded(path=path, session=None, problems=[f"{path.name} holds no JSON object"])
    session = from_document(document, path.stem, problems)
    if session.schema is not None and session.schema > SCHEMA:
        problems.append(f"schema: version {session.schema} is newer than {SCHEMA}; some fields may not be shown")
    if not SESSION_ID.match(session.session_id):
        problems.append(f"session_id: {session.session_id!r} is no session id; using {path.stem}")
        session.session_id = path.stem
    if is_pulled(path):
        session.session_id = path.stem
        settle_pulled(session, time.time())
    settle(session, problems)
    return Loaded(path=path, session=session, problems=[f"{path.name}: {clean(problem)}" for problem in problems])


def load_all(folder: Path) -> Iterator[Loaded]:
    """Read every session of the folder, newest first."""
    for session_id in session_ids(folder):
        yield load(session_path(folder, session_id))
