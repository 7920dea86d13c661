"""The namespace's pod security standard forbids the pod.

Signal: event FailedCreate on a ReplicaSet, StatefulSet, DaemonSet or Job, `pods "..." is forbidden: violates
PodSecurity "LEVEL:VERSION": ...`; or the same text in what a phase that failed has printed.

Near misses: `Warning: would violate PodSecurity` (warn mode: the pod is created all the same); a controller that has
all its pods by now; other admission (quota, LimitRange, webhooks).

Verdict: terminal at once: neither the pod nor the namespace's label changes by waiting.

Fix: set the security context that the text names, field by field, or label the namespace with a laxer level.

Source: the built-in admission plugin PodSecurity; a Deployment is accepted and only its pods are refused.
"""

from __future__ import annotations

import re

from nimble_watch.findings import Answers, Finding, Rule, Verdict
from nimble_watch.objects import Ref
from nimble_watch.rules._pods import superseded
from nimble_watch.rules._refused import MAKERS, refusal, refused_lines, said_refusal
from nimble_watch.rules._said import Said
from nimble_watch.state import ClusterState

_WORDING = re.compile(
    r'(?<!would )violates? PodSecurity "(?P<level>[^":]+)'
    r"|unable to (?:validate against any|admit pod: no) (?P<policy>pod security policy|security context constraint)"
)
_FIELD = re.compile(r"must (?:not )?set ((?:securityContext|spec)[\w.\[\]]*)")


def says(said: Said) -> bool:
    """Tell whether a message says that a pod violates the namespace's standard."""
    return said_refusal(said, _WORDING)


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give a finding for a controller, or a phase, whose pod is forbidden."""
    del now
    if subject.kind == "Phase":
        for at, line in refused_lines(subject, state, _WORDING)[-1:]:
            yield _finding(subject, line, at, 1)
        return
    refused = refusal(subject, state)
    if refused is None or not _WORDING.search(refused.evidence):
        return
    above = state.owner(subject)
    if above is None or not superseded(state, subject, above):
        yield _finding(subject, refused.evidence, refused.since, refused.count)


def _finding(subject: Ref, text: str, since: float, count: int) -> Finding:
    found = _WORDING.search(text)
    level = (found["level"] or found["policy"]) if found else "enforced"
    fields = list(dict.fromkeys(_FIELD.findall(text)))
    namespace = subject.namespace or "NAMESPACE"
    return Finding(
        subject=subject,
        verdict=Verdict.TERMINAL,
        summary=f'the pod violates PodSecurity "{level}" of its namespace',
        cause=f'The namespace enforces the standard "{level}", which the pod does not meet.',
        evidence=text,
        fix=f"Set {', '.join(fields)} in the pod's template." if fields else "Remove from the pod what the text names.",
        command=f"kubectl get namespace {namespace} --show-labels",
        since=since,
        count=count,
        signature=level,
    )


RULE = Rule(
    kind="pod-security",
    type="config-error",
    rank=10,
    subjects=MAKERS | {"Phase"},
    recognise=recognise,
)
