"""What one pod or one node says of itself, where that takes more than looking at a field."""

from __future__ import annotations

from collections.abc import Iterator

from nimble_watch.objects import KubeObject, Node, Pod, condition, seconds

GPU = "nvidia.com/gpu"


def claim_names(pod: Pod) -> Iterator[str]:
    """Give the names of the claims that a pod mounts."""
    for volume in pod.spec.volumes or ():
        if volume.persistent_volume_claim is not None:
            yield volume.persistent_volume_claim.claim_name


def gpus_wanted(pod: Pod) -> int:
    """Give how many GPUs a pod asks for: the sum over its containers, or more if an init container wants more."""

    def wanted(limits: dict[str, str] | None) -> int:
        text = (limits or {}).get(GPU, "0")
        return int(text) if text.isdecimal() else 0

    app = sum(wanted(entry.resources.limits if entry.resources else None) for entry in pod.spec.containers)
    inits = (wanted(entry.resources.limits if entry.resources else None) for entry in pod.spec.init_containers or ())
    return max([app, *inits])


def gpus_allocatable(node: Node) -> int:
    """Give how many GPUs a node offers now; 0 also where its device plugin is absent (compare with its shape)."""
    text = (node.status.allocatable or {}).get(GPU, "0")
    return int(text) if text.isdecimal() else 0


def unscheduled_since(pod: Pod) -> float | None:
    """Give since when the scheduler has found no node for a pod (epoch seconds); None when that is not its trouble."""
    said = condition(pod.status.conditions, "PodScheduled")
    if said is None or said.status != "False" or said.reason != "Unschedulable":
        return None
    return seconds(said.last_transition_time)


def same_offer(before: Node, after: Node) -> bool:
    """Tell whether a node's heartbeat changed nothing that a pod could depend on."""
    ready = [condition(node.status.conditions, "Ready") for node in (before, after)]
    return (
        before.spec == after.spec
        and before.status.allocatable == after.status.allocatable
        and before.metadata.labels == after.metadata.labels
        and (ready[0].status if ready[0] else "") == (ready[1].status if ready[1] else "")
    )


def stays(before: KubeObject, after: Pod) -> bool:
    """Tell whether a pod's next version is the same pod at the same place; the watch shares what did not change."""
    return (
        isinstance(before, Pod)
        and before.spec is after.spec
        and before.metadata.owner_references is after.metadata.owner_references
    )
