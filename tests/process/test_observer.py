"""The observer as the launcher starts it: real processes, no cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.process.sides import alive, end, kill, nimble_watch, ready, recorder, run, says, start, until


def sessions_in(folder: Path) -> list[dict[str, Any]]:
    """Give the sessions that have a file, oldest first."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("session-*.json"))]


def exec_(*command: str, options: tuple[str, ...] = ()) -> list[str]:
    """Give `exec` of a phase called install."""
    return [*nimble_watch(), "exec", "--phase", "install", *options, "--", *command]


def test_a_phase_that_fails_for_no_known_cause_is_told_and_kept_with_its_last_words(sessions: Path) -> None:
    done = run(exec_("sh", "-c", "echo fine; echo 'fatal: no such thing' >&2; exit 3"))
    assert (done.status, done.out) == (3, b"fine\n")
    told = done.err.decode()
    assert told.startswith("fatal: no such thing\n")
    assert all(line.startswith("nimble-watch: ") for line in told.splitlines()[1:])
    assert "nimble-watch:   output   fatal: no such thing\n" in told
    (session,) = sessions_in(sessions)
    assert (session["result"], session["state"]) == ("failure", "ended")
    (obstacle,) = session["obstacles"]
    assert (obstacle["kind"], obstacle["evidence"]) == ("phase-failed", "fatal: no such thing")
    assert session["phases"]["install"]["obstacles"] == [obstacle["id"]]


@pytest.mark.parametrize("loud", ["seq 200000", "seq 200000 >&2", "seq 200000; seq 200000 >&2"])
def test_the_last_words_of_a_loud_phase_that_is_over_at_once_are_evidence(loud: str, sessions: Path) -> None:
    """The observer is still importing then, and has read nothing; what it gets at all is the end."""
    assert run(exec_("sh", "-c", f"{loud}; echo 'fatal: no such thing' >&2; exit 3")).status == 3
    (session,) = sessions_in(sessions)
    assert (session["state"], session["result"]) == ("ended", "failure")
    assert [one["evidence"] for one in session["obstacles"]] == ["fatal: no such thing"]


def test_a_phase_that_goes_well_is_not_worth_a_word(sessions: Path) -> None:
    done = run(exec_("sh", "-c", "echo fine; echo also >&2"), env={**os.environ, "KUBECONFIG": os.devnull})
    assert (done.status, done.out) == (0, b"fine\n")
    ours = [line for line in done.err.decode().splitlines() if line.startswith("nimble-watch: ")]
    assert all("not watching a cluster" in line for line in ours)
    assert [session["result"] for session in sessions_in(sessions)] == ["success"]


def test_a_phase_that_goes_on_after_it_was_asked_to_end_is_spoken_of_once(tmp_path: Path) -> None:
    """More of case 9: whoever pressed Ctrl-C wants to know why nothing happens."""
    log = tmp_path / "log"
    process = start(exec_(*recorder(log, ends="USR1")), stderr=subprocess.PIPE)
    ready(log)
    until(lambda: list((tmp_path / "sessions").glob("session-*.json")), "the observer's start")
    kill(process.pid, signal.SIGINT)
    kill(process.pid, signal.SIGINT)
    assert process.stderr is not None
    told = process.stderr.readline()
    while b"goes on; it is waited for" not in told:
        told = process.stderr.readline()
    assert b"install was sent INT" in told
    kill(process.pid, signal.SIGUSR1)
    with process.stderr:
        assert b"goes on; it is waited for" not in process.stderr.read()
    assert end(process) == 3


def test_quiet_leaves_stderr_to_the_child(sessions: Path) -> None:
    done = run(exec_("sh", "-c", "echo also >&2; exit 4", options=("-q",)))
    assert (done.status, done.err) == (4, b"also\n")
    assert [session["result"] for session in sessions_in(sessions)] == ["failure"]


