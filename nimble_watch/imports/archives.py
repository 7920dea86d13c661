"""Sessions in zip and tar files: read, never unpacked; what leads out of the archive or swells beyond size is refused.

Names in an archive are only shown, and no path is made of them; they are refused all the same, as is every link: who
sends such a thing has more in mind than sessions.
"""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, cast

from nimble_watch.imports.texts import (
    LARGEST,
    SWELLS,
    Found,
    Stream,
    Trouble,
    in_member,
    is_archive,
    may_be_session,
    newest_first,
)

_HEADER = 1024 * 1024  # a longer name, or list of attributes, is none
_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


_SWOLLEN = "the archive holds more than 4 GiB; what comes here is not read"


class _SwollenError(Exception):
    """An archive holds more than any history."""


def in_zip(where: str, stream: Stream) -> Iterator[Found | Trouble]:
    """Give the sessions of a zip file."""
    read = 0
    try:
        with zipfile.ZipFile(stream) as archive:
            for entry in sorted(archive.infolist(), key=lambda one: newest_first(one.filename)):
                at = f"{where}: {entry.filename}"
                if entry.is_dir() or not is_ours(entry.filename):
                    continue
                if wrong := _refused(entry.filename, link=stat.S_ISLNK(entry.external_attr >> 16)):
                    yield Trouble(at, wrong)
                elif entry.flag_bits & 1:
                    yield Trouble(at, "is encrypted; unpack it and name the folder")
                elif read > SWELLS:
                    yield Trouble(at, _SWOLLEN)
                    return
                else:
                    with archive.open(entry) as member:
                        content = member.read(LARGEST + 1)
                    read += len(content)
                    yield from in_member(at, io.BytesIO(content))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        yield Trouble(where, f"cannot be read as a zip file: {error}")


def in_tar(where: str, stream: Stream) -> Iterator[Found | Trouble]:
    """Give the sessions of a tar file, in the order in which they stand there."""
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", _Limited(stream)), mode="r|", tarinfo=_Member) as archive:
            for entry in archive:
                at = f"{where}: {entry.name}"
                if entry.isdir() or not is_ours(entry.name):
                    continue
                if wrong := _refused(entry.name, link=entry.issym() or entry.islnk()):
                    yield Trouble(at, wrong)
                elif (member := archive.extractfile(entry)) is not None:
                    yield from in_member(at, io.BytesIO(member.read(LARGEST + 1)))
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        yield Trouble(where, f"cannot be read as a tar file: {error}")
    except _SwollenError:
        yield Trouble(where, _SWOLLEN)


def is_ours(name: str) -> bool:
    """Tell by its name whether a member is to be read, or to be told of."""
    plain = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return may_be_session("/".join(plain)) or is_archive(name)


def _refused(name: str, *, link: bool) -> str:
    """Say why a member is not read; empty if it is."""
    if is_archive(name):
        return "is an archive in an archive, which is not opened; unpack it and name the folder"
    if link:
        return "is a link, which is refused"
    if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or name[1:2] == ":":
        return "leads out of the archive, which is refused"
    return ""


class _Member(tarfile.TarInfo):
    """A header of a tar file that refuses to be followed by a name of gigabytes, which would be read into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        """Read one header."""
        found = super().frombuf(buf, encoding, errors)
        if found.type in _HEADERS and found.size > _HEADER:
            raise tarfile.ReadError("a name in it has more than 1 MiB")
        return found


class _Limited:
    """A stream that ends with an error after so many bytes."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._read = 0

    def read(self, size: int) -> bytes:
        """Read on."""
        content = self._stream.read(size)
        self._read += len(content)
        if self._read > SWELLS:
            raise _SwollenError
        return content
