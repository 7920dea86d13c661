"""A session as JSON and back: exact when writing, forgiving when reading.

What another program added is kept where it was; a value of the wrong type is named with file and field, set aside as it
is, and the rest is still read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

import msgspec

from nimble_watch.session.model import Costs, Obstacle, Performance, Phase, Session

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_EMPTY: tuple[Any, ...] = (None, [], {})
_S = TypeVar("_S", bound=msgspec.Struct)


def to_document(session: Session) -> dict[str, Any]:
    """Give the session as JSON objects (Decimal for money), with what others added back in its place."""
    document: dict[str, Any] = msgspec.to_builtins(session, builtin_types=(Decimal,))
    parts = [document, document["costs"], document["performance"], *document["phases"].values(), *document["obstacles"]]
    parts += document["stops"]
    for part in parts:
        if not part["unknown"]:
            del part["unknown"]
        for name, value in part.pop("extra").items():
            if part.get(name) in _EMPTY:
                part[name] = value
    return document


def encode(session: Session) -> bytes:
    """Give the session as the bytes of its file."""
    return msgspec.json.format(_ENCODER.encode(to_document(session)), indent=2) + b"\n"


def encode_documents(documents: Sequence[Mapping[str, Any]] | Mapping[str, Any]) -> bytes:
    """Give several documents as one list, or one as it is."""
    return msgspec.json.format(_ENCODER.encode(documents), indent=2) + b"\n"


def encode_line(value: Any) -> bytes:
    """Give any value of ours as one line of JSON (money as numbers)."""
    return _ENCODER.encode(value) + b"\n"


def read_fields(kind: type[_S], raw: Mapping[str, Any], where: str, problems: list[str], **required: Any) -> _S:
    """Read a struct from a JSON object; what does not fit goes to `problems` and stays in `extra`.

    `required` are values for fields that must not be missing.
    """
    fields = _fields_of(kind)
    known: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in raw.items():
        if name not in fields:
            extra[name] = value
        elif name not in required and value is not None:
            known[name] = value
    try:
        found = msgspec.convert(known | required, kind)  # all at once: ten times as fast, and almost always right
    except msgspec.ValidationError:
        known = dict(_those_that_fit(known, fields, where, problems, extra))
        found = kind(**known, **required)
    if extra and "extra" in kind.__struct_fields__:
        found.extra = extra  # type: ignore[attr-defined]  # it has one
    return found


def _those_that_fit(
    values: Mapping[str, Any], fields: Mapping[str, Any], where: str, problems: list[str], extra: dict[str, Any]
) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        try:
            yield name, msgspec.convert(value, fields[name])
        except msgspec.ValidationError as wrong:
            problems.append(f"{where}{name}: {wrong}")
            extra[name] = value


@cache
def _fields_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {entry.name: entry.type for entry in msgspec.structs.fields(kind) if entry.name != "extra"}


def from_document(document: Mapping[str, Any], fallback_id: str, problems: list[str]) -> Session:
    """Read a session from its JSON object; each thing that cannot be understood is one entry in `problems`."""
    outer = {name: value for name, value in document.items() if name not in _PARTS}
    phases = _entries(document, "phases", dict, problems)
    obstacles = _entries(document, "obstacles", list, problems)
    session_id = document.get("session_id")
    if not isinstance(session_id, str) or not session_id:
        problems.append(f"session_id: expected text, found {session_id!r}; using {fallback_id}")
        session_id = fallback_id
    session = read_fields(Session, outer, "", problems, session_id=session_id)
    session.phases = {
        str(name): read_fields(Phase, raw, f"phases.{name}.", problems)
        for name, raw in phases.items()
        if _is_object(raw, f"phases.{name}", problems)
    }
    session.obstacles = [
        _obstacle(raw, at, problems)
        for at, raw in enumerate(obstacles)
        if _is_object(raw, f"obstacles[{at}]", problems)
    ]
    session.costs = read_fields(Costs, _entries(document, "costs", dict, problems), "costs.", problems)
    session.performance = read_fields(
        Performance, _entries(document, "performance", dict, problems), "performance.", problems
    )
    return session


_PARTS = frozenset(("phases", "obstacles", "costs", "performance"))


def _entries(document: Mapping[str, Any], name: str, kind: type[Any], problems: list[str]) -> Any:
    value = document.get(name)
    if isinstance(value, kind):
        return value
    if value is not None:
        problems.append(f"{name}: expected {'an object' if kind is dict else 'a list'}, found {type(value).__name__}")
    return kind()


def _is_object(raw: Any, where: str, problems: list[str]) -> bool:
    if isinstance(raw, dict):
        return True
    problems.append(f"{where}: expected an object, found {type(raw).__name__}")
    return False


def _obstacle(raw: Mapping[str, Any], at: int, problems: list[str]) -> Obstacle:
    name = raw.get("id")
    if not isinstance(name, str) or not name:
        problems.append(f"obstacles[{at}].id: expected text, found {name!r}")
        name = f"obs-unnamed-{at + 1}"
    return read_fields(Obstacle, raw, f"obstacles[{at}].", problems, id=name)
