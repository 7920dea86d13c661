"""Following one child from its start to its end: each signal reaches it exactly once, and we stop when it stops.

With a controlling terminal the child is in our group, and whatever the kernel sends (Ctrl-C, hang-up, `si_code` > 0)
has reached it already; only what somebody sent to us by `kill` is passed on.  Without one the child leads a group of
its own, so that a signal to us, or to our whole group, is passed on once, to all of it.

Job control: we never stop on Ctrl-Z ourselves.  The child decides (vim first restores the screen), and when it has
stopped by TSTP, TTIN or TTOU we stop by the same signal, so that the shell sees what it would see without us.  A child
stopped by SIGSTOP from outside stops alone: somebody else will continue it.  A shell with jobs of its own, which
ignores Ctrl-Z, stops that way by itself (`suspend`): then we stop as well, or nobody would have the terminal.

Everything here happens in the main thread, woken by signals alone; our threads leave a note and send WAKE.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from nimble_watch.launcher.start import JOB_CONTROL, WAKE, Signals
from nimble_watch.system import clock
from nimble_watch.system.calls import Came, change_of, hand_front_to, has_ended, next_signal, zombie
from nimble_watch.system.tree import below, is_shell_of_jobs, is_stopped, send_all, still

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal

    from nimble_watch.launcher.terminal import Pty
else:
    import _signal as signal

CANCELLING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
NAMES = {
    number: name[3:]
    for name, number in sorted(vars(signal).items(), reverse=True)
    if name.startswith("SIG") and not name.startswith("SIG_") and name not in ("SIGCLD", "SIGPOLL", "SIGRTMIN")
}
A_MOMENT = 0.5
"""Seconds within which a CI that tells several processes of a step the same has told all of them."""
_LOOK_AGAIN = 0.05  # nobody tells us of the end of processes that are not our children
_STOP_SEQUENCE = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


class Notes:
    """What our threads tell the main one: notes in order, and a signal that wakes it."""

    def __init__(self) -> None:
        self.box: deque[tuple[str, Any]] = deque()
        self._main = os.getpid()

    def leave(self, what: str, value: Any = None) -> None:
        """Leave a note and wake the main thread."""
        self.box.append((what, value))
        os.kill(self._main, WAKE)


class Ending:
    """How a child ended, and how long it took."""

    __slots__ = (
        "began",
        "cancelled",
        "clock_set",
        "code",
        "killed",
        "paused",
        "seconds",
        "signal",
        "stopped",
        "suspended",
        "time",
    )

    def __init__(self) -> None:
        self.began = 0.0
        self.time = 0.0
        self.seconds = 0.0
        self.paused = 0.0
        self.suspended = 0.0  # seconds that the machine slept meanwhile
        self.clock_set = 0.0  # seconds by which somebody set its clock meanwhile
        self.code: int | None = None
        self.signal: int | None = None
        self.stopped = ""  # why we ended it: timeout, fail-fast, budget, cancellation
        self.killed = False  # INT and TERM were not enough
        self.cancelled = False  # a signal that asks to end reached us, or our parent is gone

    @property
    def result(self) -> str:
        """The word for it, as OpenTelemetry's conventions have it."""
        if self.stopped == "timeout":
            return "timeout"
        if self.code == 0 and self.stopped not in _STATUS:
            return "success"
        return "cancellation" if self.cancelled else "failure"

    @property
    def exit(self) -> int | None:
        """The status that we end with; None where we end by the child's signal."""
        by_signal = self.signal is not None and not self.stopped and self.signal != signal.SIGKILL
        return None if by_signal else self.status

    @property
    def told_by_others(self) -> bool:
        """Whether the child ended as by a signal that asks for it, but by none of which we know."""
        number = self.signal if self.signal is not None else (self.code or 0) - 128
        return not self.cancelled and not self.stopped and number in CANCELLING

    @property
    def status(self) -> int:
        """The exit status that stands for it, where it is not a signal that we raise on ourselves."""
        if self.stopped in _STATUS:
            return 128 + signal.SIGKILL if self.killed and self.stopped == "timeout" else _STATUS[self.stopped]
        return 128 + self.signal if self.signal is not None else self.code or 0


_STATUS = {"timeout": 124, "fail-fast": 121, "budget": 122}


