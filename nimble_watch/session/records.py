"""Journal records: what happened to a session, one JSON object each.

The journal adds `seq` and, unless it was given, `time` (epoch seconds); the folder of the journals adds `writer`.
A record says all it knows (an obstacle comes with every field), so that the newest one is enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from nimble_watch.session.model import Costs, Obstacle, Remedy, Stop, Targets, Wait

Record = dict[str, Any]
"""One journal line; `type` says which."""


def _timed(kind: str, time: float | None, **fields: Any) -> Record:
    record: Record = {"type": kind, **fields}
    if time is not None:
        record["time"] = time
    return record


def _plain(value: msgspec.Struct) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(value, builtin_types=(Decimal,))
    added = fields.pop("extra", {})
    return {**fields, **added}


def session_started(
    *,
    session_id: str,
    uid: str,
    operation: str,
    environment: str,
    start_time: float,
    region: str | None = None,
    host: Mapping[str, Any] | None = None,
    ci: Mapping[str, Any] | None = None,
    vcs: Mapping[str, Any] | None = None,
    targets: Targets | None = None,
    time: float | None = None,
) -> Record:
    """Say that a session began at `start_time` (epoch seconds)."""
    return _timed(
        "session-started",
        time if time is not None else start_time,
        session_id=session_id,
        uid=uid,
        operation=operation,
        environment=environment,
        region=region,
        host=host,
        ci=ci,
        vcs=vcs,
        targets=None if targets is None else msgspec.to_builtins(targets, builtin_types=(Decimal,)),
        start_time=start_time,
    )


def phase_started(phase: str, command: Sequence[str] | None = None, *, time: float | None = None) -> Record:
    """Say that a phase began; `command` is cleaned."""
    return _timed("phase-started", time, phase=phase, command=None if command is None else list(command))


def phase_ended(
    phase: str,
    *,
    result: str,
    duration: float | None = None,
    exit: int | None = None,  # noqa: A002  the field's name in the journal and the file
    signal: str | None = None,
    cause: str | None = None,
    paused: float = 0.0,
    suspended: float = 0.0,
    clock_set: float = 0.0,
    stopped: str | None = None,
    time: float | None = None,
) -> Record:
    """Say how a phase ended; `duration` is monotonic seconds without the `paused` and the `suspended` ones.

    `clock_set` is by how many seconds the machine's clock was set meanwhile; `stopped` why we ended the phase.
    """
    return _timed(
        "phase-ended",
        time,
        phase=phase,
        duration=duration,
        exit=exit,
        signal=signal,
        result=result,
        cause=cause,
        paused=paused,
        suspended=suspended,
        clock_set=clock_set,
        stopped=stopped,
    )


def alive() -> Record:
    """Say that the session's observer was there, for the case that it is killed: then this is when it was last seen."""
    return _timed("alive", None)


def phase_cause(
    phase: str,
    command: Sequence[str] | None,
    exit: int | None,  # noqa: A002  the field's name in the journal and the file
    signal: str | None,
    *,
    text: str | None = None,
    time: float | None = None,
) -> Record:
    """Say how the command inside a phase really ended: seen by an inner `exec`, else make's own `text` about it."""
    kept = None if command is None else list(command)
    return _timed("phase-cause", time, phase=phase, command=kept, exit=exit, signal=signal, text=text)


def obstacle_opened(obstacle: Obstacle, *, time: float | None = None) -> Record:
    """Say that an obstacle was met."""
    return _timed("obstacle-opened", time, obstacle=_plain(obstacle))


def obstacle_updated(obstacle: Obstacle, *, time: float | None = None) -> Record:
    """Say what is known of an obstacle by now."""
    return _timed("obstacle-updated", time, obstacle=_plain(obstacle))


def obstacle_closed(obstacle: Obstacle, *, time: float | None = None) -> Record:
    """Say that an obstacle is over, and by its `outcome` how."""
    return _timed("obstacle-closed", time, obstacle=_plain(obstacle))


def obstacle_logged(obstacle: Obstacle, *, time: float | None = None) -> Record:
    """Say that a person or a script logged an obstacle by hand: its delay ends at its timestamp."""
    return _timed("obstacle-logged", time, obstacle=_plain(obstacle))


def waited(wait: Wait, *, time: float | None = None) -> Record:
    """Say that something was waited for which is no fault; the same `what`, subject and start again replaces it."""
    return _timed("wait", time, wait=_plain(wait))


def stopped(stop: Stop, *, time: float | None = None) -> Record:
    """Say that a phase was, or would have been, stopped; the same phase, obstacle and moment again replaces it."""
    return _timed("stop", time, stop=_plain(stop))


def costs_known(costs: Costs | Mapping[str, Any], *, given: bool = False, time: float | None = None) -> Record:
    """Say what is known of the costs; a mapping gives only the fields it has; `given` by `update-costs` wins."""
    fields = _plain(costs) if isinstance(costs, Costs) else dict(costs)
    return _timed("costs", time, costs=fields, given=given)


def costs_planned(phase: str, usd_per_hour: Decimal | None, about: str, *, time: float | None = None) -> Record:
    """Say what a phase plans to cost per hour, and for what; without a price `about` says why there is none."""
    return _timed("plan", time, phase=phase, usd_per_hour=usd_per_hour, about=about)


def fields_set(*, time: float | None = None, **fields: Any) -> Record:
    """Set fields of the session: region, cluster, namespaces, comparable, tags, notes, unknown, ..."""
    return _timed("set", time, fields=fields)


def foreign_changes(changes: Mapping[str, Any], *, time: float | None = None) -> Record:
    """Say what another program changed in the session's JSON since we wrote it."""
    return _timed("foreign", time, changes=dict(changes))


def annotated(
    obstacle: str | None = None,
    *,
    root_cause: str | None = None,
    fix: str | None = None,
    tags: Sequence[str] = (),
    untag: Sequence[str] = (),
    notes: Sequence[str] = (),
    time: float,
) -> Record:
    """Say what a person knows of an obstacle (its id), or of the whole session: all of it cleaned."""
    return _timed(
        "annotated",
        time,
        obstacle=obstacle,
        root_cause=root_cause,
        fix=fix,
        tags=list(tags),
        untag=list(untag),
        notes=list(notes),
    )


def remembered(obstacle: str, remedies: Sequence[Remedy], *, time: float | None = None) -> Record:
    """Say what helped before against obstacles of the same kind as this one (its id), newest first."""
    return _timed("remembered", time, obstacle=obstacle, remedies=[_plain(remedy) for remedy in remedies])


def session_ended(
    result: str,
    *,
    exit: int | None = None,  # noqa: A002  the field's name in the journal and the file
    duration: float | None = None,
    reason: str | None = None,
    time: float | None = None,
) -> Record:
    """Say how the session ended; `duration` is monotonic seconds if known, `reason` why it is an error."""
    return _timed("session-ended", time, result=result, exit=exit, duration=duration, reason=reason)
