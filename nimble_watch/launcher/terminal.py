r"""`--observe`: a terminal of the child's own between it and the caller's, so that what it writes there can be seen.

The child gets a session of its own whose terminal is a pseudo terminal; the monitor leads it.  The caller's terminal is
in raw mode only while the child has the foreground: every key goes into the child's terminal, whose own line discipline
makes Ctrl-C, Ctrl-\ and Ctrl-Z of it, once.  Nothing typed is kept or looked at, but for the two keys that interrupt:
the rest of our own group (a shell loop, make) is told of them, as the caller's terminal would have told it.

When the child stops, the caller's terminal gets its modes back and our group stops by the same signal, so that the
shell sees the job stopped; `fg` takes the terminal again, with the size it has by then.  In the background, and in a
pipeline whose other members may read the terminal too, it is left alone until the child asks for it (TTIN, TTOU).

The output goes through a `Tap` like that of a pipe.  Only the descriptors that lead to our terminal become the child's
terminal; a pipe or a file stays what it is.  The observer's own lines go there as well: they stand between the child's,
and wait while a program has that terminal in raw mode.
"""

from __future__ import annotations

import _thread
import fcntl
import os
import select
import stat
import termios
import time
from collections.abc import Callable

from nimble_watch.errors import NotStartedError
from nimble_watch.launcher.monitor import (
    ANSWER,
    CHANGED,
    EXITED,
    KILLED,
    REFUSED,
    WORDS,
    Monitor,
    continue_order,
    start_order,
)
from nimble_watch.launcher.start import Pipe, Signals, started
from nimble_watch.launcher.tap import Feed, Tap
from nimble_watch.system.calls import tell_group

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import Any
else:
    import _signal as signal

_PATIENCE = 0.25  # seconds for which a stop or an end waits for what the child wrote before it
_IFLAG, _OFLAG, _LFLAG, _CC = 0, 1, 3, 6
_INPUT = (
    termios.IGNBRK
    | termios.BRKINT
    | termios.PARMRK
    | termios.ISTRIP
    | termios.INLCR
    | termios.IGNCR
    | termios.ICRNL
    | termios.IXON
)
_LOCAL = termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN


