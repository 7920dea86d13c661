"""Every node that could take the pod carries a taint that the pod does not tolerate.

Signal: a Pending pod, event FailedScheduling, condition PodScheduled=False, reason Unschedulable, `node(s) had
untolerated taint(s)`, in older releases with the taint's name or `had taint {...}, that the pod didn't tolerate`;
which taints it are is read from the nodes.

Near misses: taints that a controller sets for a node's condition (not ready, pressure, cordoned, not yet
initialised): no toleration is the answer there; tainted nodes that would be too small anyway; the autoscaler's own
log of a pool that does not fit.

Verdict: grace for 60 s, longer while an autoscaler brings a node; terminal when it refuses for the pod's own sake.

Fix: add the toleration to the pod's template, with operator Exists: OKE's GPU taint has the value `present`, the
autoscaler's template an empty one.

Source: node objects; the names left the message with Kubernetes 1.34 (kubernetes/kubernetes#134740).
"""

from __future__ import annotations

from nimble_watch.findings import Answers, Finding, LookAgain, Rule
from nimble_watch.objects import Ref, Taint
from nimble_watch.rules._placing import Placing, Why, is_condition, kept_off, listed, patience, shape_of, untolerated
from nimble_watch.rules._said import Said
from nimble_watch.rules._unschedulable import Stage, said_stage
from nimble_watch.state import ClusterState


def says(said: Said) -> bool:
    """Tell whether a message says that a taint keeps the pod off the nodes that got furthest."""
    return said_stage(said) is Stage.TAINT


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give a finding for a pod that lacks a toleration."""
    for found in kept_off(subject, state, now, Why.TAINT):
        yield found if isinstance(found, LookAgain) else _finding(subject, found, state)


def _finding(subject: Ref, found: Placing, state: ClusterState) -> Finding:
    wait = patience(state, subject, found.since)
    taints = _taints(found)
    named = listed(sorted({_text(taint) for taint in taints})) or "a taint of the nodes"
    keys = sorted({taint.key for taint in taints})
    return Finding(
        subject=subject,
        verdict=wait.verdict,
        summary=f"{subject} does not tolerate {named}",
        cause=_cause(found, named) + wait.note,
        evidence=found.evidence,
        fix=f"Add a toleration for {listed(keys) or 'the taint'} with operator Exists to the pod's template.",
        command="kubectl get nodes -o custom-columns=NAME:.metadata.name,TAINTS:.spec.taints",
        since=found.since,
        deadline=wait.deadline,
        signature=",".join(keys),
    )


def _taints(found: Placing) -> list[Taint]:
    every = (taint for node in found.nodes for taint in untolerated(found.pod, node))
    return [taint for taint in every if not is_condition(taint)]


def _text(taint: Taint) -> str:
    value = f"={taint.value}" if taint.value else ""
    return f"{taint.key}{value}:{taint.effect}"


def _cause(found: Placing, named: str) -> str:
    if found.blind:
        return f"The nodes carry a taint that the pod does not tolerate; which one is not visible ({found.blind})."
    return f"{listed(shape_of(node) for node in found.nodes)} would do, but for {named}."


RULE = Rule(
    kind="taint-untolerated",
    type="scheduling",
    rank=22,
    subjects=frozenset({"Pod"}),
    recognise=recognise,
)
