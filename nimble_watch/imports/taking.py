"""What becomes of a session of others: new here, newer than ours, here already, older, or refused with a sentence.

Sessions are told apart by their uid, so taking one in twice changes nothing; of its revisions the highest is kept.  The
file is theirs, cleaned as every outside text: only a uid is added where there is none, and another id given where a
session of ours has it (`-2`, `-3`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from nimble_watch.cleaning import clean_document
from nimble_watch.imports.texts import Found, Trouble
from nimble_watch.reports.summary import summary
from nimble_watch.session import Session, encode_documents, moment, uid_of
from nimble_watch.store import (
    SESSION_ID,
    Loaded,
    StoreError,
    create_whole,
    head_of,
    is_open,
    is_pulled_id,
    load,
    make_folders,
    own_ids,
    remember,
    sync_folder,
    understand,
    write_whole,
)

Outcome = Literal["new", "newer", "here", "older", "refused"]

_AT_ONCE = 200  # lines of history: each time the whole history is read
_FEW = 1000  # sessions with the same id in one folder
_NUMBERED = re.compile(r"(session-\d{8}-\d{6})-\d+\Z")
_MARKS = frozenset(("session_id", "uid", "phases", "obstacles", "start_time"))
_RENAMED = frozenset(("session_id", "uid"))
"""What taking a session in may change of it, and so says nothing about whether two are the same."""
_SILENCE = 24 * 3600.0  # as long as nobody may hear of a session that goes on
_DECODER = msgspec.json.Decoder(float_hook=Decimal)  # a number is written back digit by digit


class Taken(NamedTuple):
    """What became of one session: under which id it stands here, and why it was refused or what is wrong in it."""

    session_id: str
    outcome: Outcome
    where: str
    said: tuple[str, ...] = ()


class _Here(NamedTuple):
    session_id: str
    revision: int


class Taking:
    """Takes sessions into a folder; a dry run decides everything and writes nothing.

    What is new is on disk, and has its line of history, once `finish` was called, and now and then before.
    """

    def __init__(self, folder: Path, *, dry: bool) -> None:
        self._folder = folder
        self._dry = dry
        self._here: dict[str, _Here] = {}
        self._names = set(own_ids(folder))
        self._contents: dict[str, Mapping[str, Any]] = {}
        self._untold: list[Session] = []
        for name in self._names:
            self._learn(name)

    def _learn(self, name: str) -> None:
        """Remember which session stands under a name; one that cannot be read is none that can be compared."""
        path = self._folder / f"{name}.json"
        head = head_of(path)
        if head is None:
            return
        uid = head.uid
        if not uid and (session := load(path).session) is not None:
            uid = uid_of(session)
        if uid:
            self._here[uid] = _Here(name, head.revision)

    def take(self, found: Found) -> Iterator[Taken | Trouble]:
        """Take in the session, or each of the sessions, that a text holds."""
        try:
            value = _DECODER.decode(found.raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield Trouble(found.where, f"is not whole JSON ({error})")
            return
        listed = isinstance(value, list)
        for at, document in enumerate(value if listed else [value]):
            where = f"{found.where}[{at}]" if listed else found.where
            try:
                yield self._take(where, found.name, document)
            except (StoreError, RecursionError) as error:
                yield Trouble(where, str(error))

    def _take(self, where: str, name: str, document: Any) -> Taken | Trouble:
        if not isinstance(document, dict):
            return Trouble(where, "holds no JSON object")
        if not _MARKS & set(document):
            return Trouble(where, "is no session: none of a session's fields is in it")
        document = clean_document(document)
        loaded = _understood(name, document)
        session = loaded.session
        if session is None:
            return Trouble(where, "; ".join(loaded.problems))
        session.session_id = _id_of(name, document, session)
        if not session.session_id:
            return Trouble(where, "has neither an id that may name a file nor a start_time to make one from")
        if session.state == "open" and (why := _not_yet(session, document)):
            return Taken(session.session_id, "refused", where, (why,))
        uid = uid_of(session)
        document |= {"session_id": session.session_id, "uid": uid}
        said = tuple(problem.partition(": ")[2] for problem in loaded.problems)
        there = self._here.get(uid)
        if there is None:
            return self._add(where, uid, document, session, said)
        if session.revision > there.revision:
            return self._replace(where, uid, document, there, said)
        return self._compared(where, document, session.revision, there)

    def _compared(self, where: str, document: Mapping[str, Any], revision: int, there: _Here) -> Taken:
        """Say how one that is not newer stands to ours."""
        if revision < there.revision:
            return Taken(there.session_id, "older", where)
        if not (differs := _difference(self._content(there.session_id), document)):
            return Taken(there.session_id, "here", where)
        same = f"is revision {revision} of {there.session_id} as ours is"
        return Taken(there.session_id, "refused", where, (f"{same}, but differs in {differs}; ours is kept",))

    def _add(self, where: str, uid: str, document: dict[str, Any], session: Session, said: tuple[str, ...]) -> Taken:
        """Write a new session under the first free id."""
        for session_id in _ids(session.session_id):
            if session_id in self._names or is_open(self._folder, session_id) or not SESSION_ID.match(session_id):
                continue
            document["session_id"] = session_id
            if self._dry:
                self._contents[session_id] = document
            else:
                make_folders(self._folder)
                if not create_whole(self._folder / f"{session_id}.json", encode_documents(document), synced=False):
                    continue  # made by somebody else meanwhile
                self._finish(session_id, line=session.state != "open")
            self._names.add(session_id)
            self._here[uid] = _Here(session_id, session.revision)
            return Taken(session_id, "new", where, said)
        raise StoreError(f"there are too many sessions {session.session_id}")

    def _replace(self, where: str, uid: str, document: dict[str, Any], there: _Here, said: tuple[str, ...]) -> Taken:
        """Write a newer revision over ours."""
        if is_open(self._folder, there.session_id):
            return Taken(there.session_id, "refused", where, (f"is newer than {there.session_id}, which is open here",))
        document["session_id"] = there.session_id
        revision = int(document.get("revision") or 0)
        if self._dry:
            self._contents[there.session_id] = document
        else:
            write_whole(self._folder / f"{there.session_id}.json", encode_documents(document))
            self._finish(there.session_id, line=False)
        self._here[uid] = _Here(there.session_id, revision)
        return Taken(there.session_id, "newer", where, said)

    def _finish(self, session_id: str, *, line: bool) -> None:
        """Write what belongs to a session's file: its summary, and its line of history if it is new here."""
        session = load(self._folder / f"{session_id}.json").session
        if session is None:
            return
        write_whole(self._folder / f"summary-{session_id}.txt", summary(session).encode(), durable=False)
        if line:
            self._untold.append(session)
        if len(self._untold) >= _AT_ONCE:
            self.finish()

    def finish(self) -> None:
        """Write the lines of history that are still to be written."""
        if self._untold:
            sync_folder(self._folder)
            remember(self._folder, self._untold)
            self._untold = []

    def _content(self, session_id: str) -> Mapping[str, Any]:
        if session_id in self._contents:
            return self._contents[session_id]
        try:
            content = _DECODER.decode((self._folder / f"{session_id}.json").read_bytes())
        except (OSError, msgspec.DecodeError) as error:
            raise StoreError(f"cannot read {session_id}.json: {error}") from error
        return content if isinstance(content, dict) else {}


