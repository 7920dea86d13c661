"""Sessions in a Parquet file that `session export` or `session compact` wrote; needs the extra `parquet`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from nimble_watch.extras import needing
from nimble_watch.imports.texts import LARGEST, Found, Trouble


def in_parquet(where: str, stream: BinaryIO) -> Iterator[Found | Trouble]:
    """Give the sessions that a file's column `document` holds whole."""
    with needing("parquet", "reading Parquet"):
        from nimble_watch.columns import read_documents  # noqa: PLC0415  it imports pyarrow, which is an extra

    name = where.rpartition("/")[2]
    try:
        for number, raw in enumerate(read_documents(stream), 1):
            at = f"{where}:{number}"
            yield Found(at, name, raw) if len(raw) <= LARGEST else Trouble(at, "holds more than 64 MiB, as none does")
    except (ValueError, OSError) as error:  # pyarrow's own are such
        yield Trouble(where, f"cannot be read as Parquet: {error}")
