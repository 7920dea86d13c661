"""From bytes to objects: the lines of a watch and the pages of a list, decoded into structs, their texts made safe.

Lines are split as bytes on the newline only: text splitting also breaks at U+0085, which the API server leaves as it
is.  A line is decoded straight into the struct of its kind; only when that fails is it looked at in two steps, because
an error has a text where a pod has its status.  What cannot be decoded at all is given as None, for counting.

Whatever is decoded passes the door (`door`) before anybody else sees it.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Any

import msgspec
from msgspec import Raw, Struct, field
from urllib3 import BaseHTTPResponse

from nimble_watch.cleaning import clean
from nimble_watch.cluster.door import cleaned
from nimble_watch.cluster.sharing import Pods, UnreadPod, lean
from nimble_watch.objects import STRUCTS, KubeObject, Meta, Pod

_BLOCK = 65_536
"""Bytes read at once at most: some sixteen events, decoded and delivered together in a third of a millisecond."""


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


class _MetaObject(Struct, frozen=True, gc=False):
    metadata: Meta = Meta()


class _MetaLine(Struct, frozen=True, gc=False):
    object: _MetaObject = _MetaObject()


_meta_line = msgspec.json.Decoder(_MetaLine)
_undecoded = msgspec.json.Decoder(_Undecoded)
_raw_list = msgspec.json.Decoder(_RawList)


def blocks(answer: BaseHTTPResponse) -> Iterator[list[bytes]]:
    """Give the whole lines of a watch as they arrive, several at a time; a cut-off last line is dropped.

    `read1` gives what is there without waiting for more, with chunks and behind a proxy that takes them away.
    """
    tail = b""
    for block in iter(partial(answer.read1, _BLOCK), b""):
        lines = (tail + block).split(b"\n") if tail else block.split(b"\n")
        tail = lines.pop()
        if lines:
            yield lines


class Lines:
    """Decodes what comes of one kind; it remembers pods, so that the next version of each costs little to keep."""

    def __init__(self, kind: str) -> None:
        self._pods = Pods() if kind == "Pod" else None
        unread: type[Struct] = UnreadPod if kind == "Pod" else STRUCTS[kind]
        line = msgspec.defstruct(f"{kind}Line", [("type", str, ""), ("object", unread, unread())], gc=False)
        self._line = msgspec.json.Decoder(line)
        self._object = msgspec.json.Decoder(unread)

    def line(self, line: bytes) -> Change | Bookmark | Failure | None:
        """Give what a line of a watch says; None when it cannot be understood."""
        try:
            said: Any = self._line.decode(line)
            if said.type in ("ADDED", "MODIFIED", "DELETED"):
                return Change(said.type, self._read(said.object, line)) if said.object.metadata.uid else None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            pass
        return _decode_other(line)

    def page(self, body: bytes) -> Page:
        """Give a page of a list; what cannot be decoded is counted, a page that cannot is a `MsgspecError`."""
        said = _raw_list.decode(body)
        objects: list[KubeObject] = []
        skipped = 0
        for raw in said.items or ():
            try:
                objects.append(self._read(self._object.decode(raw), b'{"object":%b}' % raw))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                skipped += 1
        return Page(objects, skipped, said.metadata.resource_version, said.metadata.more)

    def forget(self, thing: KubeObject) -> None:
        """Forget an object that is no more."""
        if self._pods is not None and isinstance(thing, Pod):
            self._pods.forget(thing)

    def forget_all_but(self, uids: AbstractSet[str]) -> None:
        """Forget what is not in a new picture."""
        if self._pods is not None:
            self._pods.forget_all_but(uids)

    def _read(self, unread: Any, line: bytes) -> KubeObject:
        if self._pods is not None:
            return self._pods.read(unread, lambda: _meta_line.decode(line).object.metadata)
        thing: KubeObject = unread
        lean(thing.metadata)
        return cleaned(thing)


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