def _understood(name: str, document: Mapping[str, Any]) -> Loaded:
    """Read a document as the file that it will be."""
    return understand(Path(name), msgspec.json.encode(msgspec.to_builtins(document, builtin_types=(Decimal,))))


def _id_of(name: str, document: Mapping[str, Any], session: Session) -> str:
    """Give a session's id if it may be part of a path, else its file's, else one made from its start, else nothing.

    The tail that a pulled session has beside those of a machine is not a part of its id.
    """
    stem = name.removesuffix(".gz").removesuffix(".json")
    for known in (str(document.get("session_id")), stem):
        if SESSION_ID.match(known):
            return known.rpartition(".")[0] if is_pulled_id(known) else known
    if session.start_ms is None:
        return ""
    return datetime.fromtimestamp(session.start_ms / 1000, UTC).strftime("session-%Y%m%d-%H%M%S")


def _not_yet(session: Session, document: dict[str, Any]) -> str:
    """Take a session that was open, and of which nothing was heard for a day, as lost; else say why it must wait."""
    began = session.start_ms if session.start_ms is not None else moment(session.start_time)
    if began is not None and time.time() - began / 1000 <= _SILENCE:
        return "was still open when this was written, and began less than a day ago; import it again when it has ended"
    note = "nothing was heard of it after its start: its machine was probably lost"
    document |= {"state": "ended", "result": "lost", "notes": [*(document.get("notes") or []), note]}
    return ""


def _ids(session_id: str) -> Iterator[str]:
    """Give the id, then those of a second, third ... session of that id."""
    yield session_id
    numbered = _NUMBERED.match(session_id)
    stem = numbered[1] if numbered else session_id
    yield from (f"{stem}-{number}" for number in range(2, _FEW))


def _difference(ours: Mapping[str, Any], theirs: Mapping[str, Any], at: str = "") -> str:
    """Name the first field in which two documents differ; empty if in none."""
    for name in sorted({*ours, *theirs}):
        if not at and name in _RENAMED:
            continue
        mine, other = ours.get(name), theirs.get(name)
        if mine == other:
            continue
        if isinstance(mine, Mapping) and isinstance(other, Mapping):
            return _difference(mine, other, f"{at}{name}.")
        if isinstance(mine, list) and isinstance(other, list):
            pairs = zip(mine, other, strict=False)
            place = next((n for n, (one, two) in enumerate(pairs) if one != two), min(len(mine), len(other)))
            return f"{at}{name}[{place}]"
        return f"{at}{name}"
    return ""
