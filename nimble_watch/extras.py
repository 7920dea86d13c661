"""Packages that only those install who ask for them: where one is missing, a sentence says what to type."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nimble_watch.errors import NimbleWatchError


@contextmanager
def needing(extra: str, what: str) -> Iterator[None]:
    """Turn a failing import inside the block into a sentence that names the extra which brings the package.

    `what` is what cannot be done without it, as the beginning of that sentence.
    """
    try:
        yield
    except ModuleNotFoundError as missing:
        raise NimbleWatchError(
            f"{what} needs {missing.name}, which is not installed",
            advise=f"type: python3 -m pip install 'nimble-watch[{extra}]'",
        ) from missing
