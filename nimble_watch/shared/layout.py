"""How shared history lies in a store: what every object is called, and the bytes that it holds.

    v1/p=PROJECT/d=DAY/UID.rN-SHA12.json.gz        one revision of one session
    v1/p=PROJECT/late/d=TODAY/DAY.UID.rN-SHA12     says that the object of an earlier DAY is uploaded only TODAY

DAY is the UTC day in the session's own uid (a UUIDv7), so that a key never depends on who uploads it, or when.  N is
the session's revision: 0 is the open marker that is sent when a session begins, 1 its end, more are later changes; the
highest one counts.  SHA12 begins the SHA-256 of the JSON, not of its compressed form, which differs between versions
of zlib.  So an object is written once and never changed, and writing it again, after whatever failure, changes nothing.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from nimble_watch.errors import NimbleWatchError

LARGEST = 64 * 1024 * 1024
"""Bytes of JSON beyond which an object is not unpacked: no session is so large, and a few bytes can unpack to that."""

_UID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_VERSION = 14  # where a UUID tells its version
_BY_TIME = "78"  # versions that begin with the time: ours, and that of what was imported without a uid
_DAY = r"\d{4}-\d\d-\d\d"
_OBJECT = re.compile(rf"d=({_DAY})/({_UID})\.r(\d{{1,9}})-([0-9a-f]{{12}})\.json\.gz\Z")
_LATE = re.compile(rf"late/d=({_DAY})/({_DAY})\.({_UID})\.r(\d{{1,9}})-([0-9a-f]{{12}})\Z")
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


class SharedError(NimbleWatchError):
    """Shared history cannot be read or written; beside a running child it becomes one line, never its status."""


class Revision(NamedTuple):
    """One revision of one session, as its key tells it; they sort by day, session and revision."""

    day: str
    uid: str
    number: int
    sha: str

    @property
    def name(self) -> str:
        """The part that says which revision it is, without the day."""
        return f"{self.uid}.r{self.number}-{self.sha}"


class Late(NamedTuple):
    """The announcement, on a day, of a revision that belongs to an earlier one."""

    announced: str
    revision: Revision


def check_project(name: str) -> str:
    """Give a project's name back if it may stand in a key; else say what one looks like."""
    if not _PROJECT.match(name):
        raise SharedError(
            f"{name!r} cannot be the name of a project",
            advise="use letters, digits, dots, - and _, such as --project nim-on-oke",
        )
    return name


def day_of(uid: str) -> str:
    """Give the UTC day in a UUID that begins with milliseconds since the epoch."""
    if not re.fullmatch(_UID, uid) or uid[_VERSION] not in _BY_TIME:
        raise SharedError(f"{uid!r} is no UUIDv7, so it tells no day")
    try:
        return datetime.fromtimestamp(int(uid[:8] + uid[9:13], 16) / 1000, UTC).strftime("%Y-%m-%d")
    except (ValueError, OverflowError) as error:
        raise SharedError(f"{uid!r} tells a time beyond every calendar") from error


def today(now: float) -> str:
    """Give the UTC day of a moment (epoch seconds)."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")


def day_before(day: str) -> str:
    """Give the day before one."""
    return (datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC) - timedelta(days=1)).strftime("%Y-%m-%d")


def root_of(project: str) -> str:
    """Give the beginning of every key of a project."""
    return f"v1/p={check_project(project)}/"


def revision_of(uid: str, number: int, document: bytes) -> Revision:
    """Give the revision that a session's JSON is."""
    return Revision(day_of(uid), uid, number, hashlib.sha256(document).hexdigest()[:12])


def key_of(project: str, revision: Revision) -> str:
    """Give the key of a revision."""
    return f"{root_of(project)}d={revision.day}/{revision.name}.json.gz"


def late_key(project: str, late: Late) -> str:
    """Give the key of an announcement; the object under it only repeats the key that it announces."""
    return f"{root_of(project)}late/d={late.announced}/{late.revision.day}.{late.revision.name}"


def read_key(project: str, key: str) -> Revision | Late | None:
    """Say what a key stands for; None if it is not ours."""
    root = root_of(project)
    if not key.startswith(root):
        return None
    if found := _OBJECT.match(key, len(root)):
        return _believed(Revision(found[1], found[2], int(found[3]), found[4]))
    if found := _LATE.match(key, len(root)):
        revision = _believed(Revision(found[2], found[3], int(found[4]), found[5]))
        return None if revision is None else Late(found[1], revision)
    return None


def _believed(revision: Revision) -> Revision | None:
    """Give a revision whose day is that of its uid; a key that says two things is not one of ours."""
    try:
        return revision if day_of(revision.uid) == revision.day else None
    except SharedError:
        return None


def newest(revisions: Iterable[Revision]) -> tuple[list[Revision], list[Revision]]:
    """Give the highest revision of each session, in order, and those beside it that have its number but other content.

    Of two such the one with the lower hash counts, so that every reader takes the same.
    """
    best: dict[str, Revision] = {}
    others: list[Revision] = []
    for revision in sorted(set(revisions), key=lambda one: (one.uid, -one.number, one.sha)):
        if revision.uid not in best:
            best[revision.uid] = revision
        elif best[revision.uid].number == revision.number:
            others.append(revision)
    return sorted(best.values()), others


def pack(document: bytes) -> bytes:
    """Compress a session's JSON: gzip without a time or a name, so that the same content gives the same bytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return packer.compress(document) + packer.flush()


def unpack(revision: Revision, content: bytes) -> bytes:
    """Give the JSON of a revision, having held it against the hash in its key."""
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        document = unpacker.decompress(content, LARGEST)
    except zlib.error as error:
        raise SharedError(f"{revision.name} is not gzip: {error}") from error
    if not unpacker.eof:
        what = "unpacks to more than 64 MiB" if unpacker.unconsumed_tail else "is cut short"
        raise SharedError(f"{revision.name} {what}")
    if hashlib.sha256(document).hexdigest()[:12] != revision.sha:
        raise SharedError(f"{revision.name} does not hold what its name says: its hash is another")
    return document
