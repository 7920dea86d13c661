"""Old sessions: which may go, and where they go; one that is still open is never touched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from nimble_watch.store.files import own_folder, storing, sync_folder
from nimble_watch.store.history import current_id, is_open, own_ids, session_path

_STAMP = re.compile(r"session-(\d{8}-\d{6})(?:-\d+)?\Z")


def old_sessions(folder: Path, *, keep: int | None, older_than: float | None, now: float) -> list[str]:
    """Name the sessions that may go, oldest first.

    Those that began more than `older_than` seconds before `now` (by their id, or where that tells no time by their
    file's), but for the newest `keep`; never one that is open or that current.json points to.
    """
    names = own_ids(folder)[keep or 0 :]
    spared = current_id(folder)
    return [
        name
        for name in reversed(names)
        if name != spared
        and not is_open(folder, name)
        and (older_than is None or now - _began(folder, name) > older_than)
    ]


def _began(folder: Path, session_id: str) -> float:
    found = _STAMP.match(session_id)
    if found:
        try:
            return datetime.strptime(found[1], "%Y%m%d-%H%M%S").replace(tzinfo=UTC).timestamp()
        except ValueError:
            pass  # no such day
    with storing("read", folder):
        return session_path(folder, session_id).stat().st_mtime


def remove(folder: Path, sessions: Sequence[str]) -> None:
    """Remove sessions' files; their lines in all-sessions.txt stay, as what happened."""
    for session_id in sessions:
        for path in _files_of(folder, session_id):
            with storing("remove", path):
                path.unlink(missing_ok=True)


def archive(folder: Path, sessions: Sequence[str], place: Path) -> None:
    """Move sessions' files into another folder, which is then a sessions folder too."""
    own_folder(place)
    for session_id in sessions:
        for path in _files_of(folder, session_id):
            with storing("move", path):
                if path.exists():
                    path.rename(place / path.name)
    with storing("write", place):
        sync_folder(place)
        sync_folder(folder)


def _files_of(folder: Path, session_id: str) -> tuple[Path, Path]:
    """Give the session itself last: as long as it is there, the next attempt finds what is left."""
    return folder / f"summary-{session_id}.txt", session_path(folder, session_id)
