"""nimble-watch.toml beside real commands: it names the environment and the targets, and never harms the child."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process.sides import nimble_watch, run
from tests.process.test_session_commands import Nimble

TARGETS = '[targets]\nefficiency = 0\n[targets.phases]\ninstall = "10m"\n'


@pytest.fixture
def nimble(sessions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nimble:
    """Give the program, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ENVIRONMENT", raising=False)
    return Nimble(sessions)


def install(*command: str, status: int = 0) -> str:
    """Run a phase; gives what was said."""
    done = run([*nimble_watch(), "exec", "--phase", "install", "--", *command])
    assert done.status == status
    return done.err.decode()


def test_a_session_keeps_the_targets_that_it_began_with(nimble: Nimble, tmp_path: Path) -> None:
    settings = tmp_path / "nimble-watch.toml"
    settings.write_text(f'environment = "staging"\n{TARGETS}')
    install("true")
    found = nimble.current()
    assert found["environment"] == "staging"
    assert found["targets"] == {"phases": {"install": 600}, "efficiency": 0, "source": "nimble-watch.toml"}
    assert nimble.current()["session_id"] in nimble("compare", "--fail-on", "target").stdout
    settings.write_text(TARGETS.replace("10m", "1s"))
    for done in (nimble("summary"), nimble("compare", "--fail-on", "target")):
        assert "at most 10:00" in done.stdout
    assert "at most 10:00      hit" in (nimble.folder / f"summary-{found['session_id']}.txt").read_text()
    nimble("init")
    nimble("end")
    assert (nimble.current()["environment"], nimble.current()["targets"]["phases"]) == ("dev", {"install": 1})


def test_a_pipeline_fails_on_a_missed_target(nimble: Nimble, tmp_path: Path) -> None:
    install("true")
    assert "none are set here" in nimble("compare", "--fail-on", "target", status=2).stderr
    (tmp_path / "nimble-watch.toml").write_text(TARGETS)
    nimble("compare", "--fail-on", "target")  # the targets of here, as the session has none
    install("false", status=1)
    done = nimble("compare", "--fail-on", "target", status=1)
    assert "missed (it did not succeed)" in done.stdout


def test_a_file_that_cannot_be_used_costs_one_warning_and_no_status(nimble: Nimble, tmp_path: Path) -> None:
    path = tmp_path / "nimble-watch.toml"
    path.write_text("[targets]\ncosts = 3\n")
    complaint = f"nimble-watch: {path}, line 2: targets.costs is no setting; did you mean cost?"
    assert install("sh", "-c", "exit 7", status=7).count(complaint) == 1
    assert nimble.current()["targets"] is None
    for words in (("summary",), ("init",), ("compare",)):
        assert nimble(*words).stderr.count(complaint) == 1
    assert "none are set here" in nimble("compare", "--fail-on", "target", status=2).stderr
