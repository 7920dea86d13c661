"""A node is not ready: its kubelet is silent, or says so itself.

Signal: condition Ready of a node is Unknown (`Kubelet stopped posting node status.`) or False (NotReady); or a pod
that only such a node could take is unschedulable.

Near misses: a node that has just joined and is still setting up (5 min); `NetworkReady=false`, which is the network
plugin's trouble; a node that is only cordoned; a node that nobody in scope is bound to while others can take the pod.

Verdict: grace for 300 s (after that Kubernetes evicts the node's pods), then terminal.

Fix: look at the instance in the OCI console, reboot or replace it; pods of a Deployment move by themselves.

Source: node lifecycle controller; the condition is set 40 s or more after the kubelet's last word.
"""

from __future__ import annotations

import re

from nimble_watch.findings import Answers, Finding, LookAgain, Rule, Verdict
from nimble_watch.objects import Ref, condition, seconds
from nimble_watch.rules._placing import Placing, Why, is_ready, kept_off, listed, shape_of
from nimble_watch.rules._pods import describe
from nimble_watch.rules._said import Said
from nimble_watch.state import ClusterState

_GRACE = 300.0
_JOINING = 300.0
_NETWORK = re.compile(
    r"NetworkReady=false|NetworkPluginNotReady|cni (?:config|plugin)|No CNI configuration", re.IGNORECASE
)
_REASONS = ("NodeNotReady", "NodeStatusUnknown", "NodeStatusNeverUpdated", "KubeletNotReady")
_WORDING = re.compile(
    r"Kubelet stopped posting node status|Kubelet never posted node status|^Node is not ready$"
    r"|status is now: NodeNotReady|PLEG is not healthy|container runtime is down"
)
_ROW = re.compile(r"^\S+\s+NotReady\b")


def says(said: Said) -> bool:
    """Tell whether a message says that a node is not ready."""
    if _NETWORK.search(said.message):
        return False
    if said.where == "output":
        return bool(_ROW.match(said.message))
    return said.where in ("event", "condition", "other") and (
        said.reason in _REASONS or bool(_WORDING.search(said.message))
    )


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give a finding for a node that is not ready, or for a pod that waits for one."""
    if subject.kind == "Pod":
        for found in kept_off(subject, state, now, Why.NOT_READY):
            yield found if isinstance(found, LookAgain) else _pod(subject, found, state)
        return
    node = state.node(subject.name)
    if node is None or node.metadata.deletion_timestamp is not None:
        return
    said = condition(node.status.conditions, "Ready")
    if said is None or said.status == "True" or _NETWORK.search(said.message or ""):
        return
    since = seconds(said.last_transition_time) or now
    joined = seconds(node.metadata.creation_timestamp) or 0.0
    if said.status == "False" and now < joined + _JOINING and since < joined + _JOINING / 2:
        yield LookAgain(joined + _JOINING)
        return
    silent = said.status == "Unknown"
    yield Finding(
        subject=subject,
        verdict=Verdict.GRACE,
        summary=f"node {subject.name} is not ready",
        cause=f"The kubelet of {shape_of(node)} {'is silent' if silent else 'says that it is not ready'}.",
        evidence=said.message or said.reason or "",
        fix="Look at the instance in the OCI console and reboot or replace it.",
        command=describe(subject),
        since=since,
        deadline=since + _GRACE,
        signature="Ready",
    )


def _pod(subject: Ref, found: Placing, state: ClusterState) -> Finding:
    """Judge a pod that only nodes that are not ready could take."""
    nodes = [node for node in found.nodes if not is_ready(node)]
    references = [state.named("Node", "", node.metadata.name) for node in nodes]
    return Finding(
        subject=subject,
        verdict=Verdict.GRACE,
        summary=f"{subject} waits for a node that is not ready",
        cause=f"{listed(shape_of(node) for node in nodes)} could take the pod, but is not ready.",
        evidence=found.evidence,
        fix="Look at the instance in the OCI console and reboot or replace it.",
        command=f"kubectl describe node {nodes[0].metadata.name}",
        since=found.since,
        deadline=found.since + _GRACE,
        because=tuple(reference for reference in references if reference is not None),
        signature="waits",
    )


RULE = Rule(
    kind="node-not-ready",
    type="node-failure",
    rank=5,
    subjects=frozenset({"Node", "Pod"}),
    recognise=recognise,
)
