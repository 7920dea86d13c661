"""`nimble-watch explain`: the page of a kind, or the kinds that a state or a pasted message may stand for."""

from __future__ import annotations

import argparse

from nimble_watch.cleaning import clean
from nimble_watch.errors import UsageError, closest
from nimble_watch.rules import Said, all_rules, pages, said_by


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("subject", nargs="+", metavar="WORDS", help="a kind, a reason such as ErrImagePull, a message")


def main(arguments: argparse.Namespace) -> int:
    """Print the page of the kind named, else the kinds that the words are a message or a sign of."""
    words = " ".join(arguments.subject).strip()
    every = pages()
    if words in every:
        print(f"{words} ({all_rules()[words].type})\n\n{every[words].strip()}")
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
