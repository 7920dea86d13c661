"""A helm release is locked: an operation on it is under way, or was killed and left its mark.

Signal: a phase that failed has said at its end `another operation (install/upgrade/rollback) is in progress`; or, with
no complaint of a tool, `helm status` or `helm list` last showed `pending-install`, `pending-upgrade` or
`pending-rollback` in it.

Near misses: a release that is `failed`, which the next upgrade takes over; a name that is taken (helm-name-in-use); the
same words in an operator's log (`Reconciler error`), whose next attempt succeeds; a lock that the phase removed.

Verdict: terminal: helm has ended, and a lock that a killed helm left is never taken away by waiting.

Fix: see that nobody is at work on it; then `helm uninstall` what never was installed (pending-install), else `helm
rollback` to the revision before. Helm's error does not tell which of the two it is, so the command asks first.

Source: helm 3 and 4. The lock is in the release's Secret, which is never read here.
"""

from __future__ import annotations

import re

import msgspec

from nimble_watch.findings import Answers, Finding, Rule, Verdict
from nimble_watch.objects import Ref
from nimble_watch.rules._printed import Told, printed_rule, said_by_tool
from nimble_watch.scope import Reader, Release, from_argv
from nimble_watch.signals import Output
from nimble_watch.state import ClusterState, Phase

_WORDING = re.compile(r"another operation \(install/upgrade/rollback\) is in progress")
_STATUS = re.compile(r"STATUS: (?P<status>[a-z-]+)")
_ROW = re.compile(r"(?P<name>[a-z0-9][a-z0-9.-]*)\s+\S+\s+\d+\s+\S.*\s(?P<status>deployed|failed|pending-[a-z]+)\s")
_PENDING = ("pending-install", "pending-upgrade", "pending-rollback")


_LOCKED = Told(
    summary="the helm release is locked",
    cause="Another helm is at work on the release, or one was killed in the middle and left it pending.",
    fix="See that nobody is at work on it; then uninstall it if it never was installed, else roll it back.",
    command="helm list --all-namespaces --pending",
    signature="locked",
)


def _read(text: str) -> Told | None:
    return _LOCKED if _WORDING.search(text) else None


_printed = printed_rule("helm-locked", "deployment-failure", 9, _read)
says = said_by_tool(_read)


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give a finding for a phase that failed on a locked release, with the command that unlocks it."""
    phase = state.phases.get(subject.name)
    if phase is None or phase.ended is None or not phase.failed:
        return
    release = _release(phase, state)
    shown = _shown(phase, release[0] if release is not None else "")
    found = [answer for answer in _printed.recognise(subject, state, now) if isinstance(answer, Finding)]
    if not found and shown is not None and shown[1] in _PENDING and not phase.printed.last_words(phase.ended.at):
        found = [_from_status(subject, shown[0])]
    status = shown[1] if shown is not None else ""
    for finding in found:
        if release is None:
            yield finding
        else:
            name, namespace = release
            summary = f"helm release {name} in namespace {namespace} is locked"
            yield msgspec.structs.replace(finding, summary=summary, command=_unlock(name, namespace, status))


def _from_status(subject: Ref, line: Output) -> Finding:
    return Finding(
        subject=subject,
        verdict=Verdict.TERMINAL,
        summary=_LOCKED.summary,
        cause=_LOCKED.cause,
        evidence=line.line.strip(),
        fix=_LOCKED.fix,
        command=_LOCKED.command,
        since=line.at,
        signature=_LOCKED.signature,
    )


def _unlock(name: str, namespace: str, status: str) -> str:
    about = f"{name} -n {namespace}"
    if status == "pending-install":
        return f"helm uninstall {about}"
    if status in _PENDING:
        return f"helm rollback {about}"
    # A rollback is all that is tried where helm does not say pending-install: it cannot take away what is in use.
    return (
        f"if helm status {about} | grep -q 'STATUS: pending-install'; then helm uninstall {about}; "
        f"else helm rollback {about}; fi"
    )


def _release(phase: Phase, state: ClusterState) -> tuple[str, str] | None:
    """Give the one release that the phase is about, and its namespace; None where there are several, or none."""
    reader = Reader()
    evidence = [piece for argv in phase.commands for piece in from_argv(argv)]
    evidence += [piece for line in phase.lines for piece in reader.line(line.line)]
    named = [piece for piece in evidence if isinstance(piece, Release)]
    names = {piece.name for piece in named}
    spaces = {piece.namespace for piece in named if piece.namespace}
    if len(names) != 1 or len(spaces) > 1:
        return None
    default = state.cluster.namespace if state.cluster is not None else ""
    return names.pop(), spaces.pop() if spaces else default or "default"


def _shown(phase: Phase, release: str) -> tuple[Output, str] | None:
    """Give the line in which helm last showed the status of the release, and the status."""
    for line in reversed(phase.lines):
        if found := _STATUS.fullmatch(line.line.strip()):
            return line, found["status"]
        if (found := _ROW.match(line.line)) and found["name"] == release:
            return line, found["status"]
    return None


RULE = Rule(
    kind=_printed.kind,
    type=_printed.type,
    rank=_printed.rank,
    subjects=_printed.subjects,
    recognise=recognise,
)
