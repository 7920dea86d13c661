"""How `make test` shares the tests between two processes: most of them wait for something, and cores stand idle.

The embedded cluster's tests stay in one process, since they share one cluster; so do those of a file, since what they
share is made once.  What has most tests begins first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    import pytest

_CLUSTER = "tests/cluster/"


class SideBySide(LoadScopeScheduling):  # type: ignore[misc]  # it comes without types
    """Give tests to whichever process is free: the cluster's together, and those of each file."""

    def _split_scope(self, nodeid: str) -> str:
        return _CLUSTER if nodeid.startswith(_CLUSTER) else nodeid.partition("::")[0]


def scheduler(config: pytest.Config, log: Any) -> SideBySide:
    """Make what pytest-xdist's hook `pytest_xdist_make_scheduler` asks for."""
    return SideBySide(config, log)
