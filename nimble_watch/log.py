"""The diagnostic log, for those who set DEBUG: structlog to stderr, with the cleaning as one of its processors.

Without DEBUG nothing is imported and nothing is written; what the user must know goes through console, not here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Protocol

from nimble_watch.cleaning import clean

PREFIX = "nimble-watch debug: "
_TRUE = frozenset(("1", "true", "yes", "on"))


def debugging(environ: Mapping[str, str]) -> bool:
    """Tell whether the diagnostic log is wanted: DEBUG is 1, true, yes or on, in any case."""
    return environ.get("DEBUG", "").strip().lower() in _TRUE


class Log(Protocol):
    """What may be said: an event in a few words, and its facts by name."""

    def debug(self, event: str, /, **facts: Any) -> Any:
        """Say what happened."""

    def warning(self, event: str, /, **facts: Any) -> Any:
        """Say what went wrong without harm."""


class _Silence:
    def debug(self, event: str, /, **facts: Any) -> None:
        """Say nothing."""

    def warning(self, event: str, /, **facts: Any) -> None:
        """Say nothing."""


def clean_facts(_log: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Clean every text of an event, names included (a structlog processor)."""
    return {clean(str(name)): clean(fact) if isinstance(fact, str) else _plain(fact) for name, fact in event.items()}


def _plain(fact: Any) -> Any:
    return fact if isinstance(fact, int | float | None) else clean(repr(fact))


def log_of(name: str, environ: Mapping[str, str] | None = None) -> Log:
    """Give the log of one room; a silent one unless DEBUG is set."""
    if not debugging(os.environ if environ is None else environ):
        return _Silence()
    import structlog  # noqa: PLC0415  40 ms that only those who asked for it pay

    if not structlog.is_configured():
        structlog.configure(
            processors=[
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                clean_facts,
                structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "room", "event"]),
                _prefixed,
            ],
            logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
            cache_logger_on_first_use=True,
        )
    log: Log = structlog.get_logger(room=name)
    return log


def _prefixed(_log: Any, _method: str, line: Any) -> str:
    return f"{PREFIX}{line}"
