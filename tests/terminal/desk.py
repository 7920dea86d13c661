"""A person at a terminal: bash with job control on a pseudo terminal, keys typed, the screen read."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "nimble_watch"
PROMPT = "ready> "


class Desk:
    """A terminal with an interactive bash in it."""

    def __init__(self, folder: Path, environ: dict[str, str], size: tuple[int, int] = (24, 100)) -> None:
        self.text = ""
        self.closed = False
        self._mark = 0
        self.pid, self.master = pty.fork()
        if self.pid == 0:  # pragma: no cover  becomes bash
            os.chdir(folder)
            os.execve("/bin/bash", ["bash", "--norc", "--noprofile", "-i"], {**environ, "PS1": PROMPT, "TERM": "xterm"})
        self.resize(*size)
        self.see(PROMPT)

    def resize(self, rows: int, columns: int) -> None:
        """Change the window's size."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def keys(self, typed: str) -> None:
        """Type without Enter."""
        os.write(self.master, typed.encode())

    def line(self, typed: str) -> None:
        """Type a line; what is on the screen until now is not looked at again."""
        self._read(0)
        self._mark = len(self.text)
        self.keys(typed + "\n")
        self.see(typed.rsplit("\n", maxsplit=1)[-1][-20:])

    def see(self, wanted: str, seconds: float = 20.0) -> str:
        """Wait for a text to appear after what was seen last, and give what came before it."""
        give_up = time.monotonic() + seconds
        while (found := self.text.find(wanted, self._mark)) < 0:
            self._read(0.05)
            if time.monotonic() > give_up:
                raise AssertionError(f"{wanted!r} did not appear; since then: {self.text[self._mark :]!r}")
        before = self.text[self._mark : found]
        self._mark = found + len(wanted)
        return before

    def status(self) -> int:
        """Give the status of the last command."""
        self.line("echo status=$?.")
        self.see("status=")
        found = int(self.see("."))
        self.see(PROMPT)
        return found

    def modes(self) -> str:
        """Give the terminal's settings, as a command finds them."""
        self.line("stty -g; echo end-of-modes")
        found = self.see("end-of-modes\r\n").strip()
        self.see(PROMPT)
        return found

    def close(self) -> None:
        """Hang up, as closing the window does."""
        if self.closed:
            return
        self.closed = True
        os.close(self.master)
        give_up = time.monotonic() + 10
        while os.waitpid(self.pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > give_up:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.01)

    def _read(self, seconds: float) -> None:
        while select.select([self.master], [], [], seconds)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            self.text += re.sub(r"\x1b\[\?2004[hl]\r?", "", data.decode(errors="replace"))
            seconds = 0


def until(condition: Callable[[], object], what: str, seconds: float = 15.0) -> None:
    """Wait for a condition; a limit, not a measurement."""
    give_up = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up:
            raise AssertionError(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(0.01)


def ours(package: Path = PACKAGE, *options: str) -> str:
    """Give the start of a command line with us in front, to be typed."""
    return " ".join([sys.executable, "-P", str(package / "__main__.py"), "exec", "-q", *options, "-- "])
