"""The recorded streams, one that raises each kind and one near miss, through the same core as a live cluster's."""

from __future__ import annotations

from pathlib import Path

import pytest

from nimble_watch import recording
from nimble_watch.rules import all_rules, pages
from tests.cluster.kinds.cases import CASES
from tests.cluster.kinds.spoken import SPOKEN
from tests.cluster.kinds.told import told_kinds

STREAMS = Path(__file__).parents[1] / "streams"
SECTIONS = ("Signal: ", "Near misses: ", "Verdict: ", "Fix: ", "Source: ")


def test_each_kind_has_its_two_streams_and_nothing_else_has() -> None:
    streams = {(path.parent.name, path.stem) for path in STREAMS.glob("*/*.jsonl")}
    assert streams == {(kind, side) for kind in all_rules() for side in ("raises", "near_miss")}


def test_each_stream_can_be_recorded_anew() -> None:
    assert {(case.kind, case.side) for case in (*CASES, *SPOKEN)} == {
        (p.parent.name, p.stem) for p in STREAMS.glob("*/*.jsonl")
    }


@pytest.mark.parametrize("kind", sorted(all_rules()))
def test_the_stream_raises_its_kind(kind: str) -> None:
    assert kind in told_kinds(recording.read(STREAMS / kind / "raises.jsonl"))


@pytest.mark.parametrize("kind", sorted(all_rules()))
def test_the_near_miss_does_not(kind: str) -> None:
    assert kind not in told_kinds(recording.read(STREAMS / kind / "near_miss.jsonl"))


@pytest.mark.parametrize("kind", sorted(all_rules()))
def test_the_page_of_a_kind_has_all_its_sections_in_order(kind: str) -> None:
    page = pages()[kind]
    places = [page.find(f"\n{section}") for section in SECTIONS]
    assert -1 not in places
    assert places == sorted(places)


def test_no_stream_holds_a_folder_of_the_machine_it_was_recorded_on() -> None:
    texts = (path.read_text(encoding="utf-8") for path in STREAMS.glob("*/*.jsonl"))
    folders = ("/tmp/", "/home/", "/root/", f"{Path(__file__).parents[2]}/")
    assert not any(folder in text for text in texts for folder in folders)
