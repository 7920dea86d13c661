"""A phase prints nothing for ten minutes, and nothing changes where it works.

Signal: no line from its command for 10 minutes, and no object or event in the namespaces that it named.

Near misses: a phase whose output is not all seen (an inherited terminal); pods that are still on their way, whose own
rules know what is waited for; a phase that prints again.

Verdict: information: a long build or upload is silent too.  It is told as a wait, and never counted as an obstacle.

Fix: look what it does; end it (Ctrl-C) if it hangs, and give commands a limit of their own (--timeout,
--request-timeout).

Source: the output, and the cluster's watch; where that is not there, the output alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from nimble_watch.findings import Answers, Finding, LookAgain, Rule, Verdict
from nimble_watch.objects import Pod, Ref
from nimble_watch.rules._said import Said
from nimble_watch.scope import Evidence, Reader, Working, from_argv
from nimble_watch.state import ClusterState, Phase

_SILENT = 600.0
_RECHECK = 30.0


def says(said: Said) -> bool:
    """Tell that no message says so: this kind is the want of one."""
    del said
    return False


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give a wait for a phase of which there has been no sign for long, or when to look again."""
    phase = state.phases.get(subject.name)
    if phase is None or phase.ended is not None or not phase.observed:
        return
    last = phase.printed.spoke or phase.started
    if now < last + _SILENT:
        yield LookAgain(last + _SILENT)
        return
    spaces = sorted(set(_spaces(phase, state)))
    last = max([last, *(state.stirred(space) for space in spaces)])
    yield LookAgain(max(last + _SILENT, now + _RECHECK))
    if now < last + _SILENT or any(_on_its_way(pod) for space in spaces for pod in state.pods_in(space)):
        return
    where = f", and nothing changes in namespace {', '.join(spaces)}" if spaces and state.cluster else ""
    yield Finding(
        subject=subject,
        verdict=Verdict.INFO,
        summary=f"phase {subject.name} prints nothing{where}",
        cause="It may hang, or do something long without a word.",
        evidence=phase.lines[-1].line if phase.lines else "",
        fix="Look what it does; end it if it hangs, and give its commands a limit of their own.",
        command="ps -ef --forest",
        since=last,
        signature="silent",
    )


def _spaces(phase: Phase, state: ClusterState) -> Iterator[str]:
    """Give the namespaces that the phase has named, by its commands or in what it printed last."""
    for piece in _evidence(phase):
        if piece.namespace:
            yield piece.namespace
        elif isinstance(piece, Working) and state.cluster is not None:
            yield state.cluster.namespace


def _evidence(phase: Phase) -> Iterator[Evidence]:
    for argv in phase.commands:
        yield from from_argv(argv)
    reader = Reader(phase.argv)
    for line in phase.lines:
        yield from reader.line(line.line)


def _on_its_way(pod: Pod) -> bool:
    if pod.metadata.deletion_timestamp is not None or pod.status.phase == "Pending":
        return True
    statuses = pod.status.container_statuses or ()
    return pod.status.phase == "Running" and not all(status.ready for status in statuses)


RULE = Rule(
    kind="phase-silent",
    type="performance",
    rank=95,
    subjects=frozenset({"Phase"}),
    recognise=recognise,
)
