"""A phase's own limit of time ran out: `timeout`, curl, or a script that counts the seconds.

Signal: a phase ended with exit status 124, as `timeout` gives it, also behind make's `Error 124`; or a phase that
failed has said last that something `did not become ready within 300s`, `timed out after 300 seconds` or `Operation
timed out`.

Near misses: helm's and kubectl's own waits (helm-timeout), the limit that nimble-watch was given; such words in the
middle of a phase, or of one that succeeded.

Verdict: terminal, since the command has ended; a symptom, replaced by whatever stood in its way.

Fix: what it waited for; where nothing stood in its way, allow it more time.

Source: coreutils and busybox timeout, curl; scripts.
"""

from __future__ import annotations

import re

from nimble_watch.findings import Answers, Finding, Rule, Verdict
from nimble_watch.objects import Ref
from nimble_watch.rules._printed import telling
from nimble_watch.rules._said import Said
from nimble_watch.state import ClusterState, Phase

_STATUS = 124
_WORDING = re.compile(
    r"(?:did not|didn't|failed to) (?:become|get|be|come) \w+ (?:with)?in \d+|timed? ?out after \d+ ?(?:s|m|ms)\w*"
    r"|curl: \(28\)|[Gg]a?ve up (?:waiting )?after \d+"
)
_RECIPE = re.compile(r"g?make(?:\[\d+\])?: \*\*\* \[[^\]]*\] Error 124$")
_OTHER = re.compile(r"condition|context deadline|probe|dial tcp|Pulling|Connect timeout|error=|level=")


def says(said: Said) -> bool:
    """Tell whether a message says that a script's own limit ran out."""
    return said.where in ("output", "other") and _says(said.message)


def _says(line: str) -> bool:
    return bool(_WORDING.search(line)) and not _OTHER.search(line)


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give a finding for a phase that ended because its own time was over."""
    del now
    phase = state.phases.get(subject.name)
    if phase is None or phase.ended is None or phase.ended.result != "failure":
        return
    last = telling(phase.lines)
    if not (_by_status(phase) or _says(last)):
        return
    waited = phase.ended.at - phase.started
    yield Finding(
        subject=subject,
        verdict=Verdict.TERMINAL,
        summary=f"phase {subject.name} ran out of its own time",
        cause=f"A limit within the phase was over, {waited:.0f} s after its start.",
        evidence=last or f"exit status {phase.ended.exit}",
        fix="Look at what it waited for; if that only needs more time, raise the limit.",
        command="kubectl get pods -A --field-selector status.phase!=Running",
        since=phase.ended.at,
        signature="timeout",
    )


def _by_status(phase: Phase) -> bool:
    if phase.ended is not None and phase.ended.exit == _STATUS:
        return True
    return any(_RECIPE.match(line.line) for line in list(phase.lines)[-5:])


RULE = Rule(
    kind="command-timeout",
    type="timeout",
    rank=82,
    subjects=frozenset({"Phase"}),
    recognise=recognise,
)
