"""Stands in for the observer where a test asks what the launcher says to it: writes everything down, and nothing else.

Copied into a copy of the package as its `observer` module.  NIMBLE_WATCH_SCRIBE names the folder to write to, and
NIMBLE_WATCH_SCRIBE_DOES what else to do: `hang` (never read, never finish), `crash` (raise at once), `slow` (leave the
output unread until told to finish), `toil` (finish only after more work than an idle one is given time for), `deaf`
(say ready, then nothing more), or ask for a phase's end: `stop` (of each), `stop-first` (of the first), `stop-late` (of
one that has ended), `stop-signalled` (of one that a person ends already).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

TOIL = 3.0
"""Seconds of a processor's time; the launcher waits two for one that does nothing."""
HEADER = struct.Struct("<BxxxI")
ASKS = {
    ("phase-started", "stop"),
    ("phase-started", "stop-first"),
    ("phase-ended", "stop-late"),
    ("signalled", "stop-signalled"),
}


def main(words: list[str]) -> int:
    """Do as `observe` would."""
    folder = Path(os.environ["NIMBLE_WATCH_SCRIBE"])
    does = os.environ.get("NIMBLE_WATCH_SCRIBE_DOES", "")
    if words[0] == "--close":
        with (folder / "closed").open("a") as closed:
            closed.write(f"{words[1]}\n")
        return 0
    (folder / "pid").write_text(str(os.getpid()))
    if does == "crash":
        raise RuntimeError("as the test asked")
    control = socket.socket(fileno=int(words[1]))
    output = os.fdopen(int(words[3]), "rb", buffering=1 << 20)
    if does != "hang":
        _say(control, type="ready", session=None)
    if does in ("hang", "deaf"):
        signal.pause()
    reader = threading.Thread(target=_read, args=(output, folder / "output"))
    if does != "slow":
        reader.start()
    asking = _Asking(does)
    with (folder / "messages").open("a") as messages:
        for line in control.makefile("r", encoding="utf-8"):
            messages.write(line)
            messages.flush()
            message = json.loads(line)
            kind = message["type"]
            if asking.after(message):
                _say(control, type="stop", pid=asking.child, reason="fail-fast")
            if kind == "finish":
                break
    if does == "slow":
        reader.start()
    reader.join()
    _toil(TOIL if does == "toil" else 0.0)
    _say(control, type="finished", session=None)
    return 0


def _toil(seconds: float) -> None:
    while time.process_time() < seconds:
        pass


class _Asking:
    """Knows when to ask for a phase's end, and of which process."""

    def __init__(self, does: str) -> None:
        self.does = does
        self.child: int | None = None
        self.started = 0

    def after(self, message: dict[str, Any]) -> bool:
        """Tell whether to ask after this message."""
        if message["type"] == "phase-started":
            self.child, self.started = message["pid"], self.started + 1
        return (message["type"], self.does) in ASKS and (self.does != "stop-first" or self.started == 1)


def _say(control: socket.socket, **message: object) -> None:
    control.sendall(json.dumps(message).encode() + b"\n")


def _read(output: BinaryIO, path: Path) -> None:
    """Write each frame down: `stream length` on a line of its own in `frames`, the bytes into one file per stream."""
    with path.with_name("frames").open("w") as frames:
        while header := output.read(HEADER.size):
            stream, length = HEADER.unpack(header)
            frames.write(f"{stream} {length}\n")
            if stream != 0xFF:
                with path.with_name(f"{path.name}{stream}").open("ab") as seen:
                    seen.write(output.read(length))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
