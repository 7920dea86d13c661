"""A job is cancelled as each CI system does it: the session says so, and nothing of the step is left running."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.process.ci_systems import AZURE, BUILDKITE, EVERY, GITHUB, GITLAB, JENKINS, Job, System
from tests.process.sides import alive, ready, recorder, run, signals, start, until, wrapped

WAIT = 1.0
"""Seconds for the 7.5, 2.5 or 10 that the systems wait before they get louder."""
LONG = 10.0
"""Where one signal is to be enough: what GitLab and Jenkins wait; a busy machine needs more than WAIT for an end."""


def as_last_words(command: list[str], folder: Path) -> list[str]:
    """Give a step that becomes the command: `run: exec nimble-watch ...`."""
    del folder
    return ["bash", "-e", "-c", 'exec "$@"', "step", *command]


def as_a_script(command: list[str], folder: Path) -> list[str]:
    """Give a step whose script runs the command in its last line and waits for it: bash passes nothing on."""
    script = folder / "step.sh"
    script.write_text('"$@"\n')
    return ["bash", "-e", str(script), *command]


def step(
    tmp_path: Path, shape: Callable[[list[str], Path], list[str]], ends: str, kill_after: float = WAIT
) -> tuple[Job, Path]:
    """Start a step in which we watch a script whose command logs its signals and ends on one of them, if any."""
    log = tmp_path / "log"
    child = ["bash", "-c", '"$@"; exit $?', "bash", *recorder(log, ends=ends)]
    command = wrapped(child, "--phase", "install", "--kill-after", str(kill_after))
    process = start(shape(command, tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    ready(log)
    return Job(process, tmp_path / "sessions"), log


def session(sessions: Path) -> dict[str, Any]:
    """Wait for the only session's end, and give it."""

    def ended() -> dict[str, Any] | None:
        found = [json.loads(path.read_text()) for path in sessions.glob("session-*.json")]
        return next((one for one in found if one["state"] == "ended"), None)

    return dict(until(ended, "the session's end", 30))


@pytest.mark.parametrize("system", EVERY, ids=lambda system: system.name)
@pytest.mark.parametrize("shape", [as_last_words, as_a_script])
def test_a_cancelled_job_ends_with_each_signal_told_once_and_the_session_saved(
    system: System, shape: Callable[[list[str], Path], list[str]], tmp_path: Path, sessions: Path
) -> None:
    """More of case 14: the child ends on the first signal that the CI sends."""
    first = system.signals[0].name[3:]
    job, log = step(tmp_path, shape, ends=first)
    observed = until(lambda: list(sessions.glob("session-*.json")), "the observer's start")
    assert len(observed) == 1
    child = int(log.read_text().split()[1])
    job.cancel(system, LONG)
    until(lambda: not alive(child), "the child's end")
    if system is JENKINS:  # tells the child too, so ours may come on top: README says so
        assert set(signals(log)) == {first}
    else:
        assert signals(log) == [first]
    assert job.output_ends(15)
    assert session(sessions)["result"] == "cancellation"
    assert session(sessions)["phases"]["install"]["result"] == "cancellation"


@pytest.mark.parametrize("system", [GITHUB, GITLAB, AZURE, BUILDKITE], ids=lambda system: system.name)
@pytest.mark.parametrize("shape", [as_last_words, as_a_script])
def test_a_job_whose_child_takes_no_hint_is_gone_all_the_same_and_the_session_saved(
    system: System, shape: Callable[[list[str], Path], list[str]], tmp_path: Path, sessions: Path
) -> None:
    """More of case 14: KILL reaches us and not the child's own group: the observer finishes the stop."""
    job, log = step(tmp_path, shape, ends="")
    until(lambda: list(sessions.glob("session-*.json")), "the observer's start")
    child = int(log.read_text().split()[1])
    job.cancel(system, WAIT)
    until(lambda: not alive(child), "the child's end", 20)
    assert len(set(signals(log))) == len(signals(log))
    assert job.output_ends(15)
    assert session(sessions)["result"] == "cancellation"


def test_a_ci_that_kills_every_process_itself_leaves_a_session_for_the_next_command_to_close(
    tmp_path: Path, sessions: Path
) -> None:
    """More of cases 13 and 14: nobody is left then who could; neither is anything of the child's."""
    job, log = step(tmp_path, as_last_words, ends="", kill_after=60)  # so the CI is the first to lose its patience
    until(lambda: list(sessions.glob("session-*.json")), "the observer's start")
    child = int(log.read_text().split()[1])
    job.cancel(JENKINS, WAIT)
    until(lambda: not alive(child), "the child's end")
    assert job.output_ends(15)
    (left,) = (path for path in sessions.glob("session-*.json"))
    was_left = json.loads(left.read_text())["state"] == "open"
    assert run(wrapped(["true"])).status == 0
    until(lambda: json.loads(left.read_text())["state"] == "ended", "the closing of what was left")
    # The child is killed first: on a busy machine we have seen that, and ended the session, before our turn comes.
    assert json.loads(left.read_text())["result"] == ("error" if was_left else "cancellation")
    until(lambda: not list((sessions / ".journal").glob("session-*")), "the end of its journals")


@pytest.mark.parametrize("system", [GITHUB, GITLAB], ids=lambda system: system.name)
def test_a_child_that_ends_on_the_second_signal_gets_both_once(system: System, tmp_path: Path, sessions: Path) -> None:
    """More of case 14: what ignores INT as helm's children may, and ends on TERM."""
    job, log = step(tmp_path, as_last_words, ends="TERM")
    until(lambda: list(sessions.glob("session-*.json")), "the observer's start")
    job.cancel(system, WAIT)
    assert signals(log) == [number.name[3:] for number in system.signals[:-1]]
    assert job.output_ends(15)
    assert session(sessions)["result"] == "cancellation"
