"""One message on its own, as a person pastes it or a test has it, with what little is known around it.

The rules judge objects, but the wording by which they know a trouble must hold for a lone message too: for
`classify`, for lines that a phase prints, and for a test against messages that real clusters said.  So each rule
offers `says(said)` beside its recogniser, and both use the same parsers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

Where = Literal["event", "waiting", "terminated", "condition", "output", "log", "other"]


class Said(Struct, frozen=True, kw_only=True):
    """A message, where it stood, and the facts that came with it (None: not known).

    `involved` is the kind of the object it is about; `age` is seconds since it was first said; `budget` is the seconds
    that a probe or a pull may take; `threshold` is a probe's failureThreshold; `last_reason` is how the container ended
    last; `container_state` is Waiting, Running or Terminated.
    """

    message: str
    where: Where = "other"
    involved: str = ""
    reason: str = ""
    count: int = 1
    age: float | None = None
    budget: float | None = None
    exit_code: int | None = None
    threshold: int | None = None
    last_reason: str = ""
    container_state: str = ""
    init_container: bool = False

    @property
    def within_budget(self) -> bool:
        """Tell whether a probe may go on failing: neither its time nor its failureThreshold is known to be used up."""
        if self.age is not None and self.budget is not None:
            return self.age < self.budget
        return self.threshold is not None and self.count < self.threshold


Says = Callable[[Said], bool]
