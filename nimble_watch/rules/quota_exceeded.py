"""A ResourceQuota of the namespace does not allow the pod.

Signal: event FailedCreate on a ReplicaSet, StatefulSet, DaemonSet or Job, `pods "..." is forbidden: exceeded quota:
Q, requested: ..., used: ..., limited: ...`, newest first; or the same text in what a phase that failed has printed.

Near misses: `failed quota: ... must specify ...` (a request is missing, no quota is full); a quota of the cloud
(LimitExceeded, QuotaExceeded); a controller that has all its pods by now; a Deployment scaled to zero.

Verdict: terminal when the request alone is more than the limit; else grace for 60 s, for what is used may be given
back.

Fix: raise the quota, delete what uses it, or ask for less. After that the controller tries again by itself, but its
back-off has doubled up to 1,000 s; a restart of the roll-out wakes it.

Source: API server admission; after a quota was raised, the pod came 33 s later in a trial.
"""

from __future__ import annotations

import re
from decimal import Decimal

from msgspec import Struct

from nimble_watch.findings import Answers, Finding, Rule, Verdict
from nimble_watch.objects import Ref
from nimble_watch.rules._pods import superseded
from nimble_watch.rules._quantity import quantity
from nimble_watch.rules._refused import MAKERS, refusal, refused_lines, said_refusal
from nimble_watch.rules._said import Said
from nimble_watch.state import ClusterState

_WORDING = re.compile(
    r"exceeded quota: (?P<quota>[^,]+), requested: (?P<requested>.+?), used: (?P<used>.+?), limited: (?P<limited>\S+)"
)
_EXCEEDED = re.compile(r"exceeded quota: ")
_GRACE = 60.0


class Overdrawn(Struct, frozen=True):
    """A resource of a quota that does not suffice; `never` when the request alone exceeds the limit."""

    quota: str
    resource: str
    requested: str
    used: str
    limited: str
    never: bool


def says(said: Said) -> bool:
    """Tell whether a message says that a quota of the namespace is used up."""
    return said_refusal(said, _EXCEEDED)


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give a finding for a controller, or a phase, whose pod a quota refuses."""
    del now
    if subject.kind == "Phase":
        for at, line in refused_lines(subject, state, _WORDING)[-1:]:
            yield _finding(subject, line, at, 1, final=True)
        return
    refused = refusal(subject, state)
    if refused is not None and _WORDING.search(refused.evidence):
        above = state.owner(subject)
        old = above is not None and superseded(state, subject, above)
        found = _finding(subject, refused.evidence, refused.since, refused.count, final=False)
        if not old:
            yield found


def _finding(subject: Ref, text: str, since: float, count: int, *, final: bool) -> Finding:
    over = overdrawn(text)
    verdict = Verdict.TERMINAL if over.never or final else Verdict.GRACE
    return Finding(
        subject=subject,
        verdict=verdict,
        summary=f"quota {over.quota} does not allow {over.requested} {over.resource}",
        cause=_cause(over),
        evidence=text,
        fix="Raise the quota, delete what uses it, or ask for less; then restart the roll-out to skip the back-off.",
        command=f"kubectl{_scope(subject)} describe resourcequota {over.quota}",
        since=since,
        deadline=since + _GRACE if verdict is Verdict.GRACE else None,
        count=count,
        signature=f"{over.quota} {over.resource}",
    )


def _scope(subject: Ref) -> str:
    return f" -n {subject.namespace}" if subject.namespace else ""


def _cause(over: Overdrawn) -> str:
    if over.never:
        return (
            f"The pod asks for {over.requested} {over.resource}, the quota allows {over.limited}: waiting cannot help."
        )
    return f"{over.used} of {over.limited} {over.resource} are used, the pod asks for {over.requested} more."


def overdrawn(text: str) -> Overdrawn:
    """Give the resource that is over its limit, of the several that the text may name."""
    found = _WORDING.search(text)
    if found is None:
        return Overdrawn("of the namespace", "", "", "", "", never=False)
    tables = [_table(found.group(name)) for name in ("requested", "used", "limited")]
    requested, used, limited = tables
    for name, amount in requested.items():
        asked, held, most = (quantity(table.get(name, "")) for table in tables)
        if asked is not None and most is not None and (held or Decimal()) + asked > most:
            return Overdrawn(found["quota"], name, amount, used.get(name, "?"), limited[name], never=asked > most)
    name = next(iter(requested), "")
    return Overdrawn(
        found["quota"], name, requested.get(name, "?"), used.get(name, "?"), limited.get(name, "?"), never=False
    )


def _table(text: str) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in text.rstrip(".").split(",") if "=" in entry)


RULE = Rule(
    kind="quota-exceeded",
    type="resource-quota",
    rank=10,
    subjects=MAKERS | {"Phase"},
    recognise=recognise,
)
