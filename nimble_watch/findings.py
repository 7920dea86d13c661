"""Findings: what a rule sees in the cluster state at one moment, and how sure it is.

A finding has no history; `obstacles.py` follows it through time.  It is data without colour or width: how it is shown
is the business of console and reports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from nimble_watch.objects import Ref

if TYPE_CHECKING:
    from nimble_watch.state import ClusterState


SaidBy = Literal["cluster", "output"]
"""Where words came from: the API server, or what the phase's command wrote."""


class Verdict(StrEnum):
    """What waiting can do about it."""

    TERMINAL = "terminal"
    """Proven: someone must change something."""
    GRACE = "grace"
    """Terminal if it outlasts its deadline."""
    RECOVERS = "recovers"
    """Waiting helps; an obstacle only beyond its budget."""
    INFO = "info"
    """No fault; changes the clock, never an obstacle."""


class Finding(Struct, frozen=True, kw_only=True):
    """What is wrong with one object, why, and what to do.

    `since` and `deadline` are seconds since the epoch on the API server's clock; a `deadline` is when a grace or a
    budget ends.  `evidence` is the sentence of whoever `said_by` names, unabridged; `summary`, `cause` and `fix` are
    ours, one plain sentence each; `command` is the next command to type, or empty.  `because` names objects that this
    one suffers from (a node, a claim, a ReplicaSet that could not create the pod), nearest first, for the search of the
    root cause.  `wants_log` asks for the last lines of that container; `signature` tells two causes of one kind apart.
    """

    subject: Ref
    verdict: Verdict
    summary: str
    cause: str
    evidence: str
    fix: str
    command: str = ""
    since: float
    deadline: float | None = None
    container: str = ""
    count: int = 1
    because: tuple[Ref, ...] = ()
    wants_log: bool = False
    signature: str = ""

    @property
    def said_by(self) -> SaidBy:
        """Whose words the evidence is: of a phase itself nothing is known but its command's output."""
        return "output" if self.subject.kind == "Phase" else "cluster"


class LookAgain(Struct, frozen=True):
    """Nothing to say yet, but time alone may change that: ask about the same object again then (epoch seconds)."""

    at: float


Answers = Iterator[Finding | LookAgain]
Recognise = Callable[[Ref, "ClusterState", float], Answers]


class Rule(Struct, frozen=True, kw_only=True):
    """One kind of obstacle.

    `type` is a word of the session file's vocabulary (`image-pull`, `resource-quota`, ...).  `rank` puts causes before
    symptoms: of two findings linked by ownership or by `because`, the lower rank is the root.  `subjects` are the kinds
    of object (`Pod`, `Node`, ..., `Phase`) about which it is asked when they change; `recognise(subject, state, now)`
    is a pure function that yields what it sees: nothing, findings, or when to look again.
    """

    kind: str
    type: str
    rank: int
    subjects: frozenset[str]
    recognise: Recognise
