"""What the launcher sends: its messages, and the output that it saw, in the order in which both happened.

They come by two descriptors, so their order has to be restored.  After each read of its messages the output is read
until nothing is left, and goes first, unless phases begin or end in them: several may be over before we have read
anything.  A phase's end says how much was seen by then: so much goes before it, what is still on its way is waited for
(the last words of a loud phase come once there is room for them), and the rest is the next phase's.
Regular files that the child writes to are read beside it; the kernel tells nobody that a file has grown, so they are
looked at a few times a second while a phase runs.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import struct
import threading
import time
from collections.abc import Callable
from typing import Any, Literal, Protocol

from msgspec import Struct

from nimble_watch.cleaning import clean, learn_arguments
from nimble_watch.console import PREFIX
from nimble_watch.observer.shown import Shown
from nimble_watch.system import clock

_HEADER = struct.Struct("<BxxxI")
_DROPPED = 0xFF
_EDGES = ("phase-started", "phase-ended")
_READ = 256 * 1024
_LINE = 64 * 1024
_LOOK = 0.25  # seconds between two looks at a file that the child writes to
_ON_ITS_WAY = 1.0  # seconds for which output that was seen is waited for
_MOST_AT_ONCE = 4 * 1024 * 1024  # bytes of a file that are read in one look: the rest waits, the messages do not


class Message(Struct, frozen=True):
    """One message of the launcher; `None` as its fields means that the launcher is gone."""

    fields: dict[str, Any] | None


class Heard(Struct, frozen=True):
    """A line that the child wrote, cleaned, or how many bytes were not looked at."""

    at: float
    stream: Literal["stdout", "stderr"]
    line: str
    lost: int = 0


Item = Message | Heard


class Cursor(Protocol):
    """Who is told where on the screen the child has left off."""

    def mid_line(self, *, begun: bool) -> None:
        """Take note whether it is in the middle of a line."""

    def child_ended(self) -> None:
        """Take note that it will write no more."""


class Lines:
    """Cuts one stream into lines; of a progress bar, which returns to its line's beginning, the last state counts."""

    def __init__(self) -> None:
        self.begun: bool | None = None  # whether the last bytes left a line begun; None if they showed nothing
        self._rest = b""
        self._shown = Shown()

    def feed(self, data: bytes) -> list[str]:
        """Take bytes in and give the lines that are whole by now."""
        words = self._shown.words(data)
        *whole, rest = (self._rest + words).split(b"\n")
        self._rest = rest[-_LINE:]
        self.begun = rest.strip(b"\r") != b"" if words else None
        return [_text(line) for line in whole]

    def end(self) -> list[str]:
        """Give what is left without a newline."""
        rest, self._rest = self._rest, b""
        return [_text(rest)] if rest else []


def _text(line: bytes) -> str:
    kept = line.rstrip(b"\r")[-_LINE:]
    return clean(kept.rpartition(b"\r")[2].decode("utf-8", "replace"))


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


class _File:
    """A regular file that the child writes to, from where it stood when the child began."""

    def __init__(self, about: dict[str, Any]) -> None:
        self.stream = int(about["stream"])
        self.descriptor = os.open(about["path"], os.O_RDONLY | os.O_CLOEXEC)
        found = os.fstat(self.descriptor)
        if (found.st_dev, found.st_ino) != (about["device"], about["inode"]):
            os.close(self.descriptor)
            raise FileNotFoundError(2, "another file has that name now", about["path"])
        self.offset = int(about["offset"])

    def read(self) -> bytes:
        """Give what was written since the last look."""
        data = os.pread(self.descriptor, _MOST_AT_ONCE, self.offset)
        self.offset += len(data)
        return data


