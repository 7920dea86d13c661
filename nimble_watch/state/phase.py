"""A phase as the rules see it."""

from __future__ import annotations

from collections import deque

from nimble_watch.objects import Ref
from nimble_watch.signals import Output, PhaseEnded
from nimble_watch.state.printed import Printed

_LINES_KEPT = 200
_COMMANDS_KEPT = 64
_LONG = 60.0
"""Seconds of silence after which even a line that means nothing is news."""


class Phase:
    """A phase as far as the rules care: when it ran, how it ended, the last lines it printed and what they mean.

    `observed` tells whether all that its command prints comes by us.
    """

    def __init__(self, name: str, started: float, argv: tuple[str, ...], *, observed: bool = False) -> None:
        """Begin a phase at `started` (epoch seconds)."""
        self.name = name
        self.started = started
        self.argv = argv
        self.observed = observed
        self.ended: PhaseEnded | None = None
        self.lines: deque[Output] = deque(maxlen=_LINES_KEPT)
        self.printed = Printed()
        self.commands: deque[tuple[str, ...]] = deque(maxlen=_COMMANDS_KEPT)
        self.runs(argv)

    @property
    def failed(self) -> bool:
        """Whether it has ended, and not by its own success or somebody's wish."""
        return self.ended is not None and self.ended.result in ("failure", "error", "timeout")

    def runs(self, argv: tuple[str, ...]) -> None:
        """Take note of a command that it runs."""
        self.commands.append(argv)
        self.printed.runs(" ".join(argv))

    def heard(self, output: Output) -> bool:
        """Take a line that it printed; tell whether that can change what a rule thinks of it."""
        before = self.printed.spoke
        self.lines.append(output)
        return self.printed.heard(output) or output.at - (before or self.started) >= _LONG

    @property
    def ref(self) -> Ref:
        """The phase as the subject of a finding."""
        return Ref("Phase", "", self.name, self.name)
