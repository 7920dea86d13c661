"""`exec` and `run`: from the words that were typed to the order the launcher carries out."""

from __future__ import annotations

import os

from nimble_watch.cli.options import LONGEST, check_phase, parse
from nimble_watch.errors import UsageError
from nimble_watch.launcher import Order, Step, launch
from nimble_watch.runner import is_dry, is_make

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from nimble_watch.cli.options import Parsed


def wrap(command: str, words: list[str]) -> int:  # noqa: RET503  the launcher never comes back
    """Carry out `exec` or `run`; comes back only with help shown, or when there is nothing to do."""
    parsed = parse(command, words)
    if parsed.help:
        from nimble_watch.cli.help import wrapper_help

        print(wrapper_help(command))
        return 0
    if parsed.values.get("observe"):
        _check_observe(parsed.values)
    dry = is_dry(dict(os.environb))
    if command == "exec":
        if dry and b"MAKELEVEL" in os.environb and parsed.after and not is_make(parsed.after[0]):
            return 0  # under `make -n`, -q and -t a recipe's command is not run; our `+` must not change that
        _exec(parsed, dry=dry)
    from nimble_watch.cli.workflow import run

    run(parsed, dry=dry)


def _check_observe(values: dict[str, Any]) -> None:
    """Refuse to see the output and to leave it alone at once."""
    for name in ("passthrough", "survive"):
        if values.get(name):
            raise UsageError(f"--observe and --{name} contradict each other", advise="give one of the two")


def _exec(parsed: Parsed, *, dry: bool) -> NoReturn:
    if not parsed.after:
        raise UsageError("exec needs a command", advise="type `nimble-watch exec --phase NAME -- COMMAND`")
    phase = parsed.values.get("phase") or os.environ.get("NIMBLE_WATCH_PHASE") or _name_of(parsed.after[0])
    check_phase(phase)
    launch(
        Order(
            "exec",
            [Step(phase, parsed.after)],
            parsed.values,
            operation=parsed.values.get("operation") or phase,
            recorded=not dry,
        )
    )


def _name_of(program: str) -> str:
    name = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in program.rpartition("/")[2])
    return name.lstrip("-.")[:LONGEST] or "command"
