"""What --fail-fast did, would have done, and got wrong: for one phase, and over the whole history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nimble_watch.reports._words import clock, money
from nimble_watch.session import Phase, Session, Stop

_MOST_NAMED = 3


def stops_in(session: Session, name: str, phase: Phase) -> list[Stop]:
    """Give the stops of one run of a phase; a repetition (`install#2`) is told by its time."""
    begun = phase.start_ms if phase.start_ms is not None else 0
    ended = phase.end_ms if phase.end_ms is not None else 2**62
    return [s for s in session.stops if s.phase == name.partition("#")[0] and begun <= s.at_ms <= ended]


def told(stop: Stop) -> str:
    """Give what is to be said of a stop, in one sentence."""
    after = "" if stop.after_ms is None else f" after {clock(stop.after_ms // 1000)}"
    did = "stopped it" if stop.real else "would have stopped it"
    sentence = f"--fail-fast {did}{after}: {stop.kind} of {stop.subject or 'an unknown object'} was certain"
    if stop.mistake:
        later = "" if stop.ready_ms is None else f" {clock((stop.ready_ms - stop.at_ms) // 1000)} later"
        return f"{sentence}, wrongly: it became ready{later}"
    if stop.real:
        return sentence
    if stop.saved_seconds is None:
        return f"{sentence}; {stop.unknown.get('saved_seconds', 'what that had saved is not known')}"
    why = stop.unknown.get("saved_usd", "")
    amount = f"an unknown amount ({why or 'not metered'})" if stop.saved_usd is None else _amount(stop, gap=bool(why))
    return f"{sentence}, saved {clock(stop.saved_seconds)} and {amount}"


def _amount(stop: Stop, *, gap: bool) -> str:
    none = not stop.saved_usd and not gap
    return "no money by itself" if none else money(stop.saved_usd, at_least=gap)


def advice(sessions: Iterable[Session]) -> str:
    """Say whether the history speaks for --fail-fast; empty where it holds no stop at all.

    It is recommended only to those whose history shows stops and not one mistake.
    """
    stops = [(session.session_id, stop) for session in sessions for stop in session.stops]
    if not stops:
        return ""
    wrong = [(session_id, stop) for session_id, stop in stops if stop.mistake]
    real = sum(stop.real for _, stop in stops)
    counted = _count(len(stops) - real, "would-be stop")
    if real:
        counted += f" and {_count(real, 'real one')}"
    if not wrong:
        return f"fail-fast: {counted}, 0 mistakes: recommended"
    where = _names(list(dict.fromkeys(session_id for session_id, _ in wrong)))
    return f"fail-fast: {counted}: not recommended: {len(wrong)} of {len(stops)} later became ready ({where})"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _names(sessions: Sequence[str]) -> str:
    more = f" and {len(sessions) - _MOST_NAMED} more" if len(sessions) > _MOST_NAMED else ""
    return ", ".join(sessions[:_MOST_NAMED]) + more
