"""A Deployment has not progressed within its deadline, and nothing that it waits for is under way.

Signal: condition Progressing=False, reason ProgressDeadlineExceeded, `ReplicaSet "..." has timed out progressing.`;
or `exceeded its progress deadline` in what a phase that failed has printed.

Near misses: a pod of the newest revision whose image is being pulled or came only now, or whose model is still
loading within its probe's budget: the default of 600 s is too short for a model server, and the roll-out goes on all
the same; a Deployment that became available meanwhile.

Verdict: grace for 60 s while nothing moves, then terminal; a symptom, replaced by its cause where one is known.  Where
the kubelet has said nothing of a pod since it was placed there (events come late, or never), its image may be on the
way: nothing is said for 60 s, and nothing terminal.

Fix: find out what the pods of the newest ReplicaSet wait for; raise progressDeadlineSeconds where a load takes
longer.

Source: deployment controller; Tanguille/cluster#3654 and tonehq/tone#695 failed at exactly 10 min while healthy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from nimble_watch.findings import Answers, Finding, LookAgain, Rule, Verdict
from nimble_watch.objects import Pod, Ref, condition, seconds
from nimble_watch.rules._pods import Part, describe, live, parts, superseded
from nimble_watch.rules._pull import pulling_since
from nimble_watch.rules._said import Said
from nimble_watch.state import ClusterState, gpus_wanted

_REASON = "ProgressDeadlineExceeded"
_WORDING = re.compile(
    r"exceeded its progress deadline|has timed out progressing|progress deadline exceeded", re.IGNORECASE
)
_GRACE = 60.0
_MODEL_LOAD = 1860.0
_RECHECK = 30.0
_SETTLING = 10.0
_UNTOLD = 60.0
_BEFORE_THE_KUBELET = ("Scheduled", "SuccessfulAttachVolume")
_CREATING = ("", "ContainerCreating", "PodInitializing")
_STEPS = ("Scheduled", "Pulled", "Created", "Started")


def says(said: Said) -> bool:
    """Tell whether a message says that a roll-out exceeded its deadline."""
    return said.reason == _REASON or bool(_WORDING.search(said.message))


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give a finding for a Deployment, or a phase, that has waited in vain."""
    if subject.kind == "Phase":
        yield from _phase(subject, state)
        return
    deployment = state.workload(subject)
    if deployment is None or deployment.metadata.deletion_timestamp is not None:
        return
    said = condition(deployment.status.conditions, "Progressing")
    if said is None or said.status != "False" or said.reason != _REASON:
        return
    if deployment.status.observed_generation < deployment.metadata.generation:
        return
    pods = list(_newest(subject, state))
    if any(moving(pod, mine, state, now) for pod, mine in pods):
        yield LookAgain(now + _RECHECK)
        return
    settled = max((_last_step(pod, mine, state) for pod, mine in pods), default=0.0) + _SETTLING
    if now < settled:
        yield LookAgain(settled)
        return
    since = seconds(said.last_transition_time) or now
    untold = any(_untold(pod, mine, state) for pod, mine in pods)
    if untold and now < since + _UNTOLD:
        yield LookAgain(since + _UNTOLD)
        return
    yield Finding(
        subject=subject,
        verdict=Verdict.GRACE,
        summary=f"{subject} has not progressed for {deployment.spec.progress_deadline_seconds or 600} s",
        cause=_cause(subject, state),
        evidence=said.message or "",
        fix="Find out what the pods of the newest ReplicaSet wait for.",
        command=describe(subject),
        since=since,
        deadline=None if untold else since + _GRACE,
        signature=_REASON,
    )


def _phase(subject: Ref, state: ClusterState) -> Answers:
    phase = state.phases.get(subject.name)
    if phase is None or phase.ended is None or phase.ended.result == "success":
        return
    lines = [line for line in phase.lines if _WORDING.search(line.line)]
    if lines:
        yield Finding(
            subject=subject,
            verdict=Verdict.TERMINAL,
            summary=f"phase {subject.name} gave up: a roll-out exceeded its progress deadline",
            cause="The command waited for a roll-out that made no progress within its deadline.",
            evidence=lines[-1].line,
            fix="Find out what the pods of the roll-out wait for.",
            command="kubectl get pods -A --field-selector status.phase!=Running",
            since=lines[-1].at,
            signature=_REASON,
        )


def _newest(subject: Ref, state: ClusterState) -> Iterator[tuple[Pod, Ref]]:
    for replicas in state.children(subject):
        if replicas.kind == "ReplicaSet" and not superseded(state, replicas, subject):
            for reference in state.children(replicas):
                if (pod := live(state, reference)) is not None:
                    yield pod, reference


def moving(pod: Pod, subject: Ref, state: ClusterState, now: float) -> bool:
    """Tell whether a pod is still on its way: an image being pulled, or a model being loaded."""
    return any(pulling_since(state, subject, part) is not None or _loading(pod, part, now) for part in parts(pod))


def _untold(pod: Pod, subject: Ref, state: ClusterState) -> bool:
    """Tell whether a pod was placed on a node whose kubelet has not yet said what it does with it."""
    if not pod.spec.node_name or any(part.waiting not in _CREATING or _has_run(part) for part in parts(pod)):
        return False
    return all(event.reason in _BEFORE_THE_KUBELET for event in state.events(subject))


def _has_run(part: Part) -> bool:
    return part.running_since is not None or part.death is not None


def _loading(pod: Pod, part: Part, now: float) -> bool:
    since = part.running_since
    if since is None or part.status is None or part.status.ready or part.status.restart_count > 0:
        return False
    probe = part.spec.startup_probe
    if probe is not None and not part.status.started:
        return now < since + probe.budget
    return gpus_wanted(pod) > 0 and now < since + _MODEL_LOAD


def _last_step(pod: Pod, subject: Ref, state: ClusterState) -> float:
    """Give when a pod that never failed took its last step; right after one the Deployment has not caught up yet."""
    if any(part.status is not None and part.status.restart_count for part in parts(pod)):
        return 0.0
    step = state.latest(subject, *_STEPS)  # the status may be ahead of the events, and the other way round
    runs = [since for part in parts(pod) if (since := part.running_since) is not None]
    return max([step.at if step is not None else 0.0, *runs])


def _cause(subject: Ref, state: ClusterState) -> str:
    waiting = [part.waiting for pod, _ in _newest(subject, state) for part in parts(pod) if part.waiting]
    if waiting:
        return f"The pods of the newest ReplicaSet wait: {waiting[0]}."
    if state.unseen("Pod", subject.namespace):
        return "The roll-out made no progress; its pods cannot be seen."
    return "No pod of the newest ReplicaSet became available in time, and none is pulling or loading."


RULE = Rule(
    kind="progress-deadline",
    type="state-timeout",
    rank=60,
    subjects=frozenset({"Deployment", "Phase"}),
    recognise=recognise,
)
