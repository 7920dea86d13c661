"""What a store has to be able to do, and the two ways in which it may fail.

An attempt that another one may mend (a connection that was cut, 503, 429) is a `TryAgainError` of `retry`; everything
else is a SharedError: one sentence that says what to try.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from nimble_watch.shared.layout import SharedError


class MissingError(SharedError):
    """The object is not there (yet)."""


class WriteOnlyError(SharedError):
    """What this store was opened with allows to write and nothing else."""


class SharedStore(Protocol):
    """A place for objects that are written once; `shown` says where it is, without secrets."""

    shown: str

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Write an object unless it is there; tells whether it was not.

        A store that cannot tell writes it again: under one key there is only one content.
        """

    def list_keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """Give the keys that begin with `prefix` and sort behind `after` (as bytes do), in their order."""

    def get(self, key: str) -> bytes:
        """Give an object's bytes; raises MissingError where there is none."""
