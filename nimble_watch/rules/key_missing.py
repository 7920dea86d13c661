"""A Secret or ConfigMap exists, but not the key that a container takes from it.

Signal: a container waits with CreateContainerConfigError, `couldn't find key KEY in Secret NAMESPACE/NAME` (or
ConfigMap); or the pod's event `Failed` with the same text.

Near misses: a Secret that does not exist at all (secret-missing); a key that comes within 2 s (held back); an
optional reference, which the kubelet does not complain about.

Verdict: grace for 30 s, since an operator may fill in the key (seen after 54 s, but nobody waits for that on
purpose); then terminal.

Fix: add the key, or correct its name in the pod's template; the container starts by itself.

Source: kubelet.
"""

from __future__ import annotations

import re

from nimble_watch.findings import Answers, Finding, LookAgain, Rule, Verdict
from nimble_watch.objects import Ref
from nimble_watch.rules._config import lacking, said_config
from nimble_watch.rules._said import Said
from nimble_watch.state import ClusterState

_WORDING = re.compile(r"(?:couldn't|could not) find key (\S+) in (Secret|ConfigMap) (\S+?)/(\S+)", re.IGNORECASE)
_GRACE = 30.0


def says(said: Said) -> bool:
    """Tell whether a message says that a key is missing."""
    return said_config(said, _WORDING)


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give one finding per container that lacks a key, or when to look again."""
    for lack in lacking(subject, state, now, _WORDING):
        if isinstance(lack, LookAgain):
            yield lack
            continue
        container, found, since = lack
        key, kind, namespace, name = found.groups()
        yield Finding(
            subject=subject,
            verdict=Verdict.GRACE,
            summary=f"{kind} {name} has no key {key}",
            cause=f"Container {container} takes the key {key} from {kind} {name}, which has no such key.",
            evidence=found.string,
            fix=f"Add {key} to {kind} {name}, or correct the key's name in the pod's template.",
            command=f"kubectl -n {namespace} describe {kind.lower()} {name}",
            since=since,
            deadline=since + _GRACE,
            container=container,
            signature=f"{kind}/{name}/{key}",
        )


RULE = Rule(
    kind="key-missing",
    type="config-error",
    rank=20,
    subjects=frozenset({"Pod"}),
    recognise=recognise,
)
