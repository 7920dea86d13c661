"""What a session says of itself beside its phases: where it began, which cluster and region, what it cost."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nimble_watch.config import ci_facts, environment_name, file_here, host_facts, region_name, vcs_facts
from nimble_watch.metering import Meter
from nimble_watch.observer.entries import option
from nimble_watch.scope import Scope
from nimble_watch.session import Record, costs_known, fields_set, milliseconds, new_uid, session_started
from nimble_watch.signals import ClusterFound
from nimble_watch.state import ClusterState

_NUMBERS = 1000  # of obstacles of one command


def beginning(told: dict[str, Any], session: str, started: float, warn: Callable[[str], None]) -> Record:
    """Give the record with which a session begins, from what the launcher told and what the surroundings say.

    A settings file that cannot be used is warned of, and then there is none.
    """
    options = told.get("options") or {}
    file = file_here(lambda wrong: warn(f"{wrong}; the phase goes on without that file"))
    return session_started(
        session_id=session,
        uid=new_uid(milliseconds(started), os.urandom(10)),
        operation=str(told.get("operation") or "unknown"),
        environment=environment_name(option(options, "environment"), os.environ, file).value or "dev",
        start_time=started,
        region=region_name(os.environ, file).value,
        host=host_facts(),
        ci=ci_facts(os.environ),
        vcs=vcs_facts(Path.cwd()),
        targets=file.targets,
    )


def first_number(*, joined: bool) -> int:
    """Give the number of a command's first obstacle.

    An id holds the second and the number: several commands of one session may meet obstacles in the same second.
    """
    return os.getpid() * _NUMBERS + 1 if joined else 1


def known_by_now(state: ClusterState, scope: Scope, meter: Meter, *, over: bool) -> Iterator[Record]:
    """Give the records of what is known of the costs and of the cluster; `over` when no phase follows."""
    yield costs_known(meter.costs(over=over))
    found: dict[str, Any] = {}
    if isinstance(state.cluster, ClusterFound):
        found["namespaces"] = sorted(scope.namespaces)
    region = next((r for node in state.nodes() if (r := _region(node.metadata.labels))), None)
    if region is not None and region_name(os.environ, file_here(lambda _wrong: None)).value is None:
        found["region"] = region
    if found:
        yield fields_set(**found)


def _region(labels: dict[str, str] | None) -> str | None:
    return (labels or {}).get("topology.kubernetes.io/region")
