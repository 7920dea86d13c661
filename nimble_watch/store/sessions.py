"""The life of a session on disk: begun, folded again and again, ended once; a crashed one is ended truthfully.

The journals are the truth while a session is open; its JSON is folded from them and can be folded again at any time.
Ending is a row of steps each of which may be done twice, and only the last one (the journals' folder moves away) makes
it final: so kill -9 in between leaves a session that the next command ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from nimble_watch.claim import JOURNALS, abandoned
from nimble_watch.session import (
    Record,
    Session,
    changes_between,
    encode,
    encode_line,
    fields_set,
    fold,
    foreign_changes,
    new_uid,
    session_ended,
    to_document,
)
from nimble_watch.store.files import (
    StoreError,
    append_line,
    locked,
    own_folder,
    point_link,
    read_whole,
    storing,
    sync_folder,
    write_whole,
)
from nimble_watch.store.history import CURRENT, is_open, journal_folder, session_path
from nimble_watch.store.journal import Journal, read_records
from nimble_watch.system.calls import boot_id

HISTORY = "all-sessions.txt"
LOCK = "lock"
SILENCE = 24 * 3600.0
_HALF = re.compile(r"\.(?:current\.json|\.index|(?:summary-)?(session-[0-9-]+)\.(?:json|txt))\.[0-9a-f]{12}\.tmp\Z")
"""What is half written and will take the place of a file; of one of a session its id."""
_OLD = 60.0  # a temporary link or lock this old (seconds) is of a command that was killed
_FOLDING, _FOLDED = "folding.json", "folded.json"  # the JSON as we are about to write it, and as we wrote it last
_COVERED = "covered"  # how many bytes of records are in it
_TOLD = re.compile(rb"SESSION: (\S+) \|")
_GONE = ".ended-"
_DAMAGED = ".damaged-"
_RESERVE, _RESERVED = "reserve", 256 * 1024  # of the disk, for the end: a few times what a large session takes


def make_folders(folder: Path) -> None:
    """Make the sessions folder and the one of the journals, for nobody else."""
    own_folder(folder)
    own_folder(folder / JOURNALS)


def begin(folder: Path, session_id: str, record: Mapping[str, Any], *, writer: str) -> Session:
    """Begin a session whose journal folder was claimed: write its first record and its JSON, and make it current."""
    with Journal(journal_folder(folder, session_id), writer) as journal:
        journal.append(record)
    with storing("write", folder / JOURNALS):
        sync_folder(folder / JOURNALS)  # the claim, on the way to the child, had no time for that
    return present(folder, session_id)


def present(folder: Path, session_id: str) -> Session:
    """Give a session that has a record its JSON, and make it current."""
    session = refold(folder, session_id)
    point_link(folder / CURRENT, f"{session_id}.json")
    return session


def keep_reserve(folder: Path, session_id: str) -> None:
    """Keep a part of the disk for a session's end, so that one that fills up meanwhile has room for it."""
    path = journal_folder(folder, session_id) / _RESERVE
    written = 0
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            written = os.write(fd, bytes(_RESERVED))
        finally:
            os.close(fd)
    if written < _RESERVED:  # there is not even so much: leave it to those who need it
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def use_reserve(folder: Path, session_id: str) -> None:
    """Give the reserve back to the disk: now is the end for which it was kept; so was the room that the lock took."""
    journals = journal_folder(folder, session_id)
    with contextlib.suppress(OSError):
        (journals / _RESERVE).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        os.close(os.open(journals / LOCK, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC))


