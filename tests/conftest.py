"""What all tests share: a home of their own, one embedded cluster per run, a namespace per test, no silent skips."""

from __future__ import annotations

import hashlib
import os
import re
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.cluster.harness import Cluster
from tests.permissions import excuses, not_tested
from tests.side_by_side import scheduler as pytest_xdist_make_scheduler  # noqa: F401  pytest finds it by its name

REQUIRE_ALL = "NIMBLE_WATCH_REQUIRE_ALL"
_KEPT = (REQUIRE_ALL, "NIMBLE_WATCH_CACHE", "NIMBLE_WATCH_TEST_")
_OURS = re.compile(r"^(NIMBLE_WATCH_|OCI_|KUBECONFIG$|NGC_|MAKEFLAGS$|MAKELEVEL$|MFLAGS$|DEBUG$|ENVIRONMENT$)")


@pytest.fixture(scope="session", autouse=True)
def _home_of_our_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep every test, and every process it starts, away from the user's home, kubeconfig, sessions and OCI keys."""
    home = tmp_path_factory.mktemp("home")
    before = dict(os.environ)
    cache = before.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    for name in [name for name in before if _OURS.match(name) and not name.startswith(_KEPT)]:
        del os.environ[name]
    for name in ("COLUMNS", "LINES"):  # what a terminal says of itself goes before: curses would never see a resize
        os.environ.pop(name, None)
    os.environ["HOME"] = str(home)
    os.environ["XDG_CACHE_HOME"] = cache  # the built cluster binary is shared by all runs
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
    yield home
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session", autouse=True)
def _signals_as_a_login_has_them() -> None:
    """Undo what a CI's nohup or `&` had ignored: children inherit that, and these tests ask how they take signals."""
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where everything must run, so that nothing is lost unseen; not what is forbidden."""
    report = yield
    left_out = report.skipped and not hasattr(report, "wasxfail")
    if left_out and os.environ.get(REQUIRE_ALL) and not excuses(str(report.longrepr)):
        report.outcome = "failed"
        report.longrepr = f"skipped, but {REQUIRE_ALL} is set: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name, test by test, what this machine forbids: the run may be green, but this was not tested."""
    left_out = [report for report in terminalreporter.getreports("skipped") if excuses(str(report.longrepr))]
    if left_out:
        terminalreporter.section(f"{len(left_out)} NOT TESTED HERE", sep="!", red=True, bold=True)
    for report in left_out:
        terminalreporter.line(f"{report.nodeid}: {not_tested(report.longrepr[2])}", red=True)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Give the one embedded cluster of this run; building it the first time takes minutes and says so."""
    running = Cluster.start(tmp_path_factory.mktemp("cluster") / "c")
    yield running
    running.stop()


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """Give a namespace named after the test; it goes with it."""
    node: pytest.Item = request.node
    digest = hashlib.sha256(node.nodeid.encode()).hexdigest()[:6]
    with cluster.namespace(f"{node.name.removeprefix('test_')[:40]}-{digest}") as name:
        yield name
