"""The image or its tag does not exist in the registry.

Signal: a `Failed` event of the pod, `Failed to pull image "...": ...`, whose cause is one of containerd's `...: not
found`, CRI-O's `reading manifest TAG in REPOSITORY: manifest unknown`, Docker's `manifest for ... not found` or `name
unknown`; else the same text in the status (ErrImagePull, ImagePullBackOff).

Near misses: a registry that answers 401 or 403 for a missing repository (image-auth); a host name that cannot be
resolved; an image without the node's platform; a pull that succeeded meanwhile; a pod that is being deleted; an image
that the same phase is still pushing.

Verdict: grace at the first attempt, terminal at the second, at the first for a digest; with an image being pushed,
terminal at the second attempt after the last line about the push.

Fix: correct the image's name or tag, or push the image; the pod retries by itself once the image exists.

Source: kubelet and runtime texts; the event tells 0.3 s before the status does, the second failure 14 s before.
"""

from __future__ import annotations

import re

from nimble_watch.findings import Answers, Finding, Rule, Verdict
from nimble_watch.objects import Ref
from nimble_watch.rules._pods import capped, describe
from nimble_watch.rules._pull import Cause, Trouble, pull_cause, repository_of, troubles
from nimble_watch.rules._said import Said
from nimble_watch.state import ClusterState

_GRACE = 60.0
_PUSH_GRACE = 600.0
_PUSH_LINE = re.compile(
    r"The push refers to repository|: (?:Preparing|Pushing|Pushed|Mounted from)\b|: digest: sha256:|pushing manifest"
)


def says(said: Said) -> bool:
    """Tell whether a message says that an image does not exist."""
    return pull_cause(said) is Cause.NOT_FOUND


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give one finding per container whose image does not exist."""
    del now
    for _, trouble in troubles(state, subject):
        if trouble.cause is Cause.NOT_FOUND:
            yield _finding(subject, state, trouble)


def _finding(subject: Ref, state: ClusterState, trouble: Trouble) -> Finding:
    pushed = _pushed_at(state, repository_of(trouble.image))
    if pushed is not None:
        # Attempts are only counted, not dated one by one: two after the push means the newest is, and one more was.
        proven = trouble.attempts >= 2 and trouble.last > pushed + 10.0  # noqa: PLR2004 - the second attempt
        deadline = max(trouble.since, pushed) + _PUSH_GRACE
    else:
        proven = trouble.attempts >= 2 or "@sha256:" in trouble.image  # noqa: PLR2004 - the second attempt
        deadline = trouble.since + _GRACE
    verdict = capped(state, subject, Verdict.TERMINAL) if proven else Verdict.GRACE
    return Finding(
        subject=subject,
        verdict=verdict,
        summary=f"image {trouble.image} does not exist",
        cause=f"The registry has no such image or tag: {trouble.image}.",
        evidence=trouble.evidence,
        fix="Correct the image's name or tag, or push the image; the pod retries by itself.",
        command=describe(subject),
        since=trouble.since,
        deadline=deadline if verdict is Verdict.GRACE else None,
        container=trouble.container,
        count=trouble.attempts,
        signature=trouble.image,
    )


def _pushed_at(state: ClusterState, repository: str) -> float | None:
    """Give when a running phase last printed a line of pushing that image; None when none pushes it."""
    newest = None
    for phase in state.phases.values():
        lines = [line for line in phase.lines if _PUSH_LINE.search(line.line)]
        if lines and any(repository in line.line for line in phase.lines):
            newest = max(newest or 0.0, lines[-1].at)
    return newest


RULE = Rule(
    kind="image-not-found",
    type="image-pull",
    rank=20,
    subjects=frozenset({"Pod"}),
    recognise=recognise,
)
