"""A command that the phase calls is not there, or may not be run.

Signal: a phase that failed has said at its end, in a shell's, make's or env's own words, `helm: command not found`,
`sh: 1: helm: not found`, `make: helm: No such file or directory`, `./deploy.sh: Permission denied`.

Near misses: a command whose absence the phase got over (`command -v x || ...`, `make: ... (ignored)`); a file of data
that is not there; a program's own `not found` about something else.

Verdict: terminal: no waiting installs it.

Fix: install it or put it on PATH; for `Permission denied`, make it executable.

Source: dash, bash, zsh, busybox, GNU make 3.81 to 4.4, coreutils; exit status 127 and 126.
"""

from __future__ import annotations

import re

from nimble_watch.rules._printed import Told, printed_rule, said_by_tool

_NAME = r"(?P<{}>[\w./+@-]+)"
_MISSING = re.compile(
    r"^\s*(?:"
    rf"(?:-?[\w./+-]+: )(?:line \d+: |\d+: )?{_NAME.format('shell')}: (?:[Cc]ommand )?not found"
    rf"|(?:\S+: )?command not found: {_NAME.format('zsh')}"
    rf"|(?:\S+: )?Unknown command:? {_NAME.format('fish')}"
    rf"|(?:g?make(?:\[\d+\])?|env|xargs|nohup|exec|time): \W??{_NAME.format('make')}\W??: No such file or directory"
    rf"|(?:timeout|nice|setsid|stdbuf): failed to run command \W??{_NAME.format('timeout')}\W??: No such file"
    rf"|-?[\w./+-]*sh: (?:line )?\d+: {_NAME.format('path')}: No such file or directory"
    r")",
    re.MULTILINE,
)
_FORBIDDEN = re.compile(
    r"^\s*(?:g?make(?:\[\d+\])?|env|-?[\w./+-]*sh|timeout|nohup|sudo): (?:line )?(?:\d+: )?"
    r"(?:failed to run command )?\W??(?P<name>[\w./+@-]*/[\w./+@-]+)\W??: (?:Permission denied|cannot execute)",
    re.MULTILINE,
)
_NO_MAKEFILE = re.compile(r"(?i)make(?:\[\d+\])?: \S*makefile\S*: No such file")


def _read(text: str) -> Told | None:
    if (found := _FORBIDDEN.search(text)) is not None:
        name = found["name"]
        return Told(
            summary=f"{name} may not be run",
            cause=f"The phase calls {name}, which is not executable for this user, or not a program of this machine.",
            fix=f"Make {name} executable, and keep it so in the repository (git update-index --chmod=+x).",
            command=f"chmod +x {name}",
            signature=name,
        )
    found = _MISSING.search(text)
    if found is None or _NO_MAKEFILE.search(text):
        return None
    name = next(filter(None, found.groups()))
    return Told(
        summary=f"command {name} is not there",
        cause=f"The phase calls {name}, and it is not found: not installed, or not on this phase's PATH.",
        fix=f"Install {name}, or add its folder to PATH.",
        command=f"command -v {name}",
        signature=name,
    )


says = said_by_tool(_read)
RULE = printed_rule("command-missing", "config-error", 8, _read)
