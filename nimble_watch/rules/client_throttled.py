"""A client's own rate limiter held its requests back for longer than they were given.

Signal: a phase that failed within its first minute has said at its end `client rate limiter Wait returned an error:
context deadline exceeded`.

Near misses: the same words after more than a minute, which only say that a wait ran out (helm-timeout); `Waited for
1.2s due to client-side throttling`, which is information; a phase that got over it.

Verdict: terminal, since the command has ended; the cluster itself is well, and another try mostly gets through.

Fix: run it again; fewer objects at once, or higher --qps and --burst-limit, where it comes back.

Source: client-go's flow control; helm 3 and 4, Flux.
"""

from __future__ import annotations

import re

from nimble_watch.findings import Answers, Rule
from nimble_watch.objects import Ref
from nimble_watch.rules._printed import Told, printed_rule
from nimble_watch.rules._said import Said
from nimble_watch.state import ClusterState

_WORDING = re.compile(r"client rate limiter Wait returned an error")
_LONG = 60.0


def _read(text: str) -> Told | None:
    if _WORDING.search(text) is None:
        return None
    return Told(
        summary="the command's own rate limiter ran out of time",
        cause="The client held its own requests back, because it made many at once, until their time was over.",
        fix="Run it again; if it comes back, raise the client's limits (helm: --qps and --burst-limit).",
        signature="limiter",
    )


def says(said: Said) -> bool:
    """Tell whether a message is of a client's limiter that ran out of time early."""
    early = said.age is None or said.age <= _LONG
    return said.where in ("output", "other") and early and _read(said.message) is not None


_BASE = printed_rule("client-throttled", "performance", 70, _read)


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give a finding for a phase that failed early because its client held itself back."""
    phase = state.phases.get(subject.name)
    if phase is not None and phase.ended is not None and phase.ended.at - phase.started <= _LONG:
        yield from _BASE.recognise(subject, state, now)


RULE = Rule(kind="client-throttled", type="performance", rank=70, subjects=frozenset({"Phase"}), recognise=recognise)
