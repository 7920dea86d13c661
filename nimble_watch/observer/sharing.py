"""What the observer shares with the team: a marker when a session begins, the session itself once it is saved here.

Only where a store is chosen (NIMBLE_WATCH_STORE) is anything imported or done.  The store may be slow, refuse or hang:
the phase never notices, and the end waits for it no longer than `sending` allows.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nimble_watch.config import store_url
from nimble_watch.errors import NimbleWatchError
from nimble_watch.session import Record, Session, encode, fold
from nimble_watch.store import session_path


class Sharing:
    """The shared side of one observer's session; `announce` tells the launcher that its end may take longer."""

    def __init__(self, announce: Callable[[], None]) -> None:
        self._announce = announce
        self._folder = Path()
        self._session = ""

    def begin(self, fields: dict[str, Any], record: Record | None) -> None:
        """Send the open marker, beside everything else; `record` begins a session of our own, a joined one has none."""
        self._folder, self._session = Path(fields["sessions"]), str(fields["session"])
        if store_url(os.environ):
            threading.Thread(target=self._mark, args=(record,), name="marker", daemon=True).start()

    def _mark(self, record: Record | None) -> None:
        from nimble_watch.shared import needed, share_beginning  # noqa: PLC0415  only where there is a store

        try:
            if record is None:
                document = session_path(self._folder, self._session).read_bytes()
            else:
                document = encode(fold([{**record, "writer": "observer", "seq": 1}], self._session))
            share_beginning(self._folder, document, self._session, needed(os.environ, Path.cwd()))
        except (OSError, NimbleWatchError):
            return  # the end says what is wrong with the store

    def end(self, session: Session | None, warn: Callable[[str], None]) -> None:
        """Send a session that has ended and is saved; one line says why it could not be."""
        if session is not None and session.state == "ended" and store_url(os.environ):
            self._announce()
            from nimble_watch.shared import share_here  # noqa: PLC0415  as above

            if said := share_here(self._folder, session.session_id):
                warn(said)
