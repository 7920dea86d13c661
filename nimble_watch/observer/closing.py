"""Ending a session that its own command could not end."""

from __future__ import annotations

import os
import time
from pathlib import Path

from nimble_watch.config import store_url
from nimble_watch.store import StoreError, close, is_open

_PATIENCE = 10.0
_LOOK = 0.1


def close_when_free(directory: str, session: str) -> int:
    """End a session as soon as nobody holds it any more: whoever asks may still be about to leave."""
    folder, until = Path(directory), time.monotonic() + _PATIENCE
    while is_open(folder, session):
        try:
            if close(folder, session) is not None:
                if store_url(os.environ):
                    from nimble_watch.shared import share_here  # noqa: PLC0415  only where there is a store

                    share_here(folder, session)  # what fails is sent with the next session; nobody reads what we say
                return 0
        except StoreError:
            return 1
        if time.monotonic() > until:
            return 1
        time.sleep(_LOOK)  # a lock that somebody else holds tells nobody when it is free
    return 0
