"""A Secret or ConfigMap that a container needs does not exist.

Signal: a container waits with CreateContainerConfigError, `secret "NAME" not found` or `configmap "NAME" not found`;
or the pod's event `Failed`, `Error: secret "NAME" not found`.

Near misses: one that comes within 2 s (held back); `failed to sync secret cache` (the kubelet has not read it yet); a
volume that cannot be mounted for want of a Secret; an image pull secret; a key that is missing in a Secret that
exists.

Verdict: grace for 45 s, since another controller or a later step may create it; then terminal.

Fix: create it in the pod's namespace; the container starts by itself within seconds.

Source: kubelet; we never read Secrets, so what is known of them is what the kubelet says.
"""

from __future__ import annotations

import re

from nimble_watch.findings import Answers, Finding, LookAgain, Rule, Verdict
from nimble_watch.objects import Ref
from nimble_watch.rules._config import lacking, said_config
from nimble_watch.rules._said import Said
from nimble_watch.state import ClusterState

_WORDING = re.compile(r'\b(secret|configmap)s? "([^"]+)" not found', re.IGNORECASE)
_GRACE = 45.0


def says(said: Said) -> bool:
    """Tell whether a message says that a Secret or ConfigMap of a container is missing."""
    return said_config(said, _WORDING)


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give one finding per container that lacks a Secret or ConfigMap, or when to look again."""
    for lack in lacking(subject, state, now, _WORDING):
        if isinstance(lack, LookAgain):
            yield lack
            continue
        container, found, since = lack
        kind, name = ("Secret" if found.group(1).lower() == "secret" else "ConfigMap"), found.group(2)
        yield Finding(
            subject=subject,
            verdict=Verdict.GRACE,
            summary=f"{kind} {name} does not exist in namespace {subject.namespace}",
            cause=f"Container {container} takes values from {kind} {name}, which does not exist.",
            evidence=found.string,
            fix=f"Create {kind} {name} in namespace {subject.namespace}; the container starts by itself.",
            command=_command(subject.namespace, kind, name),
            since=since,
            deadline=since + _GRACE,
            container=container,
            signature=f"{kind}/{name}",
        )


def _command(namespace: str, kind: str, name: str) -> str:
    what = "secret generic" if kind == "Secret" else "configmap"
    return f"kubectl -n {namespace} create {what} {name} --from-literal=KEY=VALUE"


RULE = Rule(
    kind="secret-missing",
    type="config-error",
    rank=20,
    subjects=frozenset({"Pod"}),
    recognise=recognise,
)
