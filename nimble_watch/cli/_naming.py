"""Which session is meant: an id, its unique beginning, last, last~2; and reading the one that is."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from nimble_watch.claim import is_session_id
from nimble_watch.cleaning import clean
from nimble_watch.errors import NimbleWatchError, closest
from nimble_watch.session import Session, fold
from nimble_watch.store import (
    as_it_ended,
    current_id,
    is_open,
    journal_folder,
    load,
    read_records,
    session_ids,
    session_path,
)
from nimble_watch.store.index import History

ARCHIVE = "archive"
"""The folder within that of the sessions into which old ones are put away."""

WAYS = "an id, its unique beginning, last, last~2 (default: the current)"
"""How a session may be named, for `--help`."""


def choose(folder: Path, wanted: str | None) -> str:
    """Find the session that is meant; without a word the one of the environment, else the current one."""
    known = session_ids(folder)
    wanted = wanted or os.environ.get("NIMBLE_WATCH_SESSION") or ""
    if not wanted:
        wanted = current_id(folder) or "last"
    for name in (wanted, f"session-{wanted}"):
        if name in known:
            return name
    back = _back(wanted)
    if back is not None and back < len(known):
        return known[back]
    matching = _beginning(wanted, known)
    if back is None and len(matching) == 1:
        return matching[0]
    raise _unknown(folder, wanted, known, matching)


def _beginning(wanted: str, known: Sequence[str]) -> list[str]:
    """Give those that a word is the beginning of.

    A whole id is only that of one that was pulled, which has a tail: `-2` is another session, of the same second.
    """
    whole = any(is_session_id(name) for name in (wanted, f"session-{wanted}"))
    word = f"{wanted}." if whole else wanted
    return [name for name in known if name.startswith((word, f"session-{word}"))]


def _unknown(folder: Path, wanted: str, known: Sequence[str], matching: Sequence[str]) -> NimbleWatchError:
    """Say why nobody can know which session is meant, and what to type instead."""
    put = folder / ARCHIVE
    stored = session_ids(put)
    away = [name for name in (wanted, f"session-{wanted}") if name in stored] or _beginning(wanted, stored)
    if len(away) == 1:
        return NimbleWatchError(f"{away[0]} was put away", where=str(put), advise=f"name it with --sessions {put}")
    if not known:
        return NimbleWatchError("there are no sessions yet", where=str(folder), advise="`make all` makes the first one")
    if _back(wanted) is not None:
        return NimbleWatchError(f"there are only {len(known)} sessions", where=str(folder))
    if matching:
        few = ", ".join(matching[:3]) + (" ..." if len(matching) > 3 else "")  # noqa: PLR2004  enough to see how they go on
        return NimbleWatchError(
            f"{clean(wanted)} is the beginning of {len(matching)} sessions ({few})", advise="type more of it"
        )
    meant = closest(wanted, list(known))
    advise = f"did you mean {meant}?" if meant else "`nimble-watch session list` names them"
    return NimbleWatchError(f"there is no session {clean(wanted)!r}", where=str(folder), advise=advise)


def _back(wanted: str) -> int | None:
    if wanted == "last":
        return 0
    number = wanted.removeprefix("last~")
    return int(number) if number != wanted and number.isascii() and number.isdigit() else None


def read(folder: Path, session_id: str) -> Session:
    """Read one session, or say why it cannot be read."""
    if (opened := _opened(folder, session_id)) is not None:
        return opened
    loaded = load(session_path(folder, session_id))
    if loaded.session is None:
        raise NimbleWatchError("; ".join(loaded.problems), advise="`nimble-watch session list` names the others")
    warn(loaded.problems)
    return loaded.session


def read_all(folder: Path, names: Iterable[str], history: History | None = None) -> Iterator[Session]:
    """Read sessions one by one, as they are wanted; what cannot be read is named and passed over.

    With a `history` they come as tables and comparisons show them, without the rest.
    """
    for name in names:
        if (history is None or history.is_open(name)) and (opened := _opened(folder, name)) is not None:
            yield opened
            continue
        loaded = load(session_path(folder, name)) if history is None else history.load(name)
        warn(loaded.problems)
        if loaded.session is not None:
            yield loaded.session


def _opened(folder: Path, session_id: str) -> Session | None:
    """Give an open session folded anew, so that its figures are those of this moment; none if it has ended.

    One whose process is gone, and that may not be written to be closed, is shown as it ended all the same.
    """
    if not is_open(folder, session_id):
        return None
    problems: list[str] = []
    records = as_it_ended(folder, session_id, read_records(journal_folder(folder, session_id), problems))
    if not records:
        return None
    warn(problems)
    return fold(records, session_id, now=time.time())


def warn(sentences: Sequence[str]) -> None:
    """Say what is wrong with a session's file, or what was done about it."""
    for sentence in sentences:
        print(f"nimble-watch: {sentence}", file=sys.stderr)
