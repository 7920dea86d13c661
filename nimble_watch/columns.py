"""Sessions as the columns of a table for Parquet: the one schema that exports and the dataset share.

Each field of the session's document is a column of the same name, its type made from the field's own, so the two cannot
drift apart.  Only what every reader of Parquet knows is used: string, int64, double, bool, decimal, timestamp, list,
struct.  What is unknown is null, and so is a number that its column cannot hold.  Objects by name (phases, reasons) are
lists of structs; objects of any shape (host, ci) are JSON.  The column `document` holds the whole session as its file
has it, exact, with what others added; `uid` is never null (see `session.identity`); `shapes` and `image` are what two
sessions must agree on to be compared.

Imports pyarrow, which only the extra `parquet` brings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from itertools import islice
from types import UnionType
from typing import Any, BinaryIO, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from nimble_watch.session import Session, encode_line, moment, to_document, uid_of
from nimble_watch.session.baseline import likeness

ROWS = 10_000
"""How many sessions a row group has: few enough to be held in memory, enough to be read fast."""

_BATCH = 500
_LIKE = ("shapes", "image")
_MONEY_DIGITS, _MONEY_PLACES = 18, 6
_PLACE = Decimal(1).scaleb(-_MONEY_PLACES)
_MOST = Decimal(10) ** (_MONEY_DIGITS - _MONEY_PLACES)
_TIMES = frozenset(("start_time", "end_time", "timestamp", "at"))
"""Fields in which a text is a time."""

Value = Callable[[Any], Any]


class _Column(NamedTuple):
    """A type, and how a value of the document becomes one of the column."""

    type: Any
    value: Value


@cache
def schema() -> Any:
    """Give the schema (pyarrow.Schema); nothing in it depends on the data."""
    return pa.schema([(name, column.type) for name, column in _columns().items()])


def row(session: Session) -> dict[str, Any]:
    """Give a session as a row: a value for each column."""
    return {
        **{name: column.value(getattr(session, name, None)) for name, column in _columns().items()},
        **{name: None if (value := likeness(session)[name]) == "unknown" else value for name in _LIKE},
        "uid": uid_of(session),
        "document": encode_line(to_document(session)).decode().rstrip(),
    }


def write_rows(sessions: Iterable[Session], out: BinaryIO) -> None:
    """Write a whole Parquet file, a group of rows at a time."""
    with writer(out) as parquet:
        for table in tables(map(row, sessions)):
            parquet.write_table(table)


def read_documents(file: BinaryIO) -> Iterator[bytes]:
    """Give each session whole, as its file had it; ValueError for what is no Parquet, or none of ours."""
    parquet = pq.ParquetFile(file)
    if "document" not in parquet.schema_arrow.names:
        raise ValueError("it has no column `document`")
    for batch in parquet.iter_batches(_BATCH, columns=["document"]):
        yield from (str(text).encode() for text in batch.column(0).to_pylist() if text is not None)


def writer(out: BinaryIO | str) -> Any:
    """Give a writer (pyarrow.parquet.ParquetWriter) of files with the schema."""
    return pq.ParquetWriter(out, schema(), compression="zstd", store_decimal_as_integer=True)


def tables(rows: Iterable[dict[str, Any]]) -> Iterator[Any]:
    """Give rows as tables (pyarrow.Table), each as large as a row group."""
    rest = iter(rows)
    return regrouped(
        pa.Table.from_pylist(batch, schema=schema()) for batch in iter(lambda: list(islice(rest, _BATCH)), [])
    )


def regrouped(parts: Iterable[Any]) -> Iterator[Any]:
    """Give tables of any size as tables that are each at least as large as a row group, but for the last."""
    held: list[Any] = []
    for part in parts:
        held.append(part)
        if sum(len(one) for one in held) >= ROWS:
            yield pa.concat_tables(held)
            held = []
    if any(len(one) for one in held):
        yield pa.concat_tables(held)


@cache
def _columns() -> dict[str, _Column]:
    return {**_fields(Session), **dict.fromkeys(_LIKE, _TEXT), "document": _TEXT}


def _fields(kind: type[msgspec.Struct]) -> dict[str, _Column]:
    hints = get_type_hints(kind)
    return {name: _column(name, hint) for name, hint in hints.items() if name != "extra"}  # that is in `document`


def _column(name: str, hint: Any) -> _Column:
    """Give the column of a field by its type; what may be None is null then."""
    if get_origin(hint) in (UnionType, Union):
        (hint,) = (one for one in get_args(hint) if one is not type(None))
    of = get_args(hint)
    if hint is str:
        return _TIME if name in _TIMES else _TEXT
    if hint in _PLAIN:
        return _PLAIN[hint]
    if get_origin(hint) is list:
        return _list(_column("", of[0]))
    if get_origin(hint) is tuple:
        return _struct({"start_ms": _column("", of[0]), "end_ms": _column("", of[1])}, _pair)
    if get_origin(hint) is dict and of[1] is str:
        return _list(_struct({"name": _TEXT, "value": _TEXT}, _item), _items)
    if get_origin(hint) is dict and _is_struct(of[1]):
        return _list(_struct({"name": _TEXT, **_fields(of[1])}, _named), _items)
    if _is_struct(hint):
        return _struct(_fields(hint), getattr)
    return _Column(pa.string(), _json)


def _is_struct(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def _list(of: _Column, entries: Callable[[Any], Iterable[Any]] = iter) -> _Column:
    return _Column(
        pa.list_(pa.field("element", of.type)),  # what Parquet calls it
        lambda value: None if value is None else [of.value(one) for one in entries(value)],
    )


def _struct(fields: Mapping[str, _Column], get: Callable[[Any, str], Any]) -> _Column:
    def value(of: Any) -> dict[str, Any] | None:
        return None if of is None else {name: column.value(get(of, name)) for name, column in fields.items()}

    return _Column(pa.struct([(name, column.type) for name, column in fields.items()]), value)


def _items(value: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    return value.items()


def _item(entry: tuple[str, str], part: str) -> str:
    return entry[part == "value"]


def _named(entry: tuple[str, msgspec.Struct], part: str) -> Any:
    return entry[0] if part == "name" else getattr(entry[1], part)


def _pair(span: tuple[int, int | None], part: str) -> int | None:
    return span[part == "end_ms"]


def _json(value: Any) -> str | None:
    return None if value is None else encode_line(value).decode().rstrip()


def _same(value: Any) -> Any:
    return value


def _whole(value: int | None) -> int | None:
    return value if value is not None and -(2**63) <= value < 2**63 else None


def _money(value: Decimal | None) -> Decimal | None:
    if value is None or not value.is_finite() or abs(value) >= _MOST:
        return None
    return value.quantize(_PLACE, ROUND_HALF_UP)


def _microseconds(text: str | None) -> int | None:
    milliseconds = moment(text)
    return None if milliseconds is None else milliseconds * 1000


_TEXT = _Column(pa.string(), _same)
_TIME = _Column(pa.timestamp("us", tz="UTC"), _microseconds)
_PLAIN: dict[Any, _Column] = {
    bool: _Column(pa.bool_(), _same),
    int: _Column(pa.int64(), _whole),
    float: _Column(pa.float64(), _same),
    Decimal: _Column(pa.decimal128(_MONEY_DIGITS, _MONEY_PLACES), _money),
}
