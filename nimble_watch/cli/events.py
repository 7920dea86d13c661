"""What scripts tell of the open session: that it begins, a phase, an obstacle, costs, its end.

Each is one record in a journal of its own, then the JSON is folded anew, so that whoever reads it next finds the event
in it.  A script calls one of these per event and waits for it: so their few words are read here, because importing
argparse and building its tree would take as long as all the rest, and nothing is imported that they do not need.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from pathlib import Path
from typing import NamedTuple

from nimble_watch.claim import JOURNALS, Claim, in_the_way, make, mark_phases, mark_shell, release, sessions_directory
from nimble_watch.cleaning import FIELD_LIMIT, clean, clean_lines, learn_secrets
from nimble_watch.cli._ended import share_later, share_now
from nimble_watch.errors import UsageError, closest
from nimble_watch.log import log_of
from nimble_watch.session import (
    COST_VARIANCE,
    Obstacle,
    Record,
    Session,
    band,
    costs_known,
    costs_planned,
    given_variance,
    milliseconds,
    new_uid,
    obstacle_logged,
    percent_above,
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
    catch_up,
    close,
    close_abandoned,
    current_id,
    how_closed,
    is_open,
    journal_folder,
    locked,
    make_folders,
    read_records,
    refold,
    result_of,
    storing,
)
from nimble_watch.store import end as end_session

_FIELDS = ("phase", "type", "description", "root cause", "fix", "delay in seconds", "cost in USD")
_NEEDED = 5
_MOST = Decimal(10) ** 12
_UNPRICED = "unpriced"
"""What a plan says whose price nobody knows."""


class Told(NamedTuple):
    """What was typed: the sessions folder, the value of each option (a flag: empty), and the words after them."""

    folder: Path
    options: dict[str, str]
    words: list[str]


class Event(NamedTuple):
    """One subcommand: what it takes, what it is, its options with their metavar (a flag: none), and what it does."""

    usage: str
    about: str
    options: dict[str, str]
    run: Callable[[Told], int]


def tell(name: str, words: Sequence[str]) -> int:
    """Read the words of one event and record it; gives the exit status."""
    learn_secrets(os.environ)
    told = _read(name, words)
    log_of("session").debug(
        "command",
        what=name,
        folder=str(told.folder),
        current=current_id(told.folder),
        named_by_environment=os.environ.get("NIMBLE_WATCH_SESSION"),
    )
    return EVENTS[name].run(told)


def _read(name: str, words: Sequence[str]) -> Told:
    """Tell options from words: options come first, so that any text may follow them, also one that has a dash."""
    known = {"--sessions": "DIR", **EVENTS[name].options}
    found: dict[str, str] = {}
    rest = list(words)
    while rest and rest[0].startswith("--"):
        spelling, equals, value = rest.pop(0).partition("=")
        if spelling == "--":
            break
        if spelling not in known:
            meant = closest(spelling, list(known))
            raise UsageError(
                f"{name} has no option {clean(spelling, limit=40)}",
                advise=f"did you mean {meant}?" if meant else f"try `nimble-watch session {name} --help`",
            )
        if known[spelling] and not equals:
            if not rest:
                raise UsageError(f"{spelling} needs a value: {known[spelling]}")
            value = rest.pop(0)
        found[spelling] = value
    folder = Path(sessions_directory(found.get("--sessions"), dict(os.environb)))
    if "--stdin" in found:
        if rest:
            raise UsageError("with --stdin the fields come from standard input only")
        rest = [os.fsdecode(field) for field in sys.stdin.buffer.read().split(b"\0")]
        if rest[-1] == "":  # each field is ended by a NUL, the last one too
            rest.pop()
    return Told(folder, found, rest)


def _warn(sentence: str) -> None:
    print(f"nimble-watch: {sentence}", file=sys.stderr)


def _writer() -> str:
    return f"command-{os.getpid()}-{time.time_ns()}"


def init(told: Told) -> int:
    """Begin a session, end those left open, and print its id."""
    (operation,) = _words(told, "init", least=0, most=1) or ["manual"]
    print(_begin(told.folder, operation, told.options.get("--environment")).session_id)
    return 0


def _words(told: Told, name: str, *, least: int, most: int) -> list[str]:
    if least <= len(told.words) <= most:
        return told.words
    raise UsageError(f"{name} takes {EVENTS[name].usage or 'nothing'}; got {len(told.words)} words")


def _begin(folder: Path, operation: str, environment: str | None) -> Session:
    # only a beginning needs them
    from nimble_watch.config import ci_facts, environment_name, file_here, host_facts, region_name, vcs_facts

    make_folders(folder)
    ended = close_abandoned(folder)
    for closed in ended:
        _warn(how_closed(closed))
    for left_open in in_the_way(str(folder), Claim(str(folder), None, joined=False, lock=None, warning="")):
        if (closed_now := close(folder, left_open)) is not None:
            ended.append(closed_now)
    share_later(folder, ended)
    file = file_here(_warn)
    now = time.time()
    with storing("begin a session in", folder):
        held = make(str(folder), now=now)
    mark_shell(held, dict(os.environb))
    session_id = held.session or ""
    record = session_started(
        session_id=session_id,
        uid=new_uid(milliseconds(now), os.urandom(10)),
        operation=clean(operation, limit=200),
        environment=environment_name(environment, os.environ, file).value or "dev",
        region=region_name(os.environ, file).value,
        host=host_facts(),
        ci=ci_facts(os.environ),
        vcs=vcs_facts(Path.cwd()),
        targets=file.targets,
        start_time=now,
    )
    try:
        return begin(folder, session_id, record, writer="shell")
    finally:
        release(held)


def _open_session(folder: Path) -> str | None:
    """Give the session that a script means: the one of its environment if it is open, else the current one."""
    named = os.environ.get("NIMBLE_WATCH_SESSION", "")
    if named and is_open(folder, named):
        return named
    session_id = current_id(folder)
    if session_id is None or not is_open(folder, session_id):
        return None
    if named:
        _warn(f"{clean(named, limit=40)}, which NIMBLE_WATCH_SESSION names, is not open: this goes to {session_id}")
    return session_id


def _joined(folder: Path) -> str:
    """Give the session that a script means, or begin one; of several scripts at once, one begins it for all."""
    session_id = _open_session(folder)
    if session_id is None:
        make_folders(folder)
        with locked(folder / JOURNALS / "begin.lock"):
            session_id = _open_session(folder) or _begin(folder, "manual", None).session_id
    return session_id


def _needed_session(folder: Path) -> str:
    session_id = _open_session(folder)
    if session_id is None:
        raise StoreError("no session is open", where=str(folder), advise="begin one with `nimble-watch session init`")
    return session_id


def _record(folder: Path, session_id: str, *records: Record) -> None:
    with Journal(journal_folder(folder, session_id), _writer()) as journal:
        for record in records:
            journal.append(record)
    catch_up(folder, session_id, now=time.time())


def end(folder: Path, result: str | None) -> int:
    """End the open session and print where its summary is."""
    session_id = _needed_session(folder)
    result = result or result_of(read_records(journal_folder(folder, session_id), []))
    session = end_session(folder, session_id, session_ended(result, time=time.time()), writer=_writer())
    print(f"{session.session_id} ended: {session.result}; summary in {folder / f'summary-{session_id}.txt'}")
    share_now(folder, session)
    return 0


def start_phase(told: Told) -> int:
    """Record that a phase began; without a session one is begun."""
    (phase,) = _words(told, "start-phase", least=1, most=1)
    session_id = _joined(told.folder)
    mark_phases(Claim(str(told.folder), session_id, joined=True, lock=None, warning=""))
    _record(told.folder, session_id, phase_started(clean(phase, limit=200), time=time.time()))
    return 0


def end_phase(told: Told) -> int:
    """Record that a phase ended, with its exit status."""
    phase, *rest = _words(told, "end-phase", least=1, most=2)
    status = rest[0] if rest else "0"
    if not (status.isascii() and status.isdigit()):
        raise UsageError(f"the exit status of {clean(phase, limit=200)} is {clean(status, limit=40)!r}, not a number")
    result = "success" if int(status) == 0 else "failure"
    record = phase_ended(clean(phase, limit=200), result=result, exit=int(status), time=time.time())
    _record(told.folder, _needed_session(told.folder), record)
    return 0


def log_obstacle(told: Told) -> int:
    """Record an obstacle with the guide's seven fields; without a session one is begun."""
    fields, folder = told.words, told.folder
    if not _NEEDED <= len(fields) <= len(_FIELDS):
        wanted = ", ".join(_FIELDS[:_NEEDED])
        raise UsageError(f"log-obstacle takes {wanted}, and then delay and cost; got {len(fields)}")
    texts = [clean_lines(text, limit=FIELD_LIMIT) for text in fields[:_NEEDED]]
    unknown: dict[str, str] = {}
    delay = _number(fields, 5, unknown, "time_delay_seconds")
    cost = _number(fields, 6, unknown, "cost_impact_usd")
    if delay is not None and delay < 0:
        _warn(f"the delay {delay} is negative; taken as unknown")
        delay, unknown["time_delay_seconds"] = None, f"{delay} was given"
    now = time.time()
    session_id = _joined(folder)
    obstacle_id = f"obs-{int(now)}-{os.getpid()}"
    if texts[1] == COST_VARIANCE:  # one that we computed from update-costs is the same trouble
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
        if isinstance(obstacle, dict) and obstacle.get("source") == "computed" and obstacle["type"] == COST_VARIANCE:
            return str(obstacle["id"])
    return None