class Relay:
    """The main thread's loop over the signals, for one child after the other."""

    def __init__(
        self, signals: Signals, notes: Notes, *, terminal: bool, tell: Callable[..., None], pty: Pty | None = None
    ) -> None:
        self.signals = signals
        self.notes = notes
        self.terminal = terminal and pty is None  # a terminal of its own makes the child's group one of its own, too
        self.pty = pty
        self.tell = tell
        self.on_note: Callable[[str, Any], None] = lambda _what, _value: None
        self._child = 0
        self._paused_at: float | None = None
        self._stood_still = 0.0  # seconds of the child's time limit in which a person had stopped us with it
        self._asked_to_stop = False
        self._told = 0  # how far into the stop sequence the child was told to end, by whomever
        self._about_to_be_told = False
        self._next = 0
        self._next_at: float | None = None
        self._grace = 0.0
        self.hurried = False  # the last wait was cut short by somebody who asked us to end
        self._asked: int | None = None
        self._family: dict[int, str] = {}
        self._ending = Ending()

    def follow(self, child: int, began: float, *, limit: float | None, grace: float) -> Ending:
        """Wait for the child's end; at `limit` (monotonic) its time is up, `grace` lies between INT, TERM and KILL."""
        self._child = child
        self._ending = ending = Ending()
        ending.began = began
        asleep, set_by = clock.asleep(), clock.set_by()
        self._paused_at, self._next, self._next_at, self._grace, self._family = None, 0, None, grace, {}
        self._stood_still, self._told, self._about_to_be_told = 0.0, 0, False
        while not self._look():
            deadline = self._next_at
            if deadline is None and limit is not None:
                deadline = limit + self._stood_still
            came = self._next_signal(deadline)
            if came is None:
                if self._next_at is None:
                    limit = None
                    self.stop("timeout")
                elif time.monotonic() >= self._next_at:
                    self._escalate()
            elif came.number == WAKE:
                self._read_notes()
            elif came.number != signal.SIGCHLD:
                self._pass_on(came)
        self._take_note_of_who_ended_it()
        if ending.stopped or (ending.result == "cancellation" and not self.terminal):
            self._end_family()
        ending.time = clock.now()
        ending.seconds = max(0.0, time.monotonic() - began - ending.paused)
        ending.suspended = max(0.0, clock.asleep() - asleep)
        ending.clock_set = clock.set_by() - set_by
        self._child = 0
        return ending

    def _take_note_of_who_ended_it(self) -> None:
        """Read what asked us to end while the child ended: most likely by the same key, so nobody is in a hurry."""
        cancelling = frozenset(CANCELLING) & self.signals.taken
        while signal.sigpending() & cancelling:
            came = next_signal(cancelling, time.monotonic(), terminal=self.terminal)
            if came is not None:
                if self._ending.result == "success":
                    self._asked = came.number  # it did not end by that, so what is left to do is what is meant
                self._ending.cancelled = True
                self.tell("signalled", signal=NAMES[came.number], why="cancellation")

    def wait(self, done: Callable[[], bool], seconds: float | None) -> bool:
        """Wait, with no child, until something is done; false when time is up or somebody asks us to end."""
        deadline = None if seconds is None else time.monotonic() + seconds
        self.hurried = False
        while not done():
            came = self._next_signal(deadline)
            if came is not None and came.number in CANCELLING:
                self._asked = came.number
                self.hurried = True
            if came is None or came.number in CANCELLING:
                return done()
            if came.number == WAKE:
                self._read_notes()
        return True

    def asked_to_end(self) -> bool:
        """Tell whether somebody asked us to end: while a child ran, or now that none does."""
        if not self._child and self._asked is None:
            waiting = signal.sigpending() & set(CANCELLING)
            self._asked = min(waiting) if waiting else None
        return self._asked is not None or self._ending.result == "cancellation"

    def cut_short(self) -> Ending | None:
        """Give the end that stands for being asked to end while no child was there to be told."""
        if self._asked is None:
            return None
        ending = Ending()
        ending.signal, ending.cancelled = self._asked, True
        return ending

    def stop(self, why: str) -> None:
        """Begin to stop the child and all below it: INT, then TERM, then KILL; one that has just ended is let be."""
        gone = self.pty.has_ended if self.pty is not None else has_ended
        if self._child and not self._ending.stopped and not gone(self._child):
            self._ending.stopped = why
            told = self._ending.cancelled
            self._ending.cancelled = told or why == "cancellation"
            if why == "cancellation" and told:  # by the same cancel: a CI, or a window that closes, ends our parent too
                self._give_time()
            elif why == "cancellation":  # whoever ended our parent may be about to tell us as well
                self._about_to_be_told = True
                self._next, self._next_at = 0, time.monotonic() + A_MOMENT
            else:
                self._escalate()

    def _asked_to_stop_it(self, child: Any, why: str) -> None:
        """Do as the observer asks, if it means the child of now, and nobody has asked that to end already."""
        if child == self._child and not self._ending.cancelled:
            self.stop(why)

    def _give_time(self) -> None:
        """Leave the child the time to act upon what it was told already."""
        self._about_to_be_told = False
        self._next, self._next_at = self._told, time.monotonic() + self._grace

    def _escalate(self) -> None:
        self._about_to_be_told = False
        number = _STOP_SEQUENCE[self._next]
        self._next_at = None
        if self._next + 1 < len(_STOP_SEQUENCE):
            self._next += 1
            self._next_at = time.monotonic() + self._grace
        else:
            self._ending.killed = True
        self._told = max(self._told, _STOP_SEQUENCE.index(number) + 1)
        after = round(time.monotonic() - self._ending.began - self._ending.paused, 3)
        self.tell("stopping", why=self._ending.stopped, signal=NAMES[number], grace=self._grace, after=after)
        self._family.update(send_all(number, {self._child, *still(self._family)}, self._group()))
        self.tell("signalled", signal=NAMES.get(number, str(number)), why=self._ending.stopped)

    def _end_family(self) -> None:
        """End what a child that had to end has left behind: background jobs ignore INT, KILL reaches one at a time.

        Without a terminal nobody else can: a CI's KILL reaches us, and not the group of the child.
        """
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL):  # twice: some may have been born meanwhile
            left = below(set(still(self._family)), self._group())  # the newborn of the dead are in the group
            if not left:
                return
            if number == signal.SIGTERM and self._told > _STOP_SEQUENCE.index(number):  # they got it with the child
                self._family = {pid: started for pid, (started, _) in left.items()}
            else:
                self._family = send_all(number, set(left), self._group())
            give_up = time.monotonic() + self._grace
            while still(self._family) and time.monotonic() < give_up:
                self._next_signal(min(give_up, time.monotonic() + _LOOK_AGAIN))

    def _group(self) -> int | None:
        return None if self.terminal else self._child

    def _next_signal(self, deadline: float | None) -> Came | None:
        return next_signal(self.signals.taken, deadline, terminal=self.terminal or self.pty is not None)

    def _read_notes(self) -> None:
        while self.notes.box:
            what, value = self.notes.box.popleft()
            if what == "parent-gone":
                self.stop("cancellation")
                self._ending.cancelled = True
            elif what == "stop":
                self._asked_to_stop_it(*value)
            else:
                self.on_note(what, value)

    def _pass_on(self, came: Came) -> None:
        number = came.number
        if self.pty is not None and self._is_for_terminal(came, self.pty):
            return
        if number == signal.SIGCONT:
            if not self.terminal or is_stopped(self._child):
                self._send(number)
            return
        if number in CANCELLING:
            self._ending.cancelled = True
            if number in _STOP_SEQUENCE:
                self._told = max(self._told, _STOP_SEQUENCE.index(number) + 1)
            self.tell("signalled", signal=NAMES[number], why="cancellation")
            if self._about_to_be_told:
                self._give_time()
        if number in JOB_CONTROL:
            self._asked_to_stop = True
        if not came.by_kernel or not self.terminal:
            self._send(number)

    def _is_for_terminal(self, came: Came, pty: Pty) -> bool:
        """Do what a signal means for a terminal of the child's own; true where that is all it means."""
        if came.number == signal.SIGCONT:
            pty.resume()
        elif came.number == signal.SIGWINCH and came.by_kernel:
            pty.resize()
        elif came.by_us and came.number in CANCELLING:  # typed: the child's own terminal sends it to the child
            self._ending.cancelled = True
            self.tell("signalled", signal=NAMES[came.number], why="cancellation")
        else:
            return False
        return True

    def _send(self, number: int) -> None:
        try:
            if self.terminal:
                os.kill(self._child, number)
            else:
                os.killpg(self._child, number)
        except OSError:
            return  # it has just ended

    def _look(self) -> bool:
        """See what became of the child; true once it has ended."""
        if os.getpid() == 1:
            self._reap_strangers()
        while True:
            try:
                found = self.pty.changed() if self.pty is not None else change_of(self._child)
            except ChildProcessError:
                self._ending.code = 0  # somebody else collected it; its status is lost
                return True
            if found is None:
                return False
            what, number = found
            if what == "exited":
                self._ending.code = number
            elif what == "killed":
                self._ending.signal = number
            elif what == "stopped":
                self._pause(number)
                continue
            else:
                self._resume()
                continue
            self._resume()
            return True

    def _pause(self, number: int) -> None:
        if self.pty is not None and self.pty.lend(number):
            return
        if self._paused_at is None:
            self._paused_at = time.monotonic()
            self.tell("paused")
        if number == signal.SIGSTOP and (self.terminal or self.pty is not None) and is_shell_of_jobs(self._child):
            number = signal.SIGTSTP  # it suspended itself, for the shell around us to be told
        if number not in JOB_CONTROL or number not in self.signals.taken:
            return
        if self.terminal or self.pty is not None or self._asked_to_stop:
            self._asked_to_stop = False
            if not is_stopped(self._child) or signal.SIGCONT in signal.sigpending():  # our own stop would discard it
                return
            stopped_at = time.monotonic()
            if self.pty is not None:
                self.pty.stand_still(number)
            else:
                self.signals.stand_still(number, group=False)
                hand_front_to(self._child)
            self._stood_still += time.monotonic() - stopped_at

    def _resume(self) -> None:
        if self._paused_at is not None:
            self._ending.paused += time.monotonic() - self._paused_at
            self._paused_at = None
            self.tell("resumed")

    def _reap_strangers(self) -> None:
        """Collect the orphans that a container's first process inherits, but never the child itself."""
        while (found := zombie()) not in (None, self._child):
            os.waitpid(found or 0, os.WNOHANG)