def restore(folder: Path, session_id: str) -> int:
    """Make the journals' folder of a session at work once more, after somebody removed it; gives its lock, held."""
    journals = journal_folder(folder, session_id)
    make_folders(folder)
    own_folder(journals)
    with storing("lock", journals / LOCK):
        lock = os.open(journals / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return lock


def refold(folder: Path, session_id: str, *, now: float | None = None) -> Session:
    """Fold an open session's journals into its JSON, with what other programs added to it since."""
    with locked(journal_folder(folder, session_id) / "fold.lock"):
        return _refold(folder, session_id, now)


def catch_up(folder: Path, session_id: str, *, now: float | None = None) -> None:
    """Fold what is recorded, unless another command did so meanwhile: of many at once a few fold for all."""
    journals = journal_folder(folder, session_id)
    with locked(journals / "fold.lock"):
        if _bytes(journals / _COVERED) != str(_recorded(journals)).encode():
            first = not session_path(folder, session_id).exists()
            _refold(folder, session_id, now)
            if first:  # a phase is quicker than the observer of its session
                point_link(folder / CURRENT, f"{session_id}.json")


def _refold(folder: Path, session_id: str, now: float | None) -> Session:
    journals = journal_folder(folder, session_id)
    _take_foreign(folder, session_id, journals)
    recorded = _recorded(journals)  # what comes in while we read may be in the fold, and is folded again
    problems: list[str] = []
    session = fold(read_records(journals, problems), session_id, now=now)
    session.notes = [*session.notes, *problems]
    content = encode(session)
    write_whole(journals / _FOLDING, content)
    write_whole(session_path(folder, session_id), content)
    with storing("write", journals), contextlib.suppress(FileNotFoundError):  # folded by one who waited in vain for us
        (journals / _FOLDING).replace(journals / _FOLDED)
    with contextlib.suppress(StoreError):  # then the next command folds once more
        write_whole(journals / _COVERED, str(recorded).encode(), durable=False)
    return session


def _recorded(journals: Path) -> int:
    """Give how many bytes of records there are."""
    with storing("read", journals):
        return sum(path.stat().st_size for path in journals.glob("*.jsonl"))


def _take_foreign(folder: Path, session_id: str, journals: Path) -> None:
    """Put into a journal what another program changed in the JSON since we wrote it."""
    path = session_path(folder, session_id)
    theirs = _bytes(path)
    known = [content for name in (_FOLDING, _FOLDED) if (content := _bytes(journals / name)) is not None]
    if theirs is None or theirs in known:
        return
    try:
        found = _object(theirs)
    except msgspec.DecodeError:  # somebody broke it: theirs is put aside, and ours written again
        write_whole(path.with_name(f"broken-{time.time_ns()}-{path.name}"), theirs)
        return
    ours = [_object(content) for content in known] or [to_document(fold(read_records(journals, []), session_id))]
    changes = min((changes_between(one, found) for one in ours), key=lambda changes: len(encode_line(changes)))
    if changes:
        with Journal(journals, "foreign") as journal:
            journal.append(foreign_changes(changes))


def _bytes(path: Path) -> bytes | None:
    """Give what a file holds; None where there is none, nor where somebody put what is no file, which is replaced."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return read_whole(path) if stat.S_ISREG(found.st_mode) else None


def _object(raw: bytes) -> dict[str, Any]:
    value: dict[str, Any] = msgspec.json.decode(raw, type=dict[str, Any])
    return value


def end(
    folder: Path,
    session_id: str,
    record: Mapping[str, Any] | None = None,
    *,
    writer: str = "end",
) -> Session:
    """End a session: its last record (unless it is there), fold, summary, one line of history, journals away."""
    journals = journal_folder(folder, session_id)
    use_reserve(folder, session_id)
    if record is not None:
        with Journal(journals, writer) as journal:
            journal.append(record)
    session = refold(folder, session_id)
    if session.uid is None and session.start_ms is not None:  # begun by a launcher whose observer was gone
        with Journal(journals, writer) as journal:
            journal.append(fields_set(uid=new_uid(session.start_ms, os.urandom(10))))
        session = refold(folder, session_id)
    from nimble_watch.reports.summary import summary  # noqa: PLC0415  only an end needs it, every short call would pay

    write_whole(folder / f"summary-{session_id}.txt", summary(session).encode())
    remember(folder, [session])
    for stray in (*folder.glob(f".{session_id}.json.*.tmp"), *folder.glob(f".summary-{session_id}.txt.*.tmp")):
        stray.unlink(missing_ok=True)  # of a writer that was killed
    problems: list[str] = []
    read_records(journals, problems)
    gone = journals.with_name(f"{_DAMAGED if problems else _GONE}{session_id}")
    with storing("remove", journals):
        journals.replace(gone)
        sync_folder(gone.parent)  # a folder that came back without its journals would be taken for an empty session
    if not problems:  # what could not be read is kept for somebody to look at; the session's notes name it
        _remove(gone)
    return session


def _remove(gone: Path) -> None:
    """Remove what is left of an ended session's journals; what cannot be removed is tried again by the next command."""
    with contextlib.suppress(OSError):
        for path in gone.iterdir():
            path.unlink()
        gone.rmdir()


def remember(folder: Path, sessions: Sequence[Session]) -> None:
    """Append the sessions' lines to the history, but for those that are there already."""
    from nimble_watch.reports._line import history_line  # noqa: PLC0415  as above

    path = folder / HISTORY
    with locked(folder / JOURNALS / "history.lock"):
        known = read_whole(path) if path.exists() else b""
        whole, newline, torn = known.rpartition(b"\n")
        told = set(_TOLD.findall(whole))
        new = [session for session in sessions if session.session_id.encode() not in told]
        if not new:
            return
        ours = any(f"SESSION: {session.session_id} |".encode() in torn for session in new)
        kept = whole + newline if ours else known  # what a power cut left of our own line goes
        gap = b"" if not kept or kept.endswith(b"\n") else b"\n"
        lines = b"".join(history_line(session).encode() + b"\n" for session in new)
        append_line(path, gap + lines, seen=len(known), kept=len(kept))


def close_abandoned(folder: Path, *, now: float | None = None) -> list[Session]:
    """End every session that nobody will end any more, and say so in it; gives those.

    One whose owner died is an `error`; a shell's that was silent for a day is what its phases were; one that had
    recorded its end without finishing is finished.  Where one cannot be written it stays as it is.
    """
    _sweep(folder)
    closed = []
    for session_id in abandoned(str(folder), now=time.time() if now is None else now):
        with contextlib.suppress(StoreError):  # the next command tries again
            session = close(folder, session_id)
            if session is not None:
                closed.append(session)
    return closed


def _sweep(folder: Path) -> None:
    """Take away what commands left that were killed on their way in or out: it holds nothing that anybody recorded."""
    journals = folder / JOURNALS
    with contextlib.suppress(OSError):
        for path in journals.glob(f"{_GONE}*"):
            _remove(path)
        for stray in (*folder.glob(".*.tmp"), *journals.glob(".lock-*")):
            half = _HALF.match(stray.name)
            if stray.parent == folder and (half is None or is_open(folder, half[1] or "")):
                continue  # it is not ours; or that session's end is at work, or will be finished and take it away
            if time.time() - stray.lstat().st_mtime > _OLD:
                stray.unlink()
        for claimed in journals.glob("session-*"):  # and killed before it could be held
            if time.time() - claimed.stat().st_mtime > _OLD:
                with contextlib.suppress(OSError):  # only an empty folder can be removed
                    claimed.rmdir()


def close(folder: Path, session_id: str) -> Session | None:
    """End a session for those who cannot any more; None if somebody is at work in it, or it has ended meanwhile."""
    journals = journal_folder(folder, session_id)
    crashed = (journals / LOCK).exists()
    if not journals.is_dir():
        return None
    with locked(journals / LOCK, seconds=0.0) as free:
        if not free:
            return None
        records = read_records(journals, [])
        if (begun := _how_it_began(session_id, records)) is not None:
            with Journal(journals, "closed") as journal:
                journal.append(begun)
        return end(folder, session_id, _how_it_ended(journals, records, crashed=crashed), writer="closed")


def as_it_ended(folder: Path, session_id: str, records: Sequence[Record]) -> list[Record]:
    """Give the records of an open session with the end that it has come to, where nobody is at work in it any more.

    For those who may look at it but not write: `close` would write the same.
    """
    journals = journal_folder(folder, session_id)
    if session_id not in abandoned(str(folder), now=time.time()):
        return list(records)
    added = (
        _how_it_began(session_id, records),
        _how_it_ended(journals, records, crashed=(journals / LOCK).exists()),
    )
    return [*records, *({**record, "writer": "closed", "seq": 0} for record in added if record is not None)]


def _how_it_began(session_id: str, records: Sequence[Record]) -> Record | None:
    """Give the beginning that a session's name tells, where its process was killed before it could write it."""
    if any(record["type"] == "session-started" for record in records):
        return None
    claimed = datetime.strptime(session_id[8:23], "%Y%m%d-%H%M%S").replace(tzinfo=UTC).timestamp()
    return {"type": "session-started", "time": claimed, "start_time": claimed}


def _how_it_ended(journals: Path, records: Sequence[Record], *, crashed: bool) -> Record | None:
    if any(record["type"] == "session-ended" for record in records):
        return None
    last = max((float(record["time"]) for record in records), default=journals.stat().st_mtime)
    if crashed:
        return session_ended("error", reason=_why_crashed(records), time=last)
    silent = time.time() - last > SILENCE
    reason = "nothing was heard of it for a day" if silent else "ended by the next session"
    return session_ended(result_of(records), reason=reason, time=last)


def how_closed(session: Session) -> str:
    """Say in one line that a session which nobody would have ended was ended, and how."""
    return f"closed {session.session_id}, {session.result}: {session.notes[-1] if session.notes else 'it had ended'}"


def _why_crashed(records: Iterable[Mapping[str, Any]]) -> str:
    """Say what became of a session's process, as far as it can be known."""
    hosts = [record.get("host") for record in records if record.get("type") == "session-started"]
    boots = {host["boot"] for host in hosts if isinstance(host, Mapping) and host.get("boot")}
    here = boot_id()
    if boots and here and here not in boots:
        return "its machine went down; the end is the last sign of life"
    return "its process was killed, or could not write any more; the end is the last sign of life"


def result_of(records: Iterable[Mapping[str, Any]]) -> str:
    """Give the result of a session that nobody judged: that of the worst of its phases."""
    results = {record.get("result") for record in records if record.get("type") == "phase-ended"}
    return next((fault for fault in ("error", "cancellation", "timeout", "failure") if fault in results), "success")
