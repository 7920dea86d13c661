"""Sending sessions to the store: at once after their end, and later where that failed.

What is to be sent stands as an empty file in a spool (`shared/.unsent/STORE-PROJECT/SESSION_ID`) before it is tried,
so that a machine that dies, or a store that does not answer, loses nothing but time.  An object of an earlier day is
announced first and written then: a reader that finds the announcement alone looks again, one that never hears of it
would not.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from nimble_watch.cleaning import clean
from nimble_watch.errors import NimbleWatchError
from nimble_watch.shared.layout import Late, Revision, SharedError, key_of, late_key, pack, revision_of, today
from nimble_watch.shared.patience import Patience, patience
from nimble_watch.shared.protocol import SharedStore
from nimble_watch.shared.settings import Common, needed
from nimble_watch.shared.stores import open_store
from nimble_watch.store import StoreError, check_id, own_folder, read_head, session_path, storing

DEADLINE = 5.0
"""Seconds that the end of a session may be held up by the store."""
_UNSENT = "shared/.unsent"
_AT_ONCE = 8  # requests: most of the time of a small one is waiting


class Sent(NamedTuple):
    """What became of a session: its revision and project in the store, and whether it was not there before."""

    session_id: str
    project: str
    revision: Revision
    new: bool


def spool(folder: Path, found: Common, session_ids: Iterable[str]) -> None:
    """Note that sessions are to be sent."""
    place = _place(folder, found)
    for made in (place.parent.parent, place.parent, place):
        own_folder(made)
    with storing("write", place):
        for session_id in session_ids:
            (place / check_id(session_id)).touch(mode=0o600)


def _place(folder: Path, found: Common) -> Path:
    return folder / _UNSENT / f"{found.address.fingerprint}-{found.project}"


def spooled(folder: Path, found: Common) -> list[str]:
    """Give the sessions that are still to be sent, oldest first."""
    try:
        return sorted(entry.name for entry in _place(folder, found).iterdir())
    except OSError:
        return []


def _done(folder: Path, found: Common, session_id: str) -> None:
    with contextlib.suppress(OSError):  # it is sent once more then, which changes nothing
        (_place(folder, found) / session_id).unlink(missing_ok=True)


def send(store: SharedStore, found: Common, document: bytes, patient: Patience, *, now: float) -> Sent:
    """Send one session's JSON as it is."""
    head = read_head(document)
    if head is None or not head.uid:
        raise SharedError("it has no uid: a session of another tracker, or no session at all")
    revision = revision_of(head.uid, head.revision, document)
    project = found.project_of(head.vcs)
    if revision.day != today(now):
        late = late_key(project, Late(today(now), revision))
        patient.persist(lambda: store.put_if_absent(late, f"{key_of(project, revision)}\n".encode()), store)
    content = pack(document)
    new = patient.persist(lambda: store.put_if_absent(key_of(project, revision), content), store)
    return Sent(head.session_id, project, revision, new)


def push(
    folder: Path, found: Common, session_ids: Iterable[str], patient: Patience, store: SharedStore
) -> Iterable[Sent]:
    """Send sessions of a folder, several at a time; raises at the first that cannot be sent."""

    def one(session_id: str) -> Sent | None:
        try:
            return _push(folder, found, session_id, patient, store)
        except SharedError as error:
            what = f"{session_id} was not sent: {error.what}"
            raise SharedError(what, where=error.where, advise=error.advise) from error

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            yield from (sent for sent in pool.map(one, session_ids) if sent is not None)
        finally:
            pool.shutdown(cancel_futures=True)


def _push(folder: Path, found: Common, session_id: str, patient: Patience, store: SharedStore) -> Sent | None:
    """Send one session; none if it was removed before it could be sent."""
    path = session_path(folder, session_id)
    if not path.exists():
        _done(folder, found, session_id)
        return None
    with storing("read", path):
        document = path.read_bytes()
    sent = send(store, found, document, patient, now=time.time())
    _done(folder, found, session_id)
    return sent


def share_here(folder: Path, session_id: str) -> str:
    """Send a session that has just ended to the store that is in force here; says what failed, empty if nothing did."""
    try:
        return share_end(folder, session_id, needed(os.environ, Path.cwd()))
    except (OSError, NimbleWatchError) as error:
        return f"{session_id} is not shared: {error}"


def spool_here(folder: Path, session_ids: Iterable[str]) -> None:
    """Note, for the store that is in force here, that sessions are to be sent later."""
    with contextlib.suppress(OSError, NimbleWatchError):  # the end of the next session says what is wrong
        spool(folder, needed(os.environ, Path.cwd()), session_ids)


def share_end(folder: Path, session_id: str, found: Common, *, seconds: float = DEADLINE) -> str:
    """Send a session that has just ended, and what was left of earlier ones; says what failed, empty if nothing did.

    Never takes longer than `seconds`, never raises: a store that hangs is left to itself.
    """
    try:
        spool(folder, found, [session_id])
    except StoreError as error:
        return f"{error}; {session_id} is not shared"
    failed = _within(seconds, lambda patient: _share(folder, session_id, found, patient, seconds))
    if session_id not in spooled(folder, found):
        return ""
    later = "it is sent after the next session, or by `nimble-watch session push`"
    failed = failed or f"no answer within {seconds:.0f} s"
    where = "" if found.address.shown in failed else f" ({found.address.shown})"
    return f"{session_id} is not shared yet: {failed}{where}{'' if failed.endswith('?') else ';'} {later}"


def _share(folder: Path, session_id: str, found: Common, patient: Patience, seconds: float) -> None:
    store = open_store(found.address, seconds)
    _push(folder, found, session_id, patient, store)
    for earlier in spooled(folder, found):
        _push(folder, found, earlier, patient, store)


def share_beginning(folder: Path, document: bytes, session_id: str, found: Common, *, seconds: float = DEADLINE) -> str:
    """Send the open marker of a session that begins, unless another command did; says what failed."""
    try:
        mark = folder / ".journal" / check_id(session_id) / "announced"
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError:
        return ""  # announced already, or not to be written: then its end is all that is shared

    def announce(patient: Patience) -> None:
        send(open_store(found.address, seconds), found, document, patient, now=time.time())

    return _within(seconds, announce)


def _within(seconds: float, job: Callable[[Patience], None]) -> str:
    """Do a job in a thread of its own, which is left alone when time is up; gives why it failed, if that is known."""
    failed: list[str] = []
    trying: list[Patience] = []

    def run() -> None:
        try:
            with patience(seconds) as patient:
                trying.append(patient)
                job(patient)
        except NimbleWatchError as error:
            failed.append(clean(str(error)))
        except Exception as error:  # noqa: BLE001  whatever a store's library raises is never the child's failure
            failed.append(f"{type(error).__name__}: {clean(str(error))}")

    thread = threading.Thread(target=run, name="share", daemon=True)
    thread.start()
    thread.join(seconds)
    return failed[0] if failed else "".join(clean(patient.trouble) for patient in trying)
