"""A command that waited for the cluster gave up: helm, kubectl wait, a Terraform provider.

Signal: a phase that failed has printed `timed out waiting for the condition`, `context deadline exceeded` after
helm's `UPGRADE FAILED` or `INSTALLATION FAILED`, or `client rate limiter Wait returned an error: context deadline
exceeded` after minutes; helm 4 first names the object, `resource Deployment/ns/nim not ready. status: InProgress`.

Near misses: the same words about a webhook, a mount, a cache, a registry or the API server itself; a client-side
limiter in the first minute; a phase that succeeded.

Verdict: terminal, since the command has ended; a symptom, replaced by whatever stood in its way.

Fix: what stood in its way; where nothing did, wait longer (--timeout).

Source: helm 3 and 4, kubectl, client-go.
"""

from __future__ import annotations

import re

from nimble_watch.findings import Answers, Finding, Rule, Verdict
from nimble_watch.objects import Ref
from nimble_watch.rules._said import Said
from nimble_watch.state import ClusterState

_TIMED_OUT = re.compile(
    r"timed out waiting for the condition|timed out waiting for .+ to be (?:ready|available|healthy)"
)
_DEADLINE = re.compile(r"context deadline exceeded")
_HELM = re.compile(
    r"(?:INSTALLATION|UPGRADE|ROLLBACK|UNINSTALL\w*) FAILED|helm (?:install|upgrade|rollback) failed|pre-|post-",
    re.IGNORECASE,
)
_WAITING = re.compile(
    r"resource \S+/\S+ not ready\. status: InProgress|release \S+ failed, and has been (?:uninstalled|rolled back)"
)
_LIMITER = re.compile(r"client rate limiter Wait returned an error: context deadline exceeded")
_OTHER = re.compile(
    r"cache: |attach or mount|webhook|MountVolume|\bvolumes?:|https?://|/v2/|CreateContainer|sandbox|\bpull|rpc error"
    r"|to the server|\betcd\b|\blease\b",
    re.IGNORECASE,
)
_BARE = re.compile(r"^(?:\S+: )?Error: context deadline exceeded$|^context deadline exceeded$")
_LONG = 60.0


def says(said: Said) -> bool:
    """Tell whether a message says that a command gave up waiting."""
    if said.where not in ("output", "condition", "event", "other"):
        return False
    if said.where in ("condition", "event") and said.involved in ("Pod", "Node", "PersistentVolumeClaim"):
        return False
    return gave_up(said.message, said.age)


def gave_up(line: str, elapsed: float | None) -> bool:
    """Tell whether a line says so, `elapsed` seconds after its command began (None: not known)."""
    if _LIMITER.search(line):
        return elapsed is not None and elapsed > _LONG
    if _WAITING.search(line):
        return True
    if _OTHER.search(line):
        return False
    if _BARE.match(line.strip()):
        return True
    return bool(_TIMED_OUT.search(line) or (_DEADLINE.search(line) and _HELM.search(line)))


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give a finding for a phase that failed because it gave up waiting."""
    del now
    phase = state.phases.get(subject.name)
    if phase is None or phase.ended is None or phase.ended.result == "success":
        return
    lines = [line for line in phase.lines if gave_up(line.line, line.at - phase.started)]
    if not lines:
        return
    told = next((line for line in reversed(lines) if not _WAITING.search(line.line)), lines[-1])
    named = next((line.line for line in reversed(lines) if _WAITING.search(line.line)), "")
    waited = told.at - phase.started
    yield Finding(
        subject=subject,
        verdict=Verdict.TERMINAL,
        summary=f"phase {subject.name} gave up waiting",
        cause=f"The command waited {waited:.0f} s in vain{': ' + named if named else ''}.",
        evidence=told.line,
        fix="Look at what was not ready; if it only needs more time, raise --timeout.",
        command="kubectl get pods -A --field-selector status.phase!=Running",
        since=told.at,
        signature="timeout",
    )


RULE = Rule(
    kind="helm-timeout",
    type="timeout",
    rank=80,
    subjects=frozenset({"Phase"}),
    recognise=recognise,
)
