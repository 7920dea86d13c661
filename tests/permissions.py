"""What a container or an ordinary user may be forbidden, and what a test does that cannot run without it.

Such a test is left out, also where all must run: no change of the project could make it pass there.  It is named at the
end of the run with what the machine forbade, so that nobody takes it for tested.  A missing program is no such thing:
whoever runs the tests can install it.
"""

from __future__ import annotations

import os
import subprocess
from enum import StrEnum
from functools import cache
from typing import NoReturn

import pytest

_FORBIDDEN = "NOT TESTED, this machine forbids "


class Permission(StrEnum):
    """All that a test may do without; nothing else excuses it."""

    CORE_FILE = "core files"
    MEMORY_CGROUP = "memory cgroups of our own"
    MOUNT = "mounts"
    NETWORK_NAMESPACE = "network namespaces"
    PID_NAMESPACE = "PID namespaces"


# As the C library words EPERM, EACCES, EROFS, ENOSYS, and ENOSPC and EINVAL, by which unshare(2) says that the limit of
# namespaces is reached, and that the kernel was built without them; the last is mount's own.
_REFUSALS = (
    "operation not permitted",
    "permission denied",
    "read-only file system",
    "function not implemented",
    "no space left on device",
    "invalid argument",
    "must be superuser",
)


def forbidden(permission: Permission, why: str) -> NoReturn:
    """Leave the test out, loudly; `why` tells by what the machine forbids it."""
    pytest.skip(f"{_FORBIDDEN}{permission}: {why.strip().splitlines()[0]}")


def refused(permission: Permission, said: str) -> NoReturn:
    """Leave the test out for what a command said, if that is a refusal; if it is anything else, the test has failed."""
    if not any(refusal in said.lower() for refusal in _REFUSALS):
        pytest.fail(f"this is no refusal of {permission}: {said.strip()}")
    forbidden(permission, said)


def excuses(reason: str) -> bool:
    """Tell whether a reason for leaving a test out is that the machine forbids what it needs."""
    return any(f"{_FORBIDDEN}{permission}: " in reason for permission in Permission)


def not_tested(reason: str) -> str:
    """Give the sentence to be read at the end of a run."""
    return reason[reason.index(_FORBIDDEN) :]


def allowed(permission: Permission, *commands: tuple[str, ...], to: tuple[str, ...] = ("true",)) -> list[str]:
    """Give the first of these beginnings of a command that may do what is tried; if none may, the test is left out."""
    refusals = []
    for command in commands:
        refusal = _refusal_of((*command, *to))
        if refusal is None:
            return list(command)
        refusals.append(f"{' '.join(command)}: {refusal}")
    refused(permission, "; ".join(refusals))


@cache
def _refusal_of(command: tuple[str, ...]) -> str | None:
    environ = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environ, check=False)
    return None if done.returncode == 0 else done.stderr.strip() or f"status {done.returncode}"
