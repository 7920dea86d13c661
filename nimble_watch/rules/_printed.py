"""What the rules about a phase's own output share: which of its complaints explains how it ended, or is repeated now.

A rule of this family is a reader: it takes a complaint's text and gives what it means, or nothing.  From that its
recogniser and its `says` are made, so that both know the same words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from msgspec import Struct

from nimble_watch.findings import Answers, Finding, LookAgain, Recognise, Rule, Verdict
from nimble_watch.objects import Ref
from nimble_watch.rules._said import Said, Says
from nimble_watch.signals import Output
from nimble_watch.state import ClusterState, Phase
from nimble_watch.state.printed import ECHO, Complaint

_AGAIN = 5.0
"""Seconds between the first and the last of the same complaints that make a repetition of them."""
_STALE = 120.0
"""Seconds after which a complaint that is not repeated was the last: the phase does something else by now."""

_TROUBLE = re.compile(
    r"\b(?:error|failed|fatal|denied|refused|cannot|unable|invalid|not found|forbidden|timed out|missing|no such"
    r"|does not exist|nothing was)\b",
    re.IGNORECASE,
)


class Told(Struct, frozen=True, kw_only=True):
    """What a complaint means, in the words of a finding; `evidence` if it is not the complaint's line."""

    summary: str
    cause: str
    fix: str
    command: str = ""
    signature: str = ""
    evidence: str = ""


Read = Callable[[str], Told | None]
"""Gives what a complaint means, if it is of the rule's kind."""


def said_by_tool(read: Read) -> Says:
    """Make a rule's `says`: whether a lone message, printed or pasted, is such a complaint."""

    def says(said: Said) -> bool:
        return said.where in ("output", "other") and read(said.message) is not None

    return says


def printed_rule(
    kind: str, type_: str, rank: int, read: Read, *, retried: bool = False, answerable: bool = False
) -> Rule:
    """Make a rule about a phase's output.

    `retried` if it is worth a word while the command tries again and again; `answerable` if it is over as soon as the
    server answers anything.
    """
    return Rule(
        kind=kind,
        type=type_,
        rank=rank,
        subjects=frozenset({"Phase"}),
        recognise=_recogniser(read, retried=retried, answerable=answerable),
    )


def _recogniser(read: Read, *, retried: bool, answerable: bool) -> Recognise:
    def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
        """Give a finding if such a complaint explains how the phase ended, or is repeated while it runs."""
        phase = state.phases.get(subject.name)
        if phase is None:
            return
        if phase.ended is not None:
            yield from _explaining(phase, read, phase.ended.at, answerable=answerable)
        elif retried:
            yield from _repeated(phase, read, now)

    return recognise


def _explaining(phase: Phase, read: Read, end: float, *, answerable: bool) -> Answers:
    if not phase.failed:
        return
    for complaint in phase.printed.last_words(end):
        if answerable and complaint.at < phase.printed.answered:
            return
        if (told := read(complaint.text)) is not None:
            since = min([complaint.at, *(one.at for one, _ in _series(phase, read, end))])
            yield _finding(phase, complaint, told, Verdict.TERMINAL, since=since)
            return


def _repeated(phase: Phase, read: Read, now: float) -> Answers:
    series = _series(phase, read, now)
    if not series:
        return
    last, told = series[-1]
    over = last.at + _STALE
    if now < over:
        yield LookAgain(over)
        if last.at - series[0][0].at >= _AGAIN:
            yield _finding(phase, last, told, Verdict.GRACE, since=series[0][0].at, count=len(series))


def _series(phase: Phase, read: Read, now: float) -> list[tuple[Complaint, Told]]:
    """Give the complaints of one kind that nothing has answered yet, oldest first, none too long after the other."""
    found: list[tuple[Complaint, Told]] = []
    at = now
    for complaint in reversed(phase.printed.complaints):
        if complaint.at < phase.printed.answered or at - complaint.at > _STALE:
            break
        if (told := read(complaint.text)) is not None:
            found.append((complaint, told))
            at = complaint.at
    return found[::-1]


def _finding(
    phase: Phase, complaint: Complaint, told: Told, verdict: Verdict, *, since: float, count: int = 1
) -> Finding:
    return Finding(
        subject=phase.ref,
        verdict=verdict,
        summary=told.summary,
        cause=told.cause,
        evidence=told.evidence or complaint.line.strip(),
        fix=told.fix,
        command=told.command,
        since=since,
        count=count,
        signature=told.signature,
    )


def telling(lines: Sequence[Output]) -> str:
    """Give the line that most likely tells the cause: the last that speaks of trouble and is no mere echo of it.

    A line that is set in belongs to one above it: what to try, a detail, somebody else's words that are quoted.
    """
    said = [line.line.rstrip() for line in lines if line.line.strip() and not ECHO.search(line.line.strip())]
    own = [line for line in said if not line[0].isspace()]
    found = _troubled(own) or _troubled(said) or own or said or [""]
    return found[-1].strip()


def _troubled(lines: list[str]) -> list[str]:
    return [line for line in lines if _TROUBLE.search(line)]
