"""A session against its targets: each one hit, missed, still open, or not known, and why.

What did not succeed did not do its work within its time, however soon it ended; a figure that is at least so much may
miss a target, but never hits it.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from nimble_watch.session.model import Phase, Session, Targets
from nimble_watch.session.times import whole_seconds

Outcome = Literal["hit", "missed", "so far", "unknown"]


class Aim(Struct, frozen=True):
    """One target: of what, in which unit (s, %, USD), how much at most (of %: at least), how much it was, the outcome.

    `why` says what a figure alone does not.
    """

    name: str
    unit: Literal["s", "%", "USD"]
    wanted: Decimal
    was: Decimal | None
    outcome: Outcome
    why: str = ""


def aims(session: Session, targets: Targets | None = None) -> Iterator[Aim]:
    """Hold a session against the targets that were in force when it began, else against those given."""
    wanted = session.targets or targets
    if wanted is None:
        return
    is_open = session.state == "open"
    for name, most in wanted.phases.items():
        runs = [(key, phase) for key, phase in session.phases.items() if key == name or key.startswith(f"{name}#")]
        if runs:  # a session of one phase is not asked for the others
            yield _phase(name, Decimal(most), runs[-1][1], is_open=is_open)
    if wanted.duration is not None:
        lasted = session.performance.total_duration
        ended_well = session.result in ("success", None)
        yield _time("total", Decimal(wanted.duration), lasted, ended_well=ended_well, is_open=is_open)
    if wanted.efficiency is not None:
        score = session.performance.efficiency_score
        outcome: Outcome = "unknown" if score is None else "hit" if score >= wanted.efficiency else "missed"
        if is_open and score is not None:
            outcome = "so far"
        yield Aim("efficiency", "%", wanted.efficiency, score, outcome)
    if wanted.cost_usd is not None:
        yield _cost(session, wanted.cost_usd, is_open=is_open)


def _phase(name: str, most: Decimal, phase: Phase, *, is_open: bool) -> Aim:
    """Judge the last run of a phase: it is the one that was to do the work in the end."""
    lasted = phase.duration
    if lasted is None and phase.duration_ms is not None:
        lasted = whole_seconds(phase.duration_ms)
    runs = is_open and phase.end_time is None and phase.result is None
    return _time(name, most, lasted, ended_well=phase.result in ("success", None), is_open=runs)


def _time(name: str, most: Decimal, lasted: int | None, *, ended_well: bool, is_open: bool) -> Aim:
    was = None if lasted is None else Decimal(lasted)
    if was is not None and was > most:
        return Aim(name, "s", most, was, "missed")
    if is_open:
        return Aim(name, "s", most, was, "so far")
    if not ended_well:
        return Aim(name, "s", most, was, "missed", "it did not succeed")
    return Aim(name, "s", most, was, "unknown" if was is None else "hit")


def _cost(session: Session, most: Decimal, *, is_open: bool) -> Aim:
    total = session.costs.session_total
    if total is None:
        return Aim("cost", "USD", most, None, "unknown", session.costs.unknown.get("session_total", ""))
    if total > most:
        return Aim("cost", "USD", most, total, "missed")
    if is_open:
        return Aim("cost", "USD", most, total, "so far")
    if session.costs.at_least:
        return Aim("cost", "USD", most, total, "unknown", "something in it has no price")
    return Aim("cost", "USD", most, total, "hit")


def missed(session: Session, targets: Targets | None = None) -> bool:
    """Tell whether a session missed any of its targets."""
    return any(aim.outcome == "missed" for aim in aims(session, targets))
