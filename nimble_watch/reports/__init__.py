"""Ways of showing sessions: one file per report, found by being here.

A report turns sessions into text and needs nothing else: no cluster, no rules, no clock but the one passed in.  Colour,
width and phrasing are decided here; the data carries none of them.  Modules whose name starts with an underscore are
what several reports share.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from functools import cache

from msgspec import Struct

from nimble_watch.session import Session, Targets


class View(Struct, frozen=True, kw_only=True):
    """For whom a report is made: how many columns and rows there are, and what time it is (epoch milliseconds).

    `history` holds the sessions of the whole history that a phase was, or would have been, stopped in; `targets` are
    those of the folder in which the report is asked for, and hold for sessions that have none of their own.
    """

    width: int = 80
    rows: int = 10
    now_ms: int | None = None
    history: Sequence[Session] = ()
    targets: Targets | None = None


class Report(Struct, frozen=True, kw_only=True):
    """One way of showing sessions (newest first); `render` gives the whole text with its last newline."""

    name: str
    about: str
    render: Callable[[Sequence[Session], View], str]


@cache
def all_reports() -> dict[str, Report]:
    """Give every report by name."""
    found: dict[str, Report] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda entry: entry.name):
        if not module.name.startswith("_"):
            report: Report = importlib.import_module(f"{__name__}.{module.name}").REPORT
            found[report.name] = report
    return found


def report(name: str) -> Report:
    """Give one report without loading the others."""
    module = importlib.import_module(f"{__name__}.{name}")
    found: Report = module.REPORT
    return found
