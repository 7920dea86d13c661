"""An image is still being pulled; nothing is wrong, but the clock runs.

Signal: a Normal event `Pulling` of a container for 30 s without `Pulled` or `Failed` after it; kubectl shows the pod as
ContainerCreating or Init:0/1 meanwhile.

Near misses: a pull that ended or failed meanwhile; a container that runs already (the event of its end was lost).

Verdict: information with its exact duration, never an obstacle: a NIM image of 12 GB takes minutes.

Fix: none needed; for the next time, pull ahead with a DaemonSet or keep the image in a registry of the same region.

Source: the kubelet gives no progress of a pull (kubernetes/enhancements#3542); `including waiting` in the event
`Pulled` is time in the queue behind another pull of the same node.
"""

from __future__ import annotations

import re

from nimble_watch.findings import Answers, Finding, LookAgain, Rule, Verdict
from nimble_watch.objects import Ref
from nimble_watch.rules._pods import describe, events_about, live, parts
from nimble_watch.rules._pull import pulling_since
from nimble_watch.rules._said import Said
from nimble_watch.state import ClusterState

_BUDGET = 30.0
_TOOK = re.compile(r'Successfully pulled image "[^"]*" in (\S+)(?: \((\S+) including waiting\))?')
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|us|µs|ns|s)")


def says(said: Said) -> bool:
    """Tell whether a message speaks of a pull that takes or took longer than its budget."""
    budget = said.budget or _BUDGET
    if took := _TOOK.search(said.message):
        return seconds_of(took.group(2) or took.group(1)) > budget
    return said.message.startswith('Pulling image "') and (said.age or 0.0) > budget


def seconds_of(text: str) -> float:
    """Give a duration as Go prints it (`3m53.35s`) in seconds."""
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give one finding per container whose image is being pulled for long, or when to look again."""
    pod = live(state, subject)
    if pod is None:
        return
    for part in parts(pod):
        since = pulling_since(state, subject, part)
        if since is None:
            continue
        if now < since + _BUDGET:
            yield LookAgain(since + _BUDGET)
            continue
        told = next(event for event in events_about(state, subject, part.name, "Pulling"))
        yield Finding(
            subject=subject,
            verdict=Verdict.INFO,
            summary=f"pulling {part.spec.image}",
            cause=f"Node {pod.spec.node_name or '(unknown)'} is still pulling {part.spec.image}.",
            evidence=told.message,
            fix="Wait: a pull of many gigabytes takes minutes.",
            command=describe(subject),
            since=since,
            container=part.name,
            signature=part.spec.image,
        )


RULE = Rule(
    kind="image-pull-slow",
    type="performance",
    rank=25,
    subjects=frozenset({"Pod"}),
    recognise=recognise,
)
