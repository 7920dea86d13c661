"""What the observer is told; and that an observer which is missing, crashes, hangs or is killed changes nothing."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.process.scribes import Scribe
from tests.process.sides import alive, end, kill, nimble_watch, ready, recorder, run, start, until, wrapped

COMMAND = ["sh", "-c", "echo out; echo err >&2; exit 3"]


def journals(sessions: Path) -> list[Path]:
    """Give the journal folders of the open sessions."""
    return sorted(path for path in (sessions / ".journal").glob("session-*"))


def records(sessions: Path, writer: str) -> list[dict[str, object]]:
    """Give what a writer wrote to the only open session."""
    (folder,) = journals(sessions)
    return [json.loads(line) for line in (folder / f"{writer}.jsonl").read_text().splitlines()]


def test_the_observer_is_told_every_edge(scribe: Scribe, sessions: Path) -> None:
    """The contract between the two processes."""
    assert run(wrapped(COMMAND, "--phase", "install", package=scribe.package)).status == 3
    kinds = [message["type"] for message in scribe.messages()]
    assert kinds == ["begin", "phase-started", "phase-ended", "finish"]
    begin, started, ended, finish = scribe.messages()
    assert (begin["mode"], begin["operation"], begin["sessions"]) == ("exec", "install", str(sessions))
    assert begin["session"] == journals(sessions)[0].name
    assert (started["phase"], started["argv"], started["cwd"]) == ("install", COMMAND, str(Path.cwd()))
    assert (ended["phase"], ended["exit"], ended["signal"], ended["result"]) == ("install", 3, None, "failure")
    assert 0 <= ended["duration"] < 60
    assert (finish["result"], finish["leave_open"]) == ("failure", False)


def test_a_signalled_child_is_told_as_such(scribe: Scribe) -> None:
    """More of case 3."""
    run(wrapped(["sh", "-c", "kill -KILL $$"], package=scribe.package))
    (ended,) = scribe.messages("phase-ended")
    assert (ended["exit"], ended["signal"], ended["result"]) == (None, "KILL", "failure")


def test_a_missing_observer_changes_nothing_and_the_phase_is_recorded(alone: Path, sessions: Path) -> None:
    """More of case 46."""
    assert run(wrapped(COMMAND, "--phase", "install", package=alone)) == run(COMMAND)
    written = records(sessions, "launcher")
    assert [record["type"] for record in written] == [
        "session-started",
        "phase-started",
        "phase-ended",
        "session-ended",
    ]
    assert (written[2]["phase"], written[2]["exit"], written[3]["result"]) == ("install", 3, "failure")


def test_no_secret_of_the_command_line_is_written_by_the_launcher(alone: Path, sessions: Path) -> None:
    """Issue: argv may hold secrets, and the launcher has no cleaning."""
    run(wrapped(["sh", "-c", "exit 1", "--token", "nvapi-secret"], package=alone))
    assert "nvapi-secret" not in json.dumps(records(sessions, "launcher"))


@pytest.mark.parametrize("does", ["crash", "hang", "deaf"])
def test_an_observer_that_fails_changes_nothing_and_the_session_is_closed_by_another(
    does: str, scribe: Scribe, monkeypatch: pytest.MonkeyPatch, sessions: Path
) -> None:
    """More of case 46: one that hangs is given up in a bounded time, and killed: it holds no pipe of the caller."""
    monkeypatch.setenv("NIMBLE_WATCH_SCRIBE_DOES", does)
    assert run(wrapped(COMMAND, package=scribe.package)) == run(COMMAND)
    (session,) = [path.name for path in journals(sessions)]
    until(lambda: scribe.closed() == [session], "the closing")
    assert not alive(scribe.pid())
    assert [record["type"] for record in records(sessions, "launcher")][-1] == "session-ended"


@pytest.mark.linux
def test_an_observer_that_is_slow_but_works_is_waited_for_and_not_called_lost(
    scribe: Scribe, monkeypatch: pytest.MonkeyPatch, sessions: Path
) -> None:
    """On a machine with too much to do it was killed after two seconds, and said to be lost."""
    monkeypatch.setenv("NIMBLE_WATCH_SCRIBE_DOES", "toil")
    assert run(wrapped(["sh", "-c", "exit 4"], package=scribe.package)).status == 4
    assert scribe.closed() == []
    assert [path.name for folder in journals(sessions) for path in folder.glob("launcher*")] == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_an_observer_killed_or_stopped_in_the_middle_changes_nothing(
    number: signal.Signals, scribe: Scribe, tmp_path: Path
) -> None:
    """More of case 46."""
    log = tmp_path / "log"
    process = start(wrapped(recorder(log, ends="TERM"), package=scribe.package), stdout=subprocess.PIPE)
    ready(log)
    until(lambda: scribe.messages("phase-started"), "the observer's start")
    kill(scribe.pid(), number)
    kill(process.pid, signal.SIGUSR1)
    kill(process.pid, signal.SIGTERM)
    assert end(process) == 3
    assert not alive(scribe.pid())
    assert process.stdout is not None
    process.stdout.close()


def test_a_kill_of_the_launcher_leaves_a_session_that_the_next_command_closes(
    scribe: Scribe, tmp_path: Path, sessions: Path
) -> None:
    """More of case 13."""
    log = tmp_path / "log"
    process = start(wrapped(recorder(log, ends="TERM"), package=scribe.package))
    child = ready(log)
    until(lambda: scribe.messages("phase-started"), "the observer's start")
    (session,) = [path.name for path in journals(sessions)]
    kill(scribe.pid(), signal.SIGKILL)
    kill(process.pid, signal.SIGKILL)
    end(process)
    kill(child, signal.SIGTERM)
    until(lambda: not alive(child), "the child's end")
    assert run(wrapped(["true"], package=scribe.package)).status == 0
    until(lambda: session in scribe.closed(), "the closing of what was left")


def test_the_observer_holds_nothing_of_the_callers_but_stderr(scribe: Scribe, tmp_path: Path) -> None:
    """A lock or a pipe of the caller's must not live as long as a helper of ours."""
    log = tmp_path / "log"
    locked = tmp_path / "locked"
    process = start(
        [
            "bash",
            "-c",
            'exec 7>"$0"; exec "$@"',
            str(locked),
            *wrapped(recorder(log, ends="TERM"), package=scribe.package),
        ]
    )
    ready(log)
    until(lambda: scribe.messages("phase-started"), "the observer's start")
    held = {str(fd.readlink()) for fd in Path(f"/proc/{scribe.pid()}/fd").iterdir()}
    kill(process.pid, signal.SIGTERM)
    assert end(process) == 3
    assert str(locked) not in held