class Pty:
    """The child's terminal, seen from the launcher; made before any thread of ours exists."""

    def __init__(self, targets: list[int], signals: Signals, ours: list[int]) -> None:
        """Make it for the descriptors `targets`; `ours` are those that the monitor must not hold open.

        OSError where the system has no pseudo terminal to give.
        """
        self.targets = targets
        self._signals = signals
        self._tty = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        out = os.open("/dev/tty", os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
        self._master, self.slave = os.openpty()
        os.set_blocking(self._master, False)
        self._modes = termios.tcgetattr(self._tty)
        self._shared = _in_pipeline()
        self._raw = False
        self._hung_up = False
        self._carrying = False
        self.child = 0
        self._end: tuple[str, int] | None = None
        self._drained = _thread.allocate_lock()
        self._wake_read, self._wake_write = os.pipe()
        self._own_modes = self._in_front()
        _set_modes(self.slave, self._modes if self._own_modes else _as_for_a_line(self._modes))
        self.resize()
        orders, self._orders = os.pipe()
        self._answers, answers = os.pipe()
        self._monitor = os.fork()
        if self._monitor == 0:
            for number in (self._tty, out, self._master, self._orders, self._answers, *ours):
                os.close(number)
            Monitor(orders, answers, self.slave, signals).run()
        os.close(orders)
        os.close(answers)
        os.set_blocking(self._answers, False)
        self.tap = Tap(Pipe([out], (os.dup(self._master), self.slave)))
        self.tap.stream = 1 if 1 in targets else 2

    def start(self, feed: Feed, notify: Callable[[], None]) -> None:
        """Begin to carry output and keys, each in a thread of its own."""

        def passed_on() -> None:
            if self.tap.ended:
                self._hung_up = True
                self._poke()
            if self._drained.locked():
                self._drained.release()
            notify()

        if self._carrying:
            return
        self._carrying = True
        self._drained.acquire()
        self.tap.start(feed, passed_on)
        _thread.start_new_thread(self._carry_keys, ())

    # -- the child -----------------------------------------------------------------------------------------------------

    def spawn(self, argv: list[str], environ: dict[bytes, bytes], outputs: dict[int, int]) -> int:
        """Start a command in it and give its process id."""
        self._end = None
        in_front = not self._shared and self._take()

        def start(path: str, arguments: list[str]) -> int:
            to = {**outputs, **dict.fromkeys(self.targets, self.slave)}
            self._order(start_order(path, arguments, environ, to, in_front=in_front))
            return self._await_start()

        try:
            self.child = started(argv, environ, start)
        except NotStartedError:
            self.give_back()
            raise
        return self.child

    def changed(self) -> tuple[str, int] | None:
        """Give what became of the child, as `change_of` does, its end again and again; without a monitor: hung up."""
        answer = None if self._end is not None else self._answer()
        if answer is None:
            return self._end
        change = (WORDS[answer[1]], answer[2]) if answer[0] == CHANGED else (KILLED, int(signal.SIGHUP))
        if change[0] in (EXITED, KILLED):
            self._end = change
        return change

    def has_ended(self, child: int) -> bool:
        """Tell whether a child has ended, though nothing may have told us yet."""
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return self._end is not None

    def lend(self, number: int) -> bool:
        """Give a child that stopped for want of the terminal what it wants, if it is ours to give."""
        if number not in (signal.SIGTTIN, signal.SIGTTOU) or self._raw or not self._take():
            return False
        self._order(continue_order(in_front=True))
        return True

    def stand_still(self, number: int) -> None:
        """Give the terminal back and stop with our whole group, as the child's stop would have stopped it."""
        self.give_back()
        self._signals.stand_still(number, group=True)
        if signal.SIGCONT not in signal.sigpending():
            # Nobody could continue us, so the system did not stop us; alone, the child would not have stopped either.
            if number != signal.SIGTSTP and not self._in_front():
                os.kill(-self.child, signal.SIGHUP)  # its read would have failed for ever: it must not wait for ever
            self.resume()

    def resume(self) -> None:
        """Continue the child, in the foreground if we are there: then the terminal is its own again."""
        self._order(continue_order(in_front=not self._shared and self._take()))

    # -- the caller's terminal -----------------------------------------------------------------------------------------

    def resize(self) -> None:
        """Give the child's terminal the size of the caller's; the system tells the child if it changed."""
        try:
            size = fcntl.ioctl(self._tty, termios.TIOCGWINSZ, bytes(8))
            fcntl.ioctl(self.slave, termios.TIOCSWINSZ, size)
        except OSError:
            return  # it has been closed

    def give_back(self) -> None:
        """Let what the child wrote out, then put the caller's terminal back into the modes it had."""
        self.drain()
        if self._raw:
            self._raw = False
            self._poke()
            if self._in_front():
                _set_modes(self._tty, self._modes)

    def ended(self) -> None:
        """Take note of the child's end: the terminal as it was, and ours fit for whole lines, whatever it did to it."""
        self.give_back()
        _set_modes(self.slave, self._modes if self._own_modes else _as_for_a_line(self._modes))

    def drain(self) -> None:
        """Wait a moment for what the child wrote to be passed on."""
        if not self._carrying:
            return
        give_up = time.monotonic() + _PATIENCE
        self.tap.settle()
        while not self.tap.settled() and (left := give_up - time.monotonic()) > 0:
            self._drained.acquire(timeout=left)

    def finish(self, wait: Callable[[Callable[[], bool]], object]) -> None:
        """Let go of the terminal; whoever still has it open can go on writing, and is read by a process that stays."""
        self.give_back()
        try:
            os.kill(self._monitor, signal.SIGKILL)  # it has the foreground itself: nobody is hung up on
            os.waitpid(self._monitor, 0)
        except OSError:
            pass
        self.tap.finish()
        wait(lambda: self.tap.ended or self.tap.idle)
        if not self.tap.ended:
            os.set_blocking(self.tap.read, True)
            self.tap.pipe.hand_over()

    def _in_front(self) -> bool:
        try:
            return os.tcgetpgrp(self._tty) == os.getpgrp()
        except OSError:
            return False

    def _take(self) -> bool:
        """Put the caller's terminal into raw mode, where we are in its foreground."""
        if not self._in_front():
            return False
        if not self._raw:
            try:
                self._modes = termios.tcgetattr(self._tty)
            except termios.error:
                return False
            if not self._own_modes:  # until now they might have been those of a shell that edits its line
                self._own_modes = True
                _set_modes(self.slave, self._modes)
            _set_modes(self._tty, _raw(self._modes))
            self._raw = True
            self._poke()
        self.resize()
        return True

    # -- the monitor ---------------------------------------------------------------------------------------------------

    def _order(self, order: bytes) -> None:
        try:
            while order:
                order = order[os.write(self._orders, order) :]
        except BrokenPipeError:
            return  # its end is told where its answers are read

    def _answer(self) -> tuple[int, ...] | None:
        try:
            data = os.read(self._answers, ANSWER.size)
        except BlockingIOError:
            return None
        return ANSWER.unpack(data) if data else (-1, 0, 0)

    def _await_start(self) -> int:
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        while True:
            poll.poll()
            answer = self._answer()
            if answer is None or answer[0] == CHANGED:
                continue  # of the child before
            if answer[0] == REFUSED:
                raise OSError(answer[1], os.strerror(answer[1]))
            if answer[0] < 0:
                raise NotStartedError("cannot start the command: the monitor of its terminal is gone", status=125)
            return answer[1]

    # -- keys ----------------------------------------------------------------------------------------------------------

    def _poke(self) -> None:
        os.write(self._wake_write, b"x")

    def _carry_keys(self) -> None:
        """Carry what is typed into the child's terminal, as fast as it takes it, while the terminal is the child's."""
        typed = b""
        while not self._hung_up:
            poll = select.poll()
            poll.register(self._wake_read, select.POLLIN)
            if typed:
                poll.register(self._master, select.POLLOUT)
            elif self._raw:
                poll.register(self._tty, select.POLLIN)
            ready = dict(poll.poll())
            if self._wake_read in ready:
                os.read(self._wake_read, 64)
            if self._tty in ready:
                typed = self._read_keys()
                self._hung_up = self._hung_up or bool(ready[self._tty] & select.POLLHUP)
            typed = self._type(typed)
        os.close(self._master)

    def _read_keys(self) -> bytes:
        try:
            typed = os.read(self._tty, 4096)
        except BlockingIOError:
            return b""
        except OSError:
            self._raw = False  # somebody took the foreground from us, or the terminal is gone
            return b""
        self._pass_interrupts_on(typed)  # before the child has it, which may end by it
        return typed

    def _type(self, typed: bytes) -> bytes:
        """Write keys to the child's terminal and give those for which it has no room yet."""
        if not typed:
            return b""
        try:
            written = os.write(self._master, typed)
        except BlockingIOError:
            return typed
        except OSError:
            return b""
        return typed[written:]

    def _pass_interrupts_on(self, typed: bytes) -> None:
        r"""Tell our own group of Ctrl-C and Ctrl-\ where the child's terminal made signals of them."""
        try:
            modes = termios.tcgetattr(self._master)
            if not modes[_LFLAG] & termios.ISIG or os.tcgetpgrp(self._master) != self.child:
                return
        except (OSError, termios.error):
            return
        for key, number in ((termios.VINTR, signal.SIGINT), (termios.VQUIT, signal.SIGQUIT)):
            character = modes[_CC][key]
            if character != b"\0":
                for _ in range(typed.count(character)):
                    tell_group(number)


def on_terminal() -> list[int]:
    """Give those of stdin, stdout and stderr that lead to our controlling terminal; another terminal is a file."""
    found = []
    for number in (0, 1, 2):
        try:
            os.tcgetpgrp(number)
        except OSError:
            continue
        found.append(number)
    return found


def _in_pipeline() -> bool:
    """Tell whether others of our job may be using the terminal beside us."""
    modes = [os.fstat(number).st_mode for number in (0, 1, 2)]
    return any(stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) for mode in modes)


def _raw(modes: list[Any]) -> list[Any]:
    """Give modes in which every key arrives at once, as it is, and every byte is shown as it is."""
    raw = list(modes)
    raw[_IFLAG] &= ~_INPUT
    raw[_OFLAG] &= ~termios.OPOST
    raw[_LFLAG] &= ~_LOCAL
    raw[_CC] = list(modes[_CC])
    raw[_CC][termios.VMIN] = 1
    raw[_CC][termios.VTIME] = 0
    return raw


def _as_for_a_line(modes: list[Any]) -> list[Any]:
    """Give modes as a command expects them: what a shell that edits its line has changed for itself is put back."""
    whole = list(modes)
    whole[_IFLAG] |= termios.ICRNL | termios.BRKINT
    whole[_OFLAG] |= termios.OPOST | termios.ONLCR
    whole[_LFLAG] |= _LOCAL & ~termios.ECHONL
    return whole


def _set_modes(descriptor: int, modes: list[Any]) -> None:
    try:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, modes)
    except (OSError, termios.error):
        return  # it has been closed
