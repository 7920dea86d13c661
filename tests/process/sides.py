"""The same command with us and without us, side by side, as real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil

PACKAGE = Path(__file__).parents[2] / "nimble_watch"
LIMIT = 30.0


class Outcome(NamedTuple):
    """How a command ended, and what it wrote."""

    status: int  # negative: the signal, as subprocess has it
    out: bytes
    err: bytes


class Told(NamedTuple):
    """How a command that was treated in some way ended, what it wrote, and which signals it saw."""

    status: int
    out: bytes
    err: bytes
    signals: list[str]


def nimble_watch(package: Path = PACKAGE) -> list[str]:
    """Give the start of a command line of ours."""
    return [sys.executable, "-P", str(package / "__main__.py")]


def wrapped(command: Sequence[str], *options: str, package: Path = PACKAGE) -> list[str]:
    """Give the command under `exec -q`."""
    return [*nimble_watch(package), "exec", "-q", *options, "--", *command]


def run(command: Sequence[str], **settings: Any) -> Outcome:
    """Run a command to its end, without a terminal and with nothing on stdin."""
    settings = {"stdin": subprocess.DEVNULL, "start_new_session": True, **settings}
    done = subprocess.run(command, capture_output=True, timeout=LIMIT, check=False, **settings)
    return Outcome(done.returncode, done.stdout, done.stderr)


def start(command: Sequence[str], **settings: Any) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, so without a terminal."""
    settings = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
        "start_new_session": True,
        **settings,
    }
    return subprocess.Popen(command, **settings)


def end(process: subprocess.Popen[bytes], seconds: float = LIMIT) -> int:
    """Wait for the end and give the status."""
    return process.wait(timeout=seconds)


def beside(
    command: Callable[[Path], Sequence[str]],
    treat: Callable[[int, Path], None],
    folder: Path,
    *options: str,
    package: Path = PACKAGE,
) -> tuple[Told, Told]:
    """Treat a command in the same way without us and with us, and give what became of each.

    `command` is made for the file that it says `ready PID` in, and logs its signals to, as a `recorder` does; `treat`
    gets the process that was started (ours, or the command itself) and that file.
    """
    told = []
    for name, before in (("bare", []), ("ours", wrapped([], *options, package=package))):
        log = folder / name
        process = start([*before, *command(log)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            ready(log)
            treat(process.pid, log)
            out, err = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
            process.communicate()
        told.append(Told(process.returncode, out, err, signals(log)))
    return told[0], told[1]


def until(condition: Callable[[], Any], what: str, seconds: float = 15.0) -> Any:
    """Wait for a condition and give its value; a limit, not a measurement."""
    give_up = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > give_up:
            raise AssertionError(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(0.01)
    return value


def says(path: Path, text: str) -> Callable[[], bool]:
    """Give a condition: the file holds the text."""
    return lambda: path.exists() and text in path.read_text(errors="replace")


def alive(pid: int) -> bool:
    """Tell whether a process runs, zombies left out."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def state(pid: int) -> str:
    """Give the process's state: running, sleeping, stopped, ..."""
    return str(psutil.Process(pid).status())


def recorder(log: Path, *, ends: str = "", aloud: bool = False) -> list[str]:
    """Give a command that logs each signal it gets, and says `ready` once it would; `ends` names those it ends on.

    `aloud` has it say the signals to its stdout and stderr, too.
    """
    names = ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "ALRM"]
    program = f"""
import os, signal, sys
log = os.open({str(log)!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def got(number, frame):
    name = signal.Signals(number).name[3:]
    for descriptor in (log, 1, 2) if {aloud} else (log,):
        os.write(descriptor, (name + "\\n").encode())
    if name in {ends.split()!r}:
        os._exit(3)
for name in {names!r}:
    number = getattr(signal, "SIG" + name)
    if signal.getsignal(number) != signal.SIG_IGN:
        signal.signal(number, got)
os.write(log, ("ready %d\\n" % os.getpid()).encode())
while True:
    signal.pause()
"""
    return [sys.executable, "-S", "-c", program]


def ready(log: Path) -> int:
    """Wait until a recorder is ready and give its process id."""
    until(says(log, "\n"), "the child's start")
    return int(log.read_text().split()[1])


def signals(log: Path) -> list[str]:
    """Give the signals a recorder logged, in order."""
    return log.read_text().split()[2:]


def kill(pid: int, number: signal.Signals) -> None:
    """Send a signal, also to a group (negative)."""
    if pid < 0:
        os.killpg(-pid, number)
    else:
        os.kill(pid, number)
