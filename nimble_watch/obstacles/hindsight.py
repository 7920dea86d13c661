"""Whether an object that was given up became ready after all, without anybody changing what it is to be."""

from __future__ import annotations

from nimble_watch.objects import Claim, Pod, Ref, Workload, condition
from nimble_watch.state import ClusterState


def is_ready(subject: Ref, generation: int, state: ClusterState) -> bool:
    """Tell whether an object is ready now; never where its specification is no longer that of `generation`.

    A ReplicaSet's template cannot change and a pod's hardly, so of those any generation will do.
    """
    thing = state.get(subject)
    if isinstance(thing, Pod):
        ready = condition(thing.status.conditions, "Ready")
        return thing.status.phase == "Succeeded" or (ready is not None and ready.status == "True")
    if isinstance(thing, Claim):
        return thing.status.phase == "Bound"
    if not isinstance(thing, Workload) or thing.metadata.deletion_timestamp is not None:
        return False
    if subject.kind == "Job":
        return thing.status.succeeded >= (thing.spec.completions or 1)
    if subject.kind != "ReplicaSet" and thing.metadata.generation != generation:
        return False
    return _replicas_ready(subject.kind, thing)


def _replicas_ready(kind: str, thing: Workload) -> bool:
    status = thing.status
    if status.observed_generation < thing.metadata.generation:
        return False
    if kind == "DaemonSet":
        return status.number_ready >= status.desired_number_scheduled > 0
    wanted = 1 if thing.spec.replicas is None else thing.spec.replicas
    updated = kind == "ReplicaSet" or status.updated_replicas >= wanted
    return updated and status.ready_replicas >= wanted > 0
