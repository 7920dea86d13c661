"""What became of a workload whose broken pods went away: fixed, taken back, or not decided yet."""

from __future__ import annotations

from nimble_watch.objects import Pod, Ref, seconds
from nimble_watch.obstacles.model import Obstacle, Outcome
from nimble_watch.state import ClusterState

_STEADY = 10.0
"""Seconds that a container must run to count as past its trouble; one that crashes at once runs shorter."""


def fate_of_root(top: Ref, obstacle: Obstacle, state: ClusterState, now: float) -> Outcome | None:
    """Tell whether the owner of vanished objects is rid of their trouble; None while that is open."""
    workload = state.workload(top)
    if workload is None:
        return None
    if workload.spec.replicas == 0 or workload.metadata.deletion_timestamp is not None:
        return "removed"
    wanted = workload.spec.replicas if workload.spec.replicas is not None else 1
    status = workload.status
    if top.kind == "Job":
        return "fixed" if status.succeeded >= (workload.spec.completions or 1) else None
    if status.observed_generation >= workload.metadata.generation and status.ready_replicas >= wanted > 0:
        return "fixed"
    return "fixed" if any(_past(pod, obstacle, now) for _, pod in state.pods_below(top)) else None


def _past(pod: Pod, obstacle: Obstacle, now: float) -> bool:
    """Tell whether a pod has got over the point at which the others were stuck."""
    if pod.metadata.deletion_timestamp is not None:
        return False
    for status in (*(pod.status.init_container_statuses or ()), *(pod.status.container_statuses or ())):
        if obstacle.finding.container not in ("", status.name):
            continue
        running = status.state.running if status.state is not None else None
        started = seconds(running.started_at) if running is not None else None
        if status.ready or (started is not None and now - started >= _STEADY):
            return True
    return False
