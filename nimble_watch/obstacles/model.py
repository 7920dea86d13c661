"""What is kept of one trouble."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from nimble_watch.findings import Finding, Verdict
from nimble_watch.objects import Ref
from nimble_watch.scope import Belonging

Outcome = Literal["standing", "fixed", "removed", "superseded", "phase-ended", "withdrawn"]
What = Literal["opened", "updated", "closed", "dismissed", "waiting", "waited"]


class Symptom(Struct, frozen=True):
    """Something else that is wrong because of an obstacle: of which kind, where, in the cluster's own words."""

    kind: str
    subject: Ref
    evidence: str


class Obstacle(Struct, kw_only=True):
    """One trouble through time; seconds since the epoch on the API server's clock.

    `finding` is the newest one of its kind.  `since` is when the trouble began, perhaps long before the phase;
    `intervals` are when it stood in the way of a phase, the last one open while it stands.  `verdict` is the finding's,
    made terminal when its grace is over and held back where it is not surely ours.  `counts` tells whether it goes into
    the session: at once if terminal, else once it has lasted.  It is `withdrawn` when it turns out that it is not ours.
    """

    id: str
    kind: str
    type: str
    rank: int
    phase: str
    finding: Finding
    verdict: Verdict
    belonging: Belonging
    since: float
    subjects: dict[str, Ref] = field(default_factory=dict)
    intervals: list[tuple[float, float | None]] = field(default_factory=list)
    symptoms: list[Symptom] = field(default_factory=list)
    outcome: Outcome = "standing"
    root: str = ""
    counts: bool = False
    count: int = 1
    was_terminal: float | None = None
    frozen: bool = False

    @property
    def opened(self) -> float:
        """When it first stood in the way."""
        return self.intervals[0][0]

    @property
    def stands(self) -> bool:
        """Whether it stands now."""
        return bool(self.intervals) and self.intervals[-1][1] is None

    def stood(self, now: float) -> float:
        """Give the seconds for which it has stood in the way."""
        return sum((now if end is None else end) - start for start, end in self.intervals)


class Waiting(Struct, frozen=True, kw_only=True):
    """Something is waited for that is no fault, or not yet one: a pull, a model load, a scale-up."""

    kind: str
    subject: Ref
    summary: str
    evidence: str
    phase: str
    since: float
    ended: float | None = None
    deadline: float | None = None
    belonging: Belonging


class Change(Struct, frozen=True):
    """What became of an obstacle (as it is now; it goes on changing) or of a wait."""

    what: What
    at: float
    obstacle: Obstacle | None = None
    wait: Waiting | None = None
    why: str = ""
