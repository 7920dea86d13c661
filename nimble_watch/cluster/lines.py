"""From bytes to objects: the lines of a watch and the pages of a list, decoded into structs, their texts made safe.

Lines are split as bytes on the newline only: text splitting also breaks at U+0085, which the API server leaves as it
is.  A line is decoded straight into the struct of its kind; only when that fails is it looked at in two steps, because
an error has a text where a pod has its status.  What cannot be decoded at all is given as None, for counting.

Cleaning happens here, once for everything that comes after, recordings included: only messages, reasons and images can
hold anything but names, and a healthy pod has no messages, so the walk costs a few microseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct, field
from msgspec.structs import replace
from urllib3 import BaseHTTPResponse

from nimble_watch.cleaning import clean
from nimble_watch.objects import (
    STRUCTS,
    Annotations,
    Condition,
    Container,
    ContainerState,
    ContainerStatus,
    Event,
    KubeObject,
    Meta,
    Node,
    Pod,
    Service,
)

_BLOCK = 262_144
_Texts = TypeVar("_Texts", bound=Struct)


class Change(Struct, frozen=True, gc=False):
    """A line of a watch that brings an object; `type` is ADDED, MODIFIED or DELETED."""

    type: str
    object: KubeObject


class Bookmark(Struct, frozen=True, gc=False):
    """A line that only says how far the watch has come; `complete` ends the initial events."""

    version: str
    complete: bool


class Failure(Struct, frozen=True, gc=False):
    """A line that ends the watch: HTTP's code and the server's sentence."""

    code: int
    message: str


class Page(Struct, frozen=True, gc=False):
    """A page of a list: objects, how many could not be decoded, the list's version, the token for the next page."""

    objects: list[KubeObject]
    skipped: int
    version: str
    more: str


class _Undecoded(Struct, frozen=True, gc=False):
    type: str = ""
    object: Raw = Raw(b"null")


class _Marks(Struct, frozen=True, gc=False):
    initial_events_end: str = field(default="", name="k8s.io/initial-events-end")


class _MarkMeta(Struct, rename="camel", frozen=True, gc=False):
    resource_version: str = ""
    annotations: _Marks | None = None


class _Mark(Struct, frozen=True, gc=False):
    metadata: _MarkMeta = _MarkMeta()


class _Status(Struct, frozen=True, gc=False):
    code: int = 0
    message: str | None = None


class _ListMeta(Struct, rename="camel", frozen=True, gc=False):
    resource_version: str = ""
    more: str = field(default="", name="continue")


class _RawList(Struct, frozen=True, gc=False):
    metadata: _ListMeta = _ListMeta()
    items: tuple[Raw, ...] | None = None


_undecoded = msgspec.json.Decoder(_Undecoded)
_raw_list = msgspec.json.Decoder(_RawList)


@cache
def _line_decoder(kind: str) -> msgspec.json.Decoder[Any]:
    made = msgspec.defstruct(f"{kind}Line", [("type", str, ""), ("object", STRUCTS[kind], STRUCTS[kind]())], gc=False)
    return msgspec.json.Decoder(made)


@cache
def _list_decoder(kind: str) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(
        msgspec.defstruct(
            f"{kind}List",
            [("metadata", _ListMeta, _ListMeta()), ("items", list.__class_getitem__(STRUCTS[kind]), [])],
            gc=False,
        )
    )


def blocks(answer: BaseHTTPResponse) -> Iterator[list[bytes]]:
    """Give the whole lines of a watch as they arrive, several at a time; a cut-off last line is dropped.

    `read1` gives what is there without waiting for more, also behind a proxy that takes the chunks away.
    """
    tail = b""
    # with chunks urllib3's own loop is as prompt and costs a quarter less
    chunks = (
        answer.read_chunked(_BLOCK) if getattr(answer, "chunked", False) else iter(partial(answer.read1, _BLOCK), b"")
    )
    for block in chunks:
        lines = (tail + block).split(b"\n") if tail else block.split(b"\n")
        tail = lines.pop()
        if lines:
            yield lines


def decode_line(kind: str, line: bytes) -> Change | Bookmark | Failure | None:
    """Give what a line of a watch says; None when it cannot be understood."""
    try:
        said = _line_decoder(kind).decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _decode_other(line)
    if said.type in ("ADDED", "MODIFIED", "DELETED"):
        return Change(said.type, cleaned(said.object)) if said.object.metadata.uid else None
    return _decode_other(line)


def _decode_other(line: bytes) -> Bookmark | Failure | None:
    try:
        said = _undecoded.decode(line)
        if said.type == "BOOKMARK":
            meta = msgspec.json.decode(said.object, type=_Mark).metadata
            complete = meta.annotations is not None and meta.annotations.initial_events_end == "true"
            return Bookmark(meta.resource_version, complete)
        if said.type == "ERROR":
            status = msgspec.json.decode(said.object, type=_Status)
            return Failure(status.code, clean(status.message or "", limit=400))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    return None


def decode_page(kind: str, body: bytes) -> Page:
    """Give a page of a list; an object that cannot be decoded is counted, a page that cannot is a `MsgspecError`."""
    skipped = 0
    try:
        said = _list_decoder(kind).decode(body)
        objects = said.items
    except msgspec.ValidationError:
        said = _raw_list.decode(body)
        objects = []
        for raw in said.items or ():
            try:
                objects.append(msgspec.json.decode(raw, type=STRUCTS[kind]))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                skipped += 1
    return Page([cleaned(thing) for thing in objects], skipped, said.metadata.resource_version, said.metadata.more)


# -- the door ----------------------------------------------------------------------------------------------------------


def cleaned(thing: KubeObject) -> KubeObject:
    """Give the object with its free texts made safe; itself when they are."""
    if isinstance(thing, Pod) and _quiet(thing):
        return thing
    if isinstance(thing, Event):
        return _texts(thing, ("message", "reason"))
    meta = _meta(thing.metadata)
    if meta is not thing.metadata:
        thing = replace(thing, metadata=meta)
    if isinstance(thing, Pod):
        return _pod(thing)
    if isinstance(thing, Service):
        return thing
    conditions = thing.status.conditions
    if conditions:
        safe = _each(conditions, _condition)
        if safe is not conditions:
            status: Any = replace(thing.status, conditions=safe)
            thing = replace(thing, status=status)
    if isinstance(thing, Node):
        return thing
    return thing


def _quiet(pod: Pod) -> bool:
    """Tell whether a pod says nothing at all that could need cleaning: most do, most of the time."""
    status, spec = pod.status, pod.spec
    if status.message or status.reason or pod.metadata.annotations is not None:
        return False
    for condition in status.conditions or ():
        if condition.message or condition.reason:
            return False
    for one in status.container_statuses or ():
        if one.state is None or one.state.running is None or not one.image.isprintable():
            return False
        if (last := one.last_state) is not None and (last.terminated is not None or last.waiting is not None):
            return False
    for container in spec.containers:
        if not container.image.isprintable():
            return False
    return spec.init_containers is None


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
    if safe_spec is spec and safe_status is status:
        return pod
    return replace(pod, spec=safe_spec, status=safe_status)


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
