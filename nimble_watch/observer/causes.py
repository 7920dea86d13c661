"""What really ended a phase, where its exit status does not tell: make's own words, and the kernel's want of memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nimble_watch.observer.makes import failed_recipe
from nimble_watch.session import Record, phase_cause
from nimble_watch.state.phase import Phase


def cause_of(fields: Mapping[str, Any], phase: Phase | None, at: float) -> Record | None:
    """Give the record, dated `at` (epoch seconds), of a phase whose end the launcher tells in `fields`."""
    if fields.get("result") == "success":
        return None
    record = failed_recipe(phase, at)
    killed = int(fields.get("memory_kills") or 0)
    if killed < 1:
        return record
    times = "a process" if killed == 1 else f"{killed} processes"
    memory = f"the kernel killed {times} of this memory cgroup meanwhile, because its memory ran out"
    if record is None:
        return phase_cause(str(fields["phase"]), None, None, fields.get("signal"), text=memory, time=at)
    return {**record, "text": f"{record['text']}; {memory}"}
