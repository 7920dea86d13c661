"""The store that is a folder: whole objects or none, one winner, keys in the order of their bytes."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimble_watch.shared import MissingError, SharedError, SharedStore, open_store, read_address


@pytest.fixture
def store(tmp_path: Path) -> SharedStore:
    """Give a store in a folder of the test."""
    return open_store(read_address(str(tmp_path)), 5.0)


def test_an_object_is_written_once(store: SharedStore, tmp_path: Path) -> None:
    assert store.put_if_absent("v1/a", b"first")
    assert not store.put_if_absent("v1/a", b"second")
    assert store.get("v1/a") == b"first"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a"], "nothing else is left"


def test_of_many_who_write_at_once_one_wins(store: SharedStore) -> None:
    for round_ in range(20):
        gate = threading.Barrier(8)
        won: list[int] = []

        def write(who: int, key: str = f"v1/{round_}", gate: threading.Barrier = gate, won: list[int] = won) -> None:
            gate.wait()
            if store.put_if_absent(key, b"%d" % who):
                won.append(who)

        threads = [threading.Thread(target=write, args=(who,)) for who in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert store.get(f"v1/{round_}") == b"%d" % won[0]


@given(st.sets(st.text("ab-./=Z", min_size=1, max_size=6).filter(lambda key: key.strip("./") == key), max_size=12))
def test_keys_come_as_sorting_all_of_them_would_give_them(
    tmp_path_factory: pytest.TempPathFactory, keys: set[str]
) -> None:
    keys = {key for key in keys if all(part and part[0] != "." for part in key.split("/"))}
    keys = {key for key in keys if not any(other.startswith(f"{key}/") for other in keys)}
    store = open_store(read_address(str(tmp_path_factory.mktemp("keys"))), 5.0)
    for key in keys:
        store.put_if_absent(key, b"")
    assert list(store.list_keys("")) == sorted(keys)
    for word in ("a", "b-", "a/", "a/b", "Z"):
        assert list(store.list_keys(word)) == sorted(key for key in keys if key.startswith(word))
        assert list(store.list_keys("", word)) == sorted(key for key in keys if key > word)


def test_what_another_is_just_writing_is_not_listed(store: SharedStore, tmp_path: Path) -> None:
    store.put_if_absent("v1/d/a", b"")
    (tmp_path / "v1/d/.1234.tmp").write_bytes(b"half")
    assert list(store.list_keys("v1/")) == ["v1/d/a"]


def test_a_link_that_nfs_made_and_called_a_failure_counts_as_made(
    store: SharedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link

    def told_twice(old: str, new: str) -> None:
        real(old, new)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    monkeypatch.setattr(os, "link", told_twice)
    assert store.put_if_absent("v1/a", b"x")
    assert store.get("v1/a") == b"x"


def test_where_there_are_no_hard_links_renaming_does(
    store: SharedStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def none(*_names: str, **_more: bool) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "link", none)
    assert store.put_if_absent("v1/a", b"x")
    assert not store.put_if_absent("v1/a", b"y")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a"]


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    store = open_store(read_address(f"file://{tmp_path}/not-mounted"), 5.0)
    for act in (lambda: store.put_if_absent("v1/a", b""), lambda: list(store.list_keys(""))):
        with pytest.raises(SharedError, match="is it mounted"):
            act()
    assert not (tmp_path / "not-mounted").exists()


def test_an_object_that_is_missing_is_named(store: SharedStore) -> None:
    with pytest.raises(MissingError, match="no object v1/nothing"):
        store.get("v1/nothing")
