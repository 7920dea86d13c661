"""Listing what lies in folders as a bucket would: keys in the order of their bytes, from a prefix, behind a key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator


def walk(list_folder: Callable[[str], Iterable[tuple[str, bool]]], prefix: str, after: str) -> Iterator[str]:
    """Give the keys that begin with `prefix` and sort behind `after`.

    `list_folder` takes the key of a folder ("" or with a `/` at its end) and gives the names in it, and which of them
    are folders; one that is not there is empty.  Only folders that can hold what is asked for are listed.
    """
    return _below("", list_folder, prefix, after)


def _below(
    key: str, list_folder: Callable[[str], Iterable[tuple[str, bool]]], prefix: str, after: str
) -> Iterator[str]:
    names = [f"{key}{name}{'/' if folder else ''}" for name, folder in list_folder(key) if not name.startswith(".")]
    for name in sorted(names):
        if name.endswith("/"):
            wanted = name.startswith(prefix) or prefix.startswith(name)
            if wanted and (name > after or after.startswith(name)):
                yield from _below(name, list_folder, prefix, after)
        elif name.startswith(prefix) and name > after:
            yield name
