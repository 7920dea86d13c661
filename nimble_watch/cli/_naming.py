"""Which session is meant: an id, its unique beginning, last, last~2; and reading those that are."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

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


def warn(sentences: Sequence[str]) -> None:
    """Say each on a line of stderr."""
    for sentence in sentences:
        print(f"nimble-watch: {sentence}", file=sys.stderr)


def read_all(folder: Path, names: Sequence[str]) -> Iterator[Session]:
    """Read sessions one by one, as they are wanted; what cannot be read is named and passed over."""
    for name in names:
        if (opened := _opened(folder, name)) is not None:
            yield opened
            continue
        loaded = load(session_path(folder, name))
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


def read(folder: Path, session_id: str) -> Session:
    """Read one session, or say why it cannot be read."""
    if (opened := _opened(folder, session_id)) is not None:
        return opened
    loaded = load(session_path(folder, session_id))
    if loaded.session is None:
        raise NimbleWatchError("; ".join(loaded.problems), advise="`nimble-watch session list` names the others")
    warn(loaded.problems)
    return loaded.session


def choose(folder: Path, wanted: str | None) -> str:
    """Find the session that is meant: an id, its unique beginning, last, last~2; without a word the current one."""
    known = session_ids(folder)
    wanted = wanted or os.environ.get("NIMBLE_WATCH_SESSION") or ""
    if not wanted:
        wanted = current_id(folder) or "last"
    for name in (wanted, f"session-{wanted}"):
        if name in known:
            return name
    if not known:
        raise NimbleWatchError("there are no sessions yet", where=str(folder), advise="`make all` makes the first one")
    back = _back(wanted)
    if back is not None:
        if back < len(known):
            return known[back]
        raise NimbleWatchError(f"there are only {len(known)} sessions", where=str(folder))
    matching = [name for name in known if name.startswith((wanted, f"session-{wanted}"))]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise NimbleWatchError(
            f"{clean(wanted)} is the beginning of {len(matching)} sessions", advise="type more of it"
        )
    meant = closest(wanted, known)
    advise = f"did you mean {meant}?" if meant else "`nimble-watch session list` names them"
    raise NimbleWatchError(f"there is no session {clean(wanted)!r}", where=str(folder), advise=advise)


def _back(wanted: str) -> int | None:
    if wanted == "last":
        return 0
    number = wanted.removeprefix("last~")
    return int(number) if number != wanted and number.isascii() and number.isdigit() else None
