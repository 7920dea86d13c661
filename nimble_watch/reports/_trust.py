"""Beneath the guide's comparison: what the newest session is compared with, a verdict for each phase, and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from statistics import median

from nimble_watch.reports._tally import by_kind, delay_ms, kind_of, longest_first
from nimble_watch.reports._words import clock, cut, money
from nimble_watch.session import Session, is_counted, whole_seconds
from nimble_watch.session.baseline import (
    LEAST,
    MOST,
    TOTAL,
    Row,
    alike,
    likeness,
    phase_ms,
    rows,
    step,
    succeeded,
    total_ms,
)

_KINDS = 5
_FULL = 100


def trust(session: Session, sessions: Sequence[Session], *, width: int) -> Iterator[str]:
    """Give the lines: what it is compared with, the verdicts, the cause of most of the difference, steps, success."""
    like = alike(session, sessions)
    usual = [other for other in like if succeeded(other)]
    about = likeness(session)
    words = ", ".join(value for name, value in about.items() if value != "unknown")
    missing = ", ".join(name for name, value in about.items() if value == "unknown")
    yield f"{session.session_id} against those like it ({words}{f'; {missing} unknown' if missing else ''}):"
    if len(usual) < LEAST:
        yield f"- no verdict yet: it takes {LEAST} successful sessions like it; so far {len(usual) or 'none'}"
        yield from _unlike(session, sessions, like)
    else:
        compared = rows(session, usual)
        yield from _table(compared)
        if not succeeded(session) and session.state != "open":
            yield f"- as a whole it is not called faster or the same: it ended as {session.result}"
        yield from _why(session, usual, compared)
    yield from _steps(session, usual)
    if like:
        share = _FULL * len(usual) // len(like)
        yield f"- {len(usual)} of {len(like)} sessions like it went well ({share} %)"
    kinds = list(_kinds([session, *like], width))
    if kinds:
        yield ""
        yield "What stood in the way of sessions like it, the most time first:"
        yield from kinds


def _unlike(session: Session, sessions: Sequence[Session], like: Sequence[Session]) -> Iterator[str]:
    """Say in what the other sessions differ, so that nobody wonders why they do not count."""
    wanted, known = likeness(session), {other.session_id for other in like} | {session.session_id}
    differing = Counter(
        next(name for name, value in likeness(other).items() if value != wanted[name])
        for other in sessions
        if other.session_id not in known and likeness(other) != wanted
    )
    for name, count in differing.most_common():
        yield f"- not comparable: {count} with another {name.removesuffix('s')}"


def _table(compared: Sequence[Row]) -> Iterator[str]:
    wide = max(12, min(28, max(len(row.name) for row in compared)))
    yield f"{'Phase':<{wide}} {'This':>9} {'Usual':>9} {'Up to':>9}  Verdict"
    for row in compared:
        usual, most = ("n/a", "n/a") if row.usual is None else (_span(row.usual.center), _span(row.usual.high))
        this = "n/a" if row.value is None else _span(row.value)
        yield f"{cut(row.name, wide):<{wide}} {this:>9} {usual:>9} {most:>9}  {row.verdict}"


def _why(session: Session, usual: Sequence[Session], compared: Sequence[Row]) -> Iterator[str]:
    """Name the phase that explains most of the difference, and the obstacle that held it up."""
    total = next(row for row in compared if row.name == TOTAL)
    if total.verdict not in ("faster", "slower") or total.usual is None or total.value is None:
        return
    sign = 1 if total.verdict == "slower" else -1
    apart = [
        (sign * (row.value - row.usual.center), row.name)
        for row in compared
        if row.name != TOTAL and row.usual is not None and row.value is not None
    ]
    most, name = max(apart, default=(0.0, ""))
    whole = sign * (total.value - total.usual.center)
    if most * 2 < whole:
        name, most = "", whole
    word = "more" if sign > 0 else "less"
    subject = f"{name} explains most of it" if name else "no phase explains most of it"
    yield f"- {subject}: {_span(most)} {word} than usual"
    delays = _delays(session, name)
    if sign > 0 and delays:
        kind, delay = max(delays.items(), key=lambda entry: entry[1])
        before = median([_delays(other, name).get(kind, 0) for other in usual[:MOST]])
        if delay > before:
            yield f"- {kind} held it up for {_span(delay)}; usually for {_span(before)}"


def _delays(session: Session, phase: str) -> dict[str, int]:
    """Give, by kind, how long obstacles held up a phase (without a name: all of them), in milliseconds."""
    found: dict[str, int] = defaultdict(int)
    for obstacle in session.obstacles:
        if is_counted(obstacle) and (not phase or obstacle.phase == phase):
            found[kind_of(obstacle)] += delay_ms(obstacle) or 0
    return {kind: delay for kind, delay in found.items() if delay > 0}


def _steps(session: Session, usual: Sequence[Session]) -> Iterator[str]:
    """Say where a phase, or the whole, became slower or faster for good."""
    series: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for one in (*reversed(usual), *([session] if succeeded(session) else [])):
        for name, lasted in phase_ms(one):
            series[name].append((one.session_id, lasted))
        if (lasted_in_all := total_ms(one)) is not None:
            series[TOTAL].append((one.session_id, lasted_in_all))
    for name, values in series.items():
        found = step([value for _, value in values])
        if found is None or not found.before:
            continue
        change = round(100 * (found.after - found.before) / found.before)
        word = "slower" if change > 0 else "faster"
        ago = len(values) - found.at
        yield f"- {name} is {abs(change)} % {word} since {values[found.at][0]}, {ago} sessions ago"


def _kinds(sessions: Sequence[Session], width: int) -> Iterator[str]:
    """Give the kinds of obstacle that cost most, each with how often, how long and how much."""
    met = by_kind(sessions)
    for kind in longest_first(met)[:_KINDS]:
        found = met[kind]
        times = "once" if found.times == 1 else f"{found.times} times"
        took = "an unknown delay" if found.delay_ms is None else _span(found.delay_ms)
        cost = money(found.cost, at_least=found.at_least)
        yield cut(f"- {kind}: {times}, {took}, {cost}", width)


def _span(milliseconds: float) -> str:
    return clock(whole_seconds(round(milliseconds)))
