"""Bringing the sessions of others here: only what is new since the last time, and nothing is missed.

How far we have read stands in `shared/.read/`, for each store and project: a day, and the revisions seen from the day
before it on.  Whoever writes an object of an earlier day than the one of writing announces it under that day, so all
that can be new is listed from there: objects of these days, and announcements of these days.  The day before is listed
too, which allows clocks to differ by a day.  The day never runs ahead of what was found, so a wrong clock here is
harmless.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from nimble_watch.cleaning import clean_document
from nimble_watch.session import encode_line
from nimble_watch.shared.layout import (
    Late,
    Revision,
    SharedError,
    day_before,
    key_of,
    newest,
    read_key,
    root_of,
    today,
    unpack,
)
from nimble_watch.shared.patience import Patience
from nimble_watch.shared.protocol import MissingError, SharedStore
from nimble_watch.shared.settings import Common
from nimble_watch.store import StoreError, check_id, keep_pulled, own_folder, read_head, write_whole

_READ = "shared/.read"
_AT_ONCE = 8  # requests: most of the time of a small one is waiting
_FORGET = 7 * 86400.0  # an announced object that has not come by then never will; if it does, it is announced anew


class _Cursor(msgspec.Struct, kw_only=True):
    """How far a store was read; `waiting` are the keys of announced revisions that were not there yet, since when."""

    day: str = ""
    seen: list[str] = []
    waiting: dict[str, float] = {}


class Pulled(msgspec.Struct, kw_only=True):
    """What a pull brought: how many sessions are new here, or newer than they were, and what was wrong with others."""

    sessions: int = 0
    problems: list[str] = []


def pull(folder: Path, found: Common, store: SharedStore, patient: Patience, *, again: bool = False) -> Pulled:
    """Bring what is new; `again` reads the whole store once more.  What was brought stays if the store fails then."""
    path = folder / _READ / f"{found.address.fingerprint}-{found.project}.json"
    cursor = _Cursor() if again else _load(path)
    now = time.time()
    listed = _listed(store, found.project, day_before(cursor.day) if cursor.day else "", today(now), patient)
    awaited = {revision for key in cursor.waiting if isinstance(revision := read_key(found.project, key), Revision)}
    counting, doubled = newest({_revision(one) for one in listed} | awaited)
    pulled = Pulled(
        problems=[
            f"revision {one.number} of session {one.uid} is there twice, with different content" for one in doubled
        ]
    )
    seen, bad = set(cursor.seen), set[str]()
    waiting = dict(cursor.waiting)
    day = cursor.day
    wanted = [one for one in counting if one.name not in seen or one in awaited]
    try:
        for revision, outcome in _fetch(folder, found.project, wanted, store, patient):
            key = key_of(found.project, revision)
            if outcome is None:
                waiting.setdefault(key, now)
                continue
            waiting.pop(key, None)
            seen.add(revision.name)
            if isinstance(outcome, str):
                pulled.problems.append(outcome)
                bad.add(revision.name)
            else:
                pulled.sessions += outcome
        day = max([day, *(at for one in listed if (at := _day(one)) <= today(now))])
        seen = {_revision(one).name for one in listed if _day(one) >= day_before(day)} if day else set()
    finally:
        lasting = {key: since for key, since in waiting.items() if now - since < _FORGET}
        _save(path, _Cursor(day=day, seen=sorted(seen - bad), waiting=lasting))
    return pulled


def _revision(listed: Revision | Late) -> Revision:
    return listed.revision if isinstance(listed, Late) else listed


def _day(listed: Revision | Late) -> str:
    """Give the day under which something is listed."""
    return listed.announced if isinstance(listed, Late) else listed.day


def _listed(store: SharedStore, project: str, since: str, now: str, patient: Patience) -> list[Revision | Late]:
    """List what belongs to a day, or was announced on it, from `since` on; without that, every object.

    Of every object no announcement is needed, but those that the next time will list are seen with it.
    """
    root = root_of(project)
    keys = patient.list_all(store, f"{root}d=", f"{root}d={since}")
    keys += patient.list_all(store, f"{root}late/d=", f"{root}late/d={since or day_before(now)}")
    return [found for key in keys if (found := read_key(project, key)) is not None]


def _fetch(
    folder: Path, project: str, wanted: Iterable[Revision], store: SharedStore, patient: Patience
) -> Iterator[tuple[Revision, bool | str | None]]:
    """Get revisions and keep them: true if it was new here, None if it is not there yet, else what is wrong with it."""

    def one(revision: Revision) -> tuple[Revision, bool | str | None]:
        try:
            content = patient.persist(lambda: store.get(key_of(project, revision)), store)
        except MissingError:
            return revision, None
        try:
            return revision, _keep(folder, revision, unpack(revision, content))
        except SharedError as error:
            return revision, str(error)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            yield from pool.map(one, wanted)
        finally:
            pool.shutdown(cancel_futures=True)


def _keep(folder: Path, revision: Revision, document: bytes) -> bool:
    """Keep one session of others; what it says is outside text, and no path is made of it unseen."""
    head = read_head(document)
    if head is None or (head.uid, head.revision) != (revision.uid, revision.number):
        raise SharedError(f"{revision.name} holds another session than its name says")
    try:
        check_id(head.session_id)
    except StoreError as error:
        raise SharedError(f"{revision.name}: {error}") from error
    said = msgspec.json.decode(document)
    cleaned = clean_document(said)
    return keep_pulled(folder, head, document if cleaned == said else encode_line(cleaned))


def _load(path: Path) -> _Cursor:
    """Read how far we are; from the beginning where that is not known."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Cursor)
    except (OSError, msgspec.DecodeError):
        return _Cursor()


def _save(path: Path, cursor: _Cursor) -> None:
    for made in (path.parent.parent, path.parent):
        own_folder(made)
    write_whole(path, msgspec.json.encode(cursor) + b"\n")
