"""A desk with us, and one without: the same keys must give the same screen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.process.scribes import Scribe
from tests.terminal.desk import PACKAGE, Desk, ours

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a package without an observer: what is asked here concerns the launcher alone."""
    copy = tmp_path_factory.mktemp("terminal") / "nimble_watch"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "observer*"))
    return copy


@pytest.fixture
def scribe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scribe:
    """Give a package whose observer writes down what it is told."""
    copy = tmp_path / "package" / "nimble_watch"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "observer*"))
    shutil.copy(TESTS / "process" / "scribe.py", copy / "observer.py")
    folder = tmp_path / "scribe"
    folder.mkdir()
    monkeypatch.setenv("NIMBLE_WATCH_SCRIBE", str(folder))
    return Scribe(copy, folder)


WAYS = {"bare": None, "ours": (), "observed": ("--observe",)}


@pytest.fixture(params=WAYS)
def before(request: pytest.FixtureRequest, package: Path) -> str:
    """Give what is typed before a command: nothing, us, or us with a terminal in between.  Every test runs all ways."""
    options = WAYS[request.param]
    return "" if options is None else ours(package, *options)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Callable[[], Desk]]:
    """Give a maker of desks, all of which are closed at the end."""
    opened: list[Desk] = []

    def make() -> Desk:
        environ = {**os.environ, "NIMBLE_WATCH_SESSIONS": str(tmp_path / "sessions"), "KUBECONFIG": os.devnull}
        if system := os.environ.get("NIMBLE_WATCH_TEST_AS"):
            environ["PYTHONPATH"] = str(TESTS / "process" / "shims" / system)
        opened.append(Desk(tmp_path, environ))
        return opened[-1]

    yield make
    for one in opened:
        one.close()
