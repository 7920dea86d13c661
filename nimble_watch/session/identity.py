"""Who a session is: its uid, or for files that have none (the guide's) one made from what is in them.

It is made from what stays when somebody corrects a text or a cost later: the id, where and when it ran, which phases
began when, and the ids of its obstacles.  The same file gives the same uid everywhere, so taking it in twice is taking
it in once.
"""

from __future__ import annotations

import hashlib

import msgspec

from nimble_watch.session.model import Session


def uid_of(session: Session) -> str:
    """Give the session's own uid, else one from its content: a UUIDv8 that sorts by time as our UUIDv7 does."""
    if session.uid:
        return session.uid
    what = [
        *(session.session_id, session.operation, session.start_time, session.environment, session.region),
        [[name, phase.start_time] for name, phase in sorted(session.phases.items())],
        sorted(obstacle.id for obstacle in session.obstacles),
    ]
    digest = hashlib.sha256(b"nimble-watch session\0" + msgspec.json.encode(what)).digest()
    began = min(max(session.start_ms or 0, 0), 2**48 - 1)
    value = bytearray(began.to_bytes(6, "big") + digest[:10])
    value[6] = 0x80 | (value[6] & 0x0F)
    value[8] = 0x80 | (value[8] & 0x3F)
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
