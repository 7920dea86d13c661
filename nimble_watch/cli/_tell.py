"""What scripts tell of the open session: that it begins, a phase, an obstacle, costs, its end.

Each is one record in a journal of its own, then the JSON is folded anew.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from pathlib import Path

from nimble_watch.claim import Claim, in_the_way, make, release, sessions_directory
from nimble_watch.cleaning import FIELD_LIMIT, clean, clean_lines
from nimble_watch.config import ci_facts, environment_name, host_facts, region_name, vcs_facts
from nimble_watch.errors import UsageError
from nimble_watch.session import (
    Obstacle,
    Record,
    Session,
    costs_known,
    milliseconds,
    new_uid,
    obstacle_logged,
    phase_ended,
    phase_started,
    session_ended,
    session_started,
    stamp,
)
from nimble_watch.store import (
    Journal,
    StoreError,
    begin,
    close,
    close_abandoned,
    current_id,
    is_open,
    journal_folder,
    make_folders,
    read_records,
    refold,
    result_of,
)
from nimble_watch.store import end as end_session

_FIELDS = ("phase", "type", "description", "root cause", "fix", "delay in seconds", "cost in USD")
_NEEDED = 5
_VARIANCE = Decimal(10)  # percent above the plan from which on it is an obstacle
_COST_VARIANCE = "cost-variance"
_MOST = Decimal(10) ** 12


def _folder(arguments: argparse.Namespace) -> Path:
    return Path(sessions_directory(arguments.sessions, dict(os.environb)))


def _warn(sentence: str) -> None:
    print(f"nimble-watch: {sentence}", file=sys.stderr)


def _writer() -> str:
    return f"command-{os.getpid()}-{time.time_ns()}"


def init(arguments: argparse.Namespace) -> int:
    """Begin a session, end those left open, and print its id and how to hand it to other commands."""
    session = _begin(_folder(arguments), arguments.operation, arguments.environment)
    print(session.session_id)
    return 0


def _begin(folder: Path, operation: str, environment: str | None) -> Session:
    make_folders(folder)
    close_abandoned(folder)
    for left_open in in_the_way(str(folder), Claim(str(folder), None, joined=False, lock=None, warning="")):
        close(folder, left_open)
    now = time.time()
    try:
        held = make(str(folder), now=now)
    except OSError as error:
        raise StoreError(f"cannot begin a session in {folder}: {error.strerror}") from error
    session_id = held.session or ""
    record = session_started(
        session_id=session_id,
        uid=new_uid(milliseconds(now), os.urandom(10)),
        operation=clean(operation, limit=200),
        environment=environment_name(environment, os.environ).value or "dev",
        region=region_name(os.environ).value,
        host=host_facts(),
        ci=ci_facts(os.environ),
        vcs=vcs_facts(Path.cwd()),
        start_time=now,
    )
    try:
        return begin(folder, session_id, record, writer="shell")
    finally:
        release(held)


def _open_session(folder: Path) -> str | None:
    """Give the session that a script means: the one of its environment if it is open, else the current one."""
    for session_id in (os.environ.get("NIMBLE_WATCH_SESSION", ""), current_id(folder) or ""):
        if session_id and is_open(folder, session_id):
            return session_id
    return None


def _needed_session(folder: Path) -> str:
    session_id = _open_session(folder)
    if session_id is None:
        raise StoreError("no session is open", where=str(folder), advise="begin one with `nimble-watch session init`")
    return session_id


def _record(folder: Path, session_id: str, *records: Record) -> Session:
    with Journal(journal_folder(folder, session_id), _writer()) as journal:
        for record in records:
            journal.append(record)
    return refold(folder, session_id, now=time.time())


def end(arguments: argparse.Namespace) -> int:
    """End the open session and print where its summary is."""
    folder = _folder(arguments)
    session_id = _needed_session(folder)
    records = read_records(journal_folder(folder, session_id), [])
    result = arguments.result or result_of(records)
    session = end_session(folder, session_id, session_ended(result, time=time.time()), writer=_writer())
    print(f"{session.session_id} ended: {session.result}; summary in {folder / f'summary-{session_id}.txt'}")
    return 0


def start_phase(arguments: argparse.Namespace) -> int:
    """Record that a phase began."""
    folder = _folder(arguments)
    session_id = _open_session(folder) or _begin(folder, "manual", None).session_id
    _record(folder, session_id, phase_started(clean(arguments.phase, limit=200), time=time.time()))
    return 0


def end_phase(arguments: argparse.Namespace) -> int:
    """Record that a phase ended, with its exit status."""
    folder = _folder(arguments)
    result = "success" if arguments.status == 0 else "failure"
    record = phase_ended(clean(arguments.phase, limit=200), result=result, exit=arguments.status, time=time.time())
    _record(folder, _needed_session(folder), record)
    return 0


def log_obstacle(arguments: argparse.Namespace) -> int:
    """Record an obstacle with the guide's seven fields; without a session one is begun."""
    fields: list[str] = arguments.fields
    if not _NEEDED <= len(fields) <= len(_FIELDS):
        wanted = ", ".join(_FIELDS[:_NEEDED])
        raise UsageError(f"log-obstacle takes {wanted}, and then delay and cost; got {len(fields)}")
    folder = _folder(arguments)
    texts = [clean_lines(text, limit=FIELD_LIMIT) for text in fields[:_NEEDED]]
    unknown: dict[str, str] = {}
    delay = _number(fields, 5, unknown, "time_delay_seconds")
    cost = _number(fields, 6, unknown, "cost_impact_usd")
    if delay is not None and delay < 0:
        _warn(f"the delay {delay} is negative; taken as unknown")
        delay, unknown["time_delay_seconds"] = None, f"{delay} was given"
    now = time.time()
    session_id = _open_session(folder) or _begin(folder, "manual", None).session_id
    obstacle_id = f"obs-{int(now)}-{os.getpid()}"
    if texts[1] == _COST_VARIANCE:  # one that we computed from update-costs is the same trouble
        obstacle_id = _variance_id(folder, session_id) or obstacle_id
    obstacle = Obstacle(
        id=obstacle_id,
        phase=clean(texts[0], limit=200),
        type=clean(texts[1], limit=200),
        description=texts[2],
        root_cause=texts[3],
        fix=texts[4],
        time_delay_seconds=None if delay is None else int(delay.quantize(Decimal(1), ROUND_HALF_UP)),
        delay_ms=None if delay is None else int(delay * 1000),
        cost_impact_usd=cost,
        timestamp=stamp(milliseconds(now)),
        source="logged",
        outcome="logged",
        unknown=unknown,
    )
    _record(folder, session_id, obstacle_logged(obstacle, time=now))
    return 0


