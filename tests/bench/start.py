"""How long until the child runs: `nimble-watch exec -- CMD` against a bare interpreter and against a shell.

The child says that it runs by writing a byte into a descriptor of ours that everybody in between passes on, so output
taps and clean-up after the end do not count.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench._plain import plain_install

SAYS = "echo >&9"


def measure(*, brief: bool) -> Iterator[str]:
    """Yield the ratios of medians, the three taken in turn."""
    rounds = 15 if brief else 61
    with plain_install() as bin_folder, TemporaryDirectory(prefix="nimble-watch-bench-") as sessions:
        environ = {**os.environ, "NIMBLE_WATCH_SESSIONS": sessions, "KUBECONFIG": os.devnull}
        ways = {
            "shell": ["sh", "-c", SAYS],
            "bare": [str(bin_folder / "python3"), "-c", "pass"],
            "exec": [str(bin_folder / "nimble-watch"), "exec", "-q", "--phase", "bench", "--", "sh", "-c", SAYS],
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(rounds + 2):
            for name, command in ways.items():
                seconds = until_end(command, environ) if name == "bare" else until_said(command, environ)
                if turn >= 2:  # the first rounds warm the caches
                    taken[name].append(seconds)
        median = {name: statistics.median(values) for name, values in taken.items()}
    yield f"child started after {median['exec'] / median['bare']:.2f} times a bare `python3 -c pass` (goal: at most 2)"
    yield f"child started after {median['exec'] / median['shell']:.1f} times a bare `sh -c` (medians of {rounds})"


def until_end(command: list[str], environ: dict[str, str]) -> float:
    """Give the seconds from start to end."""
    began = time.perf_counter()
    subprocess.run(command, env=environ, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def until_said(command: list[str], environ: dict[str, str]) -> float:
    """Give the seconds from start to the byte, then wait for the end, so that rounds do not overlap."""
    read, write = os.pipe()
    os.dup2(write, 9, inheritable=True)
    began = time.perf_counter()
    with Path(os.devnull).open("wb") as nowhere:
        process = subprocess.Popen(
            command, env=environ, stdin=subprocess.DEVNULL, stdout=nowhere, stderr=nowhere, close_fds=False
        )
    os.close(9)
    os.close(write)
    said = os.read(read, 1)
    seconds = time.perf_counter() - began
    os.close(read)
    if process.wait() or not said:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode} and said {said!r}")
    return seconds
