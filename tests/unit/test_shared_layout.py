"""What objects of shared history are called and hold: the same on every machine, and nothing believed unseen."""

from __future__ import annotations

import gzip
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimble_watch.session import new_uid
from nimble_watch.shared.layout import (
    Late,
    SharedError,
    day_before,
    day_of,
    key_of,
    late_key,
    newest,
    pack,
    read_key,
    revision_of,
    unpack,
)

UID = new_uid(1_764_000_000_000, bytes(10))
"""2025-11-24 16:00:00 UTC."""


def test_a_key_tells_project_day_session_revision_and_content() -> None:
    revision = revision_of(UID, 1, b"{}")
    assert key_of("nim", revision) == f"v1/p=nim/d=2025-11-24/{UID}.r1-44136fa355b3.json.gz"
    assert late_key("nim", Late("2025-11-26", revision)) == (
        f"v1/p=nim/late/d=2025-11-26/2025-11-24.{UID}.r1-44136fa355b3"
    )


@given(st.integers(0, 4_102_444_800_000), st.integers(0, 999_999_999), st.binary(max_size=60))
def test_every_key_is_read_back_as_what_it_was_made_of(at: int, number: int, content: bytes) -> None:
    revision = revision_of(new_uid(at, os.urandom(10)), number, content)
    assert read_key("p", key_of("p", revision)) == revision
    late = Late("2026-01-02", revision)
    assert read_key("p", late_key("p", late)) == late


@pytest.mark.parametrize(
    "key",
    [
        "v1/p=nim/d=2025-11-24/readme.txt",
        f"v1/p=other/d=2025-11-24/{UID}.r1-44136fa355b3.json.gz",
        f"v1/p=nim/d=2025-11-25/{UID}.r1-44136fa355b3.json.gz",  # not the day of its uid
        f"v1/p=nim/d=2025-11-24/{UID}.r1-44136fa355b3.json.gz.part",
        f"v1/p=nim/d=2025-11-24/../{UID}.r1-44136fa355b3.json.gz",
        "v1/p=nim/d=9999-99-99/ffffffff-ffff-7fff-bfff-ffffffffffff.r1-44136fa355b3.json.gz",
        "v1/p=nim/log/00000001.json",
    ],
)
def test_what_is_none_of_ours_is_passed_over(key: str) -> None:
    assert read_key("nim", key) is None


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a b", "-x", "x" * 101, "a\n"])
def test_a_project_s_name_cannot_lead_elsewhere(name: str) -> None:
    with pytest.raises(SharedError, match="cannot be the name of a project"):
        key_of(name, revision_of(UID, 1, b"{}"))


def test_only_a_uuid_that_begins_with_the_time_tells_a_day() -> None:
    assert day_of(UID) == day_of(UID.replace("-7", "-8", 1)) == "2025-11-24"
    assert day_before("2026-03-01") == "2026-02-28"
    for other in ("", "7", UID.replace("-7", "-4", 1), UID.upper()[:-1] + "G"):
        with pytest.raises(SharedError, match="no UUIDv7"):
            day_of(other)


def test_the_same_content_packs_to_the_same_bytes_which_gunzip_reads() -> None:
    document = b'{"session_id": "session-20251124-160000"}'
    assert pack(document) == pack(document)
    assert gzip.decompress(pack(document)) == document
    assert pack(document)[4:8] == bytes(4), "no time in it"


@given(st.binary(max_size=2000))
def test_what_was_packed_is_unpacked(document: bytes) -> None:
    assert unpack(revision_of(UID, 1, document), pack(document)) == document


def test_an_object_that_is_not_what_its_key_says_is_refused_and_named() -> None:
    revision = revision_of(UID, 1, b"{}")
    for content, why in (
        (pack(b"{} "), "its hash is another"),
        (pack(b"{}")[:-9], "is cut short"),
        (b"<html>", "is not gzip"),
        (pack(bytes(65 * 1024 * 1024)), "more than 64 MiB"),
    ):
        with pytest.raises(SharedError, match=why) as caught:
            unpack(revision, content)
        assert UID in str(caught.value)


def test_the_highest_revision_counts_and_of_two_with_one_number_every_reader_takes_the_same() -> None:
    first, second = revision_of(UID, 1, b"a"), revision_of(UID, 2, b"a")
    one, other = sorted((revision_of(UID, 2, b"b"), second))
    assert newest([first, second]) == ([second], [])
    assert newest([second, first, second]) == ([second], [])
    assert newest([one, first, other]) == newest([other, one, first]) == ([one], [other])
