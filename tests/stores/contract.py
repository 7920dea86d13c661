"""What every store has to do, whatever it is made of."""

from __future__ import annotations

import pytest

from nimble_watch.shared import MissingError, SharedStore


def writes_once(store: SharedStore, *, tells: bool = True) -> None:
    """Write an object, and again; `tells` that the store says what it did (one without conditions cannot)."""
    assert store.put_if_absent("v1/p=a/d=1/x.json.gz", b"\x1f\x8b content")
    assert store.put_if_absent("v1/p=a/d=1/x.json.gz", b"\x1f\x8b content") is not tells
    assert store.get("v1/p=a/d=1/x.json.gz") == b"\x1f\x8b content"


def lists_in_order(store: SharedStore) -> None:
    """List keys, which come as their bytes sort, from a prefix and behind a key."""
    keys = [f"v1/p=b/d={day}/{name}" for day in ("1", "2", "3") for name in ("a", "b-", "b.gz")]
    for key in reversed(keys):
        store.put_if_absent(key, b"")
    assert list(store.list_keys("v1/p=b/")) == keys
    assert list(store.list_keys("v1/p=b/d=", "v1/p=b/d=2")) == keys[3:]
    assert list(store.list_keys("v1/p=b/d=", keys[4])) == keys[5:]
    assert list(store.list_keys("v1/p=b/", keys[-1])) == []
    assert list(store.list_keys("v1/p=nobody/")) == []


def misses_what_is_not_there(store: SharedStore) -> None:
    """Ask for an object that is not there."""
    with pytest.raises(MissingError):
        store.get("v1/p=a/d=1/nothing")