def test_what_a_child_writes_to_a_file_is_read_beside_it(sessions: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("fatal: this was there before\n")
    with log.open("a") as file:
        child = start(exec_("sh", "-c", "echo 'fatal: from the file' >&2; exit 1"), stdout=file, stderr=file)
        assert end(child) == 1
    (session,) = sessions_in(sessions)
    assert [one["evidence"] for one in session["obstacles"]] == ["fatal: from the file"]


def test_our_own_lines_in_the_childs_file_are_not_taken_for_the_childs(sessions: Path, tmp_path: Path) -> None:
    """One regular file is stderr for both: what stands there last may be ours, and is no evidence."""
    log = tmp_path / "log"
    script = "echo 'fatal: the reason' >&2; echo 'nimble-watch: not the reason' >&2; exit 1"
    with log.open("a") as file:
        assert end(start(exec_("sh", "-c", script), stdout=file, stderr=file)) == 1
    (session,) = sessions_in(sessions)
    assert [obstacle["evidence"] for obstacle in session["obstacles"]] == ["fatal: the reason"]


def test_secrets_in_the_output_are_not_kept(sessions: Path) -> None:
    key = "nvapi-" + "A1b2" * 16
    run(exec_("sh", "-c", f"echo 'fatal: key {key} refused' >&2; exit 1"))
    (session,) = sessions_in(sessions)
    assert key not in json.dumps(session)
    assert "refused" in session["obstacles"][0]["evidence"]


def test_kill_minus_nine_of_the_launcher_leaves_no_child_and_a_session_that_says_so(
    sessions: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    program = f"import os,time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    launcher = start(exec_(sys.executable, "-S", "-c", program))
    until(lambda: mark.exists() and mark.read_text(), "the child's start")
    child = int(mark.read_text())
    until(lambda: any("observe" in " ".join(p.cmdline()) for p in psutil.Process(launcher.pid).children()), "observer")
    until(lambda: sessions_in(sessions), "the session")
    launcher.send_signal(signal.SIGKILL)
    end(launcher)
    until(lambda: not alive(child), "the child's end")
    until(lambda: [one["state"] for one in sessions_in(sessions)] == ["ended"], "the session's end")
    (session,) = sessions_in(sessions)
    assert session["result"] == "error"
    assert session["phases"]["install"]["result"] == "error"
    until(lambda: not list((sessions / ".journal").glob("session-*")), "the journals' end")


@pytest.mark.parametrize("options", [(), ("--leave-open",)])
def test_kill_minus_nine_of_the_observer_costs_one_line_and_neither_status_nor_session(
    sessions: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    err, go = tmp_path / "err", tmp_path / "go"
    script = f"until [ -e {go} ]; do sleep 0.05; done; exit 6"
    with err.open("w") as file:
        launcher = start(exec_("sh", "-c", script, options=options), stderr=file)
    until(lambda: sessions_in(sessions), "the session")
    (observer,) = (one for one in psutil.Process(launcher.pid).children() if "observe" in one.cmdline())
    observer.kill()
    go.touch()
    assert end(launcher) == 6
    assert err.read_text().count("the watch was lost; the phase itself is recorded in session-") == 1
    if not options:
        until(lambda: [one["state"] for one in sessions_in(sessions)] == ["ended"], "the session's end")
        session = sessions_in(sessions)[0]
        assert session["result"] == "failure"
        assert [note.partition(":")[0] for note in session["notes"]] == ["the watch was lost"]


@pytest.mark.linux
def test_commands_below_the_phase_tell_which_cluster_it_uses(tmp_path: Path) -> None:
    fake = tmp_path / "kubectl"
    fake.write_text(f"#!{sys.executable} -S\nimport time\ntime.sleep(30)\n")
    fake.chmod(0o700)
    out = tmp_path / "err"
    script = f"KUBECONFIG=/elsewhere {fake} -n nim rollout status deployment/nim; true"
    with out.open("w") as err:
        launcher = start(exec_("sh", "-c", script), stderr=err)
    until(says(out, "not watching the cluster that this phase uses"), "the warning")
    assert "KUBECONFIG=/elsewhere" in out.read_text()
    launcher.terminate()
    end(launcher)
