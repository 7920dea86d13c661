"""The kinds of stores: one file each, found by being here; `SCHEMES` are the beginnings of its URLs.

Each has `open_store(address, seconds)`, where `seconds` is how long one request may take.  Whatever library it needs it
imports there, so that looking for the right file costs nothing, and a library that is missing is named with what to
type.  What is nobody's scheme is `others`' to take or to leave.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from functools import cache
from types import ModuleType

from nimble_watch.cleaning import clean
from nimble_watch.errors import closest
from nimble_watch.shared.address import Address
from nimble_watch.shared.layout import SharedError
from nimble_watch.shared.protocol import SharedStore
from nimble_watch.shared.stores import others


@cache
def _kinds() -> dict[str, ModuleType]:
    found: dict[str, ModuleType] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda entry: entry.name):
        if not module.name.startswith("_"):
            kind = importlib.import_module(f"{__name__}.{module.name}")
            found.update(dict.fromkeys(kind.SCHEMES, kind))
    return found


def schemes() -> list[str]:
    """Give the schemes that have a store of their own."""
    return sorted(_kinds())


def open_store(address: Address, seconds: float) -> SharedStore:
    """Open the store at an address; nothing is sent before it is used."""
    kind = _kinds().get(address.scheme) or (others if others.takes(address.scheme) else None)
    if kind is None:
        meant = closest(address.scheme, schemes())
        raise SharedError(
            f"there is no kind of store called {clean(address.scheme)}",
            where=address.shown,
            advise=f"did you mean {meant}://?" if meant else f"there are {', '.join(schemes())}",
        )
    # What libraries warn programmers of would stand between the lines of a phase.
    warnings.filterwarnings("ignore", module=r"(?!nimble_watch\b)")
    store: SharedStore = kind.open_store(address, seconds)
    return store
