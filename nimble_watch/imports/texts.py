"""A text that may be a session, or a list or lines of them, compressed or not; and how files of them are called."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from nimble_watch.cleaning import clean

LARGEST = 64 * 1024 * 1024
"""Bytes of JSON beyond which nothing is taken for a session: an archive of a few bytes can hold that many."""
SWELLS = 4 * 1024 * 1024 * 1024
"""Bytes beyond which an archive, or a file of lines, is not read further: a million sessions stay below it."""

GZIP = b"\x1f\x8b"
"""How a compressed file begins (RFC 1952, 2.3.1)."""

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


def in_member(where: str, stream: Stream) -> Iterator[Found | Trouble]:
    """Give what is in a file of an archive: nothing in it is an archive again."""
    if peek(stream).startswith(GZIP):
        yield from in_compressed(where, stream, in_text)
    else:
        yield from in_text(where, stream)


def in_compressed(
    where: str, stream: Stream, read: Callable[[str, Stream], Iterator[Found | Trouble]]
) -> Iterator[Found | Trouble]:
    """Give what `read` finds in a stream once it is decompressed."""
    try:
        with gzip.GzipFile(fileobj=stream) as inner:
            yield from read(where, inner)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        yield Trouble(where, f"cannot be unpacked: {error}")


def peek(stream: Stream) -> bytes:
    """Give the first bytes, in which a tar file's mark lies too, and go back to them."""
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
