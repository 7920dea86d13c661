"""Why a pod has no node: the scheduler's words compared with the nodes themselves.

The words alone mislead: on a mixed cluster a CPU node says `Insufficient nvidia.com/gpu` of every GPU pod, while the
GPU nodes only lack a toleration.  So of the nodes big enough for the pod we ask what else is in the way, and the
answer decides between the kinds; exactly one of them speaks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from enum import Enum

from msgspec import Struct

from nimble_watch.findings import LookAgain, Verdict
from nimble_watch.objects import (
    Container,
    Node,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Pod,
    Ref,
    Taint,
    Toleration,
    condition,
    seconds,
)
from nimble_watch.rules._pods import live
from nimble_watch.rules._quantity import quantity
from nimble_watch.rules._unschedulable import Stage, furthest
from nimble_watch.state import GPU, ClusterState, gpus_wanted, unscheduled_since

GRACE = 60.0
_PROVISIONING = 900.0
_OWN_SPEC = (
    "didn't match Pod's node affinity",
    "didn't match node selector",
    "taint",
    "wouldn't fit if a new node is added",
    "incompatible with nodepool",
    "Insufficient",
)
_NOT_OWN_SPEC = ("max node group size", "in backoff", "max cluster", "max limit reached", "not ready")
_SCHEDULED_RESOURCES = ("cpu", "memory", "ephemeral-storage", GPU)
_CONDITION_TAINTS = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/", "ToBeDeletedByClusterAutoscaler")
_GPU_TAINT = "nvidia.com/gpu"


class Why(Enum):
    """What keeps a pod without a node."""

    GPU = "gpu"
    RESOURCES = "resources"
    TAINT = "taint"
    AFFINITY = "affinity"
    NOT_READY = "not-ready"
    CLAIM = "claim"


class Placing(Struct, frozen=True):
    """The answer for one pod: why, in whose words, since when, and which nodes would do but for that.

    `nodes` is empty when no node is big enough or the nodes cannot be seen; `blind` says why they cannot.
    """

    pod: Pod
    why: Why
    evidence: str
    since: float
    nodes: tuple[Node, ...]
    blind: str


class Patience(Struct, frozen=True):
    """How long the scheduling may still come right: the verdict, its deadline, and what the autoscaler says."""

    verdict: Verdict
    deadline: float | None
    note: str


def placing(subject: Ref, state: ClusterState) -> Placing | None:
    """Give why a pod has no node; None when it has one, is not told unschedulable, or the reason is another kind's."""
    pod = live(state, subject)
    if pod is None or pod.spec.node_name:
        return None
    since = unscheduled_since(pod)
    said = condition(pod.status.conditions, "PodScheduled")
    if since is None or said is None:
        return None
    text = said.message or ""
    stage = furthest(text)
    if stage is None:
        return None
    if stage is Stage.CLAIM:
        return Placing(pod, Why.CLAIM, text, since, (), "")
    if stage > Stage.GPU or stage is Stage.PORTS:
        return None
    blind = state.unseen("Node")
    why, nodes = _told(stage) if blind else _seen(pod, tuple(state.nodes()), state)
    return None if why is None else Placing(pod, why, text, since, nodes, blind)


def kept_off(subject: Ref, state: ClusterState, now: float, why: Why) -> Iterator[Placing | LookAgain]:
    """Give why a pod has no node if that is the reason, or when to look again while nodes and pods are being listed.

    A part of them, and the scheduler's words without them, would tell another reason than the whole.
    """
    found = placing(subject, state)
    if found is None:
        return
    listed_by = 0.0 if found.why is Why.CLAIM else max(state.awaited("Node"), state.awaited("Pod"))
    if now < listed_by:
        yield LookAgain(listed_by)
    elif found.why is why:
        yield found


def _told(stage: Stage) -> tuple[Why | None, tuple[Node, ...]]:
    """Take the scheduler's word where the nodes cannot be seen."""
    words = {Stage.GPU: Why.GPU, Stage.RESOURCES: Why.RESOURCES, Stage.TAINT: Why.TAINT, Stage.AFFINITY: Why.AFFINITY}
    return words.get(stage), ()


