"""The schema that comes with the program: it says what the model has, and demands a reason for what is unknown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from nimble_watch import session as s
from nimble_watch.session import model
from nimble_watch.session.schema import schema
from nimble_watch.store import load
from tests.schema import faults
from tests.unit.test_session import GUIDE, RECORDS, begun, folded

SESSIONS = Path(__file__).parents[1] / "sessions"
KEPT_IN_EXTRA = {"Obstacle": {"scope", "symptoms", "recovered_after_terminal"}}
"""Fields of ours that no struct has, because only we write them and nobody counts with them."""


def parts() -> Iterator[tuple[type[msgspec.Struct], dict[str, Any]]]:
    """Give each struct of the model with what the schema says of it."""
    whole = json.loads(schema())
    for kind in vars(model).values():
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind is not msgspec.Struct:
            yield kind, whole if kind is s.Session else whole["$defs"].pop(kind.__name__)
    assert whole["$defs"] == {}


PARTS = dict(parts())


def types(said: dict[str, Any]) -> set[str]:
    """Give the JSON types that a piece of a schema allows, references by name."""
    found: set[str] = {said["$ref"]} if "$ref" in said else set()
    for one in said.get("anyOf", ()):
        found |= types(one)
    named = said.get("type", [])
    return found | (set() if said.get("format") == "decimal" else {named} if isinstance(named, str) else set(named))


def test_it_is_a_schema_of_2020_12() -> None:
    Draft202012Validator.check_schema(json.loads(schema()))


@pytest.mark.parametrize("kind", PARTS)
def test_it_names_every_field_of_the_model_with_its_types_and_says_what_it_means(kind: type[msgspec.Struct]) -> None:
    said = PARTS[kind]["properties"]
    fields = set(kind.__struct_fields__) - {"extra"}
    assert set(said) == fields | KEPT_IN_EXTRA.get(kind.__name__, set())
    made = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")[1][kind.__name__]["properties"]
    assert {name: types(said[name]) for name in fields} == {
        name: {"number" if t == "decimal" else t for t in types(about)} | _money(about)
        for name, about in made.items()
        if name != "extra"
    }
    assert [name for name, about in said.items() if len(about.get("description", "")) < 5] == []


def _money(about: dict[str, Any]) -> set[str]:
    """Give `number` for an amount, which msgspec would write as text."""
    return {"number"} if "decimal" in json.dumps(about) else set()


@pytest.mark.parametrize("kind", PARTS)
def test_whatever_may_be_null_is_said_to_be_nothing_or_needs_a_reason(kind: type[msgspec.Struct]) -> None:
    demanded = {name for rule in PARTS[kind].get("allOf", ()) for name in rule["if"]["properties"]}
    for name, about in PARTS[kind]["properties"].items():
        if "null" in types(about):
            assert name in demanded or "null" in about["description"].lower(), name


def test_the_guide_s_own_session_is_valid() -> None:
    assert faults(json.loads(GUIDE.read_text())) == []


@given(st.lists(RECORDS, max_size=25))
def test_whatever_is_folded_is_valid(records: list[s.Record]) -> None:
    assert faults(json.loads(s.encode(folded(begun(), *records)))) == []


def test_a_file_of_somebody_else_is_valid_as_it_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "session-20241012-143022.json"
    path.write_text('{"session_id": "session-20241012-143022", "phases": {"a": {}}, "obstacles": [{"id": "o"}]}')
    session = load(path).session
    assert session is not None
    shown = json.loads(s.encode(session))
    assert faults(shown) == []
    assert shown["unknown"]["operation"] == "the file does not say"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"result": "fine"}, "$.result: 'fine' is not one of"),
        ({"region": None}, "$: 'unknown' is a required property"),
        ({"region": None, "unknown": {"vcs": "x"}}, "$.unknown: 'region' is a required property"),
        ({"start_time": "yesterday"}, "$.start_time: 'yesterday' does not match"),
        ({"uid": "7"}, "$.uid: '7' does not match"),
        ({"phases": {"install": {"obstacles": []}}}, "$.phases.install: 'start_time' is a required property"),
        ({"obstacles": [{"id": ""}]}, "$.obstacles[0].id: '' should be non-empty"),
        ({"performance": {}}, "$.performance: 'total_duration' is a required property"),
        ({"costs": {"session_total": "0.15"}}, "$.costs.session_total: '0.15' is not of type 'number', 'null'"),
    ],
)
def test_what_is_wrong_is_found(change: dict[str, Any], fault: str) -> None:
    document = json.loads(s.encode(folded(begun(), s.session_ended("success", exit=0, time=1_728_743_432.0))))
    document.pop("unknown", None)
    document |= {"cluster": {}, "host": {}, "comparable": {}}
    assert faults(document) == []
    assert any(found.startswith(fault) for found in faults(document | change)), faults(document | change)


# -- files of every version load for ever ------------------------------------------------------------------------------


def test_there_are_files_and_a_schema_of_every_version() -> None:
    """Who raises SCHEMA puts sessions that the new program wrote under tests/sessions/schema-N/, and keeps the old."""
    versions = range(1, s.SCHEMA + 1)
    assert sorted(path.name for path in SESSIONS.iterdir()) == [f"schema-{version}" for version in versions]
    for version in versions:
        assert list((SESSIONS / f"schema-{version}").glob("session-*.json"))
        assert json.loads(schema(version))["$id"] == f"urn:nimble-watch:session:{version}"


@pytest.mark.parametrize(
    "path", sorted(SESSIONS.rglob("session-*.json")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_a_file_that_was_ever_written_is_read_without_loss(path: Path) -> None:
    version = int(path.parent.name.removeprefix("schema-"))
    written = json.loads(path.read_bytes())
    assert written["schema"] == version
    assert list(Draft202012Validator(json.loads(schema(version))).iter_errors(written)) == []
    loaded = load(path)
    assert loaded.session is not None
    assert loaded.problems == []
    assert s.changes_between(json.loads(s.encode(loaded.session)), written) == {}
