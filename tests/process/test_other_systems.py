"""macOS by what it lacks: the tests of real processes once more, with the missing calls taken away from our Python.

What stays the kernel's cannot be shown on Linux, and is written down where it is relied on (`nimble_watch.system`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process.sides import nimble_watch, run

ROOT = Path(__file__).parents[2]
FEW = "once or reaches_us or parent or timeout or tstp or hang or killed_launcher or survives or interleaved or file"
ALL = ("signals", "exit_status", "output", "observed", "observer", "death", "disk")


def _as_on_macos(*arguments: str) -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-m",
        "not linux and not slow",
        *arguments,
    ]
    environ = {**os.environ, "NIMBLE_WATCH_TEST_AS": "macos"}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:]
    assert " passed" in done.stdout


def test_the_calls_that_macos_lacks_are_really_gone() -> None:
    """Else the tests below would show nothing."""
    program = (
        "import os, signal, time; print([hasattr(os, 'waitid'), hasattr(os, 'pidfd_open'), os.path.exists('/proc'), \
hasattr(signal, 'sigwaitinfo'), hasattr(signal, 'SIGRTMIN'), hasattr(time, 'CLOCK_BOOTTIME')])"
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parent / "shims" / "macos")}
    assert run([sys.executable, "-c", program], env=environ).out.decode().strip() == str([False] * 6)


@pytest.mark.timeout(280)
def test_signals_children_and_our_own_death_are_the_same_without_the_calls_that_macos_lacks() -> None:
    """Issue: everything that does not need Linux-only calls."""
    _as_on_macos(*(f"tests/process/test_{name}.py" for name in ("signals", "observer", "death")), "-k", FEW)


@pytest.mark.slow
@pytest.mark.terminal
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("tests", [*(f"process/test_{name}.py" for name in ALL), "terminal"])
def test_all_of_them_pass_without_the_calls_that_macos_lacks(tests: str) -> None:
    """The same, whole."""
    _as_on_macos(f"tests/{tests}")


def test_where_no_cluster_runs_the_demo_plays_its_recording_and_says_so() -> None:
    """Issue: on macOS."""
    program = "import runpy, sys; sys.platform = 'darwin'; sys.argv = sys.argv[1:]; sys.path.insert(0, 'deploy/demo'); \
runpy.run_path(sys.argv[0], run_name='__main__')"
    done = run([sys.executable, "-c", program, "deploy/demo/demo.py", "--pause", "0"], cwd=ROOT)
    assert (done.status, done.err) == (0, b"")
    told = done.out.decode()
    assert "This is a RECORDING" in told.splitlines()[0]
    for wanted in ("make all CLEANUP=yes", "nimble-watch: image-auth", "image-auth: fixed after", "what is left"):
        assert wanted in told
    recording = ROOT / "deploy" / "demo" / "recorded.jsonl"
    assert recording.stat().st_size < 300_000
    assert str(ROOT) not in told
    assert "nvapi-" not in told


@pytest.mark.parametrize(("words", "status"), [(["run"], 125), (["exec", "--", "true"], 125), (["session", "list"], 2)])
def test_on_windows_one_sentence_says_what_to_do(words: list[str], status: int) -> None:
    """Issue: which system, why, and WSL."""
    program = "import sys; sys.platform = 'win32'; from nimble_watch.cli import main; sys.exit(main(sys.argv[1:]))"
    done = run([sys.executable, "-c", program, *words], cwd=nimble_watch()[-1].removesuffix("nimble_watch/__main__.py"))
    assert (done.status, done.out) == (status, b"")
    (sentence,) = done.err.decode().splitlines()
    assert "Windows" in sentence
    assert "WSL" in sentence


def test_make_on_windows_says_the_same_and_starts_nothing() -> None:
    """Windows sets OS for every program."""
    done = run(["make", "demo"], cwd=ROOT, env={**os.environ, "OS": "Windows_NT"})
    assert done.status == 2
    assert done.out == b""
    assert b"WSL" in done.err
