"""What make itself says of a recipe that failed: its own exit status is 2 whatever happened.

Source: GNU make's manual, "Errors in Recipes", and the lines that 4.3 and 4.4.1 print; 3.81 names no file and line.
"""

from __future__ import annotations

import re
import signal

from nimble_watch.session import Record, phase_cause
from nimble_watch.state.phase import Phase

_FAILED = re.compile(
    r"^g?make(?:\[(?P<level>\d+)\])?: \*\*\* \[(?P<where>[^]]+)\] "
    r"(?:Error (?P<exit>\d+)|(?P<signal>[A-Z][A-Za-z -]*?))(?: \(core dumped\))?$"
)
_SIGNALS = {signal.strsignal(number): number.name[3:] for number in signal.Signals}
_ECHO = 2


def failed_recipe(phase: Phase | None, at: float) -> Record | None:
    """Give the record (dated `at`, epoch seconds) of the recipe that failed last in a phase, if make spoke of one.

    A make that ended with 2 because one below it did is only the echo of that.
    """
    last: Record | None = None
    depth = 0
    for output in phase.lines if phase is not None else ():
        text = output.line.strip()
        found = _FAILED.match(text)
        if phase is None or found is None:
            continue
        code, name = int(found["exit"]) if found["exit"] else None, _SIGNALS.get(found["signal"])
        level = int(found["level"] or 0)
        if (code is None and name is None) or (last is not None and code == _ECHO and level < depth):
            continue
        last, depth = phase_cause(phase.name, None, code, name, text=text, time=at), level
    return last
