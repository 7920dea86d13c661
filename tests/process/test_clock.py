"""Clocks that are set, machines that sleep while a phase runs: durations stay, order stays, gaps are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from nimble_watch import session as s
from tests.process.deaths import child_of, ended, phase, recorded, waiting, with_clock
from tests.process.sides import end, nimble_watch, run, start, until

SHIMS = Path(__file__).parent / "shims"


@pytest.mark.parametrize(("set_by", "words"), [(-3600, "set back by 1:00:00"), (86400, "set forward by 24:00:00")])
def test_a_clock_that_is_set_during_a_phase_breaks_no_figure_and_is_told(
    set_by: int, words: str, sessions: Path, tmp_path: Path
) -> None:
    """Case 48: the clock of our processes is set, not the machine's: other tests run on it."""
    told = tmp_path / "clock"
    environ = with_clock(SHIMS, told)
    launcher = start(phase(*waiting(tmp_path)), env=environ)
    child_of(tmp_path)
    until(lambda: recorded(sessions, "phase-started"), "the record of the phase")
    told.write_text(f"{set_by} 0")
    (tmp_path / "go").touch()
    assert end(launcher) == 0
    session = ended(sessions)
    ran = session["phases"]["install"]
    assert list(session["phases"]) == ["install"]
    assert session["start_ms"] <= ran["start_ms"] <= ran["end_ms"] <= session["end_ms"]
    assert 0 <= ran["duration_ms"] <= ran["end_ms"] - ran["start_ms"] + 50 <= 60_000
    assert session["performance"]["efficiency_score"] is not None
    assert session["performance"]["total_duration"] < 60
    assert abs(ran["clock_set_ms"] - set_by * 1000) < 1000
    assert words in " ".join(run([*nimble_watch(), "session", "summary"]).out.decode().split())


def test_a_machine_that_sleeps_during_a_phase_is_told_and_its_sleep_is_not_the_phases_duration(
    sessions: Path, tmp_path: Path
) -> None:
    """More of case 48: time went by for the cluster and the bill, so it is in the session; the command did not run."""
    told = tmp_path / "clock"
    environ = with_clock(SHIMS, told)
    launcher = start(phase(*waiting(tmp_path)), env=environ)
    child_of(tmp_path)
    until(lambda: recorded(sessions, "phase-started"), "the record of the phase")
    told.write_text("0 7200")
    (tmp_path / "go").touch()
    assert end(launcher) == 0
    session = ended(sessions)
    ran = session["phases"]["install"]
    assert (ran["suspended_ms"], ran["clock_set_ms"]) == (7_200_000, 0)
    assert ran["duration_ms"] < 60_000
    assert ran["end_ms"] - ran["start_ms"] >= 7_200_000
    assert session["performance"]["total_duration"] >= 7200
    summary = " ".join(run([*nimble_watch(), "session", "summary"]).out.decode().split())
    assert "the machine slept 2:00:00 meanwhile, which is not in its duration" in summary


def test_a_session_whose_clock_was_set_back_between_two_commands_has_no_figure_that_is_made_up() -> None:
    """More of case 48: each command keeps its own clock; between them nobody measures."""
    records = [
        s.session_started(session_id="x", uid="u", operation="manual", environment="dev", start_time=10_000.0),
        s.phase_started("discover", time=10_000.0),
        s.phase_ended("discover", result="success", duration=5.0, time=10_005.0),
        s.phase_started("install", time=6_410.0),
        s.phase_ended("install", result="success", duration=7.0, time=6_417.0),
        s.session_ended("success", time=6_418.0),
    ]
    numbered = [{**record, "seq": number, "writer": "w"} for number, record in enumerate(records)]
    session = s.fold(numbered, "x")
    assert {name: phase.duration for name, phase in session.phases.items()} == {"discover": 5, "install": 7}
    assert session.performance.total_duration is None
    assert session.performance.efficiency_score is None
    assert "the clock was set back" in session.performance.unknown["total_duration"]