def _number(fields: Sequence[str], at: int, unknown: dict[str, str], name: str) -> Decimal | None:
    """Read a number as bc prints it (`.030`, `-.05`); what is none is unknown, with a warning."""
    if at >= len(fields):
        unknown[name] = "not given"
        return None
    text = fields[at].strip()
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if number.is_finite() and abs(number) < _MOST:
        return number
    shown = clean(text, limit=40) or "nothing"
    _warn(f"the {_FIELDS[at]} is {shown}, not a number; taken as unknown")
    unknown[name] = f"{shown} was given"
    return None


def _variance_id(folder: Path, session_id: str) -> str | None:
    for record in read_records(journal_folder(folder, session_id), []):
        obstacle = record.get("obstacle")
        if isinstance(obstacle, dict) and obstacle.get("source") == "computed" and obstacle["type"] == _COST_VARIANCE:
            return str(obstacle["id"])
    return None


def update_costs(arguments: argparse.Namespace) -> int:
    """Record the planned and the actual cost of an hour; more than a tenth above the plan is an obstacle."""
    if len(arguments.fields) != 2:  # noqa: PLR2004  the plan and what it is
        raise UsageError("update-costs takes the estimated and the actual cost of an hour, in USD")
    unknown: dict[str, str] = {}
    planned, actual = (_cost(text, unknown) for text in arguments.fields)
    folder = _folder(arguments)
    session_id = _open_session(folder) or _begin(folder, "manual", None).session_id
    now = time.time()
    costs = {"estimated_hourly": planned, "actual_hourly": actual}
    records = [costs_known({name: cost for name, cost in costs.items() if cost is not None}, given=True, time=now)]
    if planned and actual is not None:
        variance = ((actual - planned) / planned * 100).quantize(Decimal("0.01"), ROUND_HALF_UP)
        if variance > _VARIANCE:
            obstacle_id = _variance_id(folder, session_id) or f"obs-{int(now)}-{os.getpid()}"
            records.append(obstacle_logged(_variance_obstacle(obstacle_id, variance, actual - planned, now), time=now))
    _record(folder, session_id, *records)
    return 0


def _variance_obstacle(obstacle_id: str, variance: Decimal, dearer: Decimal, now: float) -> Obstacle:
    return Obstacle(
        id=obstacle_id,
        phase="cost-tracking",
        type=_COST_VARIANCE,
        kind=_COST_VARIANCE,
        description=f"Actual cost {variance}% higher than estimated",
        root_cause="Cost estimation model needs adjustment",
        fix="Update cost calculation algorithms",
        time_delay_seconds=0,
        cost_impact_usd=dearer,
        timestamp=stamp(milliseconds(now)),
        source="computed",
        outcome="logged",
    )


def _cost(text: str, unknown: dict[str, str]) -> Decimal | None:
    cost = _number(["", "", "", "", "", "", text], 6, unknown, "cost")
    if cost is not None and cost < 0:
        _warn(f"the cost {cost} is negative; taken as unknown")
        return None
    return cost
