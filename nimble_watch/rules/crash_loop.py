"""A container starts and ends with an error, again and again.

Signal: a container's last state is terminated with an exit code other than 0, and it waits in CrashLoopBackOff
(`back-off 20s restarting failed container=c pod=p`), has just ended, or was restarted only moments ago.

Near misses: exit code 0; OOMKilled (oom-killed); an init container (init-failed); a container killed because a
startup or liveness probe failed; one that never started (StartError); an eviction; one that runs longer than last
time.

Verdict: grace at first, terminal at the third death, at the first with exit code 126 or 127, at the second when each
run took over 5 min (another model load costs as much again); grace while a Job has retries left.

Fix: read the container's last lines, correct what they name.

Source: kubelet statuses; three restarts of a container that crashes at once take 34 s.
"""

from __future__ import annotations

import re

from nimble_watch.findings import Answers, Finding, LookAgain, Rule
from nimble_watch.objects import Ref
from nimble_watch.rules._crash import Crash, crash_finding, crashes, ending, killed_by_probe, verdict_of
from nimble_watch.rules._said import Said
from nimble_watch.state import ClusterState

_ENOUGH = 3
_RESTARTING = re.compile(r"back-off (?:\S+ )?restarting failed container", re.IGNORECASE)
_ROW = re.compile(r"(?<!Init:)\bCrashLoopBackOff\b|\s\d+/\d+\s+Error\s")


def says(said: Said) -> bool:
    """Tell whether a message says that a container crashes."""
    if said.init_container or said.last_reason in ("OOMKilled", "Completed") or said.exit_code == 0:
        return False
    if said.where == "output":
        return bool(_ROW.search(said.message))
    if said.where == "terminated":
        return said.reason == "Error"
    return bool(_RESTARTING.search(said.message)) and said.reason in ("BackOff", "CrashLoopBackOff", "")


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give one finding per container that crashes, and when it may be past it."""
    for crash in crashes(subject, state, now):
        if isinstance(crash, LookAgain):
            yield crash
        elif _counts(crash) and not killed_by_probe(subject, state, crash):
            yield _finding(subject, state, crash)


def _counts(crash: Crash) -> bool:
    loops = crash.pod.spec.restart_policy != "Never"
    return loops and not crash.part.init and crash.reason != "OOMKilled"


def _finding(subject: Ref, state: ClusterState, crash: Crash) -> Finding:
    verdict = verdict_of(subject, state, crash, _ENOUGH)
    times = "once" if crash.deaths == 1 else f"{crash.deaths} times"
    return crash_finding(
        subject,
        crash,
        verdict,
        summary=f"container {crash.part.name} of {subject} crashes",
        cause=f"Container {crash.part.name} has ended {times}, last with {ending(crash)}.",
        fix="Read the container's last lines and correct what they name.",
        signature=str(crash.exit_code),
    )


RULE = Rule(
    kind="crash-loop",
    type="application-crash",
    rank=32,
    subjects=frozenset({"Pod"}),
    recognise=recognise,
)
