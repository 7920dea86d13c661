"""Times in a session: text in UTC for people, milliseconds since the epoch for arithmetic."""

from __future__ import annotations

from datetime import UTC, datetime

LAST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999, the last one that a calendar has here."""


def milliseconds(seconds: float) -> int:
    """Give epoch seconds as whole milliseconds."""
    return round(seconds * 1000)


def stamp(epoch_ms: int) -> str:
    """Give milliseconds since the epoch as the guide writes times: UTC, to the second, with a Z."""
    return datetime.fromtimestamp(epoch_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str | None) -> int | None:
    """Give the milliseconds since the epoch of an ISO 8601 time (without a zone: UTC), from 1970 to 9999; else None."""
    if not text:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    epoch_ms = round(when.timestamp() * 1000)
    return epoch_ms if 0 <= epoch_ms <= LAST_MS else None


def whole_seconds(duration_ms: int) -> int:
    """Round a duration half up to seconds."""
    return (duration_ms + 500) // 1000


def new_uid(epoch_ms: int, entropy: bytes) -> str:
    """Make a UUIDv7, which sorts by time, from the time and ten random bytes."""
    value = bytearray(epoch_ms.to_bytes(6, "big") + entropy[:10])
    value[6] = 0x70 | (value[6] & 0x0F)
    value[8] = 0x80 | (value[8] & 0x3F)
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
