"""Journal records in, session out: a pure function that works on any prefix, in any order, and on doubled records.

Order is (time, writer, seq), so several writers need no agreement.  Everything computed (delays, shares, scores) is
computed here from what was recorded, never carried along, so that it cannot drift.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from nimble_watch.session.annotations import annotate
from nimble_watch.session.bill import block, price_obstacles, sum_of, total_up
from nimble_watch.session.document import from_document, read_fields, to_document
from nimble_watch.session.foreign import apply_changes, foreign_obstacles
from nimble_watch.session.model import SCHEMA, Cause, Costs, Obstacle, Phase, Remedy, Session, Stop, Wait
from nimble_watch.session.money import Blocked, cents, hours_with_a_node
from nimble_watch.session.reasons import say_why
from nimble_watch.session.scores import is_counted, performance
from nimble_watch.session.times import milliseconds, moment, stamp, whole_seconds
from nimble_watch.session.variance import metered_variance

_Change = Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]
_NOTHING = Decimal(0)
_FAULTS = ("error", "cancellation", "timeout", "failure")
_DELAYED_BY_HAND = ("logged", "foreign")


def fold(records: Iterable[Mapping[str, Any]], session_id: str, *, now: float | None = None) -> Session:
    """Fold journal records into the session as it stands at `now` (epoch seconds; else at the last record)."""
    state = _State(session_id)
    for record in _in_order(records):
        state.take(record)
    return state.session(None if now is None else milliseconds(now))


def _in_order(records: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    seen: dict[tuple[float, str, int], Mapping[str, Any]] = {}
    for record in records:
        key = (float(record.get("time", 0.0)), str(record.get("writer", "")), int(record.get("seq", 0)))
        seen.setdefault(key, record)
    return [seen[key] for key in sorted(seen)]


class _State:
    """What the records said so far."""

    def __init__(self, session_id: str) -> None:
        self.id = session_id
        self.fields: dict[str, Any] = {}
        self.start_ms: int | None = None
        self.end_ms: int | None = None
        self.total_ms: int | None = None
        self.ended: Mapping[str, Any] | None = None
        self.last_ms: int | None = None
        self.phases: dict[str, Phase] = {}
        self.edges: set[tuple[str, str, float]] = set()
        self.obstacles: dict[str, Obstacle] = {}
        self.waits: dict[tuple[str, str | None, int], Wait] = {}
        self.stops: dict[tuple[str, str, int], Stop] = {}
        self.costs: dict[str, Any] = {}
        self.given: dict[str, Any] = {}
        self.plan: dict[str, Any] = {}
        self.foreign: dict[str, Any] = {}
        self.afterwards: list[tuple[_Change, Mapping[str, Any]]] = []
        self.remedies: dict[str, list[Remedy]] = {}
        self.problems: list[str] = []

    def take(self, record: Mapping[str, Any]) -> None:
        """Take one record; one of an unknown type (a newer version's) changes nothing."""
        at = milliseconds(float(record.get("time", 0.0)))
        taker = _TAKERS.get(str(record.get("type")))
        if taker is None:
            return
        if at:
            self.last_ms = at if self.last_ms is None else max(self.last_ms, at)
        taker(self, record, at)

    def started(self, record: Mapping[str, Any], at: int) -> None:
        """Take a session's beginning; the first one to say so counts."""
        if self.start_ms is not None:
            return
        start = record.get("start_time")
        self.start_ms = milliseconds(float(start)) if isinstance(start, int | float) else moment(start) or at
        for name in ("uid", "operation", "environment", "region", "host", "ci", "vcs", "targets"):
            if record.get(name) is not None:
                self.fields.setdefault(name, record[name])

    def phase_started(self, record: Mapping[str, Any], at: int) -> None:
        """Take a phase's beginning; said twice at the same time (by launcher and observer) it is still one."""
        name = str(record.get("phase", "unknown"))
        edge = ("start", name, float(record.get("time", 0.0)))
        if edge in self.edges:
            known = next((phase for phase in self._named(name) if phase.start_ms == at), None)
            if known is not None and len(record.get("command") or ()) > len(known.command or ()):
                known.command = record["command"]  # the launcher, writing in need, records the program's name alone
            return
        self.edges.add(edge)
        times = 1 + sum(key == name or key.startswith(f"{name}#") for key in self.phases)
        key = name if times == 1 else f"{name}#{times}"
        self.phases[key] = Phase(start_time=stamp(at), start_ms=at, command=record.get("command"))

    def phase_ended(self, record: Mapping[str, Any], at: int) -> None:
        """Take a phase's end: of the newest one of that name that is open."""
        name = str(record.get("phase", "unknown"))
        edge = ("end", name, float(record.get("time", 0.0)))
        if edge in self.edges:
            return
        self.edges.add(edge)
        phase = self._open_phase(name)
        duration = record.get("duration")
        if phase is None:
            if any(key == name or key.startswith(f"{name}#") for key in self.phases):
                return  # a second end of the same phase says nothing new
            start = at - milliseconds(duration or 0.0)
            phase = self.phases[name] = Phase(start_time=stamp(start), start_ms=start)
        phase.end_ms, phase.end_time = at, stamp(at)
        phase.paused_ms = milliseconds(record.get("paused") or 0.0)
        phase.suspended_ms = milliseconds(record.get("suspended") or 0.0)
        phase.clock_set_ms = milliseconds(record.get("clock_set") or 0.0)
        if duration is not None:
            phase.duration_ms = milliseconds(float(duration))
        elif phase.start_ms is not None:
            phase.duration_ms = max(0, at - phase.start_ms - phase.paused_ms - phase.suspended_ms)
        if phase.duration_ms is not None:
            phase.duration = whole_seconds(phase.duration_ms)
        phase.result = record.get("result")
        phase.exit, phase.signal, phase.stopped = record.get("exit"), record.get("signal"), record.get("stopped")
        if record.get("cause") and phase.cause is None:
            phase.cause = Cause(text=str(record["cause"]))

    def phase_cause(self, record: Mapping[str, Any], _at: int) -> None:
        """Take what failed inside a phase; a success is no cause, and what was seen beats what was read."""
        if record.get("exit") == 0 and record.get("signal") is None:
            return
        phase = self._open_phase(str(record.get("phase"))) or self._newest(str(record.get("phase")))
        if phase is not None and (phase.cause is None or record.get("text") is None):
            phase.cause = Cause(
                text=record.get("text"),
                command=record.get("command"),
                exit=record.get("exit"),
                signal=record.get("signal"),
            )

    def obstacle(self, record: Mapping[str, Any], at: int) -> None:
        """Take an obstacle as it is by now."""
        raw = record.get("obstacle")
        if not isinstance(raw, Mapping) or not raw.get("id"):
            return
        obstacle = read_fields(Obstacle, raw, "obstacle.", self.problems, id=str(raw["id"]))
        if record.get("type") == "obstacle-logged":
            obstacle.source = obstacle.source or "logged"
            obstacle.outcome = obstacle.outcome or "logged"
            obstacle.timestamp = obstacle.timestamp or stamp(at)
        elif obstacle.suggested_fix is None:
            obstacle.suggested_fix = obstacle.fix
        self.obstacles[obstacle.id] = obstacle

    def waited(self, record: Mapping[str, Any], _at: int) -> None:
        """Take a wait that is no fault."""
        raw = record.get("wait")
        if isinstance(raw, Mapping) and "what" in raw and "start_ms" in raw:
            wait = msgspec.convert(raw, Wait)
            if wait.end_ms is not None and wait.duration_ms is None:
                wait.duration_ms = wait.end_ms - wait.start_ms
            self.waits[wait.what, wait.subject, wait.start_ms] = wait

    def stopped(self, record: Mapping[str, Any], _at: int) -> None:
        """Take a stop as it is judged by now."""
        raw = record.get("stop")
        if isinstance(raw, Mapping) and {"phase", "obstacle", "kind", "at_ms"} <= raw.keys():
            stop = msgspec.convert(raw, Stop)
            stop.at = stamp(stop.at_ms)
            stop.saved_seconds = None if stop.saved_ms is None else whole_seconds(stop.saved_ms)
            if stop.saved_usd is not None:
                stop.saved_usd = cents(stop.saved_usd)
            self.stops[stop.phase, stop.obstacle, stop.at_ms] = stop

    def costs_known(self, record: Mapping[str, Any], _at: int) -> None:
        """Take costs, measured or given by hand."""
        raw = record.get("costs")
        if isinstance(raw, Mapping):
            target = self.given if record.get("given") else self.costs
            target.update(raw)

    def planned(self, record: Mapping[str, Any], _at: int) -> None:
        """Take a phase's plan; the newest one counts."""
        self.plan = dict(record)

    def set(self, record: Mapping[str, Any], _at: int) -> None:
        """Take fields of the session."""
        fields = record.get("fields")
        if isinstance(fields, Mapping):
            unknown = {**self.fields.get("unknown", {}), **fields.get("unknown", {})}
            self.fields.update({name: value for name, value in fields.items() if name not in _COMPUTED})
            self.fields["unknown"] = {name: why for name, why in unknown.items() if self.fields.get(name) is None}

    def alive(self, record: Mapping[str, Any], at: int) -> None:
        """Take a sign of life: its time is all that it says."""

    def changed_by_others(self, record: Mapping[str, Any], _at: int) -> None:
        """Take what another program did to the session's JSON."""
        changes = record.get("changes")
        if isinstance(changes, Mapping):
            self.foreign = apply_changes(self.foreign, changes)
            self.afterwards.append((apply_changes, changes))

    def annotated(self, record: Mapping[str, Any], _at: int) -> None:
        """Take what a person says of the session or of an obstacle."""
        self.afterwards.append((annotate, record))

    def remembered(self, record: Mapping[str, Any], _at: int) -> None:
        """Take what helped before against obstacles of the same kind."""
        self.remedies[str(record.get("obstacle"))] = msgspec.convert(record.get("remedies") or [], list[Remedy])

    def ended_(self, record: Mapping[str, Any], at: int) -> None:
        """Take the session's end; the first one counts."""
        if self.ended is None:
            self.ended, self.end_ms = record, at
            if record.get("duration") is not None:
                self.total_ms = milliseconds(float(record["duration"]))

    def _named(self, name: str) -> list[Phase]:
        return [phase for key, phase in self.phases.items() if key == name or key.startswith(f"{name}#")]

    def _open_phase(self, name: str) -> Phase | None:
        return next((phase for phase in reversed(self._named(name)) if phase.end_ms is None), None)

    def _newest(self, name: str) -> Phase | None:
        return next(reversed(self._named(name)), None)

    def session(self, now_ms: int | None) -> Session:
        """Give the session, with everything computed."""
        until = self.end_ms or now_ms or self.last_ms or self.start_ms or 0
        session = read_fields(Session, self.fields, "set.", self.problems, session_id=self.id)
        session.schema, session.state = SCHEMA, "open" if self.ended is None else "ended"
        session.revision = 0 if self.ended is None else 1
        if self.start_ms is not None:
            session.start_ms, session.start_time = self.start_ms, stamp(self.start_ms)
        session.phases = self.phases
        session.waits = sorted(self.waits.values(), key=lambda wait: (wait.start_ms, wait.what))
        session.stops = sorted(self.stops.values(), key=lambda stop: stop.at_ms)
        self._finish(session)
        others = foreign_obstacles(self.foreign, self.obstacles, self.problems)
        session.obstacles = sorted([*self.obstacles.values(), *others], key=lambda one: moment(one.timestamp) or 0)
        total = self.total_ms
        if total is None and self.start_ms is not None and until >= self.start_ms:  # else the clock was set back
            paused = sum(phase.paused_ms for phase in self.phases.values())
            total = max(0, until - self.start_ms - paused)
        counted = [obstacle for obstacle in session.obstacles if is_counted(obstacle)]
        blocked = Blocked(counted, until)
        price_obstacles(session.obstacles, blocked)
        for obstacle in session.obstacles:
            _delay(obstacle, until)
            obstacle.helped_before = self.remedies.get(obstacle.id, [])
            phase = _run_of(session.phases, obstacle)
            if phase is not None and obstacle.id not in phase.obstacles:
                phase.obstacles.append(obstacle.id)
        session.performance = performance(total, session.obstacles, until)
        self._price(session, blocked, until, total)
        hours = hours_with_a_node(session.costs.usage or [], until)
        if dearer := metered_variance(session.costs, session.obstacles, hours, self.start_ms or until):
            session.obstacles.append(dearer)
            session.performance = performance(total, session.obstacles, until)
        if session.comparable is None:
            session.comparable = _comparable(session)
        if self.afterwards:
            document = to_document(session)
            for change, said in self.afterwards:
                document = change(document, said)
            session = from_document(document, self.id, [])
        say_why(session)
        return session

    def _finish(self, session: Session) -> None:
        if self.ended is None:
            return
        session.end_ms, session.end_time = self.end_ms, stamp(self.end_ms or 0)
        session.result, session.exit = self.ended.get("result"), self.ended.get("exit")
        if session.result is None:
            results = [phase.result for phase in self.phases.values()]
            session.result = next((fault for fault in _FAULTS if fault in results), "success")
        if self.ended.get("reason"):
            session.notes = [*session.notes, str(self.ended["reason"])]
        for phase in self.phases.values():
            if phase.exit == _MAKE_FAILED and phase.cause is None and _program(phase) in _MAKES:
                phase.unknown["cause"] = "make ends with 2 whatever failed, and what it said was not seen"
            if phase.end_ms is None:
                phase.result = phase.result or "error"
        for obstacle in self.obstacles.values():
            if obstacle.source == "watched" and obstacle.outcome == "standing":
                self._let_go(obstacle)

    def _let_go(self, obstacle: Obstacle) -> None:
        """Close an obstacle that stood when its observer was killed: it counts to its phase's end, or the session's."""
        run = _run_of(self.phases, obstacle)
        end = self.end_ms if run is None or run.end_ms is None else run.end_ms
        obstacle.outcome = "phase-ended"
        obstacle.intervals = [
            (start, max(start, end or start) if stop is None else stop) for start, stop in obstacle.intervals
        ]

    def _price(self, session: Session, blocked: Blocked, until: int, total_ms: int | None) -> None:
        costs = read_fields(Costs, self.costs, "costs.", self.problems)
        session.costs = costs
        _plan(costs, self.plan, self.problems)
        given = read_fields(Costs, self.given, "costs.", self.problems)
        for name in ("estimated_hourly", "actual_hourly", "session_total"):
            if (value := getattr(given, name)) is not None:
                setattr(costs, name, value)
                costs.sources[name] = "given by update-costs"
        if costs.usage is not None:
            total_up(session, until)
        elif costs.session_total is None and costs.actual_hourly is not None and total_ms is not None:
            costs.session_total = cents(costs.actual_hourly * total_ms / 3_600_000)
            costs.sources["session_total"] = "actual_hourly x total_duration"
        block(session, blocked, until)
        costs.standing_hourly = sum_of(costs.standing, costs.standing_hourly)
        costs.after_session_hourly = sum_of(costs.after, costs.after_session_hourly)


def _program(phase: Phase) -> str:
    return (phase.command or [""])[0].rpartition("/")[2]


def _plan(costs: Costs, record: Mapping[str, Any], problems: list[str]) -> None:
    """Write what a phase said that an hour would cost, or why it could not say."""
    about = str(record.get("about") or "")
    planned = read_fields(Costs, {"estimated_hourly": record.get("usd_per_hour")}, "plan.", problems)
    if planned.estimated_hourly is not None:
        costs.estimated_hourly = planned.estimated_hourly
        costs.sources["estimated_hourly"] = f"planned by {record.get('phase') or 'a phase'}" + (about and f": {about}")
    elif about:
        costs.unknown["estimated_hourly"] = f"the plan has no price: {about}"


_MAKE_FAILED, _MAKES = 2, ("make", "gmake")
_PULL = "image-pull-slow"
"""The wait that a cold image makes: one that is there already, or nearly, is not worth one."""
_COMPUTED = ("session_id", "phases", "obstacles", "costs", "performance", "schema", "state", "waits", "stops", "extra")
_TAKERS: dict[str, Callable[[_State, Mapping[str, Any], int], None]] = {
    "session-started": _State.started,
    "phase-started": _State.phase_started,
    "phase-ended": _State.phase_ended,
    "phase-cause": _State.phase_cause,
    "obstacle-opened": _State.obstacle,
    "obstacle-updated": _State.obstacle,
    "obstacle-closed": _State.obstacle,
    "obstacle-logged": _State.obstacle,
    "wait": _State.waited,
    "stop": _State.stopped,
    "costs": _State.costs_known,
    "plan": _State.planned,
    "set": _State.set,
    "foreign": _State.changed_by_others,
    "annotated": _State.annotated,
    "remembered": _State.remembered,
    "alive": _State.alive,
    "session-ended": _State.ended_,
}


def _comparable(session: Session) -> dict[str, Any] | None:
    """Give what a comparison must agree on beside the guide's fields; None where no node of the session was seen."""
    shapes = sorted({use.shape for use in session.costs.usage or () if use.shape})
    if not shapes:
        return None
    pulled = any(wait.what == _PULL for wait in session.waits)
    return {"shapes": shapes, "image": "cold" if pulled else "warm"}


def _run_of(phases: Mapping[str, Phase], obstacle: Obstacle) -> Phase | None:
    """Give the run of its phase in which an obstacle was met: the newest that had begun by then."""
    name = obstacle.phase or ""
    runs = [phase for key, phase in phases.items() if key == name or key.startswith(f"{name}#")]
    at = obstacle.intervals[0][0] if obstacle.intervals else (moment(obstacle.timestamp) or 0) + 999
    begun = [phase for phase in runs if phase.start_ms is None or phase.start_ms <= at]
    return begun[-1] if begun else next(iter(runs), None)


def _delay(obstacle: Obstacle, until: int) -> None:
    if obstacle.intervals:
        obstacle.delay_ms = sum(max(0, (until if end is None else end) - start) for start, end in obstacle.intervals)
        obstacle.time_delay_seconds = whole_seconds(obstacle.delay_ms)
    elif obstacle.time_delay_seconds is None and obstacle.delay_ms is not None:
        obstacle.time_delay_seconds = whole_seconds(obstacle.delay_ms)
