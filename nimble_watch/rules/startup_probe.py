"""The startup probe gives up on a container before its model is loaded, and has it killed.

Signal: event Killing, `Container NAME failed startup probe, will be restarted`, after events Unhealthy.

Near misses: `Startup probe failed: ...` within the probe's budget (initial delay + failure threshold x the longer of
period and timeout), which is how a model load looks and is told as a wait; a container that crashes by itself; a
liveness probe.

Verdict: grace at the first kill (a warm cache may make the second load quicker), terminal at the second; within the
budget information only.

Fix: raise failureThreshold of the startup probe so that the load fits; keep the model in a persistent cache, or each
restart downloads it again.

Source: kubelet; nim-llm's chart allows about 31 minutes, the NIM operator about 20; nim-anywhere#45.
"""

from __future__ import annotations

from nimble_watch.findings import Answers, Finding, LookAgain, Rule, Verdict
from nimble_watch.objects import Event, Probe, Ref
from nimble_watch.rules._placing import span
from nimble_watch.rules._pods import Part, capped, describe, events_about, live, parts
from nimble_watch.rules._said import Said
from nimble_watch.state import ClusterState

_KILLED = "failed startup probe"
_FAILED = "Startup probe failed"
_TELL = 30.0
_ENOUGH = 2


def says(said: Said) -> bool:
    """Tell whether a message says that a startup probe fails beyond its budget."""
    if said.where not in ("event", "output", "other"):
        return False
    if _KILLED in said.message:
        return True
    return not said.within_budget and (_FAILED in said.message or "Startup probe errored" in said.message)


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give one finding per container that its startup probe had killed, or that is still within its budget."""
    pod = live(state, subject)
    if pod is None:
        return
    for part in parts(pod):
        probe = part.spec.startup_probe
        if probe is None or part.status is None or part.status.started:
            continue
        kills = [event for event in events_about(state, subject, part.name, "Killing") if _KILLED in event.message]
        if kills:
            yield _killed(subject, state, part, probe, kills[0])
        elif (since := part.running_since) is not None:
            if now < since + _TELL:
                yield LookAgain(since + _TELL)
            else:
                yield _loading(subject, state, part, probe, since)


def _killed(subject: Ref, state: ClusterState, part: Part, probe: Probe, kill: Event) -> Finding:
    verdict = capped(state, subject, Verdict.TERMINAL) if kill.times >= _ENOUGH else Verdict.GRACE
    times = "once" if kill.times == 1 else f"{kill.times} times"
    last = _last_answer(subject, state, part.name)
    return Finding(
        subject=subject,
        verdict=verdict,
        summary=f"the startup probe gave up on container {part.name} of {subject}",
        cause=f"Container {part.name} was killed {times} because it was not up within {span(0, probe.budget)}{last}.",
        evidence=kill.message,
        fix=f"Raise failureThreshold of the startup probe of container {part.name} so that the load fits.",
        command=describe(subject),
        since=kill.first_at,
        deadline=kill.at + 2 * probe.budget if verdict is Verdict.GRACE else None,
        container=part.name,
        count=kill.times,
        wants_log=True,
        signature="killed",
    )


def _last_answer(subject: Ref, state: ClusterState, container: str) -> str:
    for event in events_about(state, subject, container, "Unhealthy"):
        if event.message.startswith(_FAILED):
            return f"; the probe said: {event.message.removeprefix(_FAILED).lstrip(': ').rstrip('. ')}"
    return ""


def _loading(subject: Ref, state: ClusterState, part: Part, probe: Probe, since: float) -> Finding:
    told = events_about(state, subject, part.name, "Unhealthy", "Started")
    return Finding(
        subject=subject,
        verdict=Verdict.INFO,
        summary=f"container {part.name} of {subject} is starting",
        cause=f"The startup probe allows container {part.name} {span(0, probe.budget)} to load.",
        evidence=told[0].message if told else "",
        fix="Wait: a model load takes minutes.",
        command=describe(subject),
        since=since,
        deadline=since + probe.budget,
        container=part.name,
        signature="loading",
    )


RULE = Rule(
    kind="startup-probe",
    type="state-timeout",
    rank=29,
    subjects=frozenset({"Pod"}),
    recognise=recognise,
)
