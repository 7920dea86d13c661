"""A stream of signals to and from a file: one JSON object a line, in the order in which they were taken in.

What is recorded is what was observed, after cleaning, so a recording can be passed on; replaying it gives the same
findings on any machine.  Written in the API's own spelling with everything left out that is at its default: a person
can read it, cut it and write one by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import IO, Any, Literal, Self

import msgspec

from nimble_watch.errors import NimbleWatchError
from nimble_watch.objects import STRUCTS, KubeObject
from nimble_watch.signals import (
    Clock,
    ClusterFound,
    ClusterLost,
    Command,
    LogTail,
    Output,
    OutputLost,
    PhaseEnded,
    PhaseStarted,
    Seen,
    Signal,
    Synced,
    Unseen,
)

_VERSION = 1


def _word(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


_OTHERS: tuple[type[Signal], ...] = (
    Synced,
    Unseen,
    ClusterFound,
    ClusterLost,
    Output,
    OutputLost,
    PhaseStarted,
    Command,
    PhaseEnded,
    LogTail,
    Clock,
)
_BY_WORD: dict[str, type[Signal]] = {_word(signal.__name__): signal for signal in _OTHERS}


class RecordingError(NimbleWatchError):
    """A recording cannot be read: `where` names the file and the line."""

    exit_code = 2


def encode(signal: Signal) -> bytes:
    """Give a signal as one line, with its newline."""
    fields: dict[str, Any] = {"type": _word(type(signal).__name__)}
    for name in signal.__struct_fields__:
        value = getattr(signal, name)
        if isinstance(signal, Seen) and name == "object":
            value = _spare(msgspec.to_builtins(value), value)
        elif isinstance(value, frozenset):
            value = sorted(value)
        if not (name == "listed" and value is False):
            fields[name] = value
    return msgspec.json.encode(fields) + b"\n"


def _spare(built: Any, value: Any) -> Any:
    """Leave out of a struct's plain form whatever decoding would fill in by itself."""
    if isinstance(value, msgspec.Struct):
        spared: dict[str, Any] = {}
        for entry in msgspec.structs.fields(value):
            part = getattr(value, entry.name)
            if part is None or (entry.default is not msgspec.NODEFAULT and part == entry.default):
                continue
            spared[entry.encode_name] = _spare(built[entry.encode_name], part)
        return spared
    if isinstance(value, tuple):
        return [_spare(*pair) for pair in zip(built, value, strict=True)]
    return built


class _Head(msgspec.Struct):
    type: str
    kind: str = ""


class _SeenLine(msgspec.Struct):
    at: float
    kind: str
    change: Literal["added", "modified", "deleted"]
    object: msgspec.Raw
    listed: bool = False


@cache
def _decoder(wanted: type) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(wanted)


def decode(line: bytes | str) -> Signal:
    """Give the signal of one line; `msgspec.MsgspecError` says what is wrong with another."""
    head: _Head = _decoder(_Head).decode(line)
    if head.type == "seen":
        seen: _SeenLine = _decoder(_SeenLine).decode(line)
        if seen.kind not in STRUCTS:
            raise msgspec.ValidationError(f"no such kind of object is watched: {seen.kind!r}")
        thing: KubeObject = _decoder(STRUCTS[seen.kind]).decode(seen.object)
        return Seen(seen.at, seen.kind, seen.change, thing, seen.listed)
    if (wanted := _BY_WORD.get(head.type)) is None:
        raise msgspec.ValidationError(f"no such signal: {head.type!r}")
    signal: Signal = _decoder(wanted).decode(line)
    return signal


class Recorder:
    """Writes signals to a file as they come; whoever reads it meanwhile sees whole lines only."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("wb", buffering=0)
        self._file.write(msgspec.json.encode({"recording": "nimble-watch", "version": _VERSION}) + b"\n")

    def __call__(self, signal: Signal) -> None:
        """Write one signal."""
        self._file.write(encode(signal))

    def close(self) -> None:
        """End the recording."""
        self._file.close()

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the recording."""
        self.close()


def write(path: Path, signals: Iterable[Signal]) -> None:
    """Write a whole recording."""
    with Recorder(path) as recorder:
        for signal in signals:
            recorder(signal)


def read(path: Path) -> Iterator[Signal]:
    """Give the signals of a recording in order; a last line that was cut off while being written is left out.

    Empty lines and lines that begin with `#` or with the recording's own heading are skipped.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise RecordingError(
            f"the recording cannot be opened: {error.strerror}", where=str(path), advise="is the name right?"
        ) from error
    with file:
        for number, line in enumerate(file, 1):
            text = line.strip()
            if not text or text.startswith(b"#"):
                continue
            if number == 1 and text.startswith(b'{"recording"'):
                _check_heading(path, text)
                continue
            try:
                signal = decode(text)
            except msgspec.MsgspecError as error:
                if not line.endswith(b"\n"):
                    return
                raise RecordingError(
                    f"this line is no signal: {error}",
                    where=f"{path}:{number}",
                    advise="record anew, or take the line out",
                ) from error
            yield signal


class _Heading(msgspec.Struct):
    version: int = 0


def _check_heading(path: Path, text: bytes) -> None:
    try:
        heading = msgspec.json.decode(text, type=_Heading)
    except msgspec.MsgspecError as error:
        raise RecordingError(f"the heading cannot be read: {error}", where=str(path)) from error
    if heading.version != _VERSION:
        raise RecordingError(
            f"this recording has version {heading.version}, this nimble-watch reads version {_VERSION}",
            where=str(path),
            advise="replay it with the nimble-watch that wrote it",
        )
