"""Shared history: sessions of many machines in one store, so that a team with throw-away CI machines has one history.

`layout` says what objects are called and hold, `address` where a store is, `protocol` what it can do; each file in
`stores` is one kind of it.
"""

from nimble_watch.shared.address import Address, read_address
from nimble_watch.shared.layout import Late, Revision, SharedError, key_of, newest, pack, read_key, root_of, unpack
from nimble_watch.shared.protocol import MissingError, SharedStore, WriteOnlyError
from nimble_watch.shared.stores import open_store

__all__ = [
    "Address",
    "Late",
    "MissingError",
    "Revision",
    "SharedError",
    "SharedStore",
    "WriteOnlyError",
    "key_of",
    "newest",
    "open_store",
    "pack",
    "read_address",
    "read_key",
    "root_of",
    "unpack",
]
