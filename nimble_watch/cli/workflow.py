"""`run`: which phases the Makefile has, said before the first of them starts."""

from __future__ import annotations

import os
from typing import NoReturn

from nimble_watch.cli.options import Parsed, check_phase
from nimble_watch.errors import UsageError, closest
from nimble_watch.launcher import Order, Step, launch, say
from nimble_watch.runner import (
    DEFAULT_PHASES,
    MAKEFILES,
    database_command,
    is_make,
    make_command,
    missing,
    split_arguments,
    targets_in_database,
    targets_in_text,
)

_NEAR = 4  # make, its shell, perhaps a script in between


def run(parsed: Parsed, *, dry: bool) -> NoReturn:
    """Run the phases under one session; under a make that only pretends, make itself shows what it would do."""
    phases, variables = split_arguments(parsed.words)
    always = parsed.values.get("always", [])
    for phase in (*phases, *always):
        check_phase(phase)
    make = os.environ.get("MAKE") or _callers_make() or "make"
    file, directory = parsed.values.get("file"), parsed.values.get("directory")
    wanted = phases or list(DEFAULT_PHASES)
    absent = _absent([*wanted, *always], make=make, file=file, directory=directory, variables=variables)
    if not phases and absent:
        wanted = [phase for phase in wanted if phase not in absent]
        if not wanted:
            raise UsageError(
                f"the Makefile has none of the phases {', '.join(DEFAULT_PHASES)}",
                where=_where(file, directory),
                advise="name the targets to run: `nimble-watch run TARGET...`",
            )
        if not parsed.values.get("quiet"):
            say(f"the Makefile has no target {', '.join(absent)}: running {', '.join(wanted)}")
    steps, last = (
        [
            Step(
                phase,
                make_command(phase, make=make, file=file, directory=directory, flags=parsed.after, variables=variables),
            )
            for phase in names
        ]
        for names in (wanted, always)
    )
    launch(
        Order(
            "run",
            steps,
            parsed.values,
            operation=parsed.values.get("operation") or "complete-workflow",
            finally_=last,
            recorded=not dry,
        )
    )


def _callers_make() -> str | None:
    """Give the make whose recipe runs us, where it is another than the one on PATH: that may not know its jobserver.

    make hands its name down in no variable, so the parents are looked at; without /proc nothing is found.
    """
    pid = os.getppid() if "MAKELEVEL" in os.environ else 0
    try:
        for _ in range(_NEAR):
            program = os.readlink(f"/proc/{pid}/exe")
            if is_make(program):
                import shutil

                usual = shutil.which("make")
                return None if usual is not None and os.path.samefile(program, usual) else program
            with open(f"/proc/{pid}/stat", "rb") as stat:
                pid = int(stat.read().rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        pass  # not to be found, which is no fault
    return None


def _absent(
    phases: list[str], *, make: str, file: str | None, directory: str | None, variables: list[str]
) -> list[str]:
    """Name the default phases that the Makefile lacks; one that was asked for by name and is missing is an error."""
    folder = directory or "."
    path = file or next((name for name in MAKEFILES if os.path.isfile(os.path.join(folder, name))), None)
    if not os.path.isdir(folder):
        raise UsageError("there is no such folder", where=os.path.abspath(folder), advise="check -C")
    if path is None:
        raise UsageError(
            "there is no Makefile here",
            where=os.path.abspath(folder),
            advise="change to its folder, or name it: -C DIR or -f FILE",
        )
    try:
        with open(os.path.join(folder, path), encoding="utf-8", errors="replace") as text:
            found = targets_in_text(text.read())
    except OSError as error:
        raise UsageError(
            f"cannot read the Makefile: {error.strerror}", where=os.path.join(folder, path), advise="check -f and -C"
        ) from error
    lacking = missing(phases, found)
    if lacking:
        known, anything = _database(make, file, directory, variables)
        if anything or not known:
            return []  # a rule for any name, or a Makefile that make cannot read: make itself says what is wrong
        found |= known
        lacking = [phase for phase in missing(lacking, found) if not os.path.exists(os.path.join(folder, phase))]
    asked = [phase for phase in lacking if phase not in DEFAULT_PHASES]
    if asked:
        meant = closest(asked[0], sorted(found))
        raise UsageError(
            f"the Makefile has no target {asked[0]}",
            where=os.path.join(folder, path),
            advise=f"did you mean {meant}?" if meant else f"it has {', '.join(sorted(found)[:12])}",
        )
    return lacking


def _database(make: str, file: str | None, directory: str | None, variables: list[str]) -> tuple[set[str], bool]:
    """Ask make for its targets; reading a Makefile runs its $(shell ...) calls, as every make does, and no recipe."""
    read, write = os.pipe()
    command = database_command(make=make, file=file, directory=directory, variables=variables)
    environ = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    try:
        child = os.posix_spawnp(
            make,
            command,
            environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, write, 1),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
        )
    except OSError:
        os.close(read)
        os.close(write)
        return set(), False  # no make: the first phase says so
    os.close(write)
    with open(read, encoding="utf-8", errors="replace") as output:
        text = output.read()
    os.waitpid(child, 0)
    return targets_in_database(text)


def _where(file: str | None, directory: str | None) -> str:
    return os.path.abspath(os.path.join(directory or ".", file or ""))
