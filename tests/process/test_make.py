"""`run` and its phases, and the commands inside them: one session, and the real cause behind make's 2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.process.scribes import Scribe
from tests.process.sides import nimble_watch, run, wrapped

PHASES = """\
.PHONY: discover prereqs install verify cleanup
discover prereqs verify cleanup:
\t@echo $@ >> $(LOG)
install:
\t@echo $@ >> $(LOG); exit $(INSTALL)
INSTALL ?= 0
"""


@pytest.fixture
def phases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with a Makefile of phases that write their names into a log."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Makefile").write_text(PHASES)
    monkeypatch.setenv("LOG", str(folder / "log"))
    monkeypatch.chdir(folder)
    return folder


def ran(folder: Path) -> list[str]:
    """Give the phases that ran."""
    log = folder / "log"
    return log.read_text().split() if log.exists() else []


def test_run_runs_the_default_phases_in_order_under_one_session(phases: Path, scribe: Scribe) -> None:
    """Issue 3, section 2."""
    assert run([*nimble_watch(scribe.package), "run", "-q"]).status == 0
    assert ran(phases) == ["discover", "prereqs", "install", "verify"]
    assert [message["phase"] for message in scribe.messages("phase-ended")] == ran(phases)
    (begin,) = scribe.messages("begin")
    assert (begin["mode"], begin["operation"]) == ("run", "complete-workflow")
    assert scribe.messages("finish")[0]["result"] == "success"


def test_run_stops_at_the_first_phase_that_fails_and_ends_as_it_did(phases: Path, scribe: Scribe) -> None:
    """Issue 3, section 2: what did not run is told as skipped."""
    outcome = run([*nimble_watch(scribe.package), "run", "-q", "INSTALL=7"])
    assert outcome.status == run(["make", "install", "INSTALL=7"]).status == 2
    assert ran(phases)[:3] == ["discover", "prereqs", "install"]
    assert [message["result"] for message in scribe.messages("phase-ended")] == [
        "success",
        "success",
        "failure",
        "skip",
    ]


def test_keep_going_runs_all_and_ends_as_the_first_that_failed(phases: Path, alone: Path) -> None:
    """Issue 3, section 2."""
    assert run([*nimble_watch(alone), "run", "-q", "--keep-going", "INSTALL=7"]).status == 2
    assert ran(phases) == ["discover", "prereqs", "install", "verify"]


def test_always_runs_at_the_end_whatever_happened(phases: Path, alone: Path) -> None:
    """Issue 3, section 2."""
    assert run([*nimble_watch(alone), "run", "-q", "--always", "cleanup", "install", "verify", "INSTALL=1"]).status == 2
    assert ran(phases) == ["install", "cleanup"]


def test_a_failed_always_phase_counts_if_all_else_passed(phases: Path, alone: Path) -> None:
    """DESIGN section 1."""
    assert run([*nimble_watch(alone), "run", "-q", "--always", "install", "discover", "INSTALL=1"]).status == 2
    assert ran(phases) == ["discover", "install"]


def test_a_default_phase_that_the_makefile_lacks_is_named_before_the_first_starts(phases: Path, alone: Path) -> None:
    """Issue 3, section 2."""
    (phases / "Makefile").write_text("discover verify:\n\t@echo phase $@ >&2\n")
    lines = run([*nimble_watch(alone), "run"]).err.decode().splitlines()
    assert lines[0] == "nimble-watch: the Makefile has no target prereqs, install: running discover, verify"
    assert "phase discover" in lines


def test_a_phase_asked_for_that_does_not_exist_is_125_with_the_one_that_was_meant(phases: Path, alone: Path) -> None:
    """Bad input."""
    outcome = run([*nimble_watch(alone), "run", "instal"])
    assert outcome.status == 125
    assert b"did you mean install?" in outcome.err
    assert ran(phases) == []


def test_a_folder_without_a_makefile_is_said(tmp_path: Path, alone: Path) -> None:
    """Bad input."""
    outcome = run([*nimble_watch(alone), "run"], cwd=tmp_path)
    assert outcome.status == 125
    assert b"there is no Makefile here" in outcome.err
    elsewhere = run([*nimble_watch(alone), "run", "-C", "nowhere"], cwd=tmp_path)
    assert elsewhere.status == 125
    assert b"there is no such folder" in elsewhere.err


def test_a_makefile_that_make_cannot_read_is_left_to_make_to_say(phases: Path, alone: Path) -> None:
    """Bad input: not a Makefile."""
    (phases / "Makefile").write_text("this is\nno Makefile at all\n")
    bare = run(["make", "discover"])
    outcome = run([*nimble_watch(alone), "run", "-q"])
    assert outcome == bare


def test_targets_are_found_without_running_anything(phases: Path, alone: Path) -> None:
    """Included and computed targets, and lines with `+` that even `make -n` would run."""
    (phases / "more.mk").write_text("NAME = discover\n$(NAME):\n\t+@echo $@ >> $(LOG)\n%.x:\n\t+@echo $@ >> $(LOG)\n")
    (phases / "Makefile").write_text("include more.mk\nverify:\n\t+@echo $@ >> $(LOG)\n")
    assert run([*nimble_watch(alone), "run", "-q", "discover", "verify"]).status == 0
    assert ran(phases) == ["discover", "verify"]


def test_another_makefile_folder_flags_and_variables_are_passed_on(phases: Path, tmp_path: Path, alone: Path) -> None:
    """More of case 42."""
    (phases / "Other.mk").write_text("show:\n\t@echo '$(CURDIR) $(VALUE) $(MAKEFLAGS)' >> $(LOG)\n")
    command = ["run", "-q", "-f", "Other.mk", "-C", str(phases), "show", "VALUE=a b", "--", "-s", "-k"]
    assert run([*nimble_watch(alone), *command], cwd=tmp_path).status == 0
    assert (phases / "log").read_text().startswith(f"{phases} a b ks")


def test_an_exec_inside_the_same_phase_tells_the_real_cause_behind_makes_2(
    phases: Path, scribe: Scribe, sessions: Path
) -> None:
    """More of case 22 and section 1.5: one session, one observer, and the exit status that make hides."""
    line = " ".join([*nimble_watch(scribe.package), "exec", "--phase", "install", "--"])
    (phases / "Makefile").write_text(f"install:\n\t+@{line} sh -c 'exit 7'\n")
    assert run([*nimble_watch(scribe.package), "run", "-q", "install"]).status == 2
    assert len(scribe.messages("begin")) == 1
    (folder,) = (sessions / ".journal").glob("session-*")
    (journal,) = folder.glob("exec-*.jsonl")
    record = json.loads(journal.read_text())
    assert (record["type"], record["phase"], record["exit"], record["seq"]) == ("phase-cause", "install", 7, 1)


def test_an_exec_inside_an_exec_is_one_session_and_the_inner_status(scribe: Scribe, sessions: Path) -> None:
    """Case 22."""
    inner = [*nimble_watch(scribe.package), "exec", "--", "sh", "-c", "exit 7"]
    assert run(wrapped(inner, package=scribe.package)).status == 7
    assert len(scribe.messages("begin")) == 1
    assert len(list((sessions / ".journal").glob("session-*"))) == 1


def test_whatever_runs_inside_is_a_phase_of_the_one_session_and_a_repetition_has_its_number(
    phases: Path, sessions: Path
) -> None:
    """More of case 22: run inside run, exec inside run, run inside exec; one session, each phase by its name."""
    ours = " ".join(nimble_watch())
    (phases / "Makefile").write_text(
        "install:\n"
        f"\t+@{ours} exec -q --phase migrate -- true\n"
        f"\t+@{ours} exec -q --phase migrate -- sh -c 'exit 0'\n"
        f"\t+@{ours} run -q verify\n"
        "verify:\n\t@true\n"
    )
    outer = [*nimble_watch(), "exec", "-q", "--phase", "whole", "--", *nimble_watch(), "run", "-q", "install", "verify"]
    assert run(outer).status == 0
    (path,) = sessions.glob("session-*.json")
    session = json.loads(path.read_text())
    assert (session["state"], session["result"]) == ("ended", "success")
    assert sorted(session["phases"]) == ["install", "migrate", "migrate#2", "verify", "verify#2", "whole"]
    assert {phase["result"] for phase in session["phases"].values()} == {"success"}
    assert (sessions / "all-sessions.txt").read_text().count("SESSION:") == 1


def test_a_phase_that_fails_before_the_observer_is_up_is_told_by_its_own_words(phases: Path, sessions: Path) -> None:
    """Those of the phases before it, which were over by then as well, are theirs."""
    (phases / "Makefile").write_text("prereqs:\n\t@echo well\ninstall:\n\t@nosuchcommand --flag\n")
    outcome = run([*nimble_watch(), "run", "prereqs", "install"])
    assert outcome.status == 2
    assert b"command-missing: command nosuchcommand is not there" in outcome.err
    (obstacle,) = json.loads((sessions / "current.json").read_text())["obstacles"]
    assert (obstacle["kind"], obstacle["phase"]) == ("command-missing", "install")
