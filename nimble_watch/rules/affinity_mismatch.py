"""No node has the labels that the pod demands.

Signal: a Pending pod, event FailedScheduling, condition PodScheduled=False, reason Unschedulable, `node(s) didn't
match Pod's node affinity/selector`, and no node big enough for the pod fulfils its nodeSelector or required node
affinity.

Near misses: some node fulfils it and lacks something else (resources, a toleration, a volume in its domain); pod
(anti-)affinity and topology spread, which depend on other pods.

Verdict: grace for 60 s, longer while an autoscaler brings a node; terminal when it refuses for the pod's own sake.

Fix: correct the selector, or label a node.

Source: node labels; NVIDIA's values for OKE demand `nvidia.com/gpu.present`, which only GPU feature discovery sets.
"""

from __future__ import annotations

from nimble_watch.findings import Answers, Finding, LookAgain, Rule
from nimble_watch.objects import Node, NodeSelectorRequirement, Ref
from nimble_watch.rules._placing import Placing, Why, demands, kept_off, listed, patience, unmet
from nimble_watch.rules._said import Said
from nimble_watch.rules._unschedulable import Stage, said_stage
from nimble_watch.state import ClusterState


def says(said: Said) -> bool:
    """Tell whether a message says that labels keep the pod off the nodes that got furthest."""
    return said_stage(said) is Stage.AFFINITY


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give a finding for a pod whose demands no node fulfils."""
    for found in kept_off(subject, state, now, Why.AFFINITY):
        yield found if isinstance(found, LookAgain) else _finding(subject, found, state)


def _finding(subject: Ref, found: Placing, state: ClusterState) -> Finding:
    wait = patience(state, subject, found.since)
    lacking = _lacking(found)
    named = listed(_text(entry) for entry in lacking) or "its node selector"
    return Finding(
        subject=subject,
        verdict=wait.verdict,
        summary=f"no node matches {named} of {subject}",
        cause=_cause(found, lacking, named) + wait.note,
        evidence=found.evidence,
        fix="Correct the pod's nodeSelector or node affinity, or label a node accordingly.",
        command=_command(lacking),
        since=found.since,
        deadline=wait.deadline,
        signature=named,
    )


def _lacking(found: Placing) -> list[NodeSelectorRequirement]:
    """Give the demands that the most willing node does not fulfil."""
    options = [unmet(term, node) for term in demands(found.pod) for node in found.nodes]
    return min(options, key=len, default=[])


def _text(entry: NodeSelectorRequirement) -> str:
    values = entry.values or ()
    if entry.operator == "In" and len(values) == 1:
        return f"{entry.key}={values[0]}"
    if entry.operator in ("Exists", "DoesNotExist"):
        return entry.key if entry.operator == "Exists" else f"!{entry.key}"
    return f"{entry.key} {entry.operator} ({', '.join(values)})"


def _cause(found: Placing, lacking: list[NodeSelectorRequirement], named: str) -> str:
    if found.blind:
        return f"No node matches the pod's selector; the nodes' labels are not visible ({found.blind})."
    return f"The pod demands {named}; {_present(found.nodes, lacking)}."


def _present(nodes: tuple[Node, ...], lacking: list[NodeSelectorRequirement]) -> str:
    if not lacking:
        return "no node has that"
    key = lacking[0].key
    values = sorted({value for node in nodes if (value := (node.metadata.labels or {}).get(key)) is not None})
    return f"the nodes have {key}={listed(values)}" if values else f"no node has the label {key}"


def _command(lacking: list[NodeSelectorRequirement]) -> str:
    return f"kubectl get nodes -L {lacking[0].key}" if lacking else "kubectl get nodes --show-labels"


RULE = Rule(
    kind="affinity-mismatch",
    type="scheduling",
    rank=22,
    subjects=frozenset({"Pod"}),
    recognise=recognise,
)
