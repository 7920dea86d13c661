"""The observer as the launcher sees it: started after the child, told what happens, never waited for without a limit.

One socket for JSON lines both ways, served by one thread, which also notices that our parent is gone; one pipe for the
output seen.  Whatever becomes of the observer (missing, crashing, hanging, killed), nothing here raises.
"""

from __future__ import annotations

import _socket
import _thread
import contextlib
import json
import os
import select
import sys
import time
from typing import Any

from nimble_watch.launcher.relay import Notes
from nimble_watch.launcher.tap import Feed
from nimble_watch.system import clock
from nimble_watch.system.calls import PARENT_LOOK, open_descriptors, spawn_apart, watch_process
from nimble_watch.system.tree import effort

_MOST_UNSENT = 8 * 1024 * 1024


class Link:
    """The way to the observer, or to nobody."""

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.process: int | None = None
        self.ready = False
        self.finished = False
        self.sharing = False
        self.lost = True
        self.feed: Feed | None = None
        self.started = time.monotonic()
        self._effort = 0
        self._socket: Any = None
        self._theirs: Any = None
        self._unsent = bytearray()
        self._no_more_output = False
        self._lock = _thread.allocate_lock()
        self._wake_read, self._wake_write = os.pipe()

    def open(self) -> None:
        """Make the way to the observer; what it is told before it starts waits there, even if we are killed at once."""
        self._socket, self._theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
        os.set_blocking(self._socket.fileno(), False)
        self.lost = False

    def start(self, directory: str, *, stderr: int, keep: list[int]) -> None:
        """Start the observer: a session of its own, nothing of the caller's but stderr and what `keep` names."""
        theirs = self._theirs
        output, fed = os.pipe()
        control = theirs.fileno()
        passed = {control, output, *keep}
        actions: list[tuple[int, ...] | tuple[Any, ...]] = [
            (os.POSIX_SPAWN_DUP2, stderr, 2),
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            *((os.POSIX_SPAWN_CLOSE, number) for number in open_descriptors() if number not in (0, 1, 2, *passed)),
        ]
        for number in passed:
            os.set_inheritable(number, True)  # noqa: FBT003  it takes no keywords
        try:
            words = ["observe", "--control", str(control), "--output", str(output)]
            self.process = spawn_ourselves(words, directory, actions=actions)
        except OSError:
            self.process, self.lost = None, True
        for number in keep:
            os.set_inheritable(number, False)  # noqa: FBT003  it takes no keywords
        os.close(output)
        theirs.close()
        self.feed = Feed(fed)

    def serve(self, *, parent: int | None) -> None:
        """Begin to send and to listen; `parent` is the process whose end means that we are cancelled."""
        _thread.start_new_thread(self._run, (parent,))

    def tell(self, kind: str, **fields: Any) -> None:
        """Tell the observer something; never waits."""
        if self.lost:
            return
        line = json.dumps({"type": kind, "time": clock.now(), "monotonic": time.monotonic(), **fields}) + "\n"
        with self._lock:
            if len(self._unsent) < _MOST_UNSENT:
                self._unsent += line.encode("utf-8", "surrogateescape")
        try:
            self._send()  # at once: should we be killed now, it knows
        except OSError:
            return  # it is gone, as the thread will find
        if self._unsent:
            os.write(self._wake_write, b"x")

    @property
    def seen(self) -> int:
        """How many bytes of output were handed over, or dropped on the way, by now."""
        feed = self.feed
        return 0 if feed is None else feed.taken

    def end_output(self) -> None:
        """Say that there is no more output; what is kept is still handed over, as soon as there is room for it."""
        self._no_more_output = True
        os.write(self._wake_write, b"x")

    def wait_seconds(self) -> float:
        """How long to wait for the observer to finish: it may still be importing what it needs."""
        return 2.0 if self.ready else max(2.0, 10.0 - (time.monotonic() - self.started))

    def works(self) -> bool:
        """Tell whether the observer has done something since the last look, or would if the machine let it.

        On a machine with too much to do it may need many times its two seconds; one that hangs does nothing.
        """
        if self.process is None:
            return False
        before, (self._effort, wanting) = self._effort, effort(self.process)
        return wanting or self._effort > before

    def end(self, *, patient: bool) -> None:
        """Let go of the observer: one that has not finished in time is killed, so that it holds no pipe of the caller.

        `patient` leaves it alone all the same: somebody is in a hurry to see us gone, and it will finish after us.
        """
        if self.process is None:
            return
        if not self.finished and not patient:
            _kill(self.process)
        try:
            os.waitpid(self.process, os.WNOHANG if self.finished or patient else 0)
        except ChildProcessError:
            return

    def _run(self, parent: int | None) -> None:
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        watched = watch_process(parent)
        look = None if parent is None or PARENT_LOOK is None else PARENT_LOOK * 1000
        if watched is not None:
            poll.register(watched, select.POLLIN)
        if not self.lost:
            poll.register(self._socket.fileno(), select.POLLIN)
        received = b""
        while True:
            ready = dict(poll.poll(look))
            if look is not None and os.getppid() != parent:
                look = None
                self.notes.leave("parent-gone")
            if watched is not None and watched in ready:
                poll.unregister(watched)
                watched = None
                self.notes.leave("parent-gone")
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
            if self.lost:
                continue
            self._let_out(poll)
            events = ready.get(self._socket.fileno(), 0)
            try:
                if events & (select.POLLIN | select.POLLHUP | select.POLLERR):
                    received = self._receive(received)
                self._send()
            except OSError:
                self._lose(poll)
                continue
            wanted = select.POLLIN | (select.POLLOUT if self._unsent else 0)
            poll.modify(self._socket.fileno(), wanted)

    def _let_out(self, poll: select.poll) -> None:
        """Hand over the last of the output, if it is: an observer that is still importing has not read any of it."""
        feed = self.feed
        if not self._no_more_output or feed is None:
            return
        poll.register(feed.descriptor, select.POLLOUT)
        if feed.push():
            poll.unregister(feed.descriptor)
            self.feed = None
            feed.close()

    def _receive(self, before: bytes) -> bytes:
        try:
            data: bytes = self._socket.recv(65536)
        except BlockingIOError:
            return before
        if not data:
            raise ConnectionResetError
        *lines, rest = (before + data).split(b"\n")
        for line in lines:
            self._understand(line)
        return rest

    def _understand(self, line: bytes) -> None:
        try:
            message = json.loads(line)
            kind = message["type"]
        except (ValueError, KeyError, TypeError):
            return
        if kind == "ready":
            self.ready = True
        elif kind == "stop":
            why = "budget" if message.get("reason") == "budget" else "fail-fast"
            self.notes.leave("stop", (message.get("pid"), why))
        elif kind == "sharing":
            self.sharing = True
        elif kind == "finished":
            self.finished = True
            self.notes.leave("finished")

    def _send(self) -> None:
        with self._lock:
            while self._unsent:
                try:
                    del self._unsent[: self._socket.send(self._unsent)]
                except BlockingIOError:
                    return

    def _lose(self, poll: select.poll) -> None:
        poll.unregister(self._socket.fileno())
        if self.feed is not None:
            with contextlib.suppress(KeyError):  # it may never have been waited for
                poll.unregister(self.feed.descriptor)
        self.lost = True
        self.notes.leave("observer-gone")


def spawn_ourselves(words: list[str], directory: str, *, actions: list[Any]) -> int:
    """Start nimble-watch once more, as another process in a session of its own.

    By the path of this package, and with `-P`: nothing in the working directory can take a module's place.
    """
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    argv = [sys.executable, "-P", os.path.join(package, "__main__.py"), *words]
    environ = {**os.environ, "NIMBLE_WATCH_SESSIONS": directory}
    return spawn_apart(sys.executable, argv, environ, actions)


def spawn_closer(directory: str, session: str) -> None:
    """Start a process that closes a session which nobody else will close; it outlives us."""
    nowhere = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        *((os.POSIX_SPAWN_CLOSE, number) for number in open_descriptors() if number not in (0, 1, 2)),
    ]
    try:
        spawn_ourselves(["observe", "--close", session, "--sessions", directory], directory, actions=nowhere)
    except OSError:
        return  # the next command closes it


def _kill(pid: int) -> None:
    import signal  # only where something went wrong

    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return