class Incoming:
    """The thread that reads what the launcher sends, and hands it on as items, in order."""

    def __init__(self, control: int, output: int, put: Callable[[Item], None], cursor: Cursor) -> None:
        self._control = control
        self._output: int | None = output
        self._put = put
        self._cursor = cursor
        self._lines = {1: Lines(), 2: Lines()}
        self._frames = b""
        self._seen = 0
        self._messages = b""
        self._files: dict[tuple[int, int], _File] = {}
        os.set_blocking(control, False)
        os.set_blocking(output, False)
        self._thread = threading.Thread(target=self._run, name="incoming", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        if self._output is not None:
            poll.register(self._output, select.POLLIN)
        while True:
            ready = dict(poll.poll(_LOOK * 1000 if self._files else None))
            said = self._read_control() if self._control in ready else b""
            *whole, self._messages = (self._messages + (said or b"")).split(b"\n")
            messages = [fields for line in whole if (fields := _parsed(line)) is not None]
            for fields in messages:  # before anything of what the command prints is cleaned
                learn_arguments(str(word) for word in fields.get("argv") or ())
            edges = any(fields.get("type") in _EDGES for fields in messages)
            if not edges:
                self._read_output(poll)
            self._read_files()
            if said is None:
                self._put(Message(None))
                return
            for fields in messages:
                self._understand(fields, poll)
            if edges:
                self._read_output(poll)

    def _read_control(self) -> bytes | None:
        try:
            data = os.read(self._control, _READ)
        except BlockingIOError:
            return b""
        except OSError:
            return None
        return data or None

    def _read_output(self, poll: select.poll, most: float = math.inf) -> None:
        """Read what there is of the output, and hand it on until so many bytes of it have been seen in all."""
        self._take_frames(b"", most)
        while self._output is not None and self._seen < most:
            try:
                data = os.read(self._output, _READ)
            except BlockingIOError:
                return
            if not data:
                poll.unregister(self._output)
                os.close(self._output)
                self._output = None
                return
            self._take_frames(data, most)

    def _await_output(self, seen: int, poll: select.poll) -> None:
        """Read on until so many bytes of output have come, for a bounded time; who is gone sends no more."""
        give_up = time.monotonic() + _ON_ITS_WAY
        self._read_output(poll, seen)
        while self._output is not None and self._seen < seen and (left := give_up - time.monotonic()) > 0:
            coming = select.poll()
            coming.register(self._output, select.POLLIN)
            coming.poll(left * 1000)
            self._read_output(poll, seen)

    def _take_frames(self, data: bytes, most: float) -> None:
        self._frames += data
        at = 0
        while len(self._frames) - at >= _HEADER.size and self._seen < most:
            stream, length = _HEADER.unpack_from(self._frames, at)
            if stream == _DROPPED:
                at += _HEADER.size
                self._seen += length
                self._put(Heard(clock.now(), "stdout", "", lost=length))
                continue
            end = at + _HEADER.size + length
            if len(self._frames) < end:
                break
            payload = self._frames[at + _HEADER.size : end]
            at = end
            self._seen += length
            if payload:
                self._take(stream, payload, shared=True)
        self._frames = self._frames[at:]

    def _take(self, stream: int, payload: bytes, *, shared: bool) -> None:
        """Cut bytes into lines; where they may go is shared with ours, say first where they left off."""
        at = 2 if stream == 2 else 1  # noqa: PLR2004  descriptors
        lines = self._lines[at].feed(payload)
        begun = self._lines[at].begun
        if shared and begun is not None:
            self._cursor.mid_line(begun=begun)
        self._tell("stderr" if at == 2 else "stdout", lines)  # noqa: PLR2004  the same

    def _tell(self, stream: Literal["stdout", "stderr"], lines: list[str]) -> None:
        """Pass lines on, but not our own: a file that takes both the child's and ours is read back whole."""
        now = clock.now()
        for line in lines:
            if not line.startswith(PREFIX):
                self._put(Heard(now, stream, line))

    def _read_files(self) -> None:
        for file in self._files.values():
            with contextlib.suppress(OSError):
                if data := file.read():
                    self._take(file.stream, data, shared=False)

    def _understand(self, fields: dict[str, Any], poll: select.poll) -> None:
        kind = fields.get("type")
        if kind == "phase-started":
            self._open_files(fields.get("files") or ())
        elif kind == "phase-ended":
            self._await_output(int(fields.get("seen") or 0), poll)
            self._read_files()
            self._tell("stdout", self._lines[1].end())
            self._tell("stderr", self._lines[2].end())
            self._cursor.child_ended()
        self._put(Message(fields))

    def _open_files(self, files: Any) -> None:
        for about in files:
            key = (about.get("device"), about.get("inode"))
            if key in self._files:
                continue
            with contextlib.suppress(OSError, KeyError, ValueError):
                self._files[key] = _File(about)
