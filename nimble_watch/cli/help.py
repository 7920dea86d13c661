"""What `--help` shows, and argparse for the subcommands that no child waits for."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from importlib import import_module
from typing import NoReturn

from nimble_watch.cli import COMMANDS
from nimble_watch.cli.options import OPTIONS
from nimble_watch.errors import UsageError, closest

# argparse's own words; newer Pythons leave the quotes away from what is known.
_CHOICE = re.compile(
    r"argument (?P<what>.+?): invalid choice: '?(?P<word>.*?)'? \(choose from (?P<known>.+)\)", re.DOTALL
)

_EXIT_STATUS = """exit status:
  the child's own; a child ended by a signal ends nimble-watch by the same signal (137 for KILL)
  121  a phase was stopped by --fail-fast
  124  a phase ran into its --timeout (137 if only KILL ended it)
  125  our own fault before the child started: usage, configuration
  126  the command cannot be run     127  the command was not found"""

_USAGE = {
    "exec": "nimble-watch exec [OPTION...] [--] COMMAND [ARGUMENT...]",
    "run": "nimble-watch run [OPTION...] [PHASE...] [NAME=value...] [-- MAKE-FLAG...]",
}

_ABOUT = {
    "exec": "Runs one command as a phase, unharmed, and watches the cluster. It joins the session that is open, "
    "or makes one of its own.",
    "run": "Runs phases of a Makefile in order (default: discover prereqs install verify) under one session, and stops "
    "at the first that fails.",
}


def overview() -> str:
    """Give what `nimble-watch --help` shows."""
    rows = {"run [PHASE...]": "the phases of a Makefile, in order, under one session"}
    rows["exec --phase NAME -- CMD"] = "one command, under the open session or one of its own"
    rows.update({name: text for name, (_, text) in COMMANDS.items()})
    width = max(map(len, rows)) + 2
    lines = [f"  {name:<{width}}{text}" for name, text in rows.items()]
    return "\n".join(
        [
            "usage: nimble-watch SUBCOMMAND ...",
            "",
            "Runs deployment phases unharmed, watches the cluster, and says at once what is wrong, why, what to do and",
            "what it costs.",
            "",
            "subcommands:",
            *lines,
            "",
            "Each has its own --help. Usage errors end with 2 (run and exec: 125).",
            "",
            _EXIT_STATUS,
        ]
    )


def wrapper_help(command: str) -> str:
    """Give what `exec --help` and `run --help` show."""
    import textwrap

    rows = []
    for option in OPTIONS:
        if command in option.where:
            spelled = ", ".join(option.spellings) + (f" {option.metavar}" if option.metavar else "")
            rows.append((spelled, option.help))
    rows.append(("-h, --help", "this text"))
    width = max(len(spelled) for spelled, _ in rows) + 2
    lines = []
    for spelled, text in rows:
        first, *more = textwrap.wrap(text, 100 - width)
        lines += [f"  {spelled:<{width}}{first}", *(f"  {'':<{width}}{line}" for line in more)]
    about = textwrap.wrap(_ABOUT[command], 100)
    return "\n".join([f"usage: {_USAGE[command]}", "", *about, "", "options:", *lines, "", _EXIT_STATUS])


def parse(
    name: str, row: tuple[str, str], words: list[str]
) -> tuple[Callable[[argparse.Namespace], int], argparse.Namespace]:
    """Import a subcommand's module, let it describe its arguments, and read them."""
    module = import_module(row[0])
    parser = _Parser(prog=f"nimble-watch {name}", description=row[1])
    module.configure(parser)
    run: Callable[[argparse.Namespace], int] = module.main
    return run, parser.parse_args(words)


class _Parser(argparse.ArgumentParser):
    """argparse whose complaints are ours: one sentence, the status decided by `cli.main`."""

    def error(self, message: str) -> NoReturn:
        if wrong := _CHOICE.fullmatch(message):
            known = wrong["known"].replace("'", "").split(", ")
            meant = closest(wrong["word"], known)
            message = f"{wrong['what']} cannot be {wrong['word']!r}"
            if meant:
                raise UsageError(f"{self.prog}: {message}", advise=f"did you mean {meant}?")
            message = f"{message}: there are {', '.join(known)}"
        raise UsageError(f"{self.prog}: {message}", advise=f"try `{self.prog} --help`")
