"""The observer at work: its threads, its inbox, and the loop that waits for the first of them or the first timer."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from nimble_watch.cleaning import clean, clean_argv, learn_secrets
from nimble_watch.console import Console, still_billing, wants_colour
from nimble_watch.metering import Meter
from nimble_watch.objects import STRUCTS
from nimble_watch.observer.causes import cause_of
from nimble_watch.observer.core import Observer
from nimble_watch.observer.entries import end_of_phase, option, recorded_as, told_command
from nimble_watch.observer.facts import beginning, first_number, known_by_now
from nimble_watch.observer.inbox import Inbox
from nimble_watch.observer.incoming import Heard, Incoming, Message
from nimble_watch.observer.orphan import Child
from nimble_watch.observer.picture import FirstPicture
from nimble_watch.observer.scribe import Scribe
from nimble_watch.observer.sharing import Sharing
from nimble_watch.observer.telling import Telling
from nimble_watch.observer.watch import OpenWatch, Watch
from nimble_watch.procs import Processes
from nimble_watch.reports.summary import summary
from nimble_watch.rules import all_rules
from nimble_watch.scope import from_argv, from_options
from nimble_watch.session import (
    phase_ended,
    phase_started,
    session_ended,
)
from nimble_watch.signals import ClusterLost, Output, OutputLost, PhaseEnded, PhaseStarted, Signal
from nimble_watch.store import load, session_path
from nimble_watch.system import clock

_INBOX = 8192
_BATCH = 512
_LATE = 0.25
"""Seconds for which a failed phase's last words from the cluster are waited for before it is judged."""
_FINISH = 20.0
"""Seconds that ending may take: the launcher waits as long if we work, and ends one that hangs far sooner."""
_CONSOLE = 0.4
_GRACE = 10.0
_DELIBERATE = ("cancellation", "timeout")
"""Why a phase was being stopped already when its launcher was killed: then that is how it ended."""
_FIRST_LOOK = 0.25
"""Seconds after a phase's start at which its processes are looked at first, as nothing tells of a new one; doubled."""

Item = Signal | Message | Heard


