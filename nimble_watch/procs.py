"""What a phase's own processes run: their arguments and kubeconfig, read from /proc.

On a terminal the output is not ours to see, and a script does not echo its commands; but the kubectl or helm that it
runs is there to be looked at.  Where there is no /proc nothing is found, which is no error.
Only the names of clusters are of interest: arguments are cleaned, and of the environment one variable is read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from nimble_watch.cleaning import clean, clean_argv, learn_arguments
from nimble_watch.signals import Command

_MOST = 512
_ARGUMENTS = 64 * 1024
_KUBECONFIG = b"KUBECONFIG="


class Processes:
    """The processes below one phase's own; each command is told once."""

    def __init__(self, phase: str, pid: int) -> None:
        self._phase = phase
        self._pid = pid
        self._known: set[tuple[int, tuple[str, ...]]] = set()

    def look(self, now: float) -> list[Command]:
        """Give the commands that are new since the last look."""
        found = []
        for pid in _below(self._pid):
            with contextlib.suppress(OSError):
                argv = _argv(Path(f"/proc/{pid}"))
                if argv and (pid, argv) not in self._known:
                    self._known.add((pid, argv))
                    found.append(Command(now, self._phase, argv, _kubeconfig(Path(f"/proc/{pid}"))))
        return found


def _below(pid: int) -> Iterator[int]:
    """Give a process and its descendants, parents first."""
    waiting = [pid]
    for _ in range(_MOST):
        if not waiting:
            return
        at = waiting.pop(0)
        yield at
        with contextlib.suppress(OSError, ValueError):
            for thread in Path(f"/proc/{at}/task").iterdir():
                waiting.extend(int(child) for child in (thread / "children").read_bytes().split())


def _argv(process: Path) -> tuple[str, ...]:
    with (process / "cmdline").open("rb") as file:
        raw = file.read(_ARGUMENTS)
    words = raw.rstrip(b"\0").split(b"\0") if raw else []
    told = [word.decode("utf-8", "replace") for word in words]
    learn_arguments(told)  # a command that complains may print them
    return tuple(clean_argv(told))


def _kubeconfig(process: Path) -> str:
    with contextlib.suppress(OSError):
        for entry in (process / "environ").read_bytes().split(b"\0"):
            if entry.startswith(_KUBECONFIG):
                return clean(entry[len(_KUBECONFIG) :].decode("utf-8", "replace"))
    return ""
