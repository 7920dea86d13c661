"""A volume claim that a pod waits for gets no volume.

Signal: a Pending pod, event FailedScheduling, condition PodScheduled=False with `pod has unbound immediate
PersistentVolumeClaims` or `didn't find available persistent volumes to bind`; or, for classes that wait for the first
consumer, a pending claim whose newest event is ExternalProvisioning or ProvisioningFailed and which a pod that is
already placed waits for.

Near misses: `waiting for first consumer to be created before binding` (the pod has not been placed for another
reason); a claim that is bound within seconds (held back for 2 s); a claim that does not exist (another kind); a
volume in another availability domain.  A claim that the scheduler speaks of and that has not been shown to us yet is
on its way: it is waited for up to 10 s, for the first list of claims up to a minute, since it says more than the pod.

Verdict: grace for 120 s (a block volume takes about half a minute), then terminal.

Fix: what the claim's own event says: create the storage class, raise the limit of volumes, or start the provisioner.

Source: scheduler, persistent volume controller, external provisioner.
"""

from __future__ import annotations

from collections.abc import Iterator

from nimble_watch.findings import Answers, Finding, LookAgain, Rule, Verdict
from nimble_watch.objects import Claim, Event, Ref, seconds
from nimble_watch.rules._placing import Why, listed, placing
from nimble_watch.rules._pods import describe, live
from nimble_watch.rules._said import Said
from nimble_watch.rules._unschedulable import Stage, said_stage
from nimble_watch.state import ClusterState, claim_names

_GRACE = 120.0
_HOLD = 2.0
_UNDER_WAY = 10.0
_PROVISIONING = ("ExternalProvisioning", "ProvisioningFailed")
_TOLD = (*_PROVISIONING, "FailedBinding", "ProvisioningSucceeded", "WaitForFirstConsumer", "WaitForPodScheduled")


def says(said: Said) -> bool:
    """Tell whether a message says that a pod waits for an unbound claim."""
    return said_stage(said) is Stage.CLAIM


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give a finding for a pod whose claim keeps it from being placed, or for a claim that is not provisioned."""
    if subject.kind == "PersistentVolumeClaim":
        yield from _claim(subject, state, now)
        return
    found = placing(subject, state)
    if found is None or found.why is not Why.CLAIM:
        return
    hold = max(found.since + _HOLD, _claims_due(subject, found.since, state))
    if now < hold:
        yield LookAgain(hold)
        return
    claims = list(_pending(subject, state))
    named = listed(claim.name for claim in claims) or "of the pod"
    told = next((event for claim in claims if (event := state.latest(claim, *_TOLD)) is not None), None)
    yield Finding(
        subject=subject,
        verdict=Verdict.GRACE,
        summary=f"volume claim {named} is not bound",
        cause=_cause(claims, told, subject.namespace, state),
        evidence=found.evidence,
        fix=_fix(told),
        command=describe(claims[0]) if claims else f"kubectl -n {subject.namespace} get pvc",
        since=found.since,
        deadline=found.since + _GRACE,
        because=tuple(claims),
        signature=named,
    )


def _claim(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Judge a claim whose pod has a node in mind already, so that the pod itself is told nothing."""
    claim = state.claim(subject)
    if claim is None or claim.status.phase != "Pending" or claim.metadata.deletion_timestamp is not None:
        return
    told = state.latest(subject, *_TOLD)
    if told is None or told.reason not in _PROVISIONING:
        return
    waiting = [pod for pod in state.claimants(subject) if live(state, pod) is not None]
    if not waiting or any(_placing_says_so(pod, state) for pod in waiting):
        return
    failed = state.latest(subject, "ProvisioningFailed")
    said = failed or told
    hold = said.first_at + (_HOLD if failed is not None else _GRACE / 2)
    if now < hold:
        yield LookAgain(hold)
        return
    yield Finding(
        subject=subject,
        verdict=Verdict.GRACE,
        summary=f"volume claim {subject.name} is not bound",
        cause=_cause([subject], said, subject.namespace, state),
        evidence=said.message,
        fix=_fix(said),
        command=describe(subject),
        since=said.first_at,
        deadline=said.first_at + _GRACE,
        count=said.times,
        signature=subject.name,
    )


def _claims_due(subject: Ref, since: float, state: ClusterState) -> float:
    """Give until when (epoch seconds) to wait for a claim of the pod that is not known yet; 0 when none is."""
    pod = live(state, subject)
    space = subject.namespace
    names = claim_names(pod) if pod is not None else ()
    if all(state.named("PersistentVolumeClaim", space, name) is not None for name in names):
        return 0.0
    awaited = state.awaited("PersistentVolumeClaim", space)
    refused = not awaited and state.unseen("PersistentVolumeClaim", space)
    return 0.0 if refused else max(awaited, since + _UNDER_WAY)


def _placing_says_so(pod: Ref, state: ClusterState) -> bool:
    found = placing(pod, state)
    return found is not None and found.why is Why.CLAIM


def _pending(subject: Ref, state: ClusterState) -> Iterator[Ref]:
    pod = live(state, subject)
    for name in claim_names(pod) if pod is not None else ():
        reference = state.named("PersistentVolumeClaim", subject.namespace, name)
        claim = state.claim(reference) if reference is not None else None
        if reference is not None and claim is not None and claim.status.phase != "Bound":
            yield reference


def _cause(claims: list[Ref], told: Event | None, space: str, state: ClusterState) -> str:
    if told is not None:
        return f"Of the claim is said: {told.message.rstrip('. ')}."
    if claims and (claim := state.claim(claims[0])) is not None:
        age = seconds(claim.metadata.creation_timestamp)
        return f"Nobody provides a volume of class {_class(claim)}." if age else "Nobody provides a volume."
    if blind := state.unseen("PersistentVolumeClaim", space):
        return f"The pod's claim is not bound; why is not visible ({blind})."
    return "The pod's claim is not bound."


def _class(claim: Claim) -> str:
    return claim.spec.storage_class_name or "(none)"


def _fix(told: Event | None) -> str:
    text = told.message if told is not None else ""
    if "storageclass" in text.lower() and "not found" in text:
        return "Create that storage class, or name one that exists (kubectl get storageclass)."
    if "LimitExceeded" in text or "QuotaExceeded" in text:
        return "Ask for a higher limit of block volumes, or delete volumes that are not used."
    if "no storage class is set" in text:
        return "Name a storage class in the claim, such as oci-bv, or mark one as the default."
    return "Check that the storage class's provisioner runs; the claim is bound by itself once it answers."


RULE = Rule(
    kind="pvc-unbound",
    type="storage",
    rank=15,
    subjects=frozenset({"Pod", "PersistentVolumeClaim"}),
    recognise=recognise,
)
