"""How often the kernel has killed somebody in our memory cgroup, and so perhaps in a container of this size.

Sources: cgroups(7) for the paths; the kernel's cgroup-v2.rst (`memory.events`) and cgroup-v1/memory.rst
(`memory.oom_control`), which both have a line `oom_kill N`.
"""

from __future__ import annotations

import os


def oom_kills(root: str = "/sys/fs/cgroup", of: str = "/proc/self/cgroup") -> int | None:
    """Give the count since the cgroup was made; None where the system does not tell."""
    try:
        with open(of, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return None
    for controllers, place, name in (("memory", "memory", "memory.oom_control"), ("", "", "memory.events")):
        for found in lines:
            if len(found) == _FIELDS and controllers in found[1].split(","):
                for path in (found[2], "/"):  # a container may see its own cgroup as the root
                    count = _count(os.path.join(root, place, path.lstrip("/"), name))
                    if count is not None:
                        return count
    return None


_FIELDS = 3


def _count(path: str) -> int | None:
    try:
        with open(path, encoding="utf-8") as file:
            words = [line.split() for line in file]
        return next((int(word[1]) for word in words if len(word) > 1 and word[0] == "oom_kill"), None)
    except (OSError, ValueError):
        return None
