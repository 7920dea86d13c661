"""Pods that the API server refuses to create, as their controllers tell it.

The newest FailedCreate event is the freshest word: a ReplicaSet's condition ReplicaFailure keeps its first message.  A
Deployment shows nothing but too few pods, which is why every other tool waits for a deadline here.
"""

from __future__ import annotations

import re

from msgspec import Struct

from nimble_watch.objects import Ref, Workload, condition, seconds
from nimble_watch.rules._said import Said
from nimble_watch.state import ClusterState

MAKERS = frozenset({"ReplicaSet", "StatefulSet", "DaemonSet", "Job"})
"""The kinds of object that create pods."""

_FORBIDDEN = re.compile(r"\bis forbidden: ")


class Refusal(Struct, frozen=True):
    """A pod was refused: in whose words, since when, how often."""

    evidence: str
    since: float
    count: int


def refusal(subject: Ref, state: ClusterState) -> Refusal | None:
    """Give why a controller cannot create the pods that it still lacks; None when it lacks none."""
    workload = state.workload(subject)
    if workload is None or workload.metadata.deletion_timestamp is not None or _complete(subject, workload):
        return None
    told = state.latest(subject, "FailedCreate")
    done = state.latest(subject, "SuccessfulCreate")
    if told is not None and (done is None or told.at > done.at):
        return Refusal(told.message, told.first_at, told.times)
    said = condition(workload.status.conditions, "ReplicaFailure")
    if told is None and said is not None and said.status == "True" and said.reason == "FailedCreate":
        return Refusal(said.message or "", seconds(said.last_transition_time) or 0.0, 1)
    return None


def _complete(subject: Ref, workload: Workload) -> bool:
    """Tell whether a controller has all the pods it wants, as far as its kind says so."""
    status, spec = workload.status, workload.spec
    match subject.kind:
        case "ReplicaSet" | "StatefulSet":
            return status.replicas >= (1 if spec.replicas is None else spec.replicas)
        case "Job":
            return bool(spec.suspend) or status.succeeded >= (1 if spec.completions is None else spec.completions)
        case _:
            return status.number_ready >= status.desired_number_scheduled > 0


def said_refusal(said: Said, wording: re.Pattern[str]) -> bool:
    """Tell whether a lone message says that an object was refused for that reason, not merely warned about."""
    if said.where in ("waiting", "terminated", "log"):
        return False
    if said.where == "event" and said.reason not in ("FailedCreate", ""):
        return False
    return bool(_FORBIDDEN.search(said.message) and wording.search(said.message))


def refused_lines(subject: Ref, state: ClusterState, wording: re.Pattern[str]) -> list[tuple[float, str]]:
    """Give the lines with which a phase that failed was itself refused, oldest first: when, and the line."""
    phase = state.phases.get(subject.name)
    if phase is None or phase.ended is None or phase.ended.result == "success":
        return []
    lines = ((line.at, line.line) for line in phase.lines)
    return [(at, line) for at, line in lines if _FORBIDDEN.search(line) and wording.search(line)]
