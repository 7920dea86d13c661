"""`session export`: sessions as CSV, JSON lines or Parquet, into a file that is whole or not there, or to stdout."""

from __future__ import annotations

import argparse
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from nimble_watch.cli import _naming
from nimble_watch.cli._listing import choose, configure_choice
from nimble_watch.cli._source import source_of
from nimble_watch.errors import NimbleWatchError, UsageError
from nimble_watch.exports import Export, all_exports
from nimble_watch.session import Session
from nimble_watch.store import StoreError, replacing, storing

_STDOUT = "-"


def configure(room: argparse.ArgumentParser) -> None:
    """Add what is exported, how, and where to."""
    formats = all_exports()
    about = "; ".join(f"{name}: {export.about}" for name, export in formats.items())
    tables = sorted({table for export in formats.values() for table in export.tables}, reverse=True)
    room.add_argument("session", nargs="*", help="ids, their beginnings, last~2 (default: all)")
    room.add_argument("--format", choices=tuple(formats), help=f"{about} (default: what FILE ends with)")
    room.add_argument("-o", "--output", metavar="FILE", default=_STDOUT, help="where to (default: -, which is stdout)")
    room.add_argument("--table", choices=tables, help="csv: a row for each of these (default: sessions)")
    room.add_argument("-n", "--number", type=int, default=0, help="how many (default: all)")
    configure_choice(room)


def export(arguments: argparse.Namespace, folder: Path) -> int:
    """Write the sessions that were asked for."""
    form = _format(arguments)
    if arguments.table and arguments.table not in form.tables:
        raise UsageError(f"--table is for csv; {form.name} holds everything in one")
    sessions = _Counted(_asked_for(arguments, folder))
    if arguments.output == _STDOUT:
        if form.binary and sys.stdout.isatty():
            raise UsageError(
                f"{form.name} is nothing for a terminal", advise=f"say -o sessions.{form.name}, or pipe it"
            )
        form.write(sessions, sys.stdout.buffer, arguments.table or "")
        sys.stdout.buffer.flush()
        return 0
    _write(form, sessions, Path(arguments.output), arguments.table or "")
    plural = "" if sessions.number == 1 else "s"
    print(f"nimble-watch: {sessions.number} session{plural} written to {arguments.output}", file=sys.stderr)
    return 0


def _asked_for(arguments: argparse.Namespace, folder: Path) -> Iterator[Session]:
    if not arguments.session:
        return source_of(arguments, folder).chosen(arguments, whole=True)
    if arguments.dataset is not None:
        raise UsageError("sessions can be named of the folder, not of --from", advise="use the filters")
    names = dict.fromkeys(_naming.choose(folder, wanted) for wanted in arguments.session)
    return choose(_naming.read_all(folder, names), arguments)


class _Counted:
    """Sessions that pass by, and how many did."""

    def __init__(self, sessions: Iterable[Session]) -> None:
        self._sessions = sessions
        self.number = 0

    def __iter__(self) -> Iterator[Session]:
        for session in self._sessions:
            self.number += 1
            yield session


def _format(arguments: argparse.Namespace) -> Export:
    formats = all_exports()
    name = arguments.format or Path(arguments.output).suffix.removeprefix(".").lower()
    if name in formats:
        return formats[name]
    raise UsageError(f"session export needs to know the format of {arguments.output}",
                     advise=f"say --format {', --format '.join(formats)}")  # fmt: skip


def _write(form: Export, sessions: Iterable[Session], path: Path, table: str) -> None:
    """Write a file as a whole; into a device or a pipe, which cannot be replaced, as it comes."""
    place = path.resolve()  # a link stays a link, to the new file
    with storing("write", path):
        special = place.exists() and not stat.S_ISREG(place.stat().st_mode)
        mode = 0o666 if special or not place.exists() else stat.S_IMODE(place.stat().st_mode)
    if place.is_dir():
        raise NimbleWatchError(
            f"cannot write {path}: it is a folder", advise=f"name a file in it, sessions.{form.name}"
        )
    try:
        if special:
            with storing("write", path), place.open("wb") as out:
                form.write(sessions, out, table)
        else:
            with replacing(place, mode=mode) as fd, os.fdopen(fd, "wb", closefd=False) as out:
                form.write(sessions, out, table)
    except StoreError as error:
        raise NimbleWatchError(error.what, advise="name another file with -o") from error
