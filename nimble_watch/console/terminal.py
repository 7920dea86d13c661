"""Writing lines to a stderr that belongs to the child as well.

The descriptor shares its open file with the child, so it must not be made non-blocking, and its terminal may be in any
state: in raw mode or without echo (a pager, a password prompt) our lines wait; behind a full pipe, or Ctrl-S, the
thread that writes waits, and nobody waits for it without a limit.  The prefix stands before every line, which also
keeps a line from being read as a command by a CI system.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import signal
import termios
import threading
import time
from collections.abc import Iterable, Mapping

PREFIX = "nimble-watch: "
_RAW_LOOK = 0.2  # seconds between two looks whether the terminal is itself again; there is no event to wait for
_MID_LINE = 1.0  # seconds for which we wait for the child to finish a line that it has begun
_LFLAG = 3
_PIECE = 512  # bytes that a pipe which is ready for writing takes without blocking (POSIX's least PIPE_BUF)
_STYLES = {"bad": "1;31", "good": "32", "dim": "2", "warn": "33", "": ""}


class Console:
    """Writes our lines to a descriptor, from a thread of its own."""

    def __init__(self, descriptor: int, *, colour: bool = False) -> None:
        self._descriptor = descriptor
        self._colour = colour
        self._lines: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
        self._begun = False  # the cursor stands behind a line that the child has not ended
        self._settled = threading.Event()  # and the child is not about to end it
        self._settled.set()
        self._hurry = threading.Event()
        self._terminal = os.isatty(descriptor)
        self._blind = self._terminal and os.environ.get("TERM", "dumb") != "dumb"  # nobody tells where the cursor is
        self._thread = threading.Thread(target=self._run, name="console", daemon=True)
        self._thread.start()

    def say(self, lines: Iterable[str], style: str = "") -> None:
        """Write lines as soon as there is a place for them; never waits."""
        text = "".join(f"{PREFIX}{line}\n" for line in lines)
        if text:
            self._lines.put((text, style))

    def mid_line(self, *, begun: bool) -> None:
        """Take note that the child's last character on this descriptor was (not) within a line."""
        self._blind = False
        self._begun = begun
        if begun:
            self._settled.clear()
        else:
            self._settled.set()

    def child_ended(self) -> None:
        """Take note that a line which the child has begun will not be ended by it any more."""
        self._settled.set()

    def close(self, patience: float) -> bool:
        """Write what is left, for at most so many seconds; tell whether all of it was written."""
        self._hurry.set()
        self._lines.put(None)
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        while (entry := self._lines.get()) is not None:
            text, style = entry
            self._await_place()
            if self._colour and (code := _STYLES.get(style)):
                first, newline, rest = text.partition("\n")
                text = f"{PREFIX}\x1b[{code}m{first.removeprefix(PREFIX)}\x1b[0m{newline}{rest}"
            if self._blind:
                text = _fresh_line(self._descriptor) + text
            elif self._begun:
                self._begun = False  # from here on, until the child goes on with it
                text = f"\n{text}"
            with contextlib.suppress(OSError):  # nobody reads any more: then there is nobody to tell
                self._write(text.encode("utf-8", "backslashreplace"))

    def _await_place(self) -> None:
        while self._terminal and not _is_itself(self._descriptor):
            time.sleep(_RAW_LOOK)
        if not self._hurry.is_set():
            self._settled.wait(_MID_LINE)

    def _write(self, data: bytes) -> None:
        """Write whole lines: in one piece where the descriptor takes them, else as it takes them."""
        rest = memoryview(data)
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        while rest:
            poll.poll()
            size = len(rest)
            if size > _PIECE and not self._terminal:
                cut = bytes(rest[:_PIECE]).rfind(b"\n") + 1
                size = cut or _PIECE
            try:
                rest = rest[os.write(self._descriptor, rest[:size]) :]
            except BlockingIOError:  # whoever owns the descriptor made it non-blocking
                continue


def _fresh_line(descriptor: int) -> str:
    """Give what moves a terminal's cursor to the beginning of a line without anything on it, wherever it is.

    One blank less than the terminal is wide: from the first column they end on the same line, from any other they wrap
    onto the next, as every terminal with automatic margins does (ECMA-48; zsh's PROMPT_SP rests on it too).
    """
    try:
        columns = os.get_terminal_size(descriptor).columns
    except OSError:
        return ""
    return " " * (columns - 1) + "\r" if columns > 1 else ""


def _is_itself(descriptor: int) -> bool:
    """Tell whether a terminal echoes and edits lines; raw mode and a password prompt do not."""
    try:
        flags = termios.tcgetattr(descriptor)[_LFLAG]
    except (OSError, termios.error):
        return True
    return bool(flags & termios.ECHO and flags & termios.ICANON)


def wants_colour(descriptor: int, environment: Mapping[str, str], flag: str = "") -> bool:
    """Decide about colour: the flag, else NIMBLE_WATCH_COLOR, NO_COLOR, FORCE_COLOR, else whether it is a terminal."""
    for given in (flag, environment.get("NIMBLE_WATCH_COLOR", "")):
        if given in ("always", "yes", "1", "true", "on"):
            return True
        if given in ("never", "no", "0", "false", "off"):
            return False
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR", "") not in ("", "0", "false"):
        return True
    return os.isatty(descriptor) and environment.get("TERM", "") not in ("", "dumb")
