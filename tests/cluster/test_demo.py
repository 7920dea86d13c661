"""`make demo` as a newcomer meets it: no terminal, no input, nothing of theirs touched, nothing left running."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cluster.harness import build, until

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.cluster


class Demo:
    """A demo that runs, with a folder of its own and its output in a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "demo"
        self._output = folder / "output"
        home = folder / "home-of-the-user"
        home.mkdir()
        self.home = home
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "deploy/demo/demo.py", "--dir", str(self.folder)],
                cwd=ROOT,
                # Settings that a user may have, and that must not reach the demo.
                env={**os.environ, "HOME": str(home), "KUBECONFIG": "/not/theirs", "NAMESPACE": "precious",
                     "ENVIRONMENT": "production", "NGC_API_KEY": "nvapi-precious", "CI": "true"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    def output(self) -> str:
        """Return what it has printed so far."""
        return self._output.read_text(errors="replace")

    def see(self, text: str) -> None:
        """Wait until it has printed a text."""
        until(lambda: text in self.output() or self.process.poll() is not None, text, limit=120)
        assert text in self.output()

    def left(self) -> list[str]:
        """Return the command lines of processes that belong to it."""
        found = []
        for process in psutil.process_iter():
            try:
                belongs = str(self.folder) in (process.environ().get("HOME", "") + " ".join(process.cmdline()))
                if belongs and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline()))
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """Start a demo, on a cluster that has been built, and see to its end."""
    build()
    demo = Demo(tmp_path)
    yield demo
    demo.process.kill()
    demo.process.wait()
    until(lambda: not demo.left(), f"the end of {demo.left()}", limit=90)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_demo_shows_an_obstacle_from_its_beginning_to_its_end(demo: Demo) -> None:
    """Cause, fix, delay and cost; then files, and how to look at them."""
    assert demo.process.wait(timeout=300) == 0, demo.output()
    output = demo.output()
    assert "image-auth: nvcr.io refuses nvcr.io/nim/meta/llama-3.1-8b-instruct" in output
    assert "401 Unauthorized" in output
    assert "$2.00 per hour" in output
    assert "[a colleague] Renewed" in output.replace("The key has expired. ", "")
    assert re.search(r"image-auth: fixed after \d", output)
    assert "verified   nim serves" in output
    assert "nvapi-" not in output
    assert demo.left() == []
    assert not (demo.folder / "cluster").exists()
    # Go's own notes, which it makes whenever it is asked for its version, are all that may be there.
    touched = [path for path in demo.home.rglob("*") if path.is_file() and ".config/go/" not in str(path)]
    assert touched == []
    # What it advises works as it stands there.
    advice = output.split("Look at them with\n\n")[1].split("\n\n")[0]
    commands = [line.strip() for line in advice.splitlines()]
    assert len(commands) == 5
    for command in commands[1:]:
        done = subprocess.run(
            ["sh", "-c", f"{commands[0]}; exec {command}"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{shlex.quote(command)}: {done.stderr}"
        assert done.stdout


def test_an_interrupted_demo_leaves_nothing_that_runs(demo: Demo) -> None:
    """While helm waits for an image that it may not have."""
    demo.see("image-auth: ")
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(timeout=120) == -signal.SIGINT, demo.output()
    assert "demo: stopped by SIGINT" in demo.output()
    assert "Traceback" not in demo.output()
    until(lambda: not demo.left(), "the last of its processes to be gone", limit=10)
    assert not (demo.folder / "cluster").exists()
    assert (demo.folder / "sessions" / "current.json").exists()


def test_a_killed_demo_leaves_nothing_that_runs(demo: Demo) -> None:
    """Nobody can clean up after kill -9 but those who notice."""
    demo.see("installs   ")
    demo.process.kill()
    demo.process.wait()
    until(lambda: not demo.left(), "the last of its processes to be gone", limit=90)
    assert not (demo.folder / "cluster").exists()