def test_our_lines_go_where_they_were_sent(alone: Path, tmp_path: Path) -> None:
    """`-q` and `--log-file` leave stderr to the child; a log file that cannot be written is said before the start."""
    log = tmp_path / "our.log"
    start_of_ours = nimble_watch(alone)
    assert run([*start_of_ours, "exec", "--log-file", str(log), "--", *COMMAND]).err == b"err\n"
    assert "nimble-watch: " in log.read_text()
    outcome = run([*start_of_ours, "exec", "--log-file", str(tmp_path / "no" / "folder"), "--", "true"])
    assert outcome.status == 125
    assert b"cannot write the log file" in outcome.err


def test_a_kill_of_the_launcher_ends_the_child_and_leaves_a_complete_session(tmp_path: Path, sessions: Path) -> None:
    """Case 13, with the real observer: without a terminal nobody else would end the child."""
    log = tmp_path / "log"
    process = start(wrapped(recorder(log, ends="INT"), "--phase", "install"))
    child = ready(log)
    until(lambda: list((sessions / ".journal").glob("session-*/*.jsonl")), "the observer's first record")
    kill(process.pid, signal.SIGKILL)
    end(process)
    until(lambda: not alive(child), "the child's end")
    until(lambda: not journals(sessions), "the end of the session")
    (path,) = sessions.glob("session-*.json")
    session = json.loads(path.read_text())
    assert session["phases"]["install"]["result"] in ("error", "cancellation")
    assert (sessions / "all-sessions.txt").read_text().count("SESSION:") == 1
