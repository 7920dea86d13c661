"""Which finding explains which: ownership, binding, mounting, and what rules say with `because`."""

from __future__ import annotations

from nimble_watch.findings import Finding
from nimble_watch.objects import Ref
from nimble_watch.state import ClusterState, claim_names

_NODE_LEAD = 60.0
"""Seconds by which a node's trouble may be noticed later than that of its pods and still be their cause."""


def same(one: Ref, other: Ref) -> bool:
    """Tell whether two references mean one object; a rule that knows only the name leaves the uid empty."""
    if one.uid and other.uid:
        return one.uid == other.uid
    return one[:3] == other[:3]


def linked(symptom: Finding, cause: Finding, state: ClusterState) -> bool:
    """Tell whether `cause` can explain `symptom`; which of the two is the root is decided by rank, not here."""
    here, there = symptom.subject, cause.subject
    if any(same(because, there) for because in symptom.because):
        return True
    if same(here, there):
        return not symptom.container or not cause.container or symptom.container == cause.container
    if here.kind == "Phase":
        return True  # whatever stood in its way explains how a phase ended; the tracker asks only about what is ours
    if any(same(owner, here) for owner in state.owners(there)):
        return True
    if any(same(owner, there) for owner in state.owners(here)):
        return True
    if there.kind == "PersistentVolumeClaim":
        return _mounts(here, there, state)
    if there.kind == "Node":
        return _on_node(here, there.name, state) and cause.since <= symptom.since + _NODE_LEAD
    return False


def related(subject: Ref, finding: Finding, state: ClusterState) -> list[Ref]:
    """Give the other objects whose findings could explain one, wherever in the cluster they are."""
    found = [subject, *finding.because, *state.owners(subject)]
    pod = state.pod(subject)
    if pod is not None:
        if pod.spec.node_name and (node := state.named("Node", "", pod.spec.node_name)) is not None:
            found.append(node)
        for name in claim_names(pod):
            claim = state.named("PersistentVolumeClaim", subject.namespace, name)
            if claim is not None:
                found.append(claim)
    return found


def _mounts(reference: Ref, claim: Ref, state: ClusterState) -> bool:
    return any(
        pod.uid == reference.uid or any(owner.uid == reference.uid for owner in state.owners(pod))
        for pod in state.claimants(claim)
    )


def _on_node(reference: Ref, node: str, state: ClusterState) -> bool:
    pod = state.pod(reference)
    if pod is not None:
        return pod.spec.node_name == node
    return any(below.spec.node_name == node for _, below in state.pods_below(reference))
