"""No node that the pod may use has enough CPU, memory or local disk free.

Signal: a Pending pod, event FailedScheduling, condition PodScheduled=False, reason Unschedulable, `... Insufficient
cpu`, `memory` or `ephemeral-storage`, and of the nodes big enough for the pod those that it may use lack what it asks
for, or no node is that big.

Near misses: a node that lacks GPUs only (gpu-insufficient); `Too many pods`; nodes that lack a toleration or a label;
a pod that the kubelet refused after binding (OutOfcpu).

Verdict: grace for 60 s, longer while an autoscaler brings a node; terminal when it refuses for the pod's own sake.

Fix: ask for less, free what others hold, or add a node.

Source: the scheduler's condition, compared with the allocatable amounts of the nodes and the requests of their pods.
"""

from __future__ import annotations

import re
from decimal import Decimal

from nimble_watch.findings import Answers, Finding, LookAgain, Rule
from nimble_watch.objects import Ref
from nimble_watch.rules._placing import Placing, Why, kept_off, listed, patience, requests, shape_of, short_of
from nimble_watch.rules._said import Said
from nimble_watch.rules._unschedulable import Stage, said_stage
from nimble_watch.state import ClusterState

_RESOURCE = re.compile(r"Insufficient ([a-z0-9./-]+[a-z0-9])")


def says(said: Said) -> bool:
    """Tell whether a message says that CPU, memory or local disk do not suffice."""
    return said_stage(said) is Stage.RESOURCES


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give a finding for a pod that no node has room for."""
    for found in kept_off(subject, state, now, Why.RESOURCES):
        yield found if isinstance(found, LookAgain) else _finding(subject, found, state)


def _finding(subject: Ref, found: Placing, state: ClusterState) -> Finding:
    wait = patience(state, subject, found.since)
    lacking = _lacking(found, state)
    return Finding(
        subject=subject,
        verdict=wait.verdict,
        summary=f"no node has enough {' and '.join(lacking)} free for {subject}",
        cause=_cause(found, lacking) + wait.note,
        evidence=found.evidence,
        fix="Ask for less in the pod's resource requests, free what other pods hold, or add a node.",
        command="kubectl describe nodes | grep -A 9 'Allocated resources'",
        since=found.since,
        deadline=wait.deadline,
        signature=",".join(lacking),
    )


def _lacking(found: Placing, state: ClusterState) -> list[str]:
    named = {name for node in found.nodes for name in short_of(node, found.pod, state)}
    return sorted(named) or sorted(set(_RESOURCE.findall(found.evidence))) or ["room"]


def _cause(found: Placing, lacking: list[str]) -> str:
    wanted = requests(found.pod)
    asked = (
        " and ".join(f"{_amount(name, wanted[name])} {name}" for name in lacking if name in wanted)
        or "more than is free"
    )
    if found.blind:
        return f"The pod asks for {asked}; what the nodes hold is not visible ({found.blind})."
    if not found.nodes:
        return f"The pod asks for {asked}, and the cluster has no node to take it."
    return f"The pod asks for {asked}, which is not free on {listed(shape_of(node) for node in found.nodes)}."


def _amount(name: str, amount: Decimal) -> str:
    return f"{amount.normalize():f}" if name == "cpu" else f"{float(amount) / 1024**3:.4g} GiB of"


RULE = Rule(
    kind="resources-insufficient",
    type="scheduling",
    rank=22,
    subjects=frozenset({"Pod"}),
    recognise=recognise,
)
