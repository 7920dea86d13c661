"""Ways of handing sessions to other programs: one file per format, found by being here.

An export writes sessions one after the other into a stream of bytes, so that a history of any length needs no memory.
Where the bytes go, and that no file is ever half written, is decided by those who call it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from functools import cache
from typing import BinaryIO

from msgspec import Struct

from nimble_watch.session import Session


class Export(Struct, frozen=True, kw_only=True):
    """One format: its name, which is also how a file's name ends, and the tables it knows (none: everything in one).

    `write(sessions, out, table)` writes all sessions; the table is one of `tables`, or an empty text.
    """

    name: str
    about: str
    write: Callable[[Iterable[Session], BinaryIO, str], None]
    tables: tuple[str, ...] = ()
    binary: bool = False


@cache
def all_exports() -> dict[str, Export]:
    """Give every format by name."""
    found: dict[str, Export] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda entry: entry.name):
        export: Export = importlib.import_module(f"{__name__}.{module.name}").EXPORT
        found[export.name] = export
    return found
