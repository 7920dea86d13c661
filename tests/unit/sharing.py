"""Machines that share a store: each is a sessions folder, and what it sends and pulls is what ours would."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from nimble_watch.session import Session, encode, milliseconds, new_uid, stamp
from nimble_watch.shared import Common, Pulled, open_store, patience, pull, push, read_address
from nimble_watch.store import load, session_ids, session_path

NOON = 1_764_072_000.0
"""2025-11-25 12:00:00 UTC."""


def write(folder: Path, session_id: str, *, at: float = NOON, uid: str = "", revision: int = 1, **more: Any) -> str:
    """Write a session's file as it stands after its end (or, as revision 0, while it is open), and give its uid."""
    uid = uid or new_uid(milliseconds(at), os.urandom(10))
    known = {"operation": "install", "result": "success" if revision else None, **more}
    session = Session(
        session_id=session_id,
        schema=1,
        uid=uid,
        revision=revision,
        state="ended" if revision else "open",
        start_time=stamp(milliseconds(at)),
        start_ms=milliseconds(at),
        **known,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{session_id}.json").write_bytes(encode(session))
    return uid


class Machine:
    """One machine with its sessions, and the store that it shares with others under the project `p`."""

    def __init__(self, folder: Path, store: Path) -> None:
        self.folder = folder
        self.found = Common(read_address(str(store)), "p")

    def push(self, *session_ids: str) -> list[bool]:
        """Send sessions; tells of each whether it was new there."""
        with patience(20.0) as patient:
            sent = push(self.folder, self.found, session_ids, patient, open_store(self.found.address, 5.0))
            return [one.new for one in sent]

    def pull(self, *, again: bool = False) -> Pulled:
        """Bring what is new."""
        with patience(20.0) as patient:
            return pull(self.folder, self.found, open_store(self.found.address, 5.0), patient, again=again)

    def shown(self) -> dict[str, str | None]:
        """Give the ids and the results of the sessions that this machine lists, newest first."""
        loaded = [load(session_path(self.folder, name)).session for name in session_ids(self.folder)]
        return {session.session_id: session.result for session in loaded if session is not None}
