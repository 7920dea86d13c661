"""What we say about an obstacle, in this order: what is wrong, the cluster's words, why, what to type, the cost."""

from __future__ import annotations

import time
from collections.abc import Sequence

from nimble_watch.findings import Verdict
from nimble_watch.obstacles import Obstacle, Waiting
from nimble_watch.prices import hourly_text
from nimble_watch.session import Standing, Stop

_EVIDENCE = 400
_LABEL = 9
_MOST_LEFT = 5
_WORTH_A_WORD = 10_000
"""Milliseconds that stopping a phase must have saved to be worth a line."""


def span(seconds: float) -> str:
    """Give a length of time as people say it: `45 s`, `14:20`, `1:02:03`, `3 days`."""
    whole = int(seconds + 0.5)
    if whole < 60:  # noqa: PLR2004  a minute
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:  # noqa: PLR2004  two days
        return f"{hours // 24} days"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def one_line(text: str, width: int = _EVIDENCE) -> str:
    """Give a text as one line, cut in its middle if it is too long: both ends of an error matter."""
    flat = " ".join(text.split())
    if len(flat) <= width:
        return flat
    tail = width // 2
    return f"{flat[: width - tail - 5]} ... {flat[-tail:]}"


def _row(label: str, text: str) -> str:
    return f"  {label:<{_LABEL}}{one_line(text)}"


def obstacle_block(obstacle: Obstacle, *, now: float, cost: str) -> list[str]:
    """Give the lines that tell a new obstacle; `cost` is what it holds per hour, in words."""
    finding = obstacle.finding
    count = f" ({obstacle.count} times)" if obstacle.count > 1 else ""
    lines = [f"{obstacle.kind}: {one_line(finding.summary)}{count}"]
    lines += [_row(finding.said_by, finding.evidence)] if finding.evidence else []
    lines += [_row("cause", finding.cause)] if finding.cause else []
    others = [symptom for symptom in obstacle.symptoms if symptom.subject != finding.subject]
    lines += [_row("hence", f"{symptom.kind} of {symptom.subject}") for symptom in others[:3]]
    lines += [_row("do", finding.fix)] if finding.fix else []
    lines += [_row("type", finding.command)] if finding.command else []
    lines.append(_row("waiting", patience(obstacle, now)))
    lines += [_row("cost", cost)] if cost else []
    return lines


def patience(obstacle: Obstacle, now: float) -> str:
    """Say whether waiting can help."""
    old = ""
    if obstacle.since < obstacle.opened - 1:
        began = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(obstacle.since))
        old = f"; it has been so since {began}, before this phase"
    deadline = obstacle.finding.deadline
    if obstacle.verdict is Verdict.TERMINAL:
        return f"does not help: somebody must change something{old}"
    doubt = "" if obstacle.belonging.sure else "; it may not be this phase's"
    if obstacle.verdict is Verdict.RECOVERS:
        return f"helps, but it is taking longer than it should{old}{doubt}"
    if deadline is not None and deadline > now:
        return f"may help; if not within {span(deadline - now)}, it will not{old}{doubt}"
    return f"may help{old}{doubt}"


def updated(obstacle: Obstacle, why: str, now: float) -> list[str]:
    """Give the lines for what became worse; mere repetitions are not worth one."""
    stood = span(obstacle.stood(now))
    if why == "terminal":
        return [f"{obstacle.kind}: {one_line(obstacle.finding.summary)}: after {stood}, waiting no longer helps"]
    if why == "again":
        return [f"{obstacle.kind}: {one_line(obstacle.finding.summary)}: it is back"]
    return []


