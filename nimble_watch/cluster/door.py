"""The door: every text of others in an object is made safe before anybody sees, keeps or records the object.

Only messages, reasons, images and the few annotations that are decoded can hold anything but names.  They are looked
at once; almost always all of them are as they may be, and the object is given back as it is.
"""

from __future__ import annotations

from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from nimble_watch.cleaning import clean
from nimble_watch.objects import (
    Annotations,
    Condition,
    Container,
    ContainerState,
    ContainerStatus,
    Event,
    KubeObject,
    Meta,
    Pod,
    PodStatus,
    Service,
)

_Texts = TypeVar("_Texts", bound=Struct)


def cleaned_pod(pod: Pod) -> Pod:
    """Give the pod with its free texts made safe; itself when they are."""
    return pod if _is_safe(pod) else _pod(pod)


def cleaned(thing: KubeObject) -> KubeObject:
    """Give the object with its free texts made safe; itself when they are."""
    if isinstance(thing, Pod):
        return cleaned_pod(thing)
    if isinstance(thing, Event):
        return _texts(thing, ("message", "reason"))
    meta = _meta(thing.metadata)
    if meta is not thing.metadata:
        thing = replace(thing, metadata=meta)
    if isinstance(thing, Service):
        return thing
    conditions = thing.status.conditions
    if conditions:
        safe = _each(conditions, _condition)
        if safe is not conditions:
            status: Any = replace(thing.status, conditions=safe)
            thing = replace(thing, status=status)
    return thing


# -- looking -----------------------------------------------------------------------------------------------------------


def is_safe_status(status: PodStatus) -> bool:
    """Tell whether all texts of a status are as they may be, without making anything: it stands on every pod's way."""
    if status.message or status.reason or status.init_container_statuses:
        return False
    for condition in status.conditions or ():
        message, reason = condition.message, condition.reason
        if (message and clean(message) != message) or (reason and not reason.isprintable()):
            return False
    for one in status.container_statuses or ():
        if not one.image.isprintable() or not _is_safe_state(one.state) or not _is_safe_state(one.last_state):
            return False
    return True


def _is_safe(pod: Pod) -> bool:
    meta, spec = pod.metadata, pod.spec
    if meta.annotations is not None and _meta(meta) is not meta:
        return False
    for container in spec.containers:
        if not container.image.isprintable():
            return False
    return spec.init_containers is None and is_safe_status(pod.status)


def _is_safe_state(state: ContainerState | None) -> bool:
    if state is None:
        return True
    said = state.waiting or state.terminated
    if said is None:
        return True
    return said.reason.isprintable() and (not said.message or clean(said.message) == said.message)


# -- making safe -------------------------------------------------------------------------------------------------------


def _safe(text: str) -> str:
    """Make a short text safe that hardly ever needs it."""
    return text if text.isprintable() else clean(text)


def _texts(thing: _Texts, names: tuple[str, ...]) -> _Texts:
    changed: dict[str, str] = {}
    for name in names:
        text = getattr(thing, name)
        if text:
            safe = clean(text) if name == "message" else _safe(text)
            if safe != text:
                changed[name] = safe
    return replace(thing, **changed) if changed else thing


def _each(things: tuple[Any, ...], safe: Any) -> tuple[Any, ...]:
    made = [safe(thing) for thing in things]
    for before, after in zip(things, made, strict=True):
        if before is not after:
            return tuple(made)
    return things


def _condition(thing: Condition) -> Condition:
    return _texts(thing, ("message", "reason")) if thing.message or thing.reason else thing


def _meta(meta: Meta) -> Meta:
    notes = meta.annotations
    if notes is None:
        return meta
    changed = {
        name: safe
        for name in Annotations.__struct_fields__
        if (text := getattr(notes, name)) and (safe := _safe(text)) != text
    }
    return replace(meta, annotations=replace(notes, **changed)) if changed else meta


def _pod(pod: Pod) -> Pod:
    spec, status = pod.spec, pod.status
    changed: dict[str, Any] = {}
    for name in ("containers", "init_containers"):
        before = getattr(spec, name)
        if before and (after := _each(before, _container)) is not before:
            changed[name] = after
    safe_spec = replace(spec, **changed) if changed else spec
    changed = {}
    if status.conditions and (conditions := _each(status.conditions, _condition)) is not status.conditions:
        changed["conditions"] = conditions
    for name in ("container_statuses", "init_container_statuses"):
        before = getattr(status, name)
        if before and (after := _each(before, _container_status)) is not before:
            changed[name] = after
    safe_status = replace(status, **changed) if changed else status
    if status.message or status.reason:
        safe_status = _texts(safe_status, ("message", "reason"))
    meta = _meta(pod.metadata)
    if safe_spec is spec and safe_status is status and meta is pod.metadata:
        return pod
    return replace(pod, metadata=meta, spec=safe_spec, status=safe_status)


def _container(container: Container) -> Container:
    return container if container.image.isprintable() else replace(container, image=clean(container.image))


def _container_status(status: ContainerStatus) -> ContainerStatus:
    image = _safe(status.image)
    state, last = _state(status.state), _state(status.last_state)
    if image == status.image and state is status.state and last is status.last_state:
        return status
    return replace(status, image=image, state=state, last_state=last)


def _state(state: ContainerState | None) -> ContainerState | None:
    if state is None:
        return None
    if state.waiting is not None:
        waiting = _texts(state.waiting, ("message", "reason"))
        return state if waiting is state.waiting else replace(state, waiting=waiting)
    if state.terminated is not None:
        ended = _texts(state.terminated, ("message", "reason"))
        return state if ended is state.terminated else replace(state, terminated=ended)
    return state
