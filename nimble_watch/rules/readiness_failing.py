"""A container runs but does not become ready, for longer than its probe and its model need.

Signal: a running container is not ready, its startup probe (if any) is past, and the newest Unhealthy event says
`Readiness probe failed: ...`.

Near misses: failures within the probe's budget; `503` or `connection refused` of a container with GPUs for up to 31
minutes: its model is loading, and a readiness probe never kills; a startup or liveness probe; 401 from a probe is no
registry trouble.

Verdict: a wait within the budget; then `recovers` (503, connection refused, timeouts: the server may still come), or
grace of twice the budget for an answer that waiting does not change (401, 403, 404), then terminal.

Fix: look into the container's log; correct the probe's path where the answer is 404.

Source: kubelet; `/v1/health/ready` of a NIM answers 503 while it downloads and loads.
"""

from __future__ import annotations

import re

from nimble_watch.findings import Answers, Finding, LookAgain, Rule, Verdict
from nimble_watch.objects import Pod, Ref, condition, seconds
from nimble_watch.rules._pods import Part, capped, events_about, live, parts
from nimble_watch.rules._said import Said
from nimble_watch.state import ClusterState, gpus_wanted

_FAILED = "Readiness probe failed"
_WORDING = (_FAILED, "Readiness probe errored")
_STATUS = re.compile(r"statuscode: (\d{3})")
_WRONG = re.compile(r"statuscode: 4(?!08|25|29)\d\d")
_LEAST = 60.0
_MODEL_LOAD = 1860.0
"""Seconds that NVIDIA's nim-llm chart allows a model to load: 40 s + 180 x 10 s, rounded up."""


def says(said: Said) -> bool:
    """Tell whether a message says that a readiness probe fails beyond its budget."""
    if said.where not in ("event", "output", "other") or said.within_budget:
        return False
    return (
        any(text in said.message for text in _WORDING) if said.where == "output" else said.message.startswith(_WORDING)
    )


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give one finding per container that does not become ready."""
    pod = live(state, subject)
    if pod is None:
        return
    for part in parts(pod):
        if part.status is None or part.status.ready or part.status.started is False:
            continue
        running = part.running_since
        if running is not None:
            yield from _judge(subject, state, part, running=running, now=now)


def _judge(subject: Ref, state: ClusterState, part: Part, *, running: float, now: float) -> Answers:
    pod, probe = state.pod(subject), part.spec.readiness_probe
    if pod is None or probe is None:
        return
    told = [e for e in events_about(state, subject, part.name, "Unhealthy") if e.message.startswith(_WORDING)]
    if not told or told[0].at < running - 1.0:
        return
    text = told[0].message
    lost = _lost(pod, running)
    since = lost or running
    wrong = bool(_WRONG.search(text))
    loads = gpus_wanted(pod) > 0 and not wrong and not lost
    budget = max(probe.budget, _MODEL_LOAD if loads else _LEAST)
    over = now >= since + budget
    if wrong and not over:
        yield LookAgain(since + budget)
    verdict = capped(state, subject, Verdict.GRACE) if wrong and over else Verdict.RECOVERS
    yield Finding(
        subject=subject,
        verdict=verdict,
        summary=f"container {part.name} of {subject} is not ready",
        cause=_cause(part.name, text, loads=loads, lost=bool(lost)),
        evidence=text,
        fix=_fix(text, part.name),
        command=f"kubectl -n {subject.namespace} logs {subject} -c {part.name} --tail=50",
        since=since,
        deadline=since + (2 * budget if verdict is Verdict.GRACE else budget),
        container=part.name,
        count=told[0].times,
        wants_log=over,
        signature="readiness",
    )


def _lost(pod: Pod, running: float) -> float | None:
    """Give when a pod that had been ready ceased to be so; None when it has not been ready in this run."""
    said = condition(pod.status.conditions, "Ready")
    changed = seconds(said.last_transition_time) if said is not None and said.status == "False" else None
    return changed if changed is not None and changed > running + 1.0 else None


def _cause(container: str, text: str, *, loads: bool, lost: bool) -> str:
    answer = text.partition(": ")[2].rstrip(". ") or text
    if lost:
        return f"Container {container} was ready and is no longer: {answer}."
    if loads:
        return f"Container {container} is still loading its model: {answer}."
    return f"Container {container} answers its readiness probe wrongly: {answer}."


def _fix(text: str, container: str) -> str:
    found = _STATUS.search(text)
    code = found.group(1) if found else ""
    if code == "404":
        return f"Correct the path or port of the readiness probe of container {container}."
    if code in ("401", "403"):
        return f"Let the readiness probe of container {container} ask a path that needs no login."
    return f"Read the log of container {container}; if it is still loading, wait."


RULE = Rule(
    kind="readiness-failing",
    type="state-timeout",
    rank=40,
    subjects=frozenset({"Pod"}),
    recognise=recognise,
)
