"""Watching what passes through a pipe, without the child or its reader noticing.

One thread per sink copies from our pipe to the caller's and hands what it saw to the observer through a `Feed`, which
never waits: what does not fit is dropped and counted, and the last 64 KiB are kept for when there is room again.
Back-pressure comes from the real sink only.  A reader that goes away is noticed at once (POLLERR on its pipe), and our
end is closed, so that the child's next write meets SIGPIPE as it would have without us.
"""

from __future__ import annotations

import _thread
import errno
import fcntl
import os
import select
import struct
from collections.abc import Callable

from nimble_watch.launcher.start import Pipe

KEPT = 64 * 1024
_READ = 256 * 1024
_FRAME = 56 * 1024
_HEADER = struct.Struct("<BxxxI")
_DROPPED = 0xFF


class Feed:
    """The way to the observer: frames of a stream number, a length and the bytes; full means drop and count."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.taken = 0  # bytes so far, those that were dropped included
        self._lock = _thread.allocate_lock()
        self._rest = b""  # of a frame that did not fit as a whole
        self._dropped = 0
        self._kept: dict[int, bytes] = {}
        self._dead = False
        os.set_blocking(descriptor, False)

    def take(self, stream: int, seen: memoryview) -> None:
        """Hand over what was seen, or keep its end for later."""
        with self._lock:
            self.taken += len(seen)
            if self._dead:
                return
            if self._room():
                for start in range(0, len(seen), _FRAME):
                    if self._rest:
                        self._drop(stream, seen[start:])
                        return
                    self._frame(stream, seen[start : start + _FRAME])
                return
            self._drop(stream, seen)

    def push(self) -> bool:
        """Try again to hand over what was kept; false while there is no room."""
        with self._lock:
            return self._dead or self._room()

    def close(self) -> None:
        """Say that there is nothing more."""
        with self._lock:
            self._dead = True
            os.close(self.descriptor)

    def _drop(self, stream: int, seen: memoryview) -> None:
        kept = self._kept.get(stream, b"") + bytes(seen[-KEPT:])
        self._dropped += max(0, len(seen) - KEPT) + max(0, len(kept) - KEPT)
        self._kept[stream] = kept[-KEPT:]

    def _room(self) -> bool:
        """Write what was left, the mark of what is missing and what was kept; true when all of it is out."""
        if self._rest:
            self._write(self._rest)
        while self._dropped and not self._rest:
            part = min(self._dropped, 0xFFFFFFFF)
            self._dropped -= part
            self._write(_HEADER.pack(_DROPPED, part))
        for stream, kept in list(self._kept.items()):
            left = kept
            while left and not self._rest:
                part_kept, left = left[:_FRAME], left[_FRAME:]
                self._frame(stream, memoryview(part_kept))
            if left:
                self._kept[stream] = left
            else:
                del self._kept[stream]
        return not self._rest and not self._kept

    def _frame(self, stream: int, seen: memoryview) -> None:
        self._write(_HEADER.pack(stream, len(seen)) + seen)

    def _write(self, data: bytes) -> None:
        try:
            written = os.write(self.descriptor, data)
        except BlockingIOError:
            written = 0
        except OSError:
            self._dead = True  # the observer is gone; the child never knows
            written = len(data)
        self._rest = data[written:]


class Tap:
    """One pipe of ours in front of one sink of the caller."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self.sink = pipe.targets[0]
        self.stream = pipe.targets[0]
        self.read, self.write = pipe.read, pipe.write
        self.ended = False  # nothing more can come through it
        self.idle = False  # the child is gone and all it wrote has been passed on, but somebody still holds the pipe
        self._finishing = False
        self._asked = 0
        self._answered = 0
        self._waiting = False
        self._wake_read = self._wake_write = -1

    def start(self, feed: Feed, notify: Callable[[], None]) -> None:
        """Begin to copy, in a thread of its own."""
        _widen(self.read)
        self._wake_read, self._wake_write = os.pipe()
        _thread.start_new_thread(self._run, (feed, notify))

    def settle(self) -> None:
        """Ask to be told once everything written so far has been passed on."""
        self._asked += 1
        os.write(self._wake_write, b"x")

    def settled(self) -> bool:
        """Tell whether it has."""
        return self.ended or self._answered == self._asked

    def finish(self) -> None:
        """Say that the child is gone: pass on what it wrote, then stop."""
        self._finishing = True
        os.close(self.write)
        os.write(self._wake_write, b"x")

    def _run(self, feed: Feed, notify: Callable[[], None]) -> None:
        try:
            self._copy(feed, notify)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.EIO, errno.ENOSPC, errno.EBADF):
                raise
            self.ended = True
        finally:
            if self.ended:
                os.close(self.read)
            notify()

    def _copy(self, feed: Feed, notify: Callable[[], None]) -> None:
        buffer = bytearray(_READ)
        view = memoryview(buffer)
        poll = select.poll()
        poll.register(self.read, select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        poll.register(self.sink, 0)
        while True:
            finishing, asked = self._finishing, self._asked
            ready = dict(poll.poll(0 if finishing or asked != self._answered else None))
            if self.sink in ready:
                self.ended = True  # nobody reads any more
                return
            if self._wake_read in ready:
                os.read(self._wake_read, 1)
            got = ready.get(self.read, 0)
            if got & select.POLLIN:
                count = os.readv(self.read, [buffer])
                self._pass_on(view[:count])
                feed.take(self.stream, view[:count])
            elif got:
                self.ended = True
                return
            elif finishing:
                self.idle = True
                return
            elif asked != self._answered:
                self._answered = asked
                notify()
            self._catch_up(feed, poll)

    def _catch_up(self, feed: Feed, poll: select.poll) -> None:
        """Hand over what was kept, and have the poll wake us for the rest when there is room."""
        waiting = not feed.push()
        if waiting != self._waiting:
            self._waiting = waiting
            if waiting:
                poll.register(feed.descriptor, select.POLLOUT)
            else:
                poll.unregister(feed.descriptor)

    def _pass_on(self, seen: memoryview) -> None:
        while seen:
            try:
                seen = seen[os.write(self.sink, seen) :]
            except BlockingIOError:  # the caller's own pipe is non-blocking: wait in its place
                room = select.poll()
                room.register(self.sink, select.POLLOUT)
                room.poll()


def _widen(pipe: int) -> None:
    """Let the pipe hold more, for fewer and larger pieces; the system may refuse, or not know of it."""
    if not hasattr(fcntl, "F_SETPIPE_SZ"):
        return
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _READ)
    except OSError:
        return
