"""What commands do for the shared store with sessions that they ended; nothing is imported where there is no store."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from nimble_watch.session import Session


def share_now(folder: Path, session: Session) -> None:
    """Send a session that its own command has just ended; one line says so if that fails."""
    if os.environ.get("NIMBLE_WATCH_STORE"):
        from nimble_watch.shared import share_here

        if said := share_here(folder, session.session_id):
            print(f"nimble-watch: {said}", file=sys.stderr)


def share_later(folder: Path, sessions: Iterable[Session]) -> None:
    """Note that sessions which were ended for others are to be sent after the next one."""
    names = [session.session_id for session in sessions]
    if names and os.environ.get("NIMBLE_WATCH_STORE"):
        from nimble_watch.shared import spool_here

        spool_here(folder, names)
