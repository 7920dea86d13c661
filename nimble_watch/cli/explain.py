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
    helped = what_helped(Path(sessions_directory(arguments.sessions, dict(os.environb))), words)
    before = [fill(f"In your sessions: {text}", 100) for text in helped_before(helped)]
    if words in every:
        print("\n\n".join((f"{words} ({all_rules()[words].type})", every[words].strip(), *before)))
        return 0
    if before:  # a type, as scripts log it
        ours = ", ".join(kind for kind, rule in all_rules().items() if rule.type == words)
        print("\n\n".join((clean(words), *before, *([fill(f"Kinds of this type: {ours}", 100)] if ours else []))))
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
