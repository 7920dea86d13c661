"""A container was killed because it used more memory than its limit allows.

Signal: a container's last state is terminated with reason OOMKilled (exit code 137), also of an init container; or a
node's event SystemOOM, when the whole node ran out.

Near misses: exit code 137 with another reason (killed by a probe or by hand); an eviction for memory pressure; GPU
memory (`CUDA out of memory`), which is no memory of the container; a container that has run on since.

Verdict: grace the first time, terminal the second; a node's SystemOOM is told for 5 min and recovers.

Fix: raise the container's memory limit, or make it use less.

Source: kubelet statuses; the event says only `Back-off restarting failed container`, the cause stands in the last
state.
"""

from __future__ import annotations

import re

from nimble_watch.findings import Answers, Finding, LookAgain, Rule, Verdict
from nimble_watch.objects import Ref
from nimble_watch.rules._crash import Crash, crash_finding, crashes, verdict_of
from nimble_watch.rules._pods import describe
from nimble_watch.rules._said import Said
from nimble_watch.state import ClusterState

_REASON = "OOMKilled"
_ENOUGH = 2
_NODE_MEMORY = 300.0
_ROW = re.compile(r"\bOOMKilled\b")


def says(said: Said) -> bool:
    """Tell whether a message says that memory ran out."""
    if said.where == "output":
        return bool(_ROW.search(said.message))
    if said.reason == "SystemOOM" or said.message.startswith("System OOM encountered"):
        return True
    return _REASON in (said.reason, said.last_reason)


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give one finding per container that was killed for its memory, or one for a node that ran out of it."""
    if subject.kind == "Node":
        yield from _node(subject, state, now)
        return
    for crash in crashes(subject, state, now):
        if isinstance(crash, LookAgain):
            yield crash
        elif crash.reason == _REASON:
            yield _finding(subject, state, crash)


def _finding(subject: Ref, state: ClusterState, crash: Crash) -> Finding:
    resources = crash.part.spec.resources
    limit = ((resources.limits or {}) if resources else {}).get("memory")
    allowed = f"its limit of {limit}" if limit else "what its node had left"
    verdict = verdict_of(subject, state, crash, _ENOUGH)
    return crash_finding(
        subject,
        crash,
        verdict,
        summary=f"container {crash.part.name} of {subject} was killed for its memory",
        cause=f"Container {crash.part.name} used more memory than {allowed}.",
        fix=f"Raise the memory limit of container {crash.part.name}, or make it use less.",
        signature=_REASON,
    )


def _node(subject: Ref, state: ClusterState, now: float) -> Answers:
    told = state.latest(subject, "SystemOOM")
    if told is None or now >= told.at + _NODE_MEMORY:
        return
    yield LookAgain(told.at + _NODE_MEMORY)
    yield Finding(
        subject=subject,
        verdict=Verdict.RECOVERS,
        summary=f"node {subject.name} ran out of memory",
        cause="The kernel killed a process because the whole node had no memory left.",
        evidence=told.message,
        fix="Set memory limits for the pods of that node, or give it fewer of them.",
        command=describe(subject),
        since=told.first_at,
        count=told.times,
        signature="SystemOOM",
    )


RULE = Rule(
    kind="oom-killed",
    type="application-crash",
    rank=28,
    subjects=frozenset({"Pod", "Node"}),
    recognise=recognise,
)
