"""What the tests of our own death share: a phase that waits to be let go, who is who, and what a whole session is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.permissions import Permission, allowed, refused
from tests.process.sides import nimble_watch, until


def waiting(folder: Path, *, ends: int = 0) -> list[str]:
    """Give a command that says `up PID` in `folder/child`, waits for `folder/go`, says `gone`, and ends so."""
    program = f"""
import os, sys, time
say = open({str(folder / "child")!r}, "a", buffering=1)
say.write("up %d\\n" % os.getpid())
while not os.path.exists({str(folder / "go")!r}):
    time.sleep(0.02)
say.write("gone\\n")
sys.exit({ends})
"""
    return [sys.executable, "-S", "-c", program]


def child_of(folder: Path) -> int:
    """Wait until that command is up, and give its process id."""
    said = folder / "child"
    until(lambda: said.exists() and "\n" in said.read_text(), "the child's start")
    return int(said.read_text().split()[1])


def phase(*command: str, options: tuple[str, ...] = (), name: str = "install") -> list[str]:
    """Give `exec` of a phase."""
    return [*nimble_watch(), "exec", "--phase", name, *options, "--", *command]


def observer_of(launcher: int) -> psutil.Process:
    """Wait for a launcher's observer."""

    def found() -> psutil.Process | None:
        children = psutil.Process(launcher).children()
        return next((one for one in children if "observe" in one.cmdline() and "--control" in one.cmdline()), None)

    one = until(found, "the observer's start")
    assert isinstance(one, psutil.Process)
    return one


def sessions_in(folder: Path) -> list[dict[str, Any]]:
    """Give the sessions that have a file, oldest first."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("session-*.json"))]


def open_in(folder: Path) -> list[Path]:
    """Give the journal folders of the sessions that are open."""
    return sorted((folder / ".journal").glob("session-*"))


def recorded(folder: Path, kind: str) -> bool:
    """Tell whether some journal of an open session holds a record of that kind."""
    return any(f'"type":"{kind}"' in path.read_text() for path in (folder / ".journal").glob("session-*/*.jsonl"))


def ended(folder: Path) -> dict[str, Any]:
    """Wait for the end of the only session, and give it."""
    until(lambda: [one["state"] for one in sessions_in(folder)] == ["ended"], "the session's end")
    until(lambda: not open_in(folder), "the journals' end")
    (session,) = sessions_in(folder)
    assert session["performance"]["total_duration_ms"] is None or session["performance"]["total_duration_ms"] >= 0
    assert (folder / "all-sessions.txt").read_text().count(session["session_id"]) == 1
    assert (folder / f"summary-{session['session_id']}.txt").exists()
    return session


def mounting() -> list[str]:
    """Give the beginning of a command that may mount, where nobody else sees it, if the machine allows it."""
    return allowed(Permission.MOUNT, ("unshare", "--mount"), to=("mount", "--bind", "/tmp", "/tmp"))


@contextmanager
def small_disk(folder: Path, *options: str) -> Iterator[Path]:
    """Mount a file system of one megabyte, where the machine allows it."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", ",".join(("size=1m", *options)), "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
        check=False,
    )
    if done.returncode != 0:
        refused(Permission.MOUNT, done.stderr)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def fill(folder: Path) -> None:
    """Write a disk full, to its last byte."""
    with (folder / "filler").open("wb", buffering=0) as file:
        size = 65536
        while size:
            try:
                if file.write(b"x" * size) < size:
                    size //= 2
            except OSError:
                size //= 2


def with_clock(shims: Path, told: Path) -> dict[str, str]:
    """Give an environment in which the file `told` sets the machine's clock and has it sleep."""
    told.write_text("0 0")
    return {**os.environ, "PYTHONPATH": str(shims / "clock"), "NIMBLE_WATCH_TEST_CLOCK": str(told)}
