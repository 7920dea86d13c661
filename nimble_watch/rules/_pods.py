"""What several rules ask of a pod: whether it counts, its containers with their statuses, how long it has been so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from nimble_watch.findings import Verdict
from nimble_watch.objects import Container, ContainerStatus, Event, Pod, Ref, Terminated, seconds
from nimble_watch.state import ClusterState

_FIELD = re.compile(r"\{([^}]*)\}")


class Part(NamedTuple):
    """A container: as specified, as the kubelet last reported it, and whether the pod cannot start before it ended."""

    spec: Container
    status: ContainerStatus | None
    init: bool

    @property
    def name(self) -> str:
        """The container's name."""
        return self.spec.name

    @property
    def waiting(self) -> str:
        """Why it waits, as Kubernetes calls it; empty when it does not wait."""
        state = self.status.state if self.status else None
        return state.waiting.reason if state and state.waiting else ""

    @property
    def waiting_message(self) -> str:
        """What the kubelet says about the wait."""
        state = self.status.state if self.status else None
        return (state.waiting.message or "") if state and state.waiting else ""

    @property
    def running_since(self) -> float | None:
        """Since when it runs (epoch seconds); None when it does not run now."""
        state = self.status.state if self.status else None
        return seconds(state.running.started_at) if state and state.running else None

    @property
    def death(self) -> Terminated | None:
        """How it ended last, now or before its present run."""
        if self.status is None:
            return None
        for state in (self.status.state, self.status.last_state):
            if state is not None and state.terminated is not None:
                return state.terminated
        return None


def live(state: ClusterState, subject: Ref) -> Pod | None:
    """Give the pod if it can be judged: there, not being deleted, and not ended.

    A pod on its way out goes through states that look like recoveries and failures and are neither.
    """
    pod = state.pod(subject)
    if pod is None or pod.metadata.deletion_timestamp is not None or pod.status.phase in ("Succeeded", "Failed"):
        return None
    return pod


_asked: list[tuple[Pod | None, tuple[Part, ...]]] = [(None, ())]


def parts(pod: Pod) -> tuple[Part, ...]:
    """Give the containers of a pod in the order in which they start; a sidecar is no init container.

    A dozen rules ask this of the same pod one after another, so the last answer is kept.
    """
    known, found = _asked[0]
    if known is not pod:
        found = tuple(_parts(pod))
        _asked[0] = (pod, found)
    return found


def _parts(pod: Pod) -> Iterator[Part]:
    statuses = {entry.name: entry for entry in pod.status.init_container_statuses or ()}
    for spec in pod.spec.init_containers or ():
        yield Part(spec, statuses.get(spec.name), spec.restart_policy != "Always")
    statuses = {entry.name: entry for entry in pod.status.container_statuses or ()}
    for spec in pod.spec.containers:
        yield Part(spec, statuses.get(spec.name), init=False)


def born(pod: Pod) -> float:
    """Give when a pod was created (epoch seconds, one second grain); 0.0 when it does not say."""
    return seconds(pod.metadata.creation_timestamp) or 0.0


def container_of(event: Event) -> str:
    """Give the container that an event is about; empty when it is about the whole pod."""
    found = _FIELD.search(event.involved_object.field_path)
    return found.group(1) if found else ""


def events_about(state: ClusterState, subject: Ref, container: str, *reasons: str) -> list[Event]:
    """Give the events about one container, newest first; those that name no container count for all."""
    return [event for event in state.events(subject, *reasons) if container_of(event) in ("", container)]


def first_said(state: ClusterState, subject: Ref, message: str, pod: Pod) -> float:
    """Give when a sentence was first said about a pod; a waiting state has no time of its own."""
    told = [event.first_at for event in state.events(subject) if message and message in event.message]
    return min(told) if told else born(pod)


def capped(state: ClusterState, subject: Ref, verdict: Verdict) -> Verdict:
    """Give the strongest verdict that the pod's owners leave open.

    One pod of a CronJob proves nothing, nor does a pod of an older revision, which the roll-out replaces, nor one
    whose siblings are ready.
    """
    if verdict is not Verdict.TERMINAL:
        return verdict
    for owner in state.owners(subject):
        if owner.kind == "CronJob":
            return Verdict.GRACE
        workload = state.workload(owner)
        if workload is None:
            continue
        if owner.kind == "ReplicaSet":
            if workload.status.ready_replicas:
                return Verdict.GRACE
            above = state.owner(owner)
            if above is not None and superseded(state, owner, above):
                return Verdict.RECOVERS
    return verdict


def retries_left(state: ClusterState, subject: Ref) -> bool:
    """Tell whether a Job above the pod may still replace it after a failure."""
    for owner in state.owners(subject):
        workload = state.workload(owner)
        if owner.kind == "Job" and workload is not None:
            limit = workload.spec.backoff_limit
            return workload.status.failed < (6 if limit is None else limit)
    return False


def superseded(state: ClusterState, replica_set: Ref, deployment: Ref) -> bool:
    """Tell whether a ReplicaSet is not the newest revision of its Deployment."""
    mine = revision(state, replica_set)
    return any(revision(state, other) > mine for other in state.children(deployment) if other.kind == "ReplicaSet")


def revision(state: ClusterState, replica_set: Ref) -> int:
    """Give the roll-out revision of a ReplicaSet, 0 when it says none."""
    workload = state.workload(replica_set)
    notes = workload.metadata.annotations if workload is not None else None
    text = (notes.revision or "") if notes is not None else ""
    return int(text) if text.isdecimal() else 0


def describe(subject: Ref) -> str:
    """Give the command that shows everything about an object."""
    scope = f"-n {subject.namespace} " if subject.namespace else ""
    return f"kubectl {scope}describe {subject}"
