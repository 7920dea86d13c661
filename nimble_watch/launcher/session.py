"""The conduct of one command from the start of its first child: phase after phase, then the end.

The observer is told every edge as it happens.  The same edges are kept here, because the observer may be gone at the
end: then they are written to the journal by us, and a new observer is started that closes the session.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, NoReturn

from nimble_watch.claim import Claim, abandoned, in_the_way, mark_phases, release
from nimble_watch.errors import NotStartedError
from nimble_watch.launcher import Order, Stage, Step, die_by, say
from nimble_watch.launcher.link import Link, spawn_closer
from nimble_watch.launcher.relay import A_MOMENT, NAMES, Ending, Notes, Relay
from nimble_watch.launcher.tap import Feed, Tap
from nimble_watch.system import clock
from nimble_watch.system.calls import path_of, sync
from nimble_watch.system.memory import oom_kills

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal

VERSION = 1
_CLOSED_AT_ONCE = 3  # a command is not held up by what others left behind; the next one closes more
_SLOW = 20.0  # seconds that an observer has to finish as long as it works
_SHARING = 6.0  # seconds that it has to send a saved session to a shared store, for which it takes five
_LOOK = 0.25  # seconds between two looks whether it does
_GRACE = 10.0  # between INT, TERM and KILL, unless --kill-after says otherwise


class Conduct:
    """One run or exec, from its first child's start to our own end."""

    def __init__(self, order: Order, stage: Stage) -> None:
        self.order = order
        self.stage = stage
        self.held = stage.held
        self.edges: list[dict[str, Any]] = []
        self.notes = Notes()
        self.link = Link(self.notes)
        self.relay = Relay(stage.signals, self.notes, terminal=stage.terminal, tell=self._tell, pty=stage.pty)
        self.taps = [Tap(pipe) for pipe in stage.pipes]
        self._first = 0
        self._killed = oom_kills()
        self._phase = ""
        self._began = (0.0, 0.0)

    def begin(self, child: int, monotonic: float, now: float) -> None:
        """Take the first child, which is running already, and start everything around it."""
        self._first = child
        self._began = (monotonic, now)
        if self.held is not None and not self.stage.inner:
            self._greet(self.held)
            self._started(self.order.steps[0], child, monotonic, now)
            keep = [] if self.held.lock is None else [self.held.lock]
            self.link.start(self.held.directory, stderr=self.stage.stderr, keep=keep)
        else:
            self._started(self.order.steps[0], child, monotonic, now)
        feed = self.link.feed
        for tap in self.taps:
            tap.start(feed or _nowhere(), lambda: self.notes.leave("tap"))
        if self.stage.pty is not None:
            self.stage.pty.start(feed or _nowhere(), lambda: self.notes.leave("tap"))
        self.link.serve(parent=self.stage.parent if self._cancelled_with_parent() else None)
        if self._cancelled_with_parent() and os.getppid() != self.stage.parent:
            self.notes.leave("parent-gone")

    def run(self) -> NoReturn:
        """Follow the first child, start the others in turn, and end as the first that failed."""
        failed: Ending | None = None
        last = Ending()
        for place, step in enumerate(self.order.steps):
            if place == 0:
                last = self._first_one(step)
            elif (failed is not None and not self.order.flag("keep_going")) or self.relay.asked_to_end():
                self._skip(step)
                continue
            else:
                last = self._one(step)
            if last.result != "success" and failed is None:
                failed = last
        for step in self.order.finally_:
            last = self._one(step)
            if last.result != "success" and failed is None:
                failed = last
        self._finish(failed or self.relay.cut_short() or last)

    # -- phases ------------------------------------------------------------------------------------------------------

    def _first_one(self, step: Step) -> Ending:
        return self._follow(step, self._first, self._began[0])

    def _one(self, step: Step) -> Ending:
        monotonic, now = time.monotonic(), clock.now()
        try:
            child = self.stage.spawn(step)
        except NotStartedError as error:
            say(str(error))
            ending = Ending()
            ending.code, ending.began, ending.time = error.exit_code, monotonic, now
            self._edge("phase-started", step, time=now, monotonic=monotonic, argv=step.argv, pid=None)
            self._ended(step, ending, result="error")
            return ending
        self._started(step, child, monotonic, now)
        return self._follow(step, child, monotonic)

    def _started(self, step: Step, child: int, monotonic: float, now: float) -> None:
        self._phase = step.phase
        self._edge(
            "phase-started",
            step,
            time=now,
            monotonic=monotonic,
            argv=step.argv,
            pid=child,
            group=None if self.stage.terminal else child,
            cwd=_cwd(),
            files=_files(self.stage.files),
            observed=self._observed(),
        )

    def _follow(self, step: Step, child: int, monotonic: float) -> Ending:
        if self.held is not None and self.held.session is not None and not self.stage.inner:
            mark_phases(self.held)
        limit = self.order.seconds("timeout")
        ending = self.relay.follow(
            child,
            monotonic,
            limit=None if limit is None else monotonic + limit,
            grace=self.order.seconds("kill_after") or _GRACE,
        )
        self._settle()
        if ending.told_by_others and not self.stage.terminal:
            self.relay.wait(lambda: False, A_MOMENT)
        ending.cancelled = ending.cancelled or self.relay.asked_to_end()
        self._ended(step, ending, result=ending.result)
        return ending

    def _observed(self) -> bool:
        """Tell whether all that the child prints is seen, or can be read back."""
        ours = {target for pipe in self.stage.pipes for target in pipe.targets}
        if self.stage.pty is not None:
            ours.update(self.stage.pty.targets)
        return ours | {number for number, _ in self.stage.files} >= {1, 2}

    def _ended(self, step: Step, ending: Ending, *, result: str) -> None:
        self._edge(
            "phase-ended",
            step,
            time=ending.time,
            monotonic=time.monotonic(),
            exit=ending.code,
            signal=None if ending.signal is None else NAMES.get(ending.signal, str(ending.signal)),
            result=result,
            duration=round(ending.seconds, 6),
            paused=round(ending.paused, 6),
            suspended=round(ending.suspended, 3),
            memory_kills=self._memory_kills(),
            clock_set=round(ending.clock_set, 3),
            stopped=ending.stopped or None,
            seen=self.link.seen,
        )

    def _memory_kills(self) -> int:
        """Give how many the kernel killed in our memory cgroup since this phase began, zero where it does not tell."""
        before, self._killed = self._killed, oom_kills()
        return max(0, (self._killed or 0) - (before or 0))

    def _skip(self, step: Step) -> None:
        self._edge("phase-ended", step, time=clock.now(), monotonic=time.monotonic(), result="skip", exit=None,
                   signal=None, duration=0.0, paused=0.0)  # fmt: skip

    def _tell(self, kind: str, **fields: Any) -> None:
        """Tell the observer what becomes of the child; where there is none, say ourselves that we end it."""
        if kind == "stopping" and self.link.lost and not self.order.flag("quiet") and not self.order.flag("log_file"):
            say(f"stopping phase {self._phase} ({fields['why']}): {fields['signal']} to all of it")
        self.link.tell(kind, **fields)

    def _settle(self) -> None:
        """Let the observer have what the phase wrote before it is told of its end; a slow reader is not waited for."""
        for tap in self.taps:
            tap.settle()
        self.relay.wait(lambda: all(tap.settled() for tap in self.taps), 0.25)
        if self.stage.pty is not None:
            self.stage.pty.ended()

    def _edge(self, kind: str, step: Step, **fields: Any) -> None:
        edge = {"phase": step.phase, **fields}
        self.edges.append({"type": kind, **edge})
        self.link.tell(kind, **edge)

    # -- the observer ------------------------------------------------------------------------------------------------

    def _greet(self, held: Claim) -> None:
        self.link.open()
        self.link.tell(
            "begin",
            version=VERSION,
            mode=self.order.mode,
            session=held.session,
            sessions=held.directory,
            joined=held.joined,
            elsewhere=bool(held.warning),
            operation=self.order.operation,
            options=self.order.options,
            terminal=self.stage.terminal,
            lock=held.lock,
            launcher=os.getpid(),
            clock=clock.anchor(),
            time=self._began[1],
            monotonic=self._began[0],
        )

    def _cancelled_with_parent(self) -> bool:
        """Tell whether our parent's end cancels us: not with a terminal, nor in the background, nor under nohup."""
        in_background = signal.SIGINT in self.stage.signals.ignored or signal.SIGHUP in self.stage.signals.ignored
        return not self.stage.terminal and not in_background and self.stage.parent > 1

    # -- the end -----------------------------------------------------------------------------------------------------

    def _finish_taps(self) -> None:
        """Pass on what the child wrote; whoever still holds the pipe gets a reader that stays."""
        for tap in self.taps:
            tap.finish()
        self.relay.wait(lambda: all(tap.ended or tap.idle for tap in self.taps), None)
        for tap in self.taps:
            if not tap.ended:
                tap.pipe.hand_over()

    def _finish(self, ending: Ending) -> NoReturn:
        held = self.held
        self._finish_taps()
        leave_open = held is not None and (held.joined or self.order.flag("leave_open"))
        if self.stage.inner:
            self._record_cause(ending)
        elif held is not None:
            self.link.tell("finish", result=ending.result, exit=ending.exit, leave_open=leave_open)
            self.link.end_output()
            self._await_observer()
            self.link.end(patient=self.relay.hurried)
            if self.stage.pty is not None:  # not before: the observer's last lines go through it
                self.stage.pty.finish(lambda done: self.relay.wait(done, None))
            if not self.link.finished:
                self._keep_edges(ending, leave_open=leave_open)
            if leave_open:
                release(held)
            self._close_others(held)
        if ending.signal is not None and ending.exit is None:
            die_by(ending.signal)
        os._exit(ending.status)

    def _await_observer(self) -> None:
        """Let the observer finish: for a moment, and longer only while it works on a machine that is slow."""
        link, relay = self.link, self.relay
        last = time.monotonic() + _SLOW
        done = relay.wait(lambda: link.finished or link.lost, link.wait_seconds())
        if not done and link.sharing and not relay.hurried:
            done = relay.wait(lambda: link.finished or link.lost, _SHARING)
        while not done and not relay.hurried and link.works() and time.monotonic() < last:
            done = relay.wait(lambda: link.finished or link.lost, _LOOK)

    def _keep_edges(self, ending: Ending, *, leave_open: bool) -> None:
        """Write to the journal what the observer may not have written, and have the session closed."""
        held = self.held
        if held is None or held.session is None or not (leave_open or os.path.isdir(held.journal)):
            return  # not recorded, or the observer had ended the session before it was lost
        records = [_record(edge) for edge in self.edges]
        if not held.joined:
            started = {
                "type": "session-started",
                "time": self._began[1],
                "session_id": held.session,
                "operation": self.order.operation,
                "environment": self.order.options.get("environment") or os.environ.get("ENVIRONMENT") or "dev",
                "start_time": self._began[1],
            }
            records.insert(0, started)
        if not leave_open:
            end = {
                "type": "session-ended",
                "time": clock.now(),
                "result": ending.result,
                "exit": ending.exit,
                "reason": "the watch was lost: what stood in the way from then on, and what it cost, is not known",
            }
            records.append(end)
        self._write(held, "launcher", records)
        if not leave_open:
            spawn_closer(held.directory, held.session)
        if not self.order.flag("quiet") and not self.order.flag("log_file"):
            say(f"the watch was lost; the phase itself is recorded in {held.session}")

    def _record_cause(self, ending: Ending) -> None:
        """Tell the outer command how this one really ended: make turns every failure into 2."""
        held = self.held
        if held is None or held.session is None:
            return
        step = self.order.steps[0]
        cause = {
            "type": "phase-cause",
            "time": ending.time,
            "phase": step.phase,
            "command": [os.path.basename(step.argv[0])],
            "exit": ending.code,
            "signal": None if ending.signal is None else NAMES.get(ending.signal, str(ending.signal)),
        }
        self._write(held, f"exec-{os.getpid()}", [cause])

    def _write(self, held: Claim, writer: str, records: list[dict[str, Any]]) -> None:
        lines = [json.dumps({"seq": seq, **record}) + "\n" for seq, record in enumerate(records, 1)]
        path = os.path.join(held.journal, f"{writer}.jsonl")
        try:
            journal = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            os.write(journal, "".join(lines).encode("utf-8", "surrogateescape"))
            sync(journal)
            os.close(journal)
        except OSError as error:
            if not self.order.flag("quiet"):
                say(f"cannot record the phase in {path}: {error.strerror}")

    def _close_others(self, held: Claim) -> None:
        dead = set(abandoned(held.directory, now=clock.now(), but=held.session))
        others = set(dead)
        if self.order.mode == "run":
            others.update(in_the_way(held.directory, held))
        chosen = sorted(others)[:_CLOSED_AT_ONCE]
        for session in chosen:
            spawn_closer(held.directory, session)
        if (told := [session for session in chosen if session in dead]) and not self.order.flag("quiet"):
            say(f"closing {', '.join(told)}: the process is gone")


def _record(edge: dict[str, Any]) -> dict[str, Any]:
    """Turn an edge into a journal record; of the command only the program's name, as arguments may hold secrets."""
    if edge["type"] == "phase-started":
        return {
            "type": "phase-started",
            "time": edge["time"],
            "phase": edge["phase"],
            "command": [os.path.basename(edge["argv"][0])],
        }
    kept = (
        "type",
        "time",
        "phase",
        "duration",
        "exit",
        "signal",
        "result",
        "paused",
        "suspended",
        "clock_set",
        "stopped",
    )
    return {name: edge[name] for name in kept if name in edge}


def _nowhere() -> Feed:
    return Feed(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC))


def _files(files: list[tuple[int, int]]) -> list[dict[str, Any]]:
    """Name the regular files that the child writes to, and from where on, for the observer to read them beside it."""
    found: list[dict[str, Any]] = []
    for number, offset in files:
        try:
            about = os.fstat(number)
            path = path_of(number)
        except OSError:
            continue
        found.append({"stream": number, "path": path, "device": about.st_dev, "inode": about.st_ino, "offset": offset})
    return found


def _cwd() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None
