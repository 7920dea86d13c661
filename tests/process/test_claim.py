"""Which session a command belongs to, decided by real processes that race for it."""

from __future__ import annotations

import json
import os
import subprocess
from functools import partial
from pathlib import Path

from nimble_watch.claim import is_session_id
from tests.process.scribes import Scribe
from tests.process.sides import Outcome, end, nimble_watch, ready, recorder, run, start, until, wrapped


def open_sessions(sessions: Path) -> list[str]:
    """Name the sessions that are open."""
    return sorted(path.name for path in (sessions / ".journal").glob("session-*"))


def _has_lines(path: Path, count: int) -> bool:
    return path.exists() and path.read_text().count("\n") == count


def test_commands_in_the_same_second_get_a_session_each(sessions: Path, tmp_path: Path) -> None:
    """Case 49: all are let go at once; were the machine so slow that no two share a second, they are tried again."""
    gate, there = tmp_path / "gate", tmp_path / "there"
    os.mkfifo(gate)
    command = ["sh", "-c", "echo out; echo err >&2; exit 5"]
    wait = ["sh", "-c", f'exec 9<{gate}; echo >>{there}; read go <&9; exec 9<&-; exec "$@"', "sh"]
    tries = 0
    while not any(path.stem.endswith("-2") for path in sessions.glob("session-*.json")):
        tries += 1
        assert tries <= 10, "no two commands began in the same second"
        together = [*wait, *wrapped(command, "--phase", "install")]
        processes = [start(together, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
        with gate.open("w"):
            until(partial(_has_lines, there, 4 * tries), "all of them at the gate")
        for process in processes:
            out, err = process.communicate(timeout=30)
            assert Outcome(process.returncode, out, err) == run(command)
    found = [json.loads(path.read_text()) for path in sessions.glob("session-*.json")]
    assert len({session["session_id"] for session in found}) == len(found) == 4 * tries
    assert {(session["state"], session["phases"]["install"]["exit"]) for session in found} == {("ended", 5)}
    assert open_sessions(sessions) == []
    assert len((sessions / "all-sessions.txt").read_text().splitlines()) == 4 * tries


def test_many_commands_at_once_get_a_session_each(sessions: Path, alone: Path) -> None:
    """More of case 49: the claims alone."""
    processes = [start(wrapped(["sh", "-c", "exit 0"], package=alone)) for _ in range(8)]
    assert [end(process) for process in processes] == [0] * 8
    assert len(open_sessions(sessions)) == 8
    assert not list((sessions / ".journal").glob(".lock-*"))


def test_a_session_left_open_is_joined_by_the_next_command(sessions: Path, scribe: Scribe) -> None:
    """DESIGN section 9."""
    for phase in ("discover", "prereqs"):
        assert run(wrapped(["true"], "--leave-open", "--phase", phase, package=scribe.package)).status == 0
    assert len(open_sessions(sessions)) == 1
    assert [message["joined"] for message in scribe.messages("begin")] == [False, True]
    assert [message["leave_open"] for message in scribe.messages("finish")] == [True, True]
    assert not list((sessions / ".journal").glob("*/lock"))


def test_run_joins_an_open_session_without_phases_and_replaces_one_that_has_some(
    sessions: Path, scribe: Scribe, tmp_path: Path
) -> None:
    """DESIGN section 9."""
    (tmp_path / "Makefile").write_text("discover:\n\t@true\n")
    fresh = sessions / ".journal" / "session-20260101-000000"
    fresh.mkdir(parents=True)
    (fresh / "init.jsonl").touch()
    command = [*nimble_watch(scribe.package), "run", "-q", "discover"]
    assert run(command, cwd=tmp_path).status == 0
    assert scribe.messages("begin")[0]["session"] == fresh.name
    assert run(command, cwd=tmp_path).status == 0
    assert scribe.messages("begin")[1]["session"] != fresh.name
    until(lambda: fresh.name in scribe.closed(), "the closing of the first")


def test_a_session_at_work_is_not_joined_from_outside(scribe: Scribe, tmp_path: Path) -> None:
    """More of case 49: two terminals, two sessions."""
    log = tmp_path / "log"
    first = start(wrapped(recorder(log, ends="TERM"), package=scribe.package))
    ready(log)
    assert run(wrapped(["true"], package=scribe.package)).status == 0
    first.terminate()
    assert end(first) == 3
    assert len({message["session"] for message in scribe.messages("begin")}) == 2


def test_a_folder_that_cannot_be_written_costs_one_warning_and_names_where_the_session_goes(
    tmp_path: Path, alone: Path
) -> None:
    """More of case 47."""
    (tmp_path / "file").write_text("in the way")
    environ = {**os.environ, "NIMBLE_WATCH_SESSIONS": str(tmp_path / "file"), "TMPDIR": str(tmp_path)}
    outcome = run(
        [*nimble_watch(alone), "exec", "--log-file", str(tmp_path / "log"), "--", "sh", "-c", "exit 3"], env=environ
    )
    assert outcome.status == 3
    assert outcome.err.decode().count("cannot write sessions to") == 1
    assert f"this one goes to {tmp_path}/nimble-watch-" in outcome.err.decode()


def test_nowhere_to_write_and_no_home_costs_one_warning(tmp_path: Path, alone: Path) -> None:
    """More of case 47."""
    (tmp_path / "file").write_text("in the way")
    environ = {**os.environ, "NIMBLE_WATCH_SESSIONS": str(tmp_path / "file"), "TMPDIR": str(tmp_path / "file")}
    environ.pop("HOME")
    outcome = run(
        [*nimble_watch(alone), "exec", "--log-file", str(tmp_path / "log"), "--", "sh", "-c", "exit 3"], env=environ
    )
    assert outcome.status == 3
    assert b"this run is not recorded" in outcome.err


def test_what_is_no_session_id_never_touches_a_path() -> None:
    """NIMBLE_WATCH_SESSION comes from outside."""
    assert is_session_id("session-20260101-000000")
    assert is_session_id("session-20260101-000000-12")
    for text in (
        "",
        "../x",
        "session-20260101-000000/..",
        "session-20260101-000000-",
        "session-2026-01",
        "session-\u0661" * 3,
    ):
        assert not is_session_id(text)
