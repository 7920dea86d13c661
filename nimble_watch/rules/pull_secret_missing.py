"""The pull secret that a pod names does not exist, and the registry refuses the image without it.

Signal: event `FailedToRetrieveImagePullSecret`, `Unable to retrieve some image pull secrets (NAME); attempting to
pull the image may not succeed.`, said again at every attempt, and a pull that fails for want of a login
(ErrImagePull, ImagePullBackOff).

Near misses: the same event while the image is public or already on the node, so that the container runs; a secret
that was created meanwhile, which the next attempt no longer complains about; a secret with a wrong key (image-auth).

Verdict: grace for 60 s (the secret may be created a moment later), then terminal.

Fix: create the secret in the pod's namespace; the pod retries by itself.

Source: kubelet; the event comes before the pull fails.
"""

from __future__ import annotations

import re

from nimble_watch.findings import Answers, Finding, Rule, Verdict
from nimble_watch.objects import Event, Ref
from nimble_watch.rules._pull import Cause, registry_of, troubles
from nimble_watch.rules._said import Said
from nimble_watch.state import ClusterState

_REASON = "FailedToRetrieveImagePullSecret"
_SECRETS = re.compile(r"Unable to retrieve some image pull secrets \(([^)]*)\)")
_GRACE = 60.0
_SAME_ATTEMPT = 5.0
"""Seconds between the complaint and the failure of one attempt; the first back-off is twice that."""


def says(said: Said) -> bool:
    """Tell whether a message says that a pull secret is missing while the container does not run."""
    return said.container_state not in ("Running", "Terminated") and bool(_SECRETS.search(said.message))


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give a finding for a pull that is refused because its secret is missing."""
    del now
    complaint = state.latest(subject, _REASON)
    if complaint is None:
        return
    for _, trouble in troubles(state, subject):
        if trouble.cause is not Cause.AUTH or complaint.at < trouble.last - _SAME_ATTEMPT:
            continue
        names = _names(complaint)
        registry = registry_of(trouble.image)
        yield Finding(
            subject=subject,
            verdict=Verdict.GRACE,
            summary=f"pull secret {names} does not exist in namespace {subject.namespace}",
            cause=f"The pod names pull secret {names}, which does not exist; {registry} refuses the image without it.",
            evidence=complaint.message,
            fix=f"Create {names} in namespace {subject.namespace}; the pod retries by itself.",
            command=_command(subject.namespace, names.split(", ")[0], registry),
            since=complaint.first_at,
            deadline=complaint.first_at + _GRACE,
            container=trouble.container,
            count=trouble.attempts,
            signature=names,
        )


def _names(complaint: Event) -> str:
    found = _SECRETS.search(complaint.message)
    return found.group(1) if found else "the pod's pull secret"


def _command(namespace: str, name: str, registry: str) -> str:
    login = (
        "--docker-username='$oauthtoken' --docker-password=\"$NGC_API_KEY\""
        if registry == "nvcr.io"
        else "--docker-username=USER --docker-password=PASSWORD"
    )
    return f"kubectl -n {namespace} create secret docker-registry {name} --docker-server={registry} {login}"


RULE = Rule(
    kind="pull-secret-missing",
    type="image-pull",
    rank=18,
    subjects=frozenset({"Pod"}),
    recognise=recognise,
)
