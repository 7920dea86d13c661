"""Ending a session that its own command could not end."""

from __future__ import annotations

import time
from pathlib import Path

from nimble_watch.store import StoreError, close, is_open

_PATIENCE = 10.0
_LOOK = 0.1


def close_when_free(directory: str, session: str) -> int:
    """End a session as soon as nobody holds it any more: whoever asks may still be about to leave."""
    folder, until = Path(directory), time.monotonic() + _PATIENCE
    while is_open(folder, session):
        try:
            if close(folder, session) is not None:
                return 0
        except StoreError:
            return 1
        if time.monotonic() > until:
            return 1
        time.sleep(_LOOK)  # a lock that somebody else holds tells nobody when it is free
    return 0
