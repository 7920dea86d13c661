"""One session for people: its phases, what stood in the way, what it cost, and what to do about the largest cause."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from nimble_watch.prices import cents_text, hourly_text
from nimble_watch.reports import Report, View
from nimble_watch.reports._aims import against
from nimble_watch.reports._stops import stops_in, told
from nimble_watch.reports._words import (
    UNKNOWN,
    clock,
    counted,
    cut,
    money,
    paragraph,
    percent,
    seconds,
    to_type,
    when,
    within,
)
from nimble_watch.session import (
    COST_VARIANCE,
    Obstacle,
    Phase,
    Session,
    Standing,
    band,
    helped_before,
    is_counted,
    moment,
    whole_seconds,
)

_MOST_OBSTACLES = 20
_OUTCOMES = {
    "phase-ended": "until the phase ended",
    "removed": "until it was removed",
    "standing": "still standing",
    "superseded": "until it was replaced",
}
_A_SECOND_MS = 1_000
_OLDER_MS = 5_000  # trouble that much older than the obstacle began before the phase, and is told as such


def summary(session: Session, view: View | None = None) -> str:
    """Give the summary of a session, open or ended."""
    shown = View() if view is None else view
    parts = (_head, _phases, _obstacles, _waits, _score, _money, against, _advice, _billing)
    blocks = ["\n".join(lines) for part in parts if (lines := list(part(session, shown)))]
    return "\n\n".join(blocks) + "\n"


def _head(session: Session, view: View) -> Iterator[str]:
    yield f"=== SESSION SUMMARY: {session.session_id} ==="
    yield ""
    where = session.region or "region unknown"
    what = f"{session.operation or 'unknown operation'} in {session.environment or 'unknown environment'}"
    yield from within(f"{what}, {where}", view.width)
    figures = session.performance
    start = when(session.start_ms if session.start_ms is not None else moment(session.start_time))
    lasted = "" if figures.total_duration is None else f", {clock(figures.total_duration)}"
    if session.state == "open":
        yield f"Started {start}{lasted and f'{lasted} so far'}, still open"
    else:
        result = f": {session.result}" if session.result else ""
        yield f"Started {start}{lasted}{result}"
    if session.cluster and session.cluster.get("server"):
        context = session.cluster.get("context")
        seen = f"Cluster {session.cluster['server']}" + (f" (context {context})" if context else "")
        yield from within(seen, view.width)
    if session.tags:
        yield from paragraph("Tags", " ".join(session.tags), width=view.width, indent=0, column=8)
    for note in session.notes:
        yield from paragraph("Note", note, width=view.width, indent=0, column=8)


def _phases(session: Session, view: View) -> Iterator[str]:
    if not session.phases:
        yield "No phase ran." if session.performance.total_duration is not None else "No phase is known."
        return
    wide = max(12, min(28, max(len(name) for name in session.phases)))
    yield f"{'Phase':<{wide}} {'Duration':>9}  {'Result':<13}{'Obstacles':>9} {'Cost':>10}"
    aside = {obstacle.id for obstacle in session.obstacles if not is_counted(obstacle)}
    for name, phase in session.phases.items():
        lasted = _lasted(phase, session, view)
        count = sum(obstacle not in aside for obstacle in phase.obstacles)
        yield (
            f"{cut(name, wide):<{wide}} {lasted:>9}  {_result(phase, session):<13}{count:>9} "
            f"{money(phase.cost_usd):>10}"
        ).rstrip()
        if phase.cause is not None:
            yield from paragraph("because", _cause(phase), width=view.width)
        for note in _gaps(phase):
            yield from paragraph("note", note, width=view.width)
        for stop in stops_in(session, name, phase):
            yield from paragraph("fail-fast", told(stop), width=view.width)


def _gaps(phase: Phase) -> Iterator[str]:
    """Say where a phase's clock and its duration part."""
    if phase.paused_ms >= _A_SECOND_MS:
        yield f"it was stopped for {clock(whole_seconds(phase.paused_ms))} meanwhile, which is not in its duration"
    if phase.suspended_ms >= _A_SECOND_MS:
        yield f"the machine slept {clock(whole_seconds(phase.suspended_ms))} meanwhile, which is not in its duration"
    if abs(phase.clock_set_ms) >= _A_SECOND_MS:
        way = "forward" if phase.clock_set_ms > 0 else "back"
        by = clock(whole_seconds(abs(phase.clock_set_ms)))
        yield f"the machine's clock was set {way} by {by} meanwhile; all times here are by the one of the beginning"


