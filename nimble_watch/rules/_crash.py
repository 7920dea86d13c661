"""Containers that end when they should not: how, how often, and whether they are past it.

Between two crashes a container runs for a moment, which is no recovery: it counts as past its trouble once it has run
for longer than it did last time, or once its readiness probe says so.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from nimble_watch.findings import Finding, LookAgain, Verdict
from nimble_watch.objects import Event, Pod, Ref, Terminated, seconds
from nimble_watch.rules._pods import Part, capped, events_about, parts, retries_left
from nimble_watch.state import ClusterState

_GRACE = 300.0
_STEADY = 10.0
_LONGEST_STEADY = 300.0
_LONG_RUN = 300.0
_NEVER_STARTED = ("StartError", "ContainerCannotRun", "ContainerStatusUnknown", "PreStartHookError")
_NODE_TROUBLE = ("Evicted", "NodeLost", "NodeShutdown", "Terminated", "Preempting", "UnexpectedAdmissionError")
_NOT_RUNNABLE = (126, 127)


class Crash(Struct, frozen=True):
    """A container that ended when it should not have.

    `deaths` counts every end since the pod began; `since` is when the first that we know of happened and `last` when
    the newest did (epoch seconds); `ran` is how many seconds the last run took, None when that is not known.
    """

    part: Part
    pod: Pod
    exit_code: int
    reason: str
    deaths: int
    since: float
    last: float
    ran: float | None
    evidence: str


def crashes(subject: Ref, state: ClusterState, now: float) -> Iterator[Crash | LookAgain]:
    """Give the containers of a pod that crashed and are not past it, and when one may be past it."""
    pod = state.pod(subject)
    if pod is None or pod.metadata.deletion_timestamp is not None:
        return
    if pod.status.phase == "Succeeded" or (pod.status.reason or "").startswith(_NODE_TROUBLE):
        return
    for part in parts(pod):
        crash = _crash(subject, state, pod, part)
        if crash is None:
            continue
        past = _past(crash)
        if past is not None and now >= past:
            continue
        if past is not None:
            yield LookAgain(past)
        yield crash


def _crash(subject: Ref, state: ClusterState, pod: Pod, part: Part) -> Crash | None:
    death = part.death
    if part.status is None or death is None or death.exit_code == 0 or death.reason in _NEVER_STARTED:
        return None
    if part.waiting not in ("", "CrashLoopBackOff"):
        return None
    if part.status.ready and part.spec.readiness_probe is not None:
        return None
    ended_now = part.status.state is not None and part.status.state.terminated is not None
    finished = seconds(death.finished_at) or 0.0
    started = seconds(death.started_at)
    backs = [event for event in events_about(state, subject, part.name, "BackOff") if _restarting(event)]
    return Crash(
        part=part,
        pod=pod,
        exit_code=death.exit_code,
        reason=death.reason,
        deaths=max(1, part.status.restart_count + (1 if ended_now else 0)),
        since=min([finished, *(event.first_at for event in backs)]),
        last=finished,
        ran=finished - started if started is not None else None,
        evidence=_evidence(part, backs, death),
    )


def _restarting(event: Event) -> bool:
    return "restarting failed container" in event.message


def _evidence(part: Part, backs: list[Event], death: Terminated) -> str:
    ended = f"{death.reason or 'Error'}: exit code {death.exit_code}"
    if death.message:
        ended = f"{ended}: {death.message.strip()}"
    told = part.waiting_message or (backs[0].message if backs else "")
    return f"{told} ({ended})" if told else ended


def _past(crash: Crash) -> float | None:
    """Give when a container that runs now will count as past its trouble; None when it does not run."""
    running = crash.part.running_since
    if running is None:
        return None
    return running + min((crash.ran or 0.0) + _STEADY, _LONGEST_STEADY)


def killed_by_probe(subject: Ref, state: ClusterState, crash: Crash) -> str:
    """Give which probe had a container killed when it died last (`startup`, `liveness`); empty when none had."""
    for event in events_about(state, subject, crash.part.name, "Killing"):
        began = crash.last - (crash.ran if crash.ran is not None else 0.0)
        if began - 1.0 <= event.at <= crash.last + 5.0:
            for probe in ("startup", "liveness"):
                if f"failed {probe} probe" in event.message:
                    return probe
    return ""


def verdict_of(subject: Ref, state: ClusterState, crash: Crash, enough: int) -> Verdict:
    """Give the verdict on a crash, terminal from `enough` deaths on, sooner where another try cannot differ."""
    proven = crash.deaths >= enough
    proven = proven or crash.exit_code in _NOT_RUNNABLE
    proven = proven or (crash.deaths > 1 and (crash.ran or 0.0) >= _LONG_RUN)
    if not proven or retries_left(state, subject):
        return Verdict.GRACE
    return capped(state, subject, Verdict.TERMINAL)


def crash_finding(
    subject: Ref, crash: Crash, verdict: Verdict, *, summary: str, cause: str, fix: str, signature: str
) -> Finding:
    """Give the finding for a container that died: what the kinds of death say of it, and what they all share."""
    return Finding(
        subject=subject,
        verdict=verdict,
        summary=summary,
        cause=cause,
        evidence=crash.evidence,
        fix=fix,
        command=logs_command(subject, crash),
        since=crash.since,
        deadline=crash.since + _GRACE if verdict is Verdict.GRACE else None,
        container=crash.part.name,
        count=crash.deaths,
        wants_log=True,
        signature=signature,
    )


def logs_command(subject: Ref, crash: Crash) -> str:
    """Give the command that shows the last words of a container."""
    previous = "" if crash.part.running_since is None and crash.deaths == 1 else " --previous"
    return f"kubectl -n {subject.namespace} logs {subject} -c {crash.part.name}{previous}"


def ending(crash: Crash) -> str:
    """Give how a container ended, for a sentence."""
    ran = f" after {crash.ran:.0f} s" if crash.ran is not None and crash.ran >= 1 else ""
    return f"exit code {crash.exit_code}{ran}"
