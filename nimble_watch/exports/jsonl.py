"""JSON lines: each session whole, as its file has it, in a line of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from nimble_watch.exports import Export
from nimble_watch.session import Session, encode_line, to_document


def _write(sessions: Iterable[Session], out: BinaryIO, _table: str) -> None:
    out.writelines(encode_line(to_document(session)) for session in sessions)


EXPORT = Export(name="jsonl", about="each whole in a line of JSON, for programs", write=_write)
