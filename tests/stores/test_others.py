"""What fsspec brings: the same as every store, and a sentence where its package is missing."""

from __future__ import annotations

import sys
import uuid

import pytest

from nimble_watch.errors import NimbleWatchError
from nimble_watch.shared import SharedError, open_store, read_address
from tests.stores.contract import lists_in_order, misses_what_is_not_there, writes_once


def test_a_file_system_of_fsspec_does_what_every_store_does() -> None:
    store = open_store(read_address(f"memory://{uuid.uuid4().hex}/team"), 5.0)
    writes_once(store)
    lists_in_order(store)
    misses_what_is_not_there(store)


def test_a_package_that_is_missing_is_named() -> None:
    with pytest.raises(SharedError, match="gcsfs"):
        open_store(read_address("gs://bucket/team"), 5.0)


def test_without_fsspec_it_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(NimbleWatchError, match=r"pip install 'nimble-watch\[fsspec\]'"):
        open_store(read_address("gs://bucket/team"), 5.0)
    with pytest.raises(SharedError, match="no kind of store called zzz"):
        open_store(read_address("zzz://bucket/team"), 5.0)
