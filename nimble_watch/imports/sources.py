"""What may be sessions in a path: a folder of them, a file, an archive, told by what is in it and not by its name."""

from __future__ import annotations

import errno
import gzip
import os
import re
import stat
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from nimble_watch.cleaning import clean
from nimble_watch.session import encode, fold
from nimble_watch.store import StoreError, as_it_ended, is_open, journal_folder, read_records

LARGEST = 64 * 1024 * 1024
"""Bytes of JSON beyond which nothing is taken for a session: an archive of a few bytes can hold that many."""
SWELLS = 4 * 1024 * 1024 * 1024
"""Bytes beyond which an archive, or a file of lines, is not read further: a million sessions stay below it."""

_GZIP, _TAR, _TAR_AT = b"\x1f\x8b", b"ustar", 257
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_SESSION = re.compile(r"session-[^/]*\.json(?:\.gz)?\Z|.*\.r\d+-[0-9a-f]{12}\.json\.gz\Z|.*\.jsonl(?:\.gz)?\Z")
_ARCHIVE = re.compile(r".*\.(?:zip|tar|tar\.gz|tgz)\Z")
_REVISION = re.compile(r"\.r(\d{1,9})-[0-9a-f]{12}\.json\.gz\Z")


Stream = BinaryIO | gzip.GzipFile
"""What sessions are read from; it can go back to its beginning."""


class Found(NamedTuple):
    """A text that may be a session, or a list of them: where it stood, for people, and what the file is called."""

    where: str
    name: str
    raw: bytes


class Trouble(NamedTuple):
    """A sentence about something that is no session, and where it stood."""

    where: str
    what: str

    def __str__(self) -> str:
        """Give one line for people; both parts may hold names that others chose."""
        return clean(f"{self.where}: {self.what}")


def may_be_session(name: str) -> bool:
    """Tell by its name whether a file in a folder or an archive may hold sessions; hidden ones never do."""
    parts = name.split("/")
    return _SESSION.match(parts[-1]) is not None and not any(part.startswith(".") for part in parts)


def is_archive(name: str) -> bool:
    """Tell by its name whether a file is an archive."""
    return _ARCHIVE.match(name.rpartition("/")[2]) is not None


def newest_first(name: str) -> tuple[str, int]:
    """Give the order in which files are read: of a session's revisions the highest first."""
    found = _REVISION.search(name)
    return (name, 0) if found is None else (name[: found.start()], -int(found[1]))


def found_in(path: Path) -> Iterator[Found | Trouble]:
    """Give everything in a path that may be a session, and what is wrong with the rest."""
    if path.is_dir():
        yield from _in_folder(path)
        return
    try:
        with path.open("rb") as stream:
            yield from in_stream(str(path), stream)
    except OSError as error:
        yield Trouble(str(path), f"cannot be read: {os.strerror(error.errno) if error.errno else error}")


def _in_folder(top: Path) -> Iterator[Found | Trouble]:
    """Go through a folder and those below it; links are named and not followed, hidden folders are passed over."""
    for folder, below, names in os.walk(top, onerror=None):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names, key=newest_first):
            path = Path(folder) / name
            if name.startswith(".") or not (may_be_session(name) or is_archive(name)):
                continue
            if is_open(path.parent, path.stem):
                yield _open_one(path)
                continue
            try:
                with open(_plain_file(path), "rb") as stream:
                    yield from in_stream(str(path), stream)
            except OSError as error:
                link = "is a symbolic link, which is not followed"
                yield Trouble(str(path), link if error.errno == errno.ELOOP else f"cannot be read: {error.strerror}")


def _plain_file(path: Path) -> int:
    """Open a regular file and nothing else: no link, and no pipe that would let us wait for ever."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is no regular file")
    return fd


def _open_one(path: Path) -> Found | Trouble:
    """Give a session that is open in its folder as it ended, if its process is gone; it is not ended there."""
    try:
        records = read_records(journal_folder(path.parent, path.stem), [])
        ended = as_it_ended(path.parent, path.stem, records)
    except (StoreError, OSError) as error:
        return Trouble(str(path), f"cannot be read: {error}")
    if not any(record["type"] == "session-ended" for record in ended):
        return Trouble(str(path), "is still open there; import it when it has ended")
    return Found(str(path), path.name, encode(fold(ended, path.stem, now=time.time())))


def in_stream(where: str, stream: Stream, *, nested: bool = False) -> Iterator[Found | Trouble]:
    """Give what is in an open file, whatever it is; an archive within an archive (`nested`) is not opened."""
    from nimble_watch.imports.archives import in_tar, in_zip  # noqa: PLC0415  each needs the other

    head = _peek(stream)
    if head.startswith(_ZIP) and not nested:
        yield from in_zip(where, stream)
    elif head.startswith(_GZIP):
        try:
            with gzip.GzipFile(fileobj=stream) as inner:
                if _peek(inner)[_TAR_AT:].startswith(_TAR) and not nested:
                    yield from in_tar(where, inner)
                else:
                    yield from in_text(where, inner)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            yield Trouble(where, f"cannot be unpacked: {error}")
    elif head[_TAR_AT:].startswith(_TAR) and not nested:
        yield from in_tar(where, stream)
    else:
        yield from in_text(where, stream)


def _peek(stream: Stream) -> bytes:
    """Give the first bytes and go back to them."""
    head = stream.read(512)
    stream.seek(0)
    return head


def in_text(where: str, stream: Stream) -> Iterator[Found | Trouble]:
    """Give one JSON text, or each line as one where the first line is whole."""
    name = where.rpartition("/")[2]
    by_line = name.removesuffix(".gz").endswith(".jsonl")
    line = stream.readline(LARGEST + 1)
    if not (by_line or _is_whole(line)):
        yield _found(where, name, line + stream.read(max(0, LARGEST + 1 - len(line))))
        return
    number, read = 1, 0
    while line:
        at = f"{where}:{number}" if by_line else where
        read += len(line)
        if len(line) > LARGEST or read > SWELLS:
            yield Trouble(at, "holds more than 64 MiB in a line, or 4 GiB in all; what comes after that is not read")
            return
        if line.strip():
            yield Found(at, name, line)
        line = stream.readline(LARGEST + 1)
        number += 1


def _found(where: str, name: str, raw: bytes) -> Found | Trouble:
    if len(raw) > LARGEST:
        return Trouble(where, "holds more than 64 MiB, which no session does")
    if not raw.strip():
        return Trouble(where, "is empty")
    return Found(where, name, raw)


def _is_whole(line: bytes) -> bool:
    """Tell whether a line looks like an object or a list of its own."""
    text = line.strip()
    return (text.startswith(b"{") and text.endswith(b"}")) or (text.startswith(b"[") and text.endswith(b"]"))