def update_costs(told: Told) -> int:
    """Record the planned and the actual cost of an hour; more than a tenth above the plan is an obstacle."""
    if len(told.words) != 2:  # noqa: PLR2004  the plan and what it is
        raise UsageError("update-costs takes the estimated and the actual cost of an hour, in USD")
    unknown: dict[str, str] = {}
    planned, actual = (_cost(text, unknown) for text in told.words)
    folder = told.folder
    session_id = _joined(folder)
    now = time.time()
    costs = {"estimated_hourly": planned, "actual_hourly": actual}
    records = [costs_known({name: cost for name, cost in costs.items() if cost is not None}, given=True, time=now)]
    if planned is not None and actual is not None and (above := percent_above(planned, actual)):
        obstacle_id = _variance_id(folder, session_id) or f"obs-{int(now)}-{os.getpid()}"
        dearer = given_variance(obstacle_id, above, actual - planned, milliseconds(now))
        records.append(obstacle_logged(dearer, time=now))
    _record(folder, session_id, *records)
    return 0


def plan_costs(told: Told) -> int:
    """Record what the phase that runs plans to cost per hour; what `update-costs` says still wins."""
    hourly, *rest = _words(told, "plan-costs", least=1, most=2)
    session_id = _needed_session(told.folder)
    planned = None if hourly == _UNPRICED else _cost(hourly, {})
    if planned is None and hourly != _UNPRICED:
        raise UsageError("plan-costs takes an amount in USD per hour", advise=f"or `{_UNPRICED}`, and why")
    phase = clean(os.environ.get("NIMBLE_WATCH_PHASE", ""), limit=200)
    about = clean_lines(" ".join(rest), limit=FIELD_LIMIT)
    _record(told.folder, session_id, costs_planned(phase, planned, about, time=time.time()))
    return 0


