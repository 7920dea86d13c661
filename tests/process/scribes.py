"""Reading what the scribe wrote down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Scribe:
    """A package whose observer is the scribe, and the folder it writes to."""

    def __init__(self, package: Path, folder: Path) -> None:
        self.package = package
        self.folder = folder

    def messages(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Give the messages it was sent, all or of one type."""
        path = self.folder / "messages"
        found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [message for message in found if kind in (None, message["type"])]

    def seen(self, stream: int) -> bytes:
        """Give the bytes of a stream that it was handed."""
        path = self.folder / f"output{stream}"
        return path.read_bytes() if path.exists() else b""

    def dropped(self) -> int:
        """Give the count of bytes that it was told are missing."""
        frames = (self.folder / "frames").read_text().splitlines()
        return sum(int(length) for stream, length in map(str.split, frames) if stream == "255")

    def pid(self) -> int:
        """Give its process id."""
        return int((self.folder / "pid").read_text())

    def closed(self) -> list[str]:
        """Give the sessions it was asked to close."""
        path = self.folder / "closed"
        return path.read_text().split() if path.exists() else []
