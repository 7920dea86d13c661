"""A phase failed, and nothing else explains why.

Signal: a phase's command ended with an exit status other than 0, by a signal, or at its time limit.

Near misses: a phase that was cancelled or skipped; a failure that an obstacle of another kind explains, which is then
told alone; a phase that succeeded although it printed errors.

Verdict: terminal: the command has ended.

Fix: read what it printed last; make's own `*** [target] Error 1` is only the echo of the line above it.

Source: the launcher, which saw the command end; the output as far as it could be looked at.
"""

from __future__ import annotations

import re

from nimble_watch.findings import Answers, Finding, Rule, Verdict
from nimble_watch.objects import Ref
from nimble_watch.rules._printed import telling
from nimble_watch.rules._said import Said
from nimble_watch.signals import PhaseEnded
from nimble_watch.state import ClusterState
from nimble_watch.state.printed import ECHO

_LEAVING = re.compile(r"^g?make(?:\[\d+\])?: (?:Leaving|Entering) directory")


def says(said: Said) -> bool:
    """Tell whether a message only says that a command failed."""
    text = said.message.strip()
    return said.where in ("output", "other") and bool(ECHO.search(text)) and not _LEAVING.match(text)


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give a finding for a phase that failed; it is dropped where anything else explains it."""
    del now
    phase = state.phases.get(subject.name)
    if phase is None or phase.ended is None or not phase.failed:
        return
    ended = phase.ended
    if (how := _how(ended)) is None:
        return  # we were killed and nobody saw its end: that is no fault of the phase
    yield Finding(
        subject=subject,
        verdict=Verdict.TERMINAL,
        summary=f"phase {subject.name} failed ({how})",
        cause=f"The command of phase {subject.name} ended with {how}; {_unexplained(state)}.",
        evidence=telling(phase.lines),
        fix="Read what the command printed last.",
        command="",
        since=ended.at,
        signature=how,
    )


def _unexplained(state: ClusterState) -> str:
    if state.cluster is None:
        return "no cluster was watched that could explain it"
    return "nothing seen in the cluster explains it"


def _how(ended: PhaseEnded) -> str | None:
    if ended.result == "timeout":
        return "its time limit"
    if ended.signal:
        return f"signal {ended.signal}"
    return None if ended.exit is None else f"exit status {ended.exit}"


RULE = Rule(
    kind="phase-failed",
    type="execution-error",
    rank=90,
    subjects=frozenset({"Phase"}),
    recognise=recognise,
)
