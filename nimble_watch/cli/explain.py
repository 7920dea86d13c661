"""`nimble-watch explain`: the page of a kind, or the kinds that a state or a pasted message may stand for."""

from __future__ import annotations

import argparse

from nimble_watch.errors import UsageError, closest
from nimble_watch.rules import all_rules, pages


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("subject", nargs="+", metavar="KIND, REASON or WORDS", help="what to explain")


def main(arguments: argparse.Namespace) -> int:
    """Print the page of the kind named, else the kinds whose pages mention the words."""
    words = " ".join(arguments.subject).strip()
    every = pages()
    if words in every:
        print(f"{words} ({all_rules()[words].type})\n\n{every[words].strip()}")
        return 0
    mention = [kind for kind, page in every.items() if words.casefold() in page.casefold()]
    if not mention:
        meant = closest(words, list(every))
        advise = f"did you mean `nimble-watch explain {meant}`?" if meant else "`nimble-watch kinds` names them all"
        raise UsageError(f"no kind is called {words!r} and no page mentions it", advise=advise)
    print(f"{words}: a sign of these kinds; `nimble-watch explain KIND` has the page\n")
    for kind in mention:
        print(f"  {kind:<24}{every[kind].strip().split(chr(10), 1)[0]}")
    return 0
