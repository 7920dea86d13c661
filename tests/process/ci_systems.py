"""CI systems as the processes of a step meet them when the job is cancelled, in shortened time.

What each sends, and to whom, read in their sources or manuals (2026): the GitHub runner and the Azure agent, which
share the code, tell the step's first process alone; GitLab's shell executor and Buildkite tell its process group;
Jenkins tells every process that carries a variable of its own, children first (here it is that of the sessions).
All of them read the step's output until its end.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM, Signals
from typing import NamedTuple

import psutil

from tests.process.conftest import ours
from tests.process.sides import end, kill

To = Callable[[int, Path], list[int]]


class System(NamedTuple):
    """The order in which a CI system gets louder, and whom it tells."""

    name: str
    signals: tuple[Signals, ...]
    to: To


def first_process(entry: int, sessions: Path) -> list[int]:
    """Give the step's first process."""
    del sessions
    return [entry]


def group(entry: int, sessions: Path) -> list[int]:
    """Give its process group."""
    del sessions
    return [-entry]


def everyone(entry: int, sessions: Path) -> list[int]:
    """Give every process that carries the step's variable, the youngest first."""
    del entry
    return [process.pid for process in sorted(ours(sessions), key=psutil.Process.create_time, reverse=True)]


GITHUB = System("github", (SIGINT, SIGTERM, SIGKILL), first_process)
GITLAB = System("gitlab", (SIGTERM, SIGKILL), group)
JENKINS = System("jenkins", (SIGTERM, SIGKILL), everyone)
AZURE = System("azure", (SIGINT, SIGTERM, SIGKILL), first_process)
BUILDKITE = System("buildkite", (SIGTERM, SIGKILL), group)
EVERY = (GITHUB, GITLAB, JENKINS, AZURE, BUILDKITE)


class Job:
    """A running step whose stdout and stderr are two pipes that somebody reads, as a runner does."""

    def __init__(self, process: subprocess.Popen[bytes], sessions: Path) -> None:
        self.process = process
        self._sessions = sessions
        self._readers = [
            threading.Thread(target=pipe.read, daemon=True) for pipe in (process.stdout, process.stderr) if pipe
        ]
        for reader in self._readers:
            reader.start()

    def cancel(self, system: System, wait: float) -> None:
        """Cancel it: louder after each `wait` seconds, until those whom it looks at have ended."""
        for number in system.signals:
            for pid in system.to(self.process.pid, self._sessions):
                try:
                    kill(pid, number)
                except ProcessLookupError:
                    continue
            try:
                end(self.process, wait)
            except subprocess.TimeoutExpired:
                continue
            if system.to is not everyone:
                return
            until_gone = time.monotonic() + wait
            while ours(self._sessions) and time.monotonic() < until_gone:
                time.sleep(0.01)
        end(self.process)

    def output_ends(self, seconds: float) -> bool:
        """Tell whether both pipes came to their end: a runner waits for that, so nobody may hold them."""
        for reader in self._readers:
            reader.join(seconds)
        ended = not any(reader.is_alive() for reader in self._readers)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None and ended:
                pipe.close()
        return ended
