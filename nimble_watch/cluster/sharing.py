"""What is equal kept once: a pod's next version takes over from the one before it, a new pod from another of its kind.

Ten thousand pods are kept for as long as the phase runs, and each changes many times.  Its specification hardly ever
does: it is told by its bytes, and then not even decoded again.  The replicas of a workload differ in name, node and
times, and in little else.  So memory grows with what is different in a cluster, not with how long it is watched.

Objects are frozen, so nobody can tell; what is changed here nobody has seen yet.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import force_setattr

from nimble_watch.cluster.door import cleaned_pod, is_safe_status
from nimble_watch.objects import ContainerStatus, Meta, OwnedMeta, Pod, PodSpec, PodStatus, controller_of

_TIMES = 4096
_META = ("labels", "owner_references", "annotations")
_SPEC = ("containers", "volumes", "tolerations", "image_pull_secrets", "init_containers")
_spec = msgspec.json.Decoder(PodSpec)


class UnreadPod(Struct, frozen=True, gc=False):
    """A pod whose specification is still as it came: it holds on to the whole line, so it must not be kept."""

    metadata: OwnedMeta = OwnedMeta()
    spec: Raw = Raw(b"{}")
    status: PodStatus = PodStatus()


def lean(meta: Meta) -> None:
    """Let an object that nobody has seen yet use the words of those before it."""
    intern = sys.intern
    force_setattr(meta, "namespace", intern(meta.namespace))
    for entry in meta.managed_fields or ():
        force_setattr(entry, "manager", intern(entry.manager))
        force_setattr(entry, "operation", intern(entry.operation))


class Pods:
    """The newest version of each pod of a stream."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, Pod]] = {}
        self._siblings: dict[str, str] = {}
        self._times: dict[datetime, datetime] = {}

    def read(self, unread: UnreadPod, whole: Callable[[], Meta]) -> Pod:
        """Give a pod that was just decoded, made safe; `MsgspecError` when its specification is none.

        `whole` decodes its metadata anew, for the few pods that no controller made.
        """
        status, given = unread.status, bytes(unread.spec)
        meta = unread.metadata if controller_of(unread.metadata) else whole()
        # 64 bits keyed anew in each process (SipHash): two versions with one mark are not to be met with.
        mark, known = hash(given), self._known.get(meta.uid)
        if known is not None and known[0] == mark:
            before = known[1]
            _next(meta, status, before)
            pod = Pod(meta, before.spec, status)
            if meta.annotations != before.metadata.annotations or not is_safe_status(status):
                pod = cleaned_pod(pod)
        else:
            pod = Pod(meta, _spec.decode(given), status)
            self._settle(pod, known[1] if known is not None else None)
            pod = cleaned_pod(pod)
        self._known[meta.uid] = (mark, pod)
        return pod

    def forget(self, pod: Pod) -> None:
        """Drop a pod that is no more."""
        uid, owner = pod.metadata.uid, controller_of(pod.metadata)
        self._known.pop(uid, None)
        if self._siblings.get(owner) == uid:
            del self._siblings[owner]

    def forget_all_but(self, uids: AbstractSet[str]) -> None:
        """Drop the pods that are not in a new picture."""
        for _, pod in [known for uid, known in self._known.items() if uid not in uids]:
            self.forget(pod)

    # -- what nobody has seen yet --------------------------------------------------------------------------------------

    def _settle(self, pod: Pod, before: Pod | None) -> None:
        """Have a pod whose specification is new use what its last version has, or a sibling."""
        meta, spec, status = pod.metadata, pod.spec, pod.status
        owner, intern = controller_of(meta), sys.intern
        lean(meta)
        if spec.volumes:  # tokens and empty folders depend on no object, and have names of their own in each pod
            needed = tuple(one for one in spec.volumes if one.persistent_volume_claim or one.secret or one.config_map)
            force_setattr(spec, "volumes", needed or None)
        for name in ("node_name", "scheduler_name", "service_account_name", "restart_policy"):
            force_setattr(spec, name, intern(getattr(spec, name)))
        like = before or self._sibling(owner)
        if like is not None:
            _take_over(meta, like.metadata, _META)
            _take_over(spec, like.spec, _SPEC)
        if before is not None:
            _next(meta, status, before)
            return
        for container in spec.containers if like is None else ():
            force_setattr(container, "name", intern(container.name))
            force_setattr(container, "image", intern(container.image))
        self._first(status)
        if owner:
            self._siblings.setdefault(owner, meta.uid)

    def _sibling(self, owner: str) -> Pod | None:
        known = self._known.get(self._siblings.get(owner, ""))
        return known[1] if known is not None else None

    def _first(self, status: PodStatus) -> None:
        """Have the status of a pod that is new use the words and times of others: most of a picture never changes."""
        intern, times = sys.intern, self._times
        if len(times) >= _TIMES:
            times.clear()
        if when := status.start_time:
            force_setattr(status, "start_time", times.setdefault(when, when))
        for entry in status.conditions or ():
            force_setattr(entry, "type", intern(entry.type))
            force_setattr(entry, "status", intern(entry.status))
            if when := entry.last_transition_time:
                force_setattr(entry, "last_transition_time", times.setdefault(when, when))
        _containers(status.container_statuses)


def _next(meta: Meta, status: PodStatus, before: Pod) -> None:
    """Have a pod's next version use what the one before it has; on the way of every event, so only what weighs."""
    old, was = before.metadata, before.status
    if meta.managed_fields and meta.managed_fields == old.managed_fields:
        force_setattr(meta, "managed_fields", old.managed_fields)
    if meta.labels == old.labels:
        force_setattr(meta, "labels", old.labels)
    if meta.owner_references == old.owner_references:
        force_setattr(meta, "owner_references", old.owner_references)
    if was.conditions and status.conditions == was.conditions:
        force_setattr(status, "conditions", was.conditions)
    if was.container_statuses and status.container_statuses == was.container_statuses:
        force_setattr(status, "container_statuses", was.container_statuses)
    else:
        _containers(status.container_statuses)


def _containers(statuses: tuple[ContainerStatus, ...] | None) -> None:
    for one in statuses or ():
        force_setattr(one, "name", sys.intern(one.name))
        force_setattr(one, "image", sys.intern(one.image))
        if (last := one.last_state) is not None and last.waiting is None and last.terminated is None:
            force_setattr(one, "last_state", None)


def _take_over(thing: Any, before: Any, names: tuple[str, ...]) -> None:
    for name in names:
        value, old = getattr(thing, name), getattr(before, name)
        if value is not None and value == old:
            force_setattr(thing, name, old)
