"""An init container fails, so the pod's own containers never start.

Signal: an init container's last state is terminated with an exit code other than 0 (`Init:Error`,
`Init:CrashLoopBackOff`).

Near misses: an init container that ended with 0, however often it was tried; one that was killed for its memory
(oom-killed); a sidecar, which is an init container that shall run on; one that is slow but runs.

Verdict: grace at first, terminal at the third failure, at the first with exit code 126 or 127, or when the pod is
never restarted and no Job has retries left.

Fix: read the init container's last lines, correct what they name.

Source: kubelet statuses.
"""

from __future__ import annotations

import re

from nimble_watch.findings import Answers, Finding, LookAgain, Rule
from nimble_watch.objects import Ref
from nimble_watch.rules._crash import Crash, crash_finding, crashes, ending, verdict_of
from nimble_watch.rules._said import Said
from nimble_watch.state import ClusterState

_ENOUGH = 3
_RESTARTING = re.compile(r"back-off (?:\S+ )?restarting failed container", re.IGNORECASE)
_ROW = re.compile(r"\bInit:(?:CrashLoopBackOff|Error|ExitCode:\d+)")


def says(said: Said) -> bool:
    """Tell whether a message says that an init container fails."""
    if said.where == "output":
        return bool(_ROW.search(said.message))
    if not said.init_container or said.last_reason in ("OOMKilled", "Completed") or said.exit_code == 0:
        return False
    return bool(_RESTARTING.search(said.message)) or (said.where == "terminated" and said.reason == "Error")


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give one finding per init container that fails, and when it may be past it."""
    for crash in crashes(subject, state, now):
        if isinstance(crash, LookAgain):
            yield crash
        elif crash.part.init and crash.reason != "OOMKilled":
            yield _finding(subject, state, crash)


def _finding(subject: Ref, state: ClusterState, crash: Crash) -> Finding:
    enough = 1 if crash.pod.spec.restart_policy == "Never" else _ENOUGH
    verdict = verdict_of(subject, state, crash, enough)
    times = "once" if crash.deaths == 1 else f"{crash.deaths} times"
    return crash_finding(
        subject,
        crash,
        verdict,
        summary=f"init container {crash.part.name} of {subject} fails",
        cause=f"Init container {crash.part.name} has failed {times}, last with {ending(crash)}; the pod cannot start.",
        fix="Read the init container's last lines and correct what they name.",
        signature=str(crash.exit_code),
    )


RULE = Rule(
    kind="init-failed",
    type="application-crash",
    rank=30,
    subjects=frozenset({"Pod"}),
    recognise=recognise,
)
