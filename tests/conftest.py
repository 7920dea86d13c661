"""What all tests share: a home of their own, one embedded cluster per run, a namespace per test, no silent skips."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

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


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where everything must run, so that nothing is lost unseen."""
    report = yield
    if report.skipped and os.environ.get(REQUIRE_ALL) and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but {REQUIRE_ALL} is set: {report.longrepr}"
    return report