def _lasted(phase: Phase, session: Session, view: View) -> str:
    """Give how long a phase took; of one that runs, how long it has taken so far."""
    runs = phase.duration is None and phase.end_ms is None and session.state == "open"
    if runs and view.now_ms is not None and phase.start_ms is not None:
        return seconds(whole_seconds(max(0, view.now_ms - phase.start_ms - phase.paused_ms)))
    return "running" if runs else seconds(phase.duration)


def _result(phase: Phase, session: Session) -> str:
    if phase.result is None:
        return "running" if session.state == "open" and phase.end_ms is None else "unknown"
    if phase.stopped == "fail-fast":
        return "stopped"
    if phase.result == "success" or (phase.exit is None and phase.signal is None):
        return phase.result
    how = f"signal {phase.signal}" if phase.signal else f"exit {phase.exit}"
    return how if phase.result == "failure" else phase.result


def _cause(phase: Phase) -> str:
    cause = phase.cause
    if cause is None:
        return ""
    if cause.command is None and cause.text:
        return cause.text
    how = ""
    if cause.signal:
        how = f" was ended by signal {cause.signal}"
    elif cause.exit is not None:
        how = f" ended with {cause.exit}"
    command = " ".join(cause.command or [])
    return ", ".join(part for part in (f"{command}{how}".strip(), cause.text or "") if part)


def _obstacles(session: Session, view: View) -> Iterator[str]:
    if not session.obstacles:
        yield "No obstacles." if session.performance.total_duration is not None else "No obstacle is known."
        return
    figures = session.performance
    count = len(session.obstacles)
    delay = "" if figures.total_obstacle_time is None else f", {clock(figures.total_obstacle_time)} of delay"
    told = sum(obstacle.time_delay_seconds or 0 for obstacle in session.obstacles if is_counted(obstacle))
    if figures.total_duration is not None and figures.total_obstacle_time == figures.total_duration < told:
        delay += f" (the whole session; told: {clock(told)})"
    aside = "" if counted(session) == count else f" (and {count - counted(session)} not counted)"
    yield from within(f"Obstacles: {counted(session)}{delay}{aside}", view.width)
    for number, obstacle in enumerate(session.obstacles[:_MOST_OBSTACLES], 1):
        yield from _obstacle(number, obstacle, view)
    if count > _MOST_OBSTACLES:
        yield f"  and {count - _MOST_OBSTACLES} more: nimble-watch session show {session.session_id}"


def _obstacle(number: int, obstacle: Obstacle, view: View) -> Iterator[str]:
    kind = obstacle.kind or obstacle.type or "unknown kind"
    subject = f", {obstacle.subject}" if obstacle.subject not in (None, "", f"phase {obstacle.phase}") else ""
    repeated = f" ({obstacle.count} times)" if obstacle.count > 1 else ""
    yield cut(f"  {number}. {kind} in {obstacle.phase or 'an unknown phase'}{subject}{repeated}", view.width)
    for label, text in (
        ("what", obstacle.description),
        (obstacle.said_by, obstacle.evidence),
        ("cause", obstacle.root_cause),
        ("helped" if obstacle.annotated else "fix", obstacle.fix),
        *(("before", text) for text in helped_before(obstacle.helped_before)),
    ):
        if text:
            yield from paragraph(label, text, width=view.width, indent=5)
    if obstacle.command:
        yield from to_type("run", obstacle.command, width=view.width, indent=5)
    delay = "an unknown delay" if obstacle.time_delay_seconds is None else f"{clock(obstacle.time_delay_seconds)} delay"
    cost = money(obstacle.cost_impact_usd) if obstacle.cost_impact_usd is not None else "cost unknown"
    opened = obstacle.intervals[0][0] if obstacle.intervals else None
    older = obstacle.since_ms is not None and opened is not None and obstacle.since_ms < opened - _OLDER_MS
    since = f", since {when(obstacle.since_ms)}" if older else ""
    outcome = "" if obstacle.outcome in (None, "logged") else f", {_OUTCOMES.get(obstacle.outcome, obstacle.outcome)}"
    yield from paragraph("impact", f"{delay}, {cost}{outcome}{since}", width=view.width, indent=5)
    if not is_counted(obstacle):
        yield "     not counted: a symptom of another, or perhaps not this session's"


def _waits(session: Session, view: View) -> Iterator[str]:
    done = [wait for wait in session.waits if wait.duration_ms is not None]
    if not done:
        return
    yield "Waits that were nobody's fault:"
    for wait in sorted(done, key=lambda wait: -(wait.duration_ms or 0))[:5]:
        what = f"{wait.what} {wait.subject or ''}".strip()
        detail = f" ({wait.detail})" if wait.detail else ""
        yield cut(f"  {clock((wait.duration_ms or 0) // 1000):>8}  {what}{detail}", view.width)


