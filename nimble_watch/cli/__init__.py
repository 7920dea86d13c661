"""The command line: finds the subcommand, wires everybody to everybody, turns errors into one sentence and a status.

Two ways through it.  `exec` and `run` are read by a parser of our own (`options`), because importing argparse and
building its tree takes as long as starting the interpreter, and a child waits at the end.  Every other subcommand is a
row of `COMMANDS`: a module that is imported only when its name is typed.
"""

from __future__ import annotations

import sys

from nimble_watch.errors import NimbleWatchError, UsageError, closest

WRAPPERS = ("exec", "run")

COMMANDS: dict[str, tuple[str, str]] = {
    "session": ("nimble_watch.cli.session", "the history: init, end, list, summary, compare, annotate and more"),
    "explain": ("nimble_watch.cli.explain", "the page of a kind of obstacle, or what a message may stand for"),
    "kinds": ("nimble_watch.cli.kinds", "every kind of obstacle that is recognised, a line each"),
    "shell": ("nimble_watch.cli.shell", "bash functions and make targets for a repository of yours"),
    "prices": ("nimble_watch.cli.prices", "what shapes, volumes and load balancers cost per hour"),
}
"""Subcommand: the module that has `configure(parser)` and `main(arguments) -> int`, and a line for `--help`."""

_WINDOWS = (
    "it does not run on Windows itself, which has neither the signals nor the process groups by which a phase is kept "
    "unharmed; install it inside WSL, where it runs as on Linux: https://learn.microsoft.com/windows/wsl/install"
)

HIDDEN = {"observe": "nimble_watch.observer"}
"""Subcommands that only we type: modules with `main(words) -> int`."""


def main(words: list[str] | None = None) -> int:
    """Run the command line and give the exit status; for `run` and `exec` this process ends as the child ended."""
    alone = words is None
    words = sys.argv[1:] if words is None else words
    name = words[0] if words else ""
    if sys.platform == "win32":
        _say(_WINDOWS)
        return 125 if name in WRAPPERS else 2
    try:
        return _dispatch(name, words, alone=alone)
    except NimbleWatchError as error:
        _say(str(error))
        return 125 if name in WRAPPERS else error.exit_code
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:
        return _broken_pipe()
    except Exception as error:  # noqa: BLE001  no traceback ever reaches a user
        return _unexpected(name, error)


def _dispatch(name: str, words: list[str], *, alone: bool) -> int:
    if name in WRAPPERS:
        from nimble_watch.cli.wrap import wrap  # only what this subcommand needs

        return wrap(name, words[1:])
    if name in HIDDEN:
        from importlib import import_module

        status: int = import_module(HIDDEN[name]).main(words[1:])
        return status
    if name == "--version":
        from nimble_watch import __version__

        print(f"nimble-watch {__version__}")
        return 0
    if name in ("", "help", "-h", "--help"):
        from nimble_watch.cli.help import overview

        print(overview(), file=sys.stdout if name else sys.stderr)
        return 0 if name else 2
    if name == "session":
        from nimble_watch.cli.quick import EVENTS, tell

        if words[1:] and words[1] in EVENTS and words[2:3] not in (["-h"], ["--help"]):
            return tell(words[1], words[2:], alone=alone)
    if name in COMMANDS:
        from nimble_watch.cli.help import parse

        run, arguments = parse(name, COMMANDS[name], words[1:])
        return run(arguments)
    if name.startswith("-"):
        raise UsageError(f"unknown option {name}", advise="options follow the subcommand; try `nimble-watch --help`")
    meant = closest(name, [*WRAPPERS, *COMMANDS])
    advise = f"did you mean `nimble-watch {meant}`?" if meant else "try `nimble-watch --help`"
    raise UsageError(f"there is no subcommand {name!r}", advise=advise)


def _say(sentence: str) -> None:
    try:
        sys.stderr.write(f"nimble-watch: {sentence}\n")
        sys.stderr.flush()
    except (OSError, AttributeError):
        return  # stderr is full or closed


def _interrupted() -> int:
    from nimble_watch.launcher import die_by

    die_by(2)


def _broken_pipe() -> int:
    """End as any command whose reader went away, without a word from the interpreter's own clean-up."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 141


def _unexpected(name: str, error: Exception) -> int:
    """Say in one sentence what should not have happened, and keep the traceback where it can be looked up."""
    from nimble_watch.cli.crash import keep

    _say(f"this should not have happened: {type(error).__name__}: {error}; {keep(error)}")
    return 125 if name in WRAPPERS else 1
