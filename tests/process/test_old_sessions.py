"""Files that the tracker before us left, with its flaws: read and shown as far as they can be, and never touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.process.test_session_commands import Nimble

FLAWED: dict[str, Any] = {
    "session_id": "session-20241012-091230",
    "operation": "smoke-test",
    "start_time": "2024-10-12T09:12:30",
    "environment": "dev",
    "region": "us-phoenix-1",
    "team": {"name": "others know this field"},
    "phases": {
        "discover": {"duration": 23, "obstacles": []},
        "install": {"start_time": None, "end_time": "", "duration": "long"},
    },
    "obstacles": [
        {"id": "obs-1", "phase": "install", "type": "timeout", "time_delay_seconds": 5000, "cost_impact_usd": 0}
    ],
    "costs": {"estimated_hourly": 0, "actual_hourly": 0, "session_total": 0},
    "performance": {
        "total_duration": 1245,
        "obstacle_count": 1,
        "total_obstacle_time": 5000,
        "efficiency_score": -301.6,
    },
}
STRANGE = {
    "session_id": "../../etc/passwd",
    "operation": 5,
    "start_time": "1970-01-01T00:00:00Z",
    "end_time": "2100-01-01T00:00:00Z",
    "phases": [],
    "obstacles": {"a": 1},
    "costs": None,
    "performance": {"total_duration": -5, "efficiency_score": "high"},
}
LEFT = {
    "session-20241012-091230.json": json.dumps(FLAWED),
    "session-20241012-100000.json": '{"session_id": "session-20241012-100000", "phases": {',
    "session-20241012-100001.json": "",
    "session-20241012-100002.json": "[1, 2]",
    "session-20241012-100003.json": json.dumps(STRANGE),
    "current.json": json.dumps(FLAWED),  # a copy, not a link
    "all-sessions.txt": "SESSION: session-20241012-091230 | smoke-test | dev | 1245s | -301.6% | $0.00 | 1 obstacles",
}


@pytest.fixture
def nimble(tmp_path: Path) -> Nimble:
    """Give the program with the folder that the tracker left."""
    folder = tmp_path / "sessions"
    folder.mkdir(mode=0o700)
    for name, text in LEFT.items():
        (folder / name).write_text(text)
    return Nimble(folder)


def kept(nimble: Nimble) -> bool:
    """Tell whether every file is as it was."""
    return all((nimble.folder / name).read_text() == text for name, text in LEFT.items())


def test_what_can_be_read_is_shown_and_the_rest_named_by_file_and_field(nimble: Nimble) -> None:
    done = nimble("list")
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()[1:]}
    assert rows["session-20241012-091230"] == ["smoke-test", "dev", "n/a", "1245s", "0.0%", "n/a", "1"]
    assert set(rows) == {"session-20241012-091230", "session-20241012-100003"}
    for said in (
        "session-20241012-100000.json is not whole JSON",
        "session-20241012-100001.json is empty",
        "session-20241012-100002.json holds no JSON object",
        "session-20241012-100003.json: session_id: '../../etc/passwd' is no session id; using session-20241012-100003",
        "session-20241012-100003.json: phases: expected an object, found list",
        "session-20241012-100003.json: obstacles: expected a list, found dict",
        "session-20241012-100003.json: performance.total_duration: -5 is negative",
        "session-20241012-091230.json: phases.install.duration: Expected `int | null`, got `str`",
        "session-20241012-091230.json: performance.efficiency_score: -301.6 is not within 0 to 100; computed anew",
    ):
        assert said in done.stderr
    assert kept(nimble)


def test_costs_that_are_all_zero_were_not_known(nimble: Nimble) -> None:
    said = nimble("summary").stdout
    assert said.startswith("=== SESSION SUMMARY: session-20241012-091230 ===\n")
    assert "Cost: n/a (the file says 0, as it does where nothing was known)" in said
    assert "Efficiency: 0.0%" in said
    assert "Recent Sessions:\nsession-20241012-100003 n/a" in nimble("compare").stdout
    assert kept(nimble)


def test_a_session_of_ours_goes_beside_them(nimble: Nimble) -> None:
    nimble("init")
    session_id = nimble("end").stdout.split()[0]
    before, ours = (nimble.folder / "all-sessions.txt").read_text().splitlines()
    assert before == LEFT["all-sessions.txt"]
    assert ours.startswith(f"SESSION: {session_id} | ")
    assert nimble.current()["session_id"] == session_id
    theirs = {name: text for name, text in LEFT.items() if name.startswith("session-")}
    assert {name: (nimble.folder / name).read_text() for name in theirs} == theirs
