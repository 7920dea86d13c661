"""The shortest way to an event that a script tells: it waits for each, and a workflow tells dozens.

What is left out, in CPU time where a bare interpreter takes 10 ms: argparse and its tree (25 ms), typing_extensions
(10), tearing the interpreter down (7), looking for garbage while importing (4).
"""

from __future__ import annotations

import gc
import os
import sys

EVENTS = ("init", "start-phase", "end-phase", "log-obstacle", "update-costs", "plan-costs")
"""The subcommands of `session` that go this way; `events` has what they do."""


def tell(name: str, words: list[str], *, alone: bool) -> int:
    """Record one event and give the exit status; `alone` (nobody else lives in this process) ends it here."""
    gc.disable()
    try:
        status = _tell(name, words)
    finally:
        gc.enable()
    if alone:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def _tell(name: str, words: list[str]) -> int:
    # msgspec takes two functions from typing_extensions if it is there, which since Python 3.11 are those of typing.
    hidden = "typing_extensions" not in sys.modules
    if hidden:
        sys.modules["typing_extensions"] = None  # type: ignore[assignment]
    try:
        import msgspec  # noqa: F401  imported here, so that nothing else is imported while the name is hidden
    finally:
        if hidden:
            del sys.modules["typing_extensions"]
    from nimble_watch.cli import events

    return events.tell(name, words)