def _score(session: Session, view: View) -> Iterator[str]:
    score = session.performance.efficiency_score
    if score is None:
        reason = session.performance.unknown.get("efficiency_score", "not known")
        yield from within(f"Efficiency: {percent(score)} ({reason})", view.width)
    else:
        word, causes = band(score)
        # what fails at once meets no obstacle for long, and is no smooth execution all the same
        how = f"  {word} ({causes[:1].lower()}{causes[1:]})" if _went_well(session) else ""
        yield f"Efficiency: {percent(score)}{how}"


def _went_well(session: Session) -> bool:
    """Tell whether nothing failed, or nothing has so far."""
    results = [session.result] if session.result else [phase.result for phase in session.phases.values()]
    return all(result in (None, "success", "skip") for result in results)


def _money(session: Session, view: View) -> Iterator[str]:
    costs = session.costs
    so_far = " so far" if session.state == "open" else ""
    total = money(costs.session_total, at_least=costs.at_least)
    why = "" if costs.session_total is not None else f" ({costs.unknown.get('session_total', 'not known')})"
    marked = costs.sources.get("session_total")
    yield from within(f"Cost{so_far}: {total}{why}" + (f" ({marked})" if marked else ""), view.width)
    if costs.estimated_hourly is not None or costs.actual_hourly is not None:
        yield f"  per hour: {money(costs.actual_hourly)}, planned {money(costs.estimated_hourly)}"
    if costs.blocked_usd:
        yield f"  held up by obstacles: {money(costs.blocked_usd)}"
    if costs.minimums_usd:
        yield f"  billing minimums: {money(costs.minimums_usd)}"
    for gap in costs.unpriced:
        yield from paragraph("unpriced", gap, width=view.width, indent=2)
    if costs.price_source:
        dated = f" of {costs.price_date}" if costs.price_date else ""
        yield from within(f"  prices: {costs.price_source}{dated}", view.width)


def _advice(session: Session, view: View) -> Iterator[str]:
    """Say what to do about the obstacle that cost most: in money, else in time; else about what ended the session."""
    found = [obstacle for obstacle in session.obstacles if obstacle.root is None and is_counted(obstacle)]
    worst = max(found, key=_weight, default=None)
    if worst is None or (not any(_weight(worst)[1:3]) and session.result in ("success", None)):
        return
    lost = [clock(worst.time_delay_seconds)] if worst.time_delay_seconds else []
    lost += [money(_cost(worst))] if _cost(worst) else []
    how = ", ".join(lost) or (f"in {worst.phase}" if worst.phase else "")
    yield cut(f"Largest cause: {worst.kind or worst.type or worst.id}" + (f" ({how})" if how else ""), view.width)
    advice = worst.fix or worst.suggested_fix
    if advice:
        yield from paragraph("do", advice, width=view.width, indent=2, column=6)
    if worst.command:
        yield from to_type("run", worst.command, width=view.width, indent=2, column=6)
    for text in helped_before(worst.helped_before[:1]):
        yield from paragraph("or" if advice else "do", text, width=view.width, indent=2, column=6)


def _weight(obstacle: Obstacle) -> tuple[bool, Decimal, int, bool]:
    """Give how much an obstacle took; a plan that was too low stood in nobody's way, and what is terminal ended it."""
    stood = obstacle.type != COST_VARIANCE
    terminal = obstacle.verdict == "terminal"
    return stood, _cost(obstacle), obstacle.time_delay_seconds or 0, terminal


def _cost(obstacle: Obstacle) -> Decimal:
    """Give an obstacle's share of the cost; files of others know only what each held in all."""
    shared = obstacle.cost_attributed_usd
    return (obstacle.cost_impact_usd if shared is None else shared) or Decimal(0)


def _billing(session: Session, view: View) -> Iterator[str]:
    costs = session.costs
    for title, things, rate in (
        ("Stood before, not part of the total", costs.standing, costs.standing_hourly),
        ("STILL BILLING", costs.after, costs.after_session_hourly),
    ):
        if not things and not rate:
            continue
        yield f"{title}: {UNKNOWN if rate is None else hourly_text(rate)}"
        for thing in things:
            yield from _standing(thing, view)


def _standing(thing: Standing, view: View) -> Iterator[str]:
    rate = cents_text(thing.usd_per_hour) if thing.usd_per_hour is not None else f"unpriced: {thing.reason}"
    yield cut(f"  {thing.what}, {rate}", view.width)
    if thing.command:
        yield from to_type("end it", thing.command, width=view.width, indent=4, column=8)


def _render(sessions: Sequence[Session], view: View) -> str:
    return "\n".join(summary(session, view) for session in sessions)


REPORT = Report(name="summary", about="one session, for people to read", render=_render)