def ended(obstacle: Obstacle, now: float, cost: str) -> list[str]:
    """Give the line that tells how an obstacle ended; nothing where the phase's summary says it."""
    stood = span(obstacle.stood(now))
    paid = f", {cost}" if cost else ""
    if obstacle.outcome == "fixed":
        return [f"{obstacle.kind}: fixed after {stood}{paid}"]
    if obstacle.outcome == "removed":
        return [f"{obstacle.kind}: its object was removed after {stood}, which fixed nothing{paid}"]
    if obstacle.outcome == "withdrawn":
        return [f"{obstacle.kind}: not this phase's after all: {one_line(obstacle.finding.summary, 160)}"]
    return []


def waiting_line(what: str, since: float, now: float, *, others: int, cost: str) -> str:
    """Give the line that is said now and then while something is waited for."""
    more = f" and {others} more" if others else ""
    paid = f", {cost} so far" if cost else ""
    return f"waiting for {span(now - since)}: {one_line(what, 160)}{more}{paid}"


def waited(wait: Waiting) -> list[str]:
    """Give the line that tells how long a wait took that was worth a word."""
    took = (wait.ended or wait.since) - wait.since
    return [f"after {span(took)}: {one_line(wait.summary, 160)}: over"] if took >= 60 else []  # noqa: PLR2004  a minute


def still_billing(left: Sequence[Standing]) -> list[str]:
    """Give the lines that tell what goes on costing money, and the command that ends it."""
    lines = []
    for one in left[:_MOST_LEFT]:
        rate = hourly_text(one.usd_per_hour) if one.usd_per_hour is not None else f"unpriced: {one.reason}"
        lines.append(f"still billing: {one.what}, {rate}")
        if one.command:
            lines.append(f"  {'end it':<{_LABEL}}{one.command}")
    if len(left) > _MOST_LEFT:
        lines.append(f"still billing: and {len(left) - _MOST_LEFT} more")
    return lines


def stopping(phase: str, why: str, number: str, *, after: float, grace: float, certain: str) -> list[str]:
    """Give the lines that tell that a phase is being ended: why, after how long, by which signal, what comes next."""
    if number != "INT":
        return [f"phase {phase} did not end within {span(grace)}: {number} now"]
    reasons = {
        "timeout": "its time is over (--timeout)",
        "fail-fast": f"{certain or 'an obstacle'} is certain, so waiting does not help (--fail-fast)",
        "budget": "its budget is used up",
        "cancellation": "the process that started nimble-watch is gone",
    }
    later = f"TERM in {span(grace)} and KILL {span(grace)} later (--kill-after), should it still be there"
    return [f"stopping phase {phase} after {span(after)}: {reasons.get(why, why)}", _row("next", f"INT now; {later}")]


def in_hindsight(stop: Stop) -> list[str]:
    """Give the line that tells what --fail-fast would have saved; nothing where it did stop, or had saved no time."""
    if stop.real or stop.mistake:
        return []
    moment = f"  --fail-fast would have stopped it after {span((stop.after_ms or 0) / 1000)} ({stop.kind})"
    if stop.saved_ms is None:
        return [f"{moment}; {stop.unknown.get('saved_seconds', 'what that had saved is not known')}"]
    if stop.saved_ms < _WORTH_A_WORD:
        return []
    return [f"{moment}, saved {span(stop.saved_ms / 1000)} {_saved_money(stop)}"]


def _saved_money(stop: Stop) -> str:
    why = stop.unknown.get("saved_usd", "")
    if stop.saved_usd is None:
        return f"and an unknown amount ({why or 'not metered'})"
    if not stop.saved_usd:
        return "and no money by itself: what bills would have gone on billing"
    return f"and {'at least ' if why else ''}${stop.saved_usd:.2f}"


def gave_up_wrongly(stop: Stop) -> list[str]:
    """Give the line that admits that something was called certain and was not."""
    after = "" if stop.ready_ms is None else f" {span((stop.ready_ms - stop.at_ms) / 1000)} later"
    did = "stopped" if stop.real else "would have stopped"
    return [f"{stop.kind}: --fail-fast {did} phase {stop.phase}, but {stop.subject} became ready{after}: our mistake"]
