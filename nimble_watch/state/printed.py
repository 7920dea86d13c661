"""What tools print about themselves, told from all other lines by its form: a complaint, or a sign that work went on.

A phase's output is mostly somebody else's: logs of containers, tables, texts of a script.  Only a line that begins as
kubectl, helm, make, a shell, Terraform or the OCI tools begin their own errors is a complaint; what it means is for the
rules to say.  A complaint counts for nothing once the phase went on all the same.
Forms: kubectl 1.20 to 1.36, helm 3 and 4, GNU make 3.81 to 4.4, dash, bash, zsh, busybox, OCI CLI and SDK for Python.
"""

from __future__ import annotations

import re
from collections import deque

from msgspec import Struct, field

from nimble_watch.signals import Output

_KEPT = 64
_MORE = 30
_LINE = 8192
_ONE_COMMAND = 0.25
"""Seconds within which a script, or a tool around a tool, says again in its own words what has just been said."""
_LAST_WORDS = 30.0
"""Seconds before a phase's end in which the words that explain it are said; what comes after are pods and clean-up."""
_GRAIN = 0.05
"""Seconds by which two lines of one command may be read in the wrong order, as they come through two pipes."""

LEAD = r"\s*(?:[│|]\s*)?(?:##\[error\]\s*)?(?:\S+ \((?:local|remote)-exec\):\s*)?"
"""What frames put before a line: Terraform's boxes and provisioners, a CI system's mark."""

OCI_CODES = (
    "NotAuthenticated|(?:RelatedResource)?NotAuthorizedOrNotFound|TooManyRequests|LimitExceeded|QuotaExceeded"
    "|OutOfHostCapacity"
)
"""Codes that no other service than OCI is likely to answer with."""

ECHO = re.compile(
    r"^(?:g?make(?:\[\d+\])?: (?:\*\*\* |Leaving directory|Entering directory)"
    r"|.*\bProcess completed with exit code [1-9]|.*\bexited with (?:exit )?code '?[1-9]"
    r"|ERROR: Job failed: exit (?:code|status)"
    r"|command terminated with (?:non-zero )?exit code|(?:Error: )?exit status [1-9])"
)
"""What only says again that a command failed."""

_MAKE_OWN = re.compile(
    r"g?make(?:\[\d+\])?: \*\*\* (?!\[|Waiting for unfinished|Deleting )|\S+:\d+: \*\*\* |g?make(?:\[\d+\])?: \S+: "
)
_PLAIN = re.compile(LEAD + r"(?:Error|ERROR): ")
_TOOLS = re.compile(
    LEAD + r"(?:error: |Error from server|Error in configuration: |Unable to connect to the server|The connection to "
    r"the server |You must be logged in|The \S+ \"[^\"]+\" is invalid|Internal error occurred|unable to recognize |"
    r"Please enter Username: error|(?:Error: )?(?:INSTALLATION|UPGRADE|ROLLBACK|UNINSTALL\w*) FAILED|"
    r"Error: (?:kubernetes|Kubernetes) cluster unreachable|Error response from daemon|"
    r"(?:Error: )?\d{3}-[A-Z]\w+|(?:Transient)?ServiceError:|oci\.exceptions\.|"
    rf"(?:\{{.*)?['\"]code['\"]: *['\"](?:{OCI_CODES})\b|"
    r"✗ |resource mapping not found)"
)
_SHELL = re.compile(
    r"(?:-?(?:/\S*/)?(?:ba|z|da|a|k|fi)?sh|env|timeout|xargs|nohup|sudo|time|exec|\S+\.sh|\S+/\S+): (?:line )?.*"
    r"(?:not found|Permission denied|No such file or directory|cannot execute|Unknown command)"
)
_WENT_ON = re.compile(
    r"[a-z]+(?:\.[a-z0-9.-]+)?/\S+ (?:created|configured|unchanged|serverside-applied|patched|scaled|restarted|replaced"
    r"|condition met|rolled back|image updated|env updated)$"
    r"|[a-z]+(?:\.[a-z0-9.]+)? \"[^\"]+\" successfully rolled out"
    r"|STATUS: deployed$|Release \"[^\"]+\" has been upgraded\.|Rollback was a success!"
)
_ANSWERED = re.compile(
    r"NAME\s+[A-Z]|NAMESPACE\s+NAME|No resources found|[a-z]+(?:\.[a-z0-9.]+)? \"[^\"]+\" (?:force )?deleted"
    r"|\S+/\S+ (?:labeled|annotated)|Waiting for [a-z]+ \"|release \"[^\"]+\" uninstalled"
    r"|Error from server \((?:NotFound|AlreadyExists|Conflict|Invalid|BadRequest)\)"
)
_FAILED_RECIPE = re.compile(r"g?make(?:\[\d+\])?: \*\*\* \[[^\]]*\] (?:Error|Segm|Kill|Term|Hang|Inter|Abort)")
_IGNORED = re.compile(r"g?make(?:\[\d+\])?: \[[^\]]*\] .* \(ignored\)$")
_TAILING = re.compile(r"\b(?:kubectl|oc)\b.*\blogs?\b.* (?:-f|--follow)\b|\bstern\b|\b(?:docker|podman) logs\b.* -f\b")
_JSON_BEGINS = re.compile(r"(?:Transient)?ServiceError:\s*$")


