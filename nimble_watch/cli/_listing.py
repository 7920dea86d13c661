"""`session list`: which sessions, in which order, how many, and how they are shown."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice

from nimble_watch.errors import UsageError
from nimble_watch.session import Session
from nimble_watch.session.baseline import total_ms

OUTPUTS = {
    "table": "list",
    "wide": "wide",
    "obstacles": "obstacles",
    "json": "json",
    "yaml": "yaml",
    "csv": "csv",
    "name": "name",
}
"""Value of -o: the report that it stands for; `name` is no report."""

_NUMBER = 20
_DAY_MS = 86_400_000
_ORDERS: dict[str, Callable[[Session], Decimal | int | None]] = {
    "start": lambda session: session.start_ms,
    "duration": total_ms,
    "cost": lambda session: session.costs.session_total,
    "efficiency": lambda session: session.performance.efficiency_score,
    "obstacles": lambda session: session.performance.obstacle_count,
}


def configure(room: argparse.ArgumentParser) -> None:
    """Add the filters, the order and the ways of showing."""
    room.add_argument("-n", "--number", type=int, help=f"how many (default: {_NUMBER}; for obstacles and for 0: all)")
    room.add_argument(
        "-o",
        "--output",
        choices=tuple(OUTPUTS),
        default="table",
        help="table (default), wide: more columns; obstacles: which kinds were met most often and cost most, by phase, "
        "environment and month; json, yaml, csv, name: for programs",
    )
    configure_choice(room)


def configure_choice(room: argparse.ArgumentParser) -> None:
    """Add the order and the filters."""
    room.add_argument("--sort", choices=tuple(_ORDERS), help="the most of it first (default: the newest first)")
    for name in ("operation", "environment", "region"):
        room.add_argument(f"--{name}", metavar="NAME", help=f"only those of this {name}")
    room.add_argument(
        "--result", metavar="RESULT", help="only those that ended so (success, failure, error ...), or open"
    )
    room.add_argument("--kind", metavar="KIND", help="only those that met such an obstacle (its kind or type)")
    room.add_argument("--tag", metavar="TAG", help="only those with this tag")
    room.add_argument("--since", metavar="DATE", help="only those that began on this day (UTC, 2026-01-31) or later")
    room.add_argument("--until", metavar="DATE", help="only those that began on this day or earlier")


def choose(sessions: Iterable[Session], arguments: argparse.Namespace) -> Iterator[Session]:
    """Give the sessions that were asked for out of all, which come newest first and are read no further than needed."""
    since = _day("--since", arguments.since)
    until = _day("--until", arguments.until)
    wanted = (session for session in sessions if _fits(session, arguments) and _within(session, since, until))
    return islice(wanted if arguments.sort is None else _sorted(wanted, _ORDERS[arguments.sort]), number_of(arguments))


def number_of(arguments: argparse.Namespace) -> int | None:
    """Give how many sessions are asked for; None: all."""
    number = _usual_number(arguments) if arguments.number is None else max(0, arguments.number)
    return number or None


def filters(arguments: argparse.Namespace) -> dict[str, str | int]:
    """Give what was asked for by name; days as the milliseconds (epoch) from which on, and before which."""
    given = {name: getattr(arguments, name) for name in ("operation", "environment", "region", "result", "kind", "tag")}
    given["since"] = _day("--since", arguments.since)
    last = _day("--until", arguments.until)
    given["until"] = None if last is None else last + _DAY_MS
    return {name: value for name, value in given.items() if value is not None}


def _usual_number(arguments: argparse.Namespace) -> int:
    """Give how many are shown where nobody says it: what adds them up needs all of them."""
    return 0 if arguments.output == "obstacles" else _NUMBER


def _sorted(wanted: Iterable[Session], order: Callable[[Session], Decimal | int | None]) -> Iterator[Session]:
    known: list[tuple[Decimal | int, Session]] = []
    unknown: list[Session] = []
    for session in wanted:
        value = order(session)
        if value is None:
            unknown.append(session)
        else:
            known.append((value, session))
    known.sort(key=lambda entry: entry[0], reverse=True)
    yield from (session for _, session in known)
    yield from unknown


def _fits(session: Session, arguments: argparse.Namespace) -> bool:
    return all(wanted is None or wanted in found for wanted, found in _asked(session, arguments))


def _asked(session: Session, arguments: argparse.Namespace) -> Iterator[tuple[str | None, set[str | None]]]:
    yield arguments.operation, {session.operation}
    yield arguments.environment, {session.environment}
    yield arguments.region, {session.region}
    yield arguments.result, {"open" if session.state == "open" else session.result}
    yield arguments.kind, {name for one in session.obstacles for name in (one.kind, one.type)}
    yield arguments.tag, set(session.tags)


def _within(session: Session, since: int | None, until: int | None) -> bool:
    if since is None and until is None:
        return True
    at = session.start_ms
    return at is not None and (since is None or at >= since) and (until is None or at < until + _DAY_MS)


def _day(option: str, text: str | None) -> int | None:
    """Read a day and give its first millisecond."""
    if text is None:
        return None
    try:
        return round(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError as error:
        raise UsageError(f"{option} cannot read {text!r} as a day", advise="write it as 2026-01-31") from error
