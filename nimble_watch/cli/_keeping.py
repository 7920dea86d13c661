"""`session prune` and `session archive`: which sessions are kept, and where."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from nimble_watch.cli._naming import ARCHIVE
from nimble_watch.cli.options import seconds
from nimble_watch.errors import UsageError
from nimble_watch.store import archive, old_sessions, remove


def configure(room: argparse.ArgumentParser) -> None:
    """Add what both take."""
    room.add_argument("--keep", type=int, metavar="N", help="leave the newest N where they are")
    room.add_argument("--older-than", metavar="AGE", help="only those that began longer ago (180d, 12h)")
    room.add_argument("--dry-run", action="store_true", help="say which ones, and do nothing")


def prune(arguments: argparse.Namespace, folder: Path) -> int:
    """Remove old sessions."""
    return _go(arguments, folder, "removed", lambda names: remove(folder, names))


def put_away(arguments: argparse.Namespace, folder: Path) -> int:
    """Move old sessions into another folder."""
    place = Path(arguments.to) if arguments.to else folder / ARCHIVE
    return _go(arguments, folder, f"moved to {place}", lambda names: archive(folder, names, place))


def _go(arguments: argparse.Namespace, folder: Path, done: str, act: Callable[[list[str]], None]) -> int:
    if arguments.keep is None and arguments.older_than is None:
        raise UsageError(
            f"session {arguments.what} needs to know which ones", advise="say --keep N, --older-than 180d, or both"
        )
    if arguments.keep is not None and arguments.keep < 0:
        raise UsageError(f"--keep needs a number of sessions, not {arguments.keep}")
    age = None if arguments.older_than is None else seconds("--older-than", arguments.older_than)
    names = old_sessions(folder, keep=arguments.keep, older_than=age, now=time.time())
    sys.stdout.write("".join(f"{name}\n" for name in names))
    if not arguments.dry_run:
        act(names)
    word = f"would be {done}" if arguments.dry_run else done
    print(f"nimble-watch: {len(names)} session{'' if len(names) == 1 else 's'} {word}", file=sys.stderr)
    return 0
