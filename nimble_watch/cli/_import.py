"""`session import`: sessions of others, once each, and what became of every one of them."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from nimble_watch.claim import JOURNALS
from nimble_watch.cleaning import clean
from nimble_watch.cli import _naming
from nimble_watch.imports import Found, Taken, Taking, Trouble, found_in
from nimble_watch.store import locked, make_folders

_WORDS = {
    "new": "imported",
    "newer": "brought up to date",
    "here": "here already",
    "older": "here in a newer revision",
    "refused": "refused",
}


def configure(room: argparse.ArgumentParser) -> None:
    """Add what is imported."""
    room.add_argument(
        "path",
        nargs="+",
        help="a folder of sessions or of CI artefacts, a .zip, .tar.gz, .json, .json.gz or .jsonl, whatever its name",
    )
    room.add_argument("--dry-run", action="store_true", help="say what would become of each, and write nothing")


def take_in(arguments: argparse.Namespace, folder: Path) -> int:
    """Import what the paths hold; end with 1 if something in them could not be."""
    if arguments.dry_run:
        return _take_in(arguments, folder)
    make_folders(folder)
    with locked(folder / JOURNALS / "import.lock"):  # two at once would each number the sessions
        return _take_in(arguments, folder)


def _take_in(arguments: argparse.Namespace, folder: Path) -> int:
    taking = Taking(folder, dry=arguments.dry_run)
    counted: Counter[str] = Counter()
    try:
        for became in (became for given in arguments.path for became in _from(given, taking)):
            _tell(became)
            counted[became.outcome if isinstance(became, Taken) else "refused"] += 1
    finally:
        taking.finish()
    told = ", ".join(f"{counted[outcome]} {word}" for outcome, word in _WORDS.items() if counted[outcome])
    would = "a dry run, nothing was written: " if arguments.dry_run else ""
    _naming.warn([would + (told or "nothing to import")])
    return int(counted["refused"] > 0)


def _from(given: str, taking: Taking) -> Iterator[Taken | Trouble]:
    """Take in what a path holds, one session after the other."""
    anything = False
    for found in found_in(Path(given)):
        anything = True
        yield from taking.take(found) if isinstance(found, Found) else [found]
    if not anything:
        yield Trouble(given, "holds no sessions")


def _tell(became: Taken | Trouble) -> None:
    """Name a session that came on stdout, and everything that is wrong on stderr."""
    if isinstance(became, Trouble):
        _naming.warn([str(became)])
        return
    if became.outcome in ("new", "newer"):
        sys.stdout.write(f"{became.session_id}\n")
    _naming.warn([clean(f"{became.where}: {sentence}") for sentence in became.said])
