"""What may be sessions in a path: a folder of them, a file, an archive, told by what is in it and not by its name."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from gzip import GzipFile
from pathlib import Path

from nimble_watch.imports.archives import in_tar, in_zip
from nimble_watch.imports.parquet import in_parquet
from nimble_watch.imports.texts import (
    GZIP,
    Found,
    Stream,
    Trouble,
    in_compressed,
    in_text,
    is_archive,
    may_be_session,
    newest_first,
    peek,
)
from nimble_watch.session import encode, fold
from nimble_watch.store import StoreError, as_it_ended, is_open, journal_folder, read_records

_TAR, _TAR_AT = b"ustar", 257
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_PARQUET = b"PAR1"


def found_in(path: Path) -> Iterator[Found | Trouble]:
    """Give everything in a path that may be a session, and what is wrong with the rest."""
    if path.is_dir():
        yield from _in_folder(path)
        return
    try:
        with path.open("rb") as stream:
            yield from _in_stream(str(path), stream)
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
                    yield from _in_stream(str(path), stream)
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


def _in_stream(where: str, stream: Stream) -> Iterator[Found | Trouble]:
    """Give what is in an open file, whatever it is."""
    head = peek(stream)
    if head.startswith(_ZIP):
        yield from in_zip(where, stream)
    elif head.startswith(GZIP):
        yield from in_compressed(where, stream, _in_tar_or_text)
    elif head.startswith(_PARQUET) and not isinstance(stream, GzipFile):
        yield from in_parquet(where, stream)
    elif where.endswith(".csv"):
        yield Trouble(where, "is a table, which holds no session whole; export them as jsonl or parquet")
    else:
        yield from _in_tar_or_text(where, stream)


def _in_tar_or_text(where: str, stream: Stream) -> Iterator[Found | Trouble]:
    is_tar = peek(stream)[_TAR_AT:].startswith(_TAR)
    yield from in_tar(where, stream) if is_tar else in_text(where, stream)