def _cost(text: str, unknown: dict[str, str]) -> Decimal | None:
    cost = _number(["", "", "", "", "", "", text], 6, unknown, "cost")
    if cost is not None and cost < 0:
        _warn(f"the cost {cost} is negative; taken as unknown")
        return None
    return cost


def performance(folder: Path) -> int:
    """Bring the figures in the open session's file up to now, and print them."""
    session = refold(folder, _needed_session(folder), now=time.time())
    figures = session.performance
    score = figures.efficiency_score
    print(f"total_duration: {'n/a' if figures.total_duration is None else figures.total_duration}")
    print(f"obstacle_count: {figures.obstacle_count}")
    print(f"total_obstacle_time: {figures.total_obstacle_time}")
    print("efficiency_score: " + ("n/a" if score is None else f"{score}% ({band(score)[0]})"))
    return 0


EVENTS = {
    "init": Event(
        "[OPERATION]",
        "begin a session that stays open until `session end`; it is of OPERATION (default: manual)",
        {"--environment": "NAME"},
        init,
    ),
    "start-phase": Event("PHASE", "say that a phase begins", {}, start_phase),
    "end-phase": Event("PHASE [STATUS]", "say that a phase has ended, and its exit status (default: 0)", {}, end_phase),
    "log-obstacle": Event(
        "PHASE TYPE DESCRIPTION ROOT_CAUSE FIX [DELAY_SECONDS [COST_USD]]",
        "log an obstacle by hand; with --stdin its fields are read from standard input, each ended by a NUL",
        {"--stdin": ""},
        log_obstacle,
    ),
    "update-costs": Event(
        "ESTIMATED_HOURLY ACTUAL_HOURLY",
        "say what an hour was planned to cost, and what it costs (USD)",
        {},
        update_costs,
    ),
    "plan-costs": Event(
        "USD_PER_HOUR [WHAT]",
        "say what the phase that runs plans to cost per hour, and for what; `unpriced`, and why, where nobody knows",
        {},
        plan_costs,
    ),
}
"""What scripts tell, by the name of the subcommand."""
