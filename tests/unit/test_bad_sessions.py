"""Session files that are wrong in any way: each is named by file and field, the rest is shown, nothing is changed."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimble_watch import session as s
from nimble_watch import store
from nimble_watch.reports import View, all_reports
from nimble_watch.store.index import History

SESSIONS = sorted((Path(__file__).parents[1] / "sessions").rglob("session-*.json"))
DOCUMENTS = [json.loads(path.read_bytes()) for path in SESSIONS]
VIEW = View(now_ms=1_728_743_422_000)


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the way to every value of a document."""
    if path:
        yield path
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        yield from places(value, (*path, key))


def changed(document: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Give a document with one value in place of another."""
    copied = copy.deepcopy(document)
    inner = copied
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return copied


PLACES = [(number, path) for number, document in enumerate(DOCUMENTS) for path in places(document)]
WRONG: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, -(2**63), 2**63, 2**70, -1.5, 1e308, 10**14, 253_402_300_800_000]),
    st.sampled_from(["", "-5", "1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00",
                     "9999-12-31T23:59:59-14:00", "../../etc/passwd", "\x1b[31m\n\x00", "é" * 9]),
    st.sampled_from([[], {}, [None], [[]], [{}], {"": None}, [[1, 2]], [[5, 1]], {"a": {"b": []}}]),
)  # fmt: skip


def shown(path: Path) -> store.Loaded:
    """Read a file and show it in every way there is; also as the index would have it."""
    loaded = store.load(path)
    if loaded.session is not None:
        indexed = History(path.parent).load(path.stem).session
        assert indexed is not None
        for report in all_reports().values():
            report.render([loaded.session, loaded.session], VIEW)
            if report.name in ("list", "wide", "csv", "compare"):
                report.render([indexed], VIEW)
        s.encode(loaded.session)
    return loaded


@given(st.sampled_from(PLACES), WRONG)
def test_any_wrong_value_anywhere_leaves_a_session_that_can_be_shown(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[int, tuple[Any, ...]], value: Any
) -> None:
    number, way = place
    path = tmp_path_factory.mktemp("bad") / "session-20241012-143022.json"
    path.write_text(json.dumps(changed(DOCUMENTS[number], way, value)))
    assert shown(path).session is not None


@pytest.mark.parametrize(
    ("way", "value", "problem"),
    [
        (("start_ms",), 253_402_300_800_000, "start_ms: 253402300800000 is no time: they go from 1970 to 9999"),
        (("start_time",), "0001-01-01T00:00:00Z", "start_time: '0001-01-01T00:00:00Z' is not a time"),
        (("performance", "total_duration"), -5, "performance.total_duration: -5 is negative"),
        (("performance", "total_duration"), 10**17, "performance.total_duration: 100000000000000000 is too large"),
        (("phases", "install", "duration_ms"), -5, "phases.install.duration_ms: -5 is negative"),
        (("obstacles", 0, "time_delay_seconds"), -5, "obstacles[0].time_delay_seconds: -5 is negative"),
        (("obstacles", 0, "intervals"), [[5, 1]], "obstacles[0].intervals[0]: 5 to 1 is no span of time"),
        (("costs", "session_total"), 1e308, "costs.session_total: 1E+308 is no amount"),
        (("costs", "usage", 0, "start_ms"), -1, "costs.usage[0].start_ms: -1 is no time: they go from 1970 to 9999"),
    ],
)
def test_what_cannot_be_is_named_by_file_and_field(
    tmp_path: Path, way: tuple[Any, ...], value: Any, problem: str
) -> None:
    document = next(one for one in DOCUMENTS if one["obstacles"] and one["costs"]["usage"])
    path = tmp_path / "session-20241012-143022.json"
    path.write_text(json.dumps(changed(document, way, value)))
    before = path.read_bytes()
    assert f"{path.name}: {problem}" in shown(path).problems
    assert path.read_bytes() == before


@pytest.mark.parametrize("begun", ["1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z"])
def test_a_date_of_a_clock_that_was_never_set_is_shown_as_it_is(tmp_path: Path, begun: str) -> None:
    path = tmp_path / "session-20241012-143022.json"
    path.write_text(json.dumps({"session_id": path.stem, "start_time": begun, "schema": None}))
    loaded = shown(path)
    assert loaded.session is not None
    assert (loaded.problems, s.stamp(loaded.session.start_ms or 0)) == ([], begun)
