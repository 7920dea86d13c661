"""CSV as RFC 4180 has it, for spreadsheets: a row for each session, phase or obstacle; no cell is run as a formula."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import BinaryIO

from nimble_watch.exports import Export
from nimble_watch.reports._flat import TABLES, write_csv
from nimble_watch.session import Session


def _write(sessions: Iterable[Session], out: BinaryIO, table: str) -> None:
    text = io.TextIOWrapper(out, encoding="utf-8", newline="")
    try:
        write_csv(sessions, table or "sessions", text, newline="\r\n")
    finally:
        text.detach()  # writes what it holds; the stream stays the caller's


EXPORT = Export(name="csv", about="a row each, for spreadsheets", write=_write, tables=tuple(TABLES))
