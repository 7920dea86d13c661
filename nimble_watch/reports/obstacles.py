"""The obstacles of many sessions: which kinds were met most often and cost most; by phase, environment and month."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from nimble_watch.reports import Report, View
from nimble_watch.reports._tally import (
    Tally,
    by_kind,
    dearest_first,
    kind_of,
    longest_first,
    most_often_first,
    tally,
)
from nimble_watch.reports._words import UNKNOWN, clock, cut, money, one_line
from nimble_watch.session import Obstacle, Session, stamp, whole_seconds
from nimble_watch.session.baseline import is_demo

_UNKNOWN = "unknown"
_KIND, _GROUP = 28, 14
"""Columns of a kind in its own table, and of what is grouped by."""


def _month(session: Session, _obstacle: Obstacle) -> str:
    return _UNKNOWN if session.start_ms is None else stamp(session.start_ms)[:7]


_GROUPS: dict[str, Callable[[Session, Obstacle], str]] = {
    "PHASE": lambda _session, obstacle: obstacle.phase or _UNKNOWN,
    "ENVIRONMENT": lambda session, _obstacle: session.environment or _UNKNOWN,
    "MONTH": _month,
}


def _render(sessions: Sequence[Session], view: View) -> str:
    real = [session for session in sessions if not is_demo(session)]
    kinds = by_kind(real)
    if not kinds:
        return f"No obstacle in {_many(len(real), 'session')}.\n"
    lines = [_head(real, len(sessions) - len(real)), *_leaders(kinds, view.width), "", *_kinds(kinds)]
    for name, group in _GROUPS.items():
        lines += ["", *_grouped(name, real, group, view.width)]
    if any(found.at_least for found in kinds.values()):
        lines += ["", "+ at least: something in it has no price"]
    return "\n".join(lines) + "\n"


def _head(sessions: Sequence[Session], demos: int) -> str:
    days = sorted(stamp(session.start_ms)[:10] for session in sessions if session.start_ms is not None)
    when = "" if not days else f", {days[0]}" if days[0] == days[-1] else f", {days[0]} to {days[-1]}"
    aside = f"; {_many(demos, 'demo')} left out" if demos else ""
    return f"What stood in the way in {_many(len(sessions), 'session')}{when}{aside}:"


def _leaders(kinds: Mapping[str, Tally], width: int) -> Iterator[str]:
    often, dear, long = most_often_first(kinds)[0], dearest_first(kinds)[0], longest_first(kinds)[0]
    yield cut(f"- most often: {often}, {_many(kinds[often].times, 'time')}", width)
    if kinds[dear].cost:
        yield cut(f"- dearest: {dear}, {money(kinds[dear].cost, at_least=kinds[dear].at_least)}", width)
    if kinds[long].delay_ms:
        yield cut(f"- longest: {long}, {_span(kinds[long])}", width)


def _kinds(kinds: Mapping[str, Tally]) -> Iterator[str]:
    wide = min(_KIND, max(4, *(len(kind) for kind in kinds)))
    yield f"{'KIND':<{wide}}  {'TIMES':>5}  {'SESSIONS':>8}  {'DELAY':>9}  {'COST':>10}"
    for kind in dearest_first(kinds):
        found = kinds[kind]
        name = cut(one_line(kind), wide)
        yield f"{name:<{wide}}  {found.times:>5}  {len(found.sessions):>8}  {_span(found):>9}  {_cost(found):>10}"


def _grouped(
    name: str, sessions: Sequence[Session], group: Callable[[Session, Obstacle], str], width: int
) -> Iterator[str]:
    """Give a line for each group: all of it, and its most frequent and its dearest kind."""
    whole = tally(sessions, lambda one, obstacle: one_line(group(one, obstacle)))
    kinds: dict[str, dict[str, Tally]] = defaultdict(dict)
    for key, found in tally(
        sessions, lambda one, obstacle: f"{one_line(group(one, obstacle))}\n{kind_of(obstacle)}"
    ).items():
        key_of_group, _, kind = key.partition("\n")
        kinds[key_of_group][kind] = found
    yield f"{name:<{_GROUP}} {'TIMES':>5} {'DELAY':>8} {'COST':>9}  {'MOST OFTEN':<19} DEAREST"
    for key in sorted(whole, reverse=True) if name == "MONTH" else dearest_first(whole):
        found = whole[key]
        often, dear = most_often_first(kinds[key])[0], dearest_first(kinds[key])[0]
        yield cut(
            f"{cut(one_line(key), _GROUP):<{_GROUP}} {found.times:>5} {_span(found):>8} {_cost(found):>9}  "
            f"{cut(one_line(often), 19):<19} {one_line(dear)}",
            width,
        )


def _span(found: Tally) -> str:
    return UNKNOWN if found.delay_ms is None else clock(whole_seconds(found.delay_ms))


def _cost(found: Tally) -> str:
    return money(found.cost) + ("+" if found.at_least else "")


def _many(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


REPORT = Report(name="obstacles", about="the kinds of obstacles, by phase, environment and month", render=_render)
