"""Takes away from a Python on Linux what macOS has not, before anything of ours is imported.

Python imports this at its start when the folder is on PYTHONPATH.  What is missing there: see `nimble_watch.system`.
What cannot be shown: the kernel, which keeps blocked signals that a BSD would drop, and whose poll serves terminals.
"""

from __future__ import annotations

import builtins
import fcntl
import importlib
import io
import os
import posix
import signal
import time
from collections.abc import Callable
from typing import Any

_F_GETPATH = 50  # <sys/fcntl.h> of macOS
_real_fcntl, _real_readlink = fcntl.fcntl, os.readlink


def _take(module: Any, *names: str) -> None:
    for name in names:
        if hasattr(module, name):
            delattr(module, name)


for _module in (signal, importlib.import_module("_signal")):
    _take(_module, "sigwaitinfo", "sigtimedwait", "SIGRTMIN", "SIGRTMAX", "SIGPWR", "SIGSTKFLT", "pidfd_send_signal")
for _module in (os, posix):
    _take(_module, "waitid", "pidfd_open", "fdatasync", "posix_fallocate", "pipe2", "splice")
    _take(_module, "P_PID", "P_PGID", "P_ALL", "P_PIDFD", "WEXITED", "WSTOPPED", "WNOWAIT")
    _take(_module, "CLD_EXITED", "CLD_KILLED", "CLD_DUMPED", "CLD_STOPPED", "CLD_CONTINUED", "CLD_TRAPPED")
_take(time, "CLOCK_BOOTTIME")
_take(fcntl, "F_SETPIPE_SZ", "F_GETPIPE_SZ")
time.CLOCK_UPTIME_RAW = time.CLOCK_MONOTONIC  # type: ignore[attr-defined]  # the one that stands still in sleep
fcntl.F_GETPATH = _F_GETPATH  # type: ignore[attr-defined]


def _fcntl(descriptor: int, command: int, *argument: Any) -> Any:
    if command == _F_GETPATH:
        return os.fsencode(_real_readlink(f"/proc/self/fd/{descriptor}")).ljust(1024, b"\0")
    return _real_fcntl(descriptor, command, *argument)


def _without_proc(call: Callable[..., Any]) -> Callable[..., Any]:
    def asked(path: Any = ".", *rest: Any, **named: Any) -> Any:
        if not isinstance(path, int) and os.fsdecode(path).startswith("/proc"):
            raise FileNotFoundError(2, "No such file or directory", path)
        return call(path, *rest, **named)

    return asked


fcntl.fcntl = _fcntl  # type: ignore[assignment]  # the stub's overloads, in one
for _name in ("open", "listdir", "scandir", "stat", "readlink"):
    setattr(os, _name, _without_proc(getattr(os, _name)))
builtins.open = io.open = _without_proc(io.open)
