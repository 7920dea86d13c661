"""What an event of a shell script costs: `log_obstacle` from the installed scripts, against a bare interpreter.

Each is told into a session that has one obstacle and one phase already, as most have by the time something goes wrong.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench._plain import plain_install
from tests.bench.start import until_end

EVENT = "log_obstacle install timeout 'a description' 'a cause' 'a fix' 3 .050"
GOAL_MS = 60


def measure(*, brief: bool) -> Iterator[str]:
    """Yield the medians of the program, of the function in a running shell, and their ratio to a bare interpreter."""
    rounds = 15 if brief else 41
    with plain_install() as bin_folder, TemporaryDirectory(prefix="nimble-watch-bench-") as folder:
        environ = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
        environ |= {"NIMBLE_WATCH_SESSIONS": str(Path(folder) / "sessions")}
        subprocess.run(
            ["nimble-watch", "shell", "--install", folder], env=environ, check=True, stdout=subprocess.DEVNULL
        )
        library = Path(folder) / "_lib.sh"
        source = f"source {library}; "
        ways = {
            "bare": [str(bin_folder / "python3"), "-c", "pass"],
            "shell": ["bash", "-c", source],
            "event": ["bash", "-c", source + EVENT],
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(rounds + 2):
            shutil.rmtree(environ["NIMBLE_WATCH_SESSIONS"], ignore_errors=True)
            subprocess.run(["bash", "-c", f"{source}init_session; start_phase install; {EVENT}"],
                           env=environ, check=True, stdout=subprocess.DEVNULL)  # fmt: skip
            for name, command in ways.items():
                seconds = until_end(command, environ)
                if turn >= 2:  # the first rounds warm the caches
                    taken[name].append(seconds * 1000)
    median = {name: statistics.median(values) for name, values in taken.items()}
    event = median["event"] - median["shell"]
    yield f"log_obstacle: {event:.0f} ms, {event / median['bare']:.1f} times a bare `python3 -c pass` of {median['bare']:.0f} ms (goal: at most {GOAL_MS} ms; medians of {rounds})"  # noqa: E501  one line of output
