"""Ending a phase: because its time is up, or because the observer asks for it; what is said, kept, and done next."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.process.scribes import Scribe
from tests.process.sides import end, nimble_watch, run, start, until, wrapped
from tests.process.test_observer import exec_, sessions_in

GIVES_IN = "trap 'exit 0' INT; while :; do sleep 0.05; done"
STUBBORN = "trap '' INT TERM; while :; do sleep 0.05; done"


def ours(error: bytes) -> list[str]:
    """Give our own lines."""
    lines = error.decode().splitlines()
    return [line.removeprefix("nimble-watch: ") for line in lines if line.startswith("nimble-watch: ")]


def test_a_timeout_says_what_happens_after_how_long_and_what_comes_next(sessions: Path) -> None:
    done = run(exec_("bash", "-c", STUBBORN, options=("--timeout", "1", "--kill-after", "0.6")))
    assert done.status == 137
    told = ours(done.err)
    said = [line for line in told if line.startswith(("stopping", "  next", "phase install did not", "install: "))]
    assert said[0].startswith("stopping phase install after ")
    assert said[0].endswith(": its time is over (--timeout)")
    assert said[1].startswith("  next     INT now; TERM in 1 s and KILL 1 s later (--kill-after)")
    assert [line.rpartition(": ")[2] for line in said[2:4]] == ["TERM now", "KILL now"]
    assert said[4].startswith("install: stopped, as its time was over, after ")
    (session,) = sessions_in(sessions)
    phase = session["phases"]["install"]
    assert (phase["result"], phase["stopped"], phase["signal"]) == ("timeout", "timeout", "KILL")
    assert session["result"] == "timeout"


def test_a_phase_that_ends_by_itself_was_not_stopped(sessions: Path) -> None:
    assert run(exec_("sh", "-c", "exit 3", options=("--timeout", "1h", "--fail-fast"))).status == 3
    assert sessions_in(sessions)[0]["phases"]["install"]["stopped"] is None


def test_without_an_observer_we_say_ourselves_that_we_stop_it() -> None:
    """An exec inside a phase of the same name has none: the outer one watches."""
    inner = {**os.environ, "NIMBLE_WATCH_DEPTH": "1", "NIMBLE_WATCH_PHASE": "install"}
    done = run(exec_("bash", "-c", GIVES_IN, options=("--timeout", "0.5")), env=inner)
    assert done.status == 124
    assert ours(done.err) == ["stopping phase install (timeout): INT to all of it"]


def test_quiet_is_quiet_about_it_too() -> None:
    assert run(exec_("bash", "-c", GIVES_IN, options=("-q", "--timeout", "0.5"))).err == b""


def test_a_phase_that_ends_well_when_it_is_stopped_has_failed_all_the_same(
    scribe: Scribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that traps INT may exit 0; the phase's work is not done."""
    monkeypatch.setenv("NIMBLE_WATCH_SCRIBE_DOES", "stop")
    assert run(wrapped(["bash", "-c", GIVES_IN], package=scribe.package)).status == 121
    (ended,) = scribe.messages("phase-ended")
    assert (ended["result"], ended["stopped"], ended["exit"]) == ("failure", "fail-fast", 0)
    (stopping,) = scribe.messages("stopping")
    assert (stopping["why"], stopping["signal"]) == ("fail-fast", "INT")


def test_a_request_that_comes_when_the_phase_has_ended_stops_nothing(
    scribe: Scribe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It names the process that it means: by the time it arrives the next phase may run."""
    monkeypatch.setenv("NIMBLE_WATCH_SCRIBE_DOES", "stop-late")
    makefile = tmp_path / "Makefile"
    makefile.write_text("one:\n\t@true\ntwo:\n\t@sleep 1\nthree:\n\t@sleep 0.2\n")
    done = run([*nimble_watch(scribe.package), "run", "-q", "-f", str(makefile), "one", "two", "three"])
    assert done.status == 0
    assert [message["result"] for message in scribe.messages("phase-ended")] == ["success"] * 3
    assert scribe.messages("stopping") == []


def test_after_a_stop_the_next_phase_runs_with_keep_going_and_cleanup_always(
    scribe: Scribe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NIMBLE_WATCH_SCRIBE_DOES", "stop-first")
    makefile = tmp_path / "Makefile"
    makefile.write_text("install:\n\t@sleep 300\nverify cleanup:\n\t@true\n")
    command = [*nimble_watch(scribe.package), "run", "-q", "-f", str(makefile), "--always", "cleanup"]
    assert run([*command, "install", "verify"]).status == 121
    assert results(scribe) == {"install": "failure", "verify": "skip", "cleanup": "success"}
    (scribe.folder / "messages").unlink()
    assert run([*command, "-k", "install", "verify"]).status == 121
    assert results(scribe) == {"install": "failure", "verify": "success", "cleanup": "success"}


def results(scribe: Scribe) -> dict[str, Any]:
    """Give how each phase ended."""
    return {message["phase"]: message["result"] for message in scribe.messages("phase-ended")}


def test_whoever_was_asked_by_a_person_to_end_is_not_hurried_by_fail_fast(
    scribe: Scribe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Helm may be rolling back; the person's INT is the only one that it gets."""
    monkeypatch.setenv("NIMBLE_WATCH_SCRIBE_DOES", "stop-signalled")
    log = tmp_path / "log"
    program = f"trap 'echo INT >> {log}; sleep 1; exit 7' INT; echo ready >> {log}; while :; do sleep 0.05; done"
    process = start(wrapped(["bash", "-c", program], package=scribe.package))
    until(log.exists, "the child's start")
    until(lambda: scribe.messages("phase-started"), "the scribe's start")
    os.kill(process.pid, 2)
    assert end(process) == 7
    assert log.read_text().split() == ["ready", "INT"]
    (ended,) = scribe.messages("phase-ended")
    assert (ended["result"], ended["stopped"]) == ("cancellation", None)


def test_the_launcher_alone_records_why_a_phase_was_stopped(alone: Path, sessions: Path) -> None:
    run(wrapped(["bash", "-c", GIVES_IN], "--timeout", "0.5", package=alone))
    (journal,) = (sessions / ".journal").glob("session-*/launcher.jsonl")
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    (ended,) = [record for record in records if record["type"] == "phase-ended"]
    assert (ended["stopped"], ended["result"]) == ("timeout", "timeout")
