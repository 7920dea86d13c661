"""From what the observer follows to what the session keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nimble_watch.cleaning import clean_argv, clean_lines
from nimble_watch.metering import Meter
from nimble_watch.objects import Ref
from nimble_watch.obstacles import Obstacle, Waiting
from nimble_watch.session import Obstacle as Kept
from nimble_watch.session import Record, Wait, milliseconds, phase_ended, stamp

_MOST_SUBJECTS = 20
_MOST_WORDS, _LONGEST_WORD = 64, 500
_CORRECTED = 1.0


def where(reference: Ref) -> str:
    """Give an object as people find it again: kind, namespace and name."""
    if reference.kind == "Phase":
        return f"phase {reference.name}"
    space = f"{reference.namespace}/" if reference.namespace else ""
    return f"{reference.kind.lower()} {space}{reference.name}"


def kept(obstacle: Obstacle, meter: Meter, offset: float) -> Kept:
    """Give an obstacle as the session keeps it; `offset` is by how much the API server's clock is ahead of ours."""
    finding = obstacle.finding
    extra: dict[str, Any] = {"scope": {"level": obstacle.belonging.level.name.lower(), "sure": obstacle.belonging.sure}}
    if obstacle.belonging.why:
        extra["scope"]["why"] = obstacle.belonging.why
    if obstacle.symptoms:
        extra["symptoms"] = [
            {"kind": entry.kind, "subject": where(entry.subject), "evidence": clean_lines(entry.evidence)}
            for entry in obstacle.symptoms
        ]
    if obstacle.was_terminal is not None and obstacle.outcome == "fixed":
        extra["recovered_after_terminal"] = True
    sure = obstacle.belonging.sure
    void = obstacle.outcome in ("superseded", "withdrawn")  # its time is another one's, or nobody's
    return Kept(
        id=obstacle.id,
        phase=obstacle.phase,
        type=obstacle.type,
        kind=obstacle.kind,
        description=clean_lines(finding.summary),
        root_cause=clean_lines(finding.cause),
        fix=clean_lines(finding.fix),
        suggested_fix=clean_lines(finding.fix),
        command=clean_lines(finding.command) or None,
        evidence=clean_lines(finding.evidence) or None,
        timestamp=stamp(milliseconds(obstacle.opened - offset)),
        verdict=obstacle.verdict.value,
        source="watched",
        outcome=obstacle.outcome,
        subject=where(finding.subject),
        subjects=[where(subject) for subject in list(obstacle.subjects.values())[:_MOST_SUBJECTS]],
        count=obstacle.count,
        root=obstacle.root or None,
        since_ms=milliseconds(obstacle.since - offset),
        intervals=[] if void else [_span(start, end, offset) for start, end in obstacle.intervals],
        held=meter.held(obstacle.subjects.values()) if sure and not void else [],
        extra=extra,
    )


def _span(start: float, end: float | None, offset: float) -> tuple[int, int | None]:
    return milliseconds(start - offset), None if end is None else milliseconds(end - offset)


def wait(waiting: Waiting, offset: float) -> Wait:
    """Give a wait as the session keeps it."""
    return Wait(
        what=waiting.kind,
        phase=waiting.phase,
        subject=where(waiting.subject),
        detail=clean_lines(waiting.summary),
        start_ms=milliseconds(waiting.since - offset),
        end_ms=None if waiting.ended is None else milliseconds(waiting.ended - offset),
    )


def told_command(argv: list[str]) -> list[str]:
    """Give a command as the session keeps it: without its secrets, and cut where a script stands in it."""
    words = clean_argv(argv[:_MOST_WORDS], limit=_LONGEST_WORD)
    return words if len(argv) <= _MOST_WORDS else [*words, "…"]


def option(options: Mapping[str, Any], name: str) -> str:
    """Give an option that is a word, empty where it was not given."""
    value = options.get(name)
    return value if isinstance(value, str) else ""


def recorded_as(session_id: str, begun: Mapping[str, Any]) -> str:
    """Say under which name a session is kept, and where if that is not where sessions are looked for."""
    return f"recorded as {session_id}" + (f" in {begun['sessions']}" if begun.get("elsewhere") else "")


def end_of_phase(fields: Mapping[str, Any]) -> Record:
    """Give the launcher's word of a phase's end as the session keeps it; what NTP corrects all the time is nothing."""
    clock_set = float(fields.get("clock_set") or 0.0)
    return phase_ended(
        str(fields["phase"]),
        result=str(fields.get("result") or "error"),
        duration=fields.get("duration"),
        exit=fields.get("exit"),
        signal=fields.get("signal"),
        paused=float(fields.get("paused") or 0.0),
        suspended=float(fields.get("suspended") or 0.0),
        clock_set=clock_set if abs(clock_set) >= _CORRECTED else 0.0,
        stopped=fields.get("stopped"),
        time=float(fields["time"]),
    )
