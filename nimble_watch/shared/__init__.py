"""Shared history: sessions of many machines in one store, so that a team with throw-away CI machines has one history.

`layout` says what objects are called and hold, `address` where a store is, `settings` which one is meant, `protocol`
what it can do; each file in `stores` is one kind of it.  `sending` brings sessions there, `pulling` those of others
here; `patience` is how long either tries.
"""

from nimble_watch.shared.address import Address, read_address
from nimble_watch.shared.layout import Late, Revision, SharedError, key_of, newest, pack, read_key, root_of, unpack
from nimble_watch.shared.patience import Patience, patience
from nimble_watch.shared.protocol import MissingError, SharedStore, WriteOnlyError
from nimble_watch.shared.pulling import Pulled, pull
from nimble_watch.shared.sending import (
    Sent,
    push,
    send,
    share_beginning,
    share_end,
    share_here,
    spool,
    spool_here,
    spooled,
)
from nimble_watch.shared.settings import Common, common, needed
from nimble_watch.shared.stores import open_store

__all__ = [
    "Address",
    "Common",
    "Late",
    "MissingError",
    "Patience",
    "Pulled",
    "Revision",
    "Sent",
    "SharedError",
    "SharedStore",
    "WriteOnlyError",
    "common",
    "key_of",
    "needed",
    "newest",
    "open_store",
    "pack",
    "patience",
    "pull",
    "push",
    "read_address",
    "read_key",
    "root_of",
    "send",
    "share_beginning",
    "share_end",
    "share_here",
    "spool",
    "spool_here",
    "spooled",
    "unpack",
]
