"""Where the traceback of an unexpected error goes: a file that can be attached to a report, never the terminal."""

from __future__ import annotations

import os
import time
import traceback

from nimble_watch.claim import sessions_directory


def keep(error: Exception) -> str:
    """Write the traceback to a file and say where it is."""
    folder = os.path.join(sessions_directory(None, dict(os.environb)), ".journal")
    path = os.path.join(folder, f"crash-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.getpid()}.txt")
    text = "".join(traceback.format_tb(error.__traceback__))  # places only: messages may hold secrets
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(f"{type(error).__name__}\n{text}")
    except OSError as second:
        return f"its traceback could not be written to {path}: {second.strerror}"
    return f"please report it with {path}"
