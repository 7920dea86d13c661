"""No node has as many GPUs free as the pod asks for.

Signal: a Pending pod, event FailedScheduling, condition PodScheduled=False, reason Unschedulable, `... Insufficient
nvidia.com/gpu`, and of the nodes with enough GPUs those that the pod may use have them taken, or no node has that
many at all.

Near misses: GPU nodes that only lack a toleration (taint-untolerated) or a label (affinity-mismatch), while CPU nodes
say `Insufficient nvidia.com/gpu`; a GPU node with free GPUs and no free CPU (resources-insufficient); a newest event
that says GPU while the condition says something else.

Verdict: grace for 60 s; longer while an autoscaler brings a node (15 min) or a holder is on its way out (30 min); no
end of grace while the holders are Jobs, which end by themselves; terminal when the autoscaler refuses for the pod's
own sake.

Fix: free a GPU (the sentence says who holds them and since when), add a node, or ask for fewer GPUs.

Source: the scheduler's condition; holders are the pods bound to the nodes, counted by their limits, as the scheduler
counts. A GPU whose holder terminates takes 2 to 30 minutes to come free (k8s-device-plugin#335, gpu-operator#303).
"""

from __future__ import annotations

from nimble_watch.findings import Answers, Finding, LookAgain, Rule, Verdict
from nimble_watch.objects import Node, Pod, Ref, seconds
from nimble_watch.rules._placing import (
    Patience,
    Placing,
    Why,
    bound_since,
    gpus_asked,
    is_gpu_node,
    kept_off,
    listed,
    patience,
    shape_of,
    span,
)
from nimble_watch.rules._said import Said
from nimble_watch.rules._unschedulable import Stage, said_stage
from nimble_watch.state import ClusterState, gpus_allocatable, gpus_wanted

_RELEASING = 1800.0


def says(said: Said) -> bool:
    """Tell whether a message says that there are not enough GPUs."""
    return said_stage(said) is Stage.GPU


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give a finding for a pod that waits for a GPU."""
    for found in kept_off(subject, state, now, Why.GPU):
        yield found if isinstance(found, LookAgain) else _finding(subject, found, state, now)


def _finding(subject: Ref, found: Placing, state: ClusterState, now: float) -> Finding:
    wait = _patience(subject, found, state)
    nodes = [node for node in found.nodes if is_gpu_node(node)]
    return Finding(
        subject=subject,
        verdict=wait.verdict,
        summary=f"no node has {gpus_asked(found.pod)} free for {subject}",
        cause=_cause(subject, found, nodes, state, now) + wait.note,
        evidence=found.evidence,
        fix=_fix(found, nodes),
        command=_command(nodes),
        since=found.since,
        deadline=wait.deadline,
        signature=str(gpus_wanted(found.pod)),
    )


def _patience(subject: Ref, found: Placing, state: ClusterState) -> Patience:
    wait = patience(state, subject, found.since)
    if wait.verdict is not Verdict.GRACE:
        return wait
    ends: list[float | None] = []
    for node in found.nodes:
        freed = gpus_allocatable(node)
        for holder, pod, held in state.gpu_holders(node.metadata.name):
            leaving = seconds(pod.metadata.deletion_timestamp)
            if leaving is not None:
                ends.append(leaving + _RELEASING)
            elif state.root(holder).kind in ("Job", "CronJob"):
                ends.append(None)
            else:
                freed -= held
        if freed < gpus_wanted(found.pod):
            continue
        if None in ends:
            return Patience(Verdict.GRACE, None, wait.note)
        if ends:
            return Patience(Verdict.GRACE, max([wait.deadline or 0.0, *(end for end in ends if end)]), wait.note)
    return wait


def _cause(subject: Ref, found: Placing, nodes: list[Node], state: ClusterState, now: float) -> str:
    if found.blind:
        return f"The scheduler finds no free GPU; who holds them is not visible ({found.blind})."
    if not nodes:
        return "No node that the pod may use has a GPU."
    bare = [node for node in nodes if gpus_allocatable(node) == 0]
    if len(bare) == len(nodes):
        return f"{listed(shape_of(node) for node in bare)} offers no GPU: its device plugin is not running."
    largest = max(gpus_allocatable(node) for node in nodes)
    if largest < gpus_wanted(found.pod):
        return f"The pod asks for {gpus_asked(found.pod)}, the largest node has {largest}."
    if blind := state.unseen("Pod"):
        return f"All GPUs that the pod may use are taken; by whom is not visible ({blind})."
    told = [_holders(node, state, now) for node in nodes if gpus_allocatable(node)]
    own = " Its own old pod holds a GPU that the roll-out waits for." if _own_old(subject, nodes, state) else ""
    return listed(told) + "." + own


def _holders(node: Node, state: ClusterState, now: float) -> str:
    holders = state.gpu_holders(node.metadata.name)
    total = sum(held for _, _, held in holders)
    who = listed(_holder(holder, pod, held, state, now) for holder, pod, held in holders) or "nobody"
    return f"{total}/{gpus_allocatable(node)} GPUs of {shape_of(node)} held by {who}"


def _holder(holder: Ref, pod: Pod, held: int, state: ClusterState, now: float) -> str:
    top = state.root(holder)
    parts = [f"{held} GPUs" if held > 1 else "1 GPU"]
    if top.uid != holder.uid:
        parts.append(f"{top.kind} {top.name}")
    if ago := span(bound_since(pod), now):
        parts.append(f"for {ago}")
    if pod.metadata.deletion_timestamp is not None:
        parts.append("terminating")
    return f"{holder.namespace}/{holder.name} ({', '.join(parts)})"


def _own_old(subject: Ref, nodes: list[Node], state: ClusterState) -> bool:
    """Tell whether a roll-out waits for a GPU that its own former pod holds, which goes only once the new one is up."""
    top = state.root(subject)
    return top.uid != subject.uid and any(
        state.root(holder).uid == top.uid for node in nodes for holder, _, _ in state.gpu_holders(node.metadata.name)
    )


def _fix(found: Placing, nodes: list[Node]) -> str:
    if nodes and not any(gpus_allocatable(node) for node in nodes):
        return "Start the NVIDIA device plugin on that node; the pod is placed by itself once the GPUs are offered."
    largest = max((gpus_allocatable(node) for node in nodes), default=0)
    if largest < gpus_wanted(found.pod):
        return "Add a node with enough GPUs, or ask for fewer of them."
    return "Free a GPU by scaling down who holds it, or add a GPU node to the pool."


def _command(nodes: list[Node]) -> str:
    if len(nodes) == 1:
        return f"kubectl get pods -A -o wide --field-selector spec.nodeName={nodes[0].metadata.name}"
    return "kubectl get nodes -o 'custom-columns=NAME:.metadata.name,GPUS:.status.allocatable.nvidia\\.com/gpu'"


RULE = Rule(
    kind="gpu-insufficient",
    type="scheduling",
    rank=22,
    subjects=frozenset({"Pod"}),
    recognise=recognise,
)