def _seen(pod: Pod, nodes: tuple[Node, ...], state: ClusterState) -> tuple[Why | None, tuple[Node, ...]]:
    wanted = requests(pod)
    missing = Why.GPU if wanted.get(GPU) else Why.RESOURCES
    if demands(pod):
        # What the pod itself demands decides which nodes are meant, even if those are too small for it.
        meant = tuple(node for node in nodes if matches(pod, node))
        if not meant:
            return Why.AFFINITY, nodes
        nodes = meant
    big = [node for node in nodes if _big_enough(node, wanted)]
    if not big:
        return missing, tuple(node for node in nodes if not wanted.get(GPU) or is_gpu_node(node))
    usable = [node for node in big if not node.spec.unschedulable]
    open_to_it = [node for node in usable if not untolerated(pod, node)]
    if open_to_it:
        lacking = [node for node in open_to_it if not _has_free(node, wanted, (GPU,), state)]
        if wanted.get(GPU) and len(lacking) == len(open_to_it):
            return Why.GPU, tuple(open_to_it)
        return Why.RESOURCES, tuple(node for node in open_to_it if node not in lacking)
    by_condition = [node for node in usable if all(is_condition(taint) for taint in untolerated(pod, node))]
    if by_condition:
        return (Why.NOT_READY, tuple(by_condition)) if any(not is_ready(node) for node in by_condition) else (None, ())
    return (Why.TAINT, tuple(usable)) if usable else (None, ())


def patience(state: ClusterState, subject: Ref, since: float) -> Patience:
    """Give how long to wait: an autoscaler at work prolongs it, one that refuses ends it."""
    started = state.latest(subject, "TriggeredScaleUp", "Nominated")
    refused = state.latest(subject, "NotTriggerScaleUp")
    if started is not None and (refused is None or refused.at <= started.at):
        note = " The autoscaler is adding a node."
        return Patience(Verdict.GRACE, started.at + _PROVISIONING, note)
    if refused is not None:
        if _for_its_own_sake(refused.message):
            return Patience(Verdict.TERMINAL, None, " The autoscaler has no pool that would fit.")
        return Patience(Verdict.GRACE, since + GRACE, f" The autoscaler refuses: {_after_colon(refused.message)}.")
    return Patience(Verdict.GRACE, since + GRACE, "")


def _after_colon(message: str) -> str:
    return (message.partition(": ")[2] or message).rstrip(". ")


def _for_its_own_sake(message: str) -> bool:
    """Tell whether every reason of a refusal lies in the pod's own specification, so that waiting changes nothing."""
    if any(entry in message for entry in _NOT_OWN_SPEC):
        return False
    return any(entry in message for entry in _OWN_SPEC)


def requests(pod: Pod) -> dict[str, Decimal]:
    """Give what a pod asks of a node, as the scheduler counts it."""
    wanted: dict[str, Decimal] = {}
    for entry in pod.spec.containers:
        for name, amount in _asked(entry).items():
            wanted[name] = wanted.get(name, Decimal()) + amount
    for entry in pod.spec.init_containers or ():
        for name, amount in _asked(entry).items():
            wanted[name] = max(wanted.get(name, Decimal()), amount)
    return wanted


def _asked(entry: Container) -> dict[str, Decimal]:
    both = {**(entry.resources.limits or {}), **(entry.resources.requests or {})} if entry.resources else {}
    return {name: amount for name, text in both.items() if (amount := quantity(text)) is not None}


def _offers(node: Node, name: str) -> Decimal:
    text = (node.status.allocatable or {}).get(name)
    return (quantity(text) if text is not None else None) or Decimal()


def _big_enough(node: Node, wanted: dict[str, Decimal]) -> bool:
    return all(_offers(node, name) >= amount for name, amount in wanted.items() if name in _SCHEDULED_RESOURCES)


def free(node: Node, name: str, state: ClusterState) -> Decimal:
    """Give how much of a resource is not requested by the pods bound to a node."""
    held = (
        requests(pod).get(name, Decimal())
        for _, pod in state.pods_on(node.metadata.name)
        if pod.status.phase not in ("Succeeded", "Failed")
    )
    return _offers(node, name) - sum(held, Decimal())


def _has_free(node: Node, wanted: dict[str, Decimal], names: Iterable[str], state: ClusterState) -> bool:
    return all(free(node, name, state) >= wanted[name] for name in names if name in wanted)


def short_of(node: Node, pod: Pod, state: ClusterState) -> list[str]:
    """Give which resources a node has not free for a pod."""
    wanted = requests(pod)
    return [name for name in _SCHEDULED_RESOURCES if name in wanted and free(node, name, state) < wanted[name]]