class Live:
    """One observer process, from the launcher's first message to its last."""

    def __init__(self, control: int, output: int, open_watch: OpenWatch) -> None:
        self._inbox: Inbox[Item] = Inbox(_INBOX)
        self._control = socket.socket(fileno=control)
        self._open_watch = open_watch
        self._console = Console(2, colour=wants_colour(2, os.environ))
        self._incoming = Incoming(control, output, self._inbox.put, self._console)
        self._scribe: Scribe | None = None
        self._sharing = Sharing(lambda: self._send(type="sharing"))
        self._watch: Watch | None = None
        self._begun: dict[str, Any] = {}
        self._phase = ""
        self._started = 0.0
        self._told, self._told_why = "", ""
        self._child: Child | None = None
        self._early: list[Heard] = []
        self._spaces: frozenset[str] = frozenset()
        self._ahead: deque[Item] = deque()
        self._picture = FirstPicture(STRUCTS)
        self._processes: Processes | None = None
        self._look_at = 0.0
        self._look_step = _FIRST_LOOK
        self._doubts = 0
        self._telling = Telling(self._console, None)
        self._observer = Observer({}, self._telling)
        self._meter = Meter(self._observer.state, self._observer.scope, clock.now())

    def run(self) -> int:
        """Serve until the launcher says that it is over, or is gone; the threads end with this process."""
        learn_secrets(os.environ)
        self._incoming.start()
        while True:
            item = self._next()
            if isinstance(item, Message) and self._message(item):
                return 0
            if isinstance(item, Heard):
                self._output(item)
            elif item is not None and not isinstance(item, Message):
                self._take(item)

    # -- the loop ------------------------------------------------------------------------------------------------------

    def _now(self) -> float:
        """Give the time on the API server's clock, on which everything is judged; the session is kept on ours."""
        if self._watch is not None:
            self._telling.offset = self._watch.clock.offset
        return clock.now() + self._telling.offset

    def _next(self) -> Item | None:
        """Give the next item, having let time do what was due; None when only time passed."""
        if self._ahead:
            return self._ahead.popleft()
        now = self._now()
        if (due := self._due()) is not None and due <= now:
            if self._picture.due is not None and self._picture.due <= now:
                self._admit(self._picture.release())
            self._observer.tick(now)
            self._telling.tick(now)
            if self._processes is not None and self._look_at <= now:
                self._look_step *= 2
                self._look(now)
            due = self._due()
        self._ahead.extend(self._inbox.take(_BATCH, max(0.0, due - now) if due is not None else None))
        return self._ahead.popleft() if self._ahead else None

    def _due(self) -> float | None:
        looking = self._look_at if self._processes is not None else None
        moments = (self._observer.due, self._telling.due, self._picture.due, looking)
        return min((at for at in moments if at is not None), default=None)

    def _look(self, now: float) -> None:
        """Look which commands the phase runs: soon after its start, ever more seldom, and whenever somebody deploys."""
        if self._processes is None:
            return
        self._look_at = now + self._look_step
        commands = self._processes.look(now)
        for command in commands:
            if any(True for _ in from_argv(command.argv)):
                self._telling.other_cluster(command.kubeconfig)
        if commands:
            self._observer.take(commands, now)
            self._widen()

    def _take(self, first: Signal) -> None:
        """Take in a signal and those that are there already behind it; a message of the launcher ends the batch."""
        batch: list[Signal] = [first]
        self._ahead.extend(self._inbox.take(_BATCH - len(self._ahead)))
        while self._ahead and not isinstance(item := self._ahead[0], Message | Heard):
            batch.append(item)
            self._ahead.popleft()
        self._admit(self._picture.take(batch, self._now()))
        if self._observer.scope.doubts != self._doubts:
            self._doubts = self._observer.scope.doubts
            self._look(self._now())

    def _admit(self, signals: list[Signal]) -> None:
        self._observer.take(signals, self._now())
        self._widen()

    def _widen(self) -> None:
        """Have the cluster's watch look into the namespaces that came into scope."""
        spaces = self._observer.scope.namespaces
        if spaces != self._spaces and self._watch is not None:
            for space in spaces - self._spaces:
                self._watch.widen(space)
            self._spaces = spaces

    def _output(self, heard: Heard) -> None:
        if not self._phase:
            self._early.append(heard)
        elif heard.lost:
            self._take(OutputLost(heard.at + self._telling.offset, self._phase, heard.lost))
        else:
            self._take(Output(heard.at + self._telling.offset, self._phase, heard.stream, heard.line))

    # -- messages of the launcher --------------------------------------------------------------------------------------

    def _message(self, message: Message) -> bool:
        """Do what the launcher says; true when it was the last thing."""
        fields = message.fields
        if fields is None:
            return self._orphaned()
        match fields.get("type"):
            case "begin":
                self._begin(fields)
            case "phase-started":
                self._phase_started(fields)
            case "phase-ended":
                self._phase_ended(fields)
            case "stopping":
                self._telling.stopping(fields)
            case "signalled":
                self._told, self._told_why = str(fields.get("signal")), str(fields.get("why"))
                if self._told_why == "cancellation":
                    self._telling.cancelled(self._told, self._now())
            case "finish":
                self._finish(fields)
                return True
            case "survivor-ended":
                self._bury("nimble-watch was killed; the phase ran on, and how it ended is not known")
                return True
            case _:
                pass
        return False

    def _begin(self, fields: dict[str, Any]) -> None:
        self._begun = fields
        if fields.get("clock"):
            began, elapsed = fields["clock"]
            clock.adopt((float(began), float(elapsed)))
        session, started = fields.get("session"), float(fields["time"])
        if session:
            writer = f"observer-{os.getpid()}" if fields.get("joined") else "observer"
            self._scribe = Scribe(Path(fields["sessions"]), session, writer, self._telling.warn, self._console.say)
            begun = None if fields.get("joined") else beginning(fields, session, started, self._telling.warn)
            if begun is not None:
                self._scribe.begin(begun)
            self._sharing.begin(fields, begun)
        options = fields.get("options") or {}
        stop = self._stop if options.get("fail_fast") else None
        self._telling = Telling(self._console, self._scribe, stop=stop, fetch_log=self._fetch_log)
        self._observer = Observer(all_rules(), self._telling, first=first_number(joined=bool(fields.get("joined"))))
        self._meter = Meter(self._observer.state, self._observer.scope, started)
        self._telling.join(self._observer, self._meter, kubeconfig=option(options, "kubeconfig"))
        if session and fields.get("joined"):
            known = load(session_path(Path(fields["sessions"]), session)).session
            self._telling.remember(known.stops if known is not None else [])
        self._learn_given(options)
        threading.Thread(target=self._start_watch, name="open-watch", daemon=True).start()
        self._send(type="ready", session=session)

    def _learn_given(self, options: Mapping[str, Any]) -> None:
        """Know what a person said that the phases work on."""
        objects = [str(word) for word in options.get("for") or ()]
        try:
            given = list(from_options(option(options, "namespace"), option(options, "selector"), objects))
        except ValueError as error:
            self._telling.warn(f"{error}; the phase goes on without it")
        else:
            for _ in self._observer.scope.learn(given):
                pass  # nothing is known of the cluster yet, so nothing can come into scope

    def _start_watch(self) -> None:
        """Open the watch beside the loop: importing the client takes a third of a second."""
        try:
            options = self._begun.get("options") or {}
            watch = self._open_watch(self._inbox.put, option(options, "kubeconfig"), option(options, "context"))
            watch.start(sorted(self._observer.scope.namespaces))
        except Exception as error:  # noqa: BLE001  without a watch the phase still runs and is recorded
            reason = f"our own watch failed to start ({type(error).__name__}: {clean(str(error))}); please report it"
            self._inbox.put(ClusterLost(clock.now(), reason))
            return
        self._watch = watch

    def _phase_started(self, fields: dict[str, Any]) -> None:
        self._phase = str(fields["phase"])
        self._told = self._told_why = ""
        argv = [str(word) for word in fields.get("argv") or ()]
        self._started = at = float(fields["time"])
        if self._scribe is not None:
            self._scribe.append(phase_started(self._phase, told_command(argv), time=at))
        if self._watch is not None:
            self._watch.look_again()
        self._take(
            PhaseStarted(
                at + self._telling.offset,
                self._phase,
                tuple(clean_argv(argv)),
                int(fields.get("pid") or 0),
                observed=bool(fields.get("observed")),
            )
        )
        if fields.get("pid"):
            self._child = Child(int(fields["pid"]), fields.get("group"))
            self._processes = Processes(self._phase, int(fields["pid"]))
            self._look_step = _FIRST_LOOK
            self._look_at = self._now() + _FIRST_LOOK
        early, self._early = self._early, []
        for heard in early:
            self._output(heard)

    def _phase_ended(self, fields: dict[str, Any]) -> None:
        phase, result = str(fields["phase"]), str(fields.get("result") or "error")
        at = float(fields["time"])
        if self._scribe is not None:
            if (cause := cause_of(fields, self._observer.state.phases.get(phase), at)) is not None:
                self._scribe.append(cause)
            self._scribe.append(end_of_phase(fields))
        self._admit(self._picture.release())
        if result not in ("success", "skip") and self._observer.state.cluster is not None:
            self._linger()
        if result != "skip":
            duration = float(fields.get("duration") or 0.0)
            exit_, signal, stopped = fields.get("exit"), fields.get("signal"), str(fields.get("stopped") or "")
            self._take(PhaseEnded(at + self._telling.offset, phase, result, exit_, signal, duration, stopped))
        if self._watch is not None:
            self._watch.look_again()
        if self._child is not None:
            self._child.forget()
        self._child = self._processes = None

    def _linger(self) -> None:
        """Wait a moment for what the cluster has still to say about a failure."""
        until = time.monotonic() + _LATE
        waiting: list[Item] = []
        while (left := until - time.monotonic()) > 0:
            self._ahead.extend(self._inbox.take(_BATCH, 0.0 if self._ahead else left))
            signals: list[Signal] = []
            while self._ahead:
                item = self._ahead.popleft()
                if isinstance(item, Message | Heard):
                    waiting.append(item)  # the launcher's next words; at most a handful come in this time
                else:
                    signals.append(item)
            self._observer.take(signals, self._now())
        self._ahead.extend(waiting)

    # -- requests ------------------------------------------------------------------------------------------------------

    def _stop(self, phase: str, kind: str) -> None:
        """Ask for the end of the phase that runs now, by its process: by the time it arrives another one may run."""
        if self._child is not None:
            self._send(type="stop", phase=phase, pid=self._child.pid, reason="fail-fast", kind=kind)

    def _fetch_log(self, namespace: str, pod: str, container: str, *, previous: bool) -> None:
        if self._watch is not None:
            self._watch.fetch_log(namespace, pod, container, previous=previous)

    def _send(self, **fields: Any) -> None:
        line = msgspec.json.encode({**fields, "time": clock.now()}) + b"\n"
        try:
            self._control.settimeout(0.5)
            self._control.sendall(line)
        except OSError:
            return  # the launcher is gone: its last word, the closed socket, is on its way

    # -- the end -------------------------------------------------------------------------------------------------------

    def _finish(self, fields: dict[str, Any]) -> None:
        began = time.monotonic()
        result, leave_open = str(fields.get("result") or "success"), bool(fields.get("leave_open"))
        at = float(fields.get("time") or clock.now())
        self._close_session(result, fields.get("exit"), leave_open=leave_open, at=at, began=began)
        self._console.close(_CONSOLE)
        self._send(type="finished", session=self._begun.get("session"))

    def _orphaned(self) -> bool:
        """Leave neither the child behind nor the session open: the launcher went without a word.

        True once all is done; a child that lives on is watched to its end, which is then the last thing.
        """
        options = self._begun.get("options") or {}
        child = self._child
        if child is not None and (self._begun.get("terminal") or options.get("survive")):
            self._telling.warn("nimble-watch itself was killed; the phase goes on, and is watched until it ends")
            threading.Thread(target=self._await_survivor, args=(child,), name="survivor", daemon=True).start()
            return False
        if child is not None:
            child.stop(float(options.get("kill_after") or _GRACE), self._told)
        self._bury("nimble-watch was killed, and so the phase was stopped")
        return True

    def _await_survivor(self, child: Child) -> None:
        child.await_end()
        self._inbox.put(Message({"type": "survivor-ended"}))

    def _bury(self, cause: str) -> None:
        """Close the session of a launcher that was killed, and say so where it would have spoken."""
        self._telling.warn(cause)
        options = self._begun.get("options") or {}
        now = clock.now()
        result = self._told_why if self._told_why in _DELIBERATE else "error"
        if self._scribe is not None and self._child is not None:
            self._scribe.append(phase_ended(self._phase, result=result, cause=cause, time=now))
            at = now + self._telling.offset
            self._take(PhaseEnded(at, self._phase, result, None, None, now - self._started))
        leave_open = bool(self._begun.get("joined") or options.get("leave_open"))
        reason = "nimble-watch itself was killed"
        self._close_session(result, None, leave_open=leave_open, at=now, began=time.monotonic(), reason=reason)
        self._console.close(_CONSOLE)

    def _close_session(
        self, result: str, status: int | None, *, leave_open: bool, at: float, began: float, reason: str | None = None
    ) -> None:
        if self._scribe is None:
            return
        state, scope = self._observer.state, self._observer.scope
        for known in known_by_now(state, scope, self._meter, over=not leave_open):
            self._scribe.append(known)
        record = None if leave_open else session_ended(result, exit=status, reason=reason, time=at)
        session = self._scribe.finish(record, _FINISH - (time.monotonic() - began))
        if session is not None and not leave_open and self._begun.get("mode") == "run":
            self._console.say(summary(session).splitlines())
        elif session is not None and not leave_open and (session.obstacles or session.costs.after):
            left = still_billing(session.costs.after)
            said = left == self._telling.billing  # at the end of a phase that failed, just now
            self._console.say([*([] if said else left), recorded_as(session.session_id, self._begun)])
        self._sharing.end(session, self._telling.warn)
