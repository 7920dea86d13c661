"""Small objects and streams for tests of what is pure: an owner chain of pods in a line or two."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from nimble_watch.findings import Answers, Finding, Rule, Verdict
from nimble_watch.objects import STRUCTS, KubeObject, Pod, Ref, ref
from nimble_watch.signals import ClusterFound, Output, PhaseEnded, PhaseStarted, Seen, Synced
from nimble_watch.state import ClusterState

T0 = 1_800_000_000.0
"""When the phase starts."""


def when(at: float) -> str:
    """Give a moment as the API writes it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def made(
    kind: str,
    name: str,
    *,
    at: float = T0 + 1,
    namespace: str = "nim",
    owner: Ref | None = None,
    manager: str = "",
    labels: dict[str, str] | None = None,
    release: str = "",
    deleting: bool = False,
    uid: str = "",
    **parts: object,
) -> KubeObject:
    """Make an object as the API would decode; `parts` are spec and status."""
    manager = manager or ("kube-controller-manager" if owner else "kubectl-client-side-apply")
    meta: dict[str, object] = {
        "name": name,
        "namespace": "" if kind == "Node" else namespace,
        "uid": uid or f"{kind}/{'' if kind == 'Node' else namespace}/{name}",
        "generation": 1,
        "creationTimestamp": when(at),
        "managedFields": [{"manager": manager, "operation": "Update", "time": when(at)}],
        "labels": labels,
    }
    if owner is not None:
        meta["ownerReferences"] = [{"kind": owner.kind, "name": owner.name, "uid": owner.uid, "controller": True}]
    if release:
        meta["annotations"] = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace}
    if deleting:
        meta["deletionTimestamp"] = when(at)
    return msgspec.convert({"metadata": meta, **parts}, STRUCTS[kind])


def seen(kind: str, thing: KubeObject, *, at: float = T0 + 1, change: str = "added", listed: bool = False) -> Seen:
    """Make the signal that an object was seen."""
    return Seen(at, kind, change, thing, listed)  # type: ignore[arg-type]  # one of three words


def workload(name: str, *, at: float = T0 + 1, namespace: str = "nim", **more: object) -> tuple[list[Seen], Ref]:
    """Make a Deployment with a ReplicaSet and one pod, as signals, and the pod's reference."""
    deployment = made("Deployment", name, at=at, namespace=namespace, **more)  # type: ignore[arg-type]
    replicas = made("ReplicaSet", f"{name}-1", at=at, namespace=namespace, owner=ref("Deployment", deployment))
    pod = made("Pod", f"{name}-1-a", at=at, namespace=namespace, owner=ref("ReplicaSet", replicas))
    signals = [
        seen(kind, thing, at=max(at, T0))
        for kind, thing in (("Deployment", deployment), ("ReplicaSet", replicas), ("Pod", pod))
    ]
    return signals, ref("Pod", pod)


def begin(*argv: str, at: float = T0, namespace: str = "default") -> Iterator[PhaseStarted | ClusterFound | Synced]:
    """Make the signals with which a phase begins; with the first one comes the listing of a cluster without pods."""
    yield ClusterFound(at, "https://cluster.test", "test", "v1.36", namespace)
    if at == T0:
        yield Synced(at, "Pod", "", frozenset())
    yield PhaseStarted(at, "install", argv or ("sleep", "60"))


def said(line: str, *, at: float = T0 + 1) -> Output:
    """Make the signal that the phase printed a line."""
    return Output(at, "install", "stdout", line)


def ended(at: float, *, status: int = 1) -> PhaseEnded:
    """Make the signal that the phase ended."""
    return PhaseEnded(at, "install", "success" if status == 0 else "failure", status, None, at - T0)


def waiting_rule(kind: str, reason: str, verdict: Verdict, *, rank: int = 20, grace: float | None = None) -> Rule:
    """Make a rule that sees a pod whose first container waits with a reason."""

    def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
        pod = state.pod(subject)
        for status in (pod.status.container_statuses if pod is not None else None) or ():
            waiting = status.state.waiting if status.state is not None else None
            if waiting is not None and waiting.reason == reason:
                since = pod.metadata.creation_timestamp.timestamp() if pod and pod.metadata.creation_timestamp else now
                yield Finding(
                    subject=subject,
                    verdict=verdict,
                    summary=f"{reason} of {subject.name}",
                    cause="made so",
                    evidence=waiting.message or "",
                    fix="mend it",
                    since=since,
                    deadline=None if grace is None else since + grace,
                    container=status.name,
                )

    return Rule(kind=kind, type="execution-error", rank=rank, subjects=frozenset(("Pod",)), recognise=recognise)


def stuck(pod: Ref, reason: str, *, owner: Ref, at: float = T0 + 1, **more: object) -> Pod:
    """Make a pod whose container waits with a reason; without one it runs and is ready."""
    state = {"waiting": {"reason": reason, "message": f"said {reason}"}} if reason else {"running": {}}
    status = {"containerStatuses": [{"name": "nim", "state": state, "ready": not reason}]}
    thing = made("Pod", pod.name, at=at, namespace=pod.namespace, owner=owner, status=status, uid=pod.uid, **more)  # type: ignore[arg-type]
    assert isinstance(thing, Pod)
    return thing
