"""Parquet with one row per session, for DuckDB, Spark, pandas; needs the extra `parquet`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from nimble_watch.exports import Export
from nimble_watch.extras import needing
from nimble_watch.session import Session


def _write(sessions: Iterable[Session], out: BinaryIO, _table: str) -> None:
    with needing("parquet", "writing Parquet"):
        from nimble_watch.columns import write_rows  # noqa: PLC0415  it imports pyarrow, which is an extra

    write_rows(sessions, out)


EXPORT = Export(name="parquet", about="a typed row each, nested, for DuckDB and Spark", write=_write, binary=True)