def is_gpu_node(node: Node) -> bool:
    """Tell whether a machine has GPUs, even while its device plugin offers none."""
    capacity = (node.status.capacity or {}).get(GPU, "0")
    labels = node.metadata.labels or {}
    return (
        capacity not in ("", "0")
        or ".GPU" in labels.get("node.kubernetes.io/instance-type", "")
        or any(taint.key == _GPU_TAINT for taint in node.spec.taints or ())
    )


def is_ready(node: Node) -> bool:
    """Tell whether a node's kubelet says that it is ready."""
    said = condition(node.status.conditions, "Ready")
    return said is not None and said.status == "True"


def is_condition(taint: Taint) -> bool:
    """Tell whether a taint is set by a controller for the node's condition, not by a person for its purpose."""
    return taint.key.startswith(_CONDITION_TAINTS)


def untolerated(pod: Pod, node: Node) -> list[Taint]:
    """Give the taints of a node that keep a pod off it."""
    found = [taint for taint in node.spec.taints or () if taint.effect in ("NoSchedule", "NoExecute")]
    tolerations = pod.spec.tolerations or ()
    return [taint for taint in found if not any(_tolerates(entry, taint) for entry in tolerations)]


def _tolerates(entry: Toleration, taint: Taint) -> bool:
    if entry.effect and entry.effect != taint.effect:
        return False
    if entry.operator == "Exists":
        return not entry.key or entry.key == taint.key
    return entry.key == taint.key and entry.value == taint.value


def demands(pod: Pod) -> list[NodeSelectorTerm]:
    """Give the alternatives of which a node must fulfil one; empty when the pod demands nothing."""
    affinity = pod.spec.affinity.node_affinity if pod.spec.affinity else None
    terms = list((affinity.required.node_selector_terms or ()) if affinity and affinity.required else ())
    own = tuple(NodeSelectorRequirement(key, "In", (value,)) for key, value in (pod.spec.node_selector or {}).items())
    if not own:
        return terms
    if not terms:
        return [NodeSelectorTerm(match_expressions=own)]
    return [NodeSelectorTerm((*own, *(term.match_expressions or ())), term.match_fields) for term in terms]


def matches(pod: Pod, node: Node) -> bool:
    """Tell whether a node has the labels that a pod demands."""
    terms = demands(pod)
    return not terms or any(not unmet(term, node) for term in terms)


def unmet(term: NodeSelectorTerm, node: Node) -> list[NodeSelectorRequirement]:
    """Give the demands that a node does not fulfil."""
    labels = node.metadata.labels or {}
    failed = [entry for entry in term.match_expressions or () if not _holds(entry, labels.get(entry.key))]
    fields = {"metadata.name": node.metadata.name}
    return failed + [entry for entry in term.match_fields or () if not _holds(entry, fields.get(entry.key))]


def _holds(entry: NodeSelectorRequirement, value: str | None) -> bool:
    values = entry.values or ()
    match entry.operator:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            number, bound = quantity(value or ""), quantity(values[0]) if values else None
            if number is None or bound is None:
                return False
            return number > bound if entry.operator == "Gt" else number < bound


def shape_of(node: Node) -> str:
    """Give a node as people speak of it: its shape and its name."""
    shape = (node.metadata.labels or {}).get("node.kubernetes.io/instance-type", "")
    return f"{shape} {node.metadata.name}" if shape else node.metadata.name


def listed(names: Iterable[str], most: int = 3) -> str:
    """Give names as a list for a sentence, the first few and how many more."""
    found = list(names)
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more


def gpus_asked(pod: Pod) -> str:
    """Give what a pod wants, such as `1 GPU`."""
    wanted = gpus_wanted(pod)
    return f"{wanted} GPU" if wanted == 1 else f"{wanted} GPUs"


def span(start: float | None, now: float) -> str:
    """Give how long ago something began, in the two largest units; empty when that is not known."""
    if start is None:
        return ""
    whole = max(0, int(now - start))
    days, hours, minutes = whole // 86400, whole % 86400 // 3600, whole % 3600 // 60
    if days:
        return f"{days}d{hours}h"
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{whole % 60:02d}s" if minutes else f"{whole}s"


def bound_since(pod: Pod) -> float | None:
    """Give since when a pod has its node (epoch seconds)."""
    said = condition(pod.status.conditions, "PodScheduled")
    at = said.last_transition_time if said is not None and said.status == "True" else None
    return seconds(at or pod.status.start_time)