class Complaint(Struct):
    """A line in which a tool says that it could not do something, and what it said with it on the lines below.

    `plain` is one that begins as a script's own message might begin, too.
    """

    at: float
    line: str
    plain: bool = False
    more: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join([self.line, *self.more])


class Printed:
    """What matters of a phase's output: its complaints that still stand, and when it last got on."""

    def __init__(self) -> None:
        """Begin before the first line."""
        self.complaints: deque[Complaint] = deque(maxlen=_KEPT)
        self.answered = 0.0
        """When a server last answered one of the phase's tools (epoch seconds)."""
        self.spoke: float | None = None
        """When the phase last printed anything."""
        self.tailing = False
        """Whether the phase passes on the log of somebody else, whose words may look like those of a tool."""
        self._went_on = 0.0
        self._pinned: list[Complaint] = []
        self._open: Complaint | None = None

    def heard(self, output: Output) -> bool:
        """Take a line in; tell whether it can change what a rule thinks of the phase."""
        self.spoke = output.at
        line = output.line[:_LINE]
        self.runs(line)
        if (plain := _complains(line)) is not None and not (self.tailing and output.stream == "stdout"):
            if _ANSWERED.match(line):
                self.answered = output.at
            return self._complain(output.at, line, plain=plain)
        if _IGNORED.match(line):
            self.complaints.clear()
        elif _FAILED_RECIPE.match(line):
            self._pinned = self._candidates(output.at) or self._pinned
        elif _WENT_ON.match(line):
            self._went_on = self.answered = output.at
        elif _ANSWERED.match(line):
            self.answered = output.at
        else:
            if self._open is not None and len(self._open.more) < _MORE:
                self._open.more.append(line)
            return False
        self._open = None
        return True

    def runs(self, command: str) -> None:
        """Take note of a command that the phase runs."""
        if not self.tailing and ("log" in command or "stern" in command) and _TAILING.search(command):
            self.tailing = True

    def last_words(self, end: float) -> list[Complaint]:
        """Give the complaints that may explain why a phase failed at `end`, the last one first.

        It is the last complaint, or the one that it repeats in other words.  What the phase got over explains nothing,
        unless make itself says that a recipe failed by it.
        """
        said = self._candidates(end)
        newer = said and self._pinned and said[0].at > self._pinned[0].at
        return said if newer or not self._pinned else self._pinned

    def _candidates(self, end: float) -> list[Complaint]:
        found: list[Complaint] = []
        for complaint in reversed(self.complaints):
            if complaint.at < self._went_on - _GRAIN or complaint.at < end - _LAST_WORDS:
                break
            if found and not (found[-1].plain and found[-1].at - complaint.at <= _ONE_COMMAND):
                break
            found.append(complaint)
        return found

    def _complain(self, at: float, line: str, *, plain: bool) -> bool:
        before = self._open
        if before is not None and _JSON_BEGINS.search(before.line) and '"code"' in line:
            before.more.append(line)  # the object that the OCI tools print goes on
            return True
        self._open = Complaint(at, line, plain)
        self.complaints.append(self._open)
        return True


def _complains(line: str) -> bool | None:
    """Tell whether a line is no complaint (None), a tool's own (False), or one that a script may have made (True)."""
    if _TOOLS.match(line):
        return False
    if _PLAIN.match(line):
        return None if ECHO.search(line.strip()) else True
    if "***" in line or line.startswith(("make", "gmake")):
        return False if _MAKE_OWN.match(line) and "directory '" not in line else None
    trouble = "not found" in line or "denied" in line or "No such file" in line or "annot execute" in line
    return False if trouble and _SHELL.match(line) else None
