"""A phase as the rules see it."""

from __future__ import annotations

from collections import deque

from nimble_watch.objects import Ref
from nimble_watch.signals import Output, PhaseEnded

_LINES_KEPT = 200


class Phase:
    """A phase as far as the rules care: when it ran, how it ended, the last lines it printed."""

    def __init__(self, name: str, started: float, argv: tuple[str, ...]) -> None:
        """Begin a phase at `started` (epoch seconds)."""
        self.name = name
        self.started = started
        self.argv = argv
        self.ended: PhaseEnded | None = None
        self.lines: deque[Output] = deque(maxlen=_LINES_KEPT)

    @property
    def ref(self) -> Ref:
        """The phase as the subject of a finding."""
        return Ref("Phase", "", self.name, self.name)
