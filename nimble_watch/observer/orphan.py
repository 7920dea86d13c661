"""When the launcher is gone: its child is stopped, as the launcher would have done it, and nothing is left running.

This is the one case in which we touch the child.  Where there is a terminal it is left alone, because the person in
front of it still holds it; with `--survive` too.  Then its end is awaited: it is no child of ours, so that is all which
can be seen of it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time

from nimble_watch.system.calls import watch_process
from nimble_watch.system.tree import below, send_all, still

_STEPS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
_LOOK = 0.05


class Child:
    """The phase's own process, and how to see its end without being its parent."""

    def __init__(self, pid: int, group: int | None) -> None:
        self.pid = pid
        self.group = group
        self._watched = watch_process(pid)  # opened while it is the launcher's child: later its number may be another's

    def forget(self) -> None:
        """Stop watching it."""
        if self._watched is not None:
            os.close(self._watched)
            self._watched = None

    def await_end(self) -> None:
        """Come back when it has ended."""
        if self._watched is not None:
            poll = select.poll()
            poll.register(self._watched, select.POLLIN)
            poll.poll()
            return
        family = {pid: started for pid, (started, _) in below({self.pid}, None).items() if pid == self.pid}
        while still(family):
            time.sleep(_LOOK)  # nothing tells us

    def stop(self, grace: float, told: str = "") -> None:
        """Stop it and all below it: INT, TERM, KILL, so many seconds apart, stopped processes continued first.

        What it was `told` already (INT or TERM) is not said again: it is given its time from now.
        """
        family: dict[int, str] = {}
        names = [step.name[3:] for step in _STEPS]
        first = names.index(told) if told in names[:-1] else 0
        for step in _STEPS[first:]:
            if step.name[3:] == told:
                family.update({pid: started for pid, (started, _) in below({self.pid}, self.group).items()})
            else:
                family.update(send_all(step, {self.pid, *still(family)}, self.group))
            until = time.monotonic() + grace
            while (left := self._left(family)) and time.monotonic() < until:
                time.sleep(_LOOK)  # processes that are no children of ours have no event to wait for
            if not left:
                return

    def _left(self, family: dict[int, str]) -> bool:
        if self.group is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.group, 0)
                return bool(below(set(), self.group)) or bool(still(family))
        return bool(still(family))
