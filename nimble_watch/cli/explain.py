"""`nimble-watch explain`: the page of a kind and what helped before, or what a state or a message may stand for."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from textwrap import fill

from nimble_watch.claim import sessions_directory
from nimble_watch.cleaning import clean
from nimble_watch.errors import UsageError, closest
from nimble_watch.rules import Said, all_rules, pages, said_by
from nimble_watch.session import helped_before
from nimble_watch.store import what_helped


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("subject", nargs="+", metavar="WORDS", help="a kind, a reason such as ErrImagePull, a message")
    parser.add_argument("--sessions", metavar="DIR", help="the folder of the sessions that say what helped before")


def main(arguments: argparse.Namespace) -> int:
    """Print the page of the kind named and what helped before, else the kinds that the words may stand for."""
    words = " ".join(arguments.subject).strip()
    every = pages()
    if words in every:
        print(f"{words} ({all_rules()[words].type})\n\n{every[words].strip()}")
        folder = Path(sessions_directory(arguments.sessions, dict(os.environb)))
        for text in helped_before(what_helped(folder, words)):
            print(f"\n{fill(f'In your sessions: {text}', 100)}")
        return 0
    kinds = said_by(Said(message=words)) or [
        kind for kind, page in every.items() if words.casefold() in page.casefold()
    ]
    if not kinds:
        meant = closest(words, list(every))
        advise = f"did you mean `nimble-watch explain {meant}`?" if meant else "`nimble-watch kinds` names them all"
        raise UsageError(f"no kind is called, and none is known by, {clean(words)!r}", advise=advise)
    print("It may stand for these; `nimble-watch explain KIND` has the page:\n")
    for kind in kinds:
        print(f"  {kind:<24}{every[kind].strip().partition(chr(10))[0]}")
    return 0
