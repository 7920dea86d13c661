"""What all tests share: a home of their own, one embedded cluster per run, a namespace per test, no silent skips."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "cluster"))

REQUIRE_ALL = "NIMBLE_WATCH_REQUIRE_ALL"
_OURS = re.compile(r"^(NIMBLE_WATCH_|OCI_|KUBECONFIG$|NGC_|MAKEFLAGS$|MAKELEVEL$|MFLAGS$|DEBUG$|ENVIRONMENT$)")


@pytest.fixture(scope="session", autouse=True)
def _home_of_our_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep every test, and every process it starts, away from the user's home, kubeconfig, sessions and OCI keys."""
    home = tmp_path_factory.mktemp("home")
    before = dict(os.environ)
    cache = before.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    for name in [name for name in before if _OURS.match(name) and name not in (REQUIRE_ALL, "NIMBLE_WATCH_CACHE")]:
        del os.environ[name]
    os.environ["HOME"] = str(home)
    os.environ["XDG_CACHE_HOME"] = cache  # the built cluster binary is shared by all runs
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
    yield home
    os.environ.clear()
    os.environ.update(before)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Turn a skip into a failure where everything must run, so that nothing is lost unseen."""
    outcome: pytest.TestReport
    result = yield
    outcome = result.get_result()  # type: ignore[attr-defined]  # pluggy hands the result to the generator untyped
    if outcome.skipped and os.environ.get(REQUIRE_ALL) and not hasattr(outcome, "wasxfail"):
        outcome.outcome = "failed"
        outcome.longrepr = f"skipped, but {REQUIRE_ALL} is set: {outcome.longrepr}"
