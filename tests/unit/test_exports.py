"""Exports: what stands in a row is what stands in the session's document, and nothing is run as a formula."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import Any, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nimble_watch import columns
from nimble_watch import session as s
from nimble_watch.exports import all_exports
from tests.unit.test_reports import full_session

SIMPLE = (pa.types.is_string, pa.types.is_int64, pa.types.is_float64, pa.types.is_boolean, pa.types.is_decimal)
RENAMED = frozenset(("document", "shapes", "image"))  # in the row only


def exported(name: str, *sessions: s.Session, table: str = "") -> bytes:
    out = io.BytesIO()
    all_exports()[name].write(sessions, out, table)
    return out.getvalue()


def leaves(kind: Any) -> list[Any]:
    """Give the types at the ends of a nested type."""
    if pa.types.is_list(kind):
        return leaves(kind.value_type)
    if pa.types.is_struct(kind):
        return [leaf for field in kind for leaf in leaves(field.type)]
    return [kind]


def test_the_schema_uses_only_types_that_every_reader_of_parquet_knows() -> None:
    found = [leaf for field in columns.schema() for leaf in leaves(field.type)]
    assert len(found) > 100
    for leaf in found:
        in_utc = pa.types.is_timestamp(leaf) and (leaf.unit, leaf.tz) == ("us", "UTC")
        assert in_utc or any(is_it(leaf) for is_it in SIMPLE), leaf


def test_every_field_of_the_document_is_a_column_of_the_same_name_but_for_what_others_added() -> None:
    assert set(columns.schema().names) - RENAMED == {*get_type_hints(s.Session)} - {"extra"}
    parts = {"costs": s.Costs, "performance": s.Performance, "obstacles": s.Obstacle, "waits": s.Wait, "stops": s.Stop}
    for name, kind in parts.items():
        column = columns.schema().field(name).type
        inner = column.value_type if pa.types.is_list(column) else column
        assert {field.name for field in inner} == {*get_type_hints(kind)} - {"extra"}


def agrees(value: Any, cell: Any) -> bool:
    """Tell whether a cell says what the document says: the same text, number, moment, list or object."""
    if isinstance(value, dict):
        if isinstance(cell, str):
            return bool(json.loads(cell) == json.loads(s.encode_line(value)))
        pairs = {entry["name"]: entry for entry in cell} if isinstance(cell, list) else cell
        return all(
            agrees(
                inner, pairs[name].get("value") if isinstance(inner, str) and isinstance(cell, list) else pairs[name]
            )
            for name, inner in value.items()
        )
    if isinstance(value, list):
        spans = [list(one.values()) if isinstance(one, dict) else one for one in cell]
        return len(value) == len(cell) and all(
            agrees(one, other) for one, other in zip(value, spans if _is_pairs(value) else cell, strict=True)
        )
    if isinstance(value, Decimal):
        return bool(abs(value - cell) <= Decimal("0.0000005"))
    if hasattr(cell, "timestamp"):
        return bool(s.moment(value) == round(cell.timestamp() * 1000))
    return bool(value == cell)


def _is_pairs(value: list[Any]) -> bool:
    return any(isinstance(one, (list, tuple)) for one in value)


def test_a_row_says_field_by_field_what_the_document_says() -> None:
    full = full_session()
    full.host, full.tags = {"name": "here", "load": [1, 2.5]}, ["a", "b"]
    full.stops = [
        s.Stop(phase="install", obstacle="o", kind="k", at="2024-10-12T14:31:22Z", at_ms=1, objects=[{"a": 1}])
    ]
    (found,) = pq.read_table(io.BytesIO(exported("parquet", full))).to_pylist()
    document = s.to_document(full)
    wrong = [name for name, value in document.items() if not agrees(_listed(value), found[name])]
    assert wrong == []
    assert found["document"] == s.encode_line(document).decode().rstrip()


def _listed(value: Any) -> Any:
    """Give the document with lists for its tuples."""
    if isinstance(value, dict):
        return {name: _listed(inner) for name, inner in value.items()}
    return [_listed(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def test_what_a_column_cannot_hold_and_what_is_unknown_is_null_and_the_document_keeps_it() -> None:
    strange = s.Session(session_id="session-x", start_time="soon", exit=2**70)
    strange.costs.session_total, strange.costs.actual_hourly = Decimal("1e30"), Decimal("0.0000005")
    (found,) = pq.read_table(io.BytesIO(exported("parquet", strange))).to_pylist()
    assert [found[name] for name in ("start_time", "exit", "region", "host")] == [None] * 4
    assert found["costs"]["session_total"] is None
    assert found["costs"]["actual_hourly"] == Decimal("0.000001")  # half up
    assert json.loads(found["document"])["exit"] == 2**70


def test_more_sessions_than_a_group_of_rows_holds_are_all_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "ROWS", 500)
    many = [s.Session(session_id=f"session-{n}") for n in range(1201)]
    parquet = pq.ParquetFile(io.BytesIO(exported("parquet", *many)))
    assert parquet.metadata.num_row_groups == 3
    assert parquet.read().column("session_id").to_pylist() == [one.session_id for one in many]


def test_no_cell_is_run_as_a_formula_and_negative_numbers_stay_numbers() -> None:
    session = s.Session(session_id="session-x", operation="=1+1", environment="\uff1d1", tags=["-a"])
    session.costs.session_total = Decimal("-0.05")
    session.region = 'a "b",\nc'
    (row,) = csv.DictReader(io.StringIO(exported("csv", session).decode(), newline=""))
    assert (row["operation"], row["environment"], row["tags"]) == ("'=1+1", "'\uff1d1", "'-a")
    assert (row["session_total"], row["region"], row["result"]) == ("-0.05", 'a "b",\nc', "")


def test_csv_has_the_line_ends_of_rfc_4180_and_a_table_for_each_of_sessions_phases_and_obstacles() -> None:
    full = full_session()
    for table, rows in (("sessions", 1), ("phases", 1), ("obstacles", 1)):
        text = exported("csv", full, table=table).decode()
        assert text.count("\r\n") == text.count("\n") == 1 + rows
        assert next(csv.DictReader(io.StringIO(text, newline="")))["session_id"] == full.session_id


def test_json_lines_hold_the_whole_document_of_each_session() -> None:
    lines = exported("jsonl", full_session(), s.Session(session_id="session-x")).splitlines()
    assert [json.loads(line)["session_id"] for line in lines] == ["session-20241012-143022", "session-x"]
    assert json.loads(lines[0]) == json.loads(s.encode(full_session()))


def test_a_file_without_a_uid_gets_the_same_one_everywhere_and_keeps_it_when_a_text_is_corrected() -> None:
    def guides(**changes: Any) -> s.Session:
        return s.Session(**{"session_id": "session-20241012-143022", "start_ms": 1_728_743_422_000, **changes})

    uid = s.uid_of(guides())
    assert uid == s.uid_of(guides(notes=["corrected"]))
    assert uid != s.uid_of(guides(session_id="session-20241012-143023"))
    assert (uid[14], uid[:13].replace("-", "")) == ("8", f"{1_728_743_422_000:012x}")
    assert s.uid_of(guides(uid="own")) == "own"
