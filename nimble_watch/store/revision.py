"""What people say of a session later: a record in its journal while it is open, else a new revision of its file.

A file is changed only where something is said of it, and only in that: what another program wrote there, also what we
do not understand, stays as it is.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from nimble_watch.claim import JOURNALS
from nimble_watch.session import SCHEMA, Session, annotate, encode_documents, misshapen
from nimble_watch.store.files import StoreError, locked, own_folder, read_whole, write_whole
from nimble_watch.store.history import is_open, journal_folder, load, session_path
from nimble_watch.store.journal import Journal
from nimble_watch.store.pulled import is_pulled
from nimble_watch.store.sessions import catch_up


def keep_annotation(folder: Path, session_id: str, record: Mapping[str, Any], *, writer: str) -> Session:
    """Keep an `annotated` record, whoever is at work in the session or ends it meanwhile; gives it as it is then."""
    if is_open(folder, session_id):
        try:
            with Journal(journal_folder(folder, session_id), writer) as journal:
                journal.append(record)
            catch_up(folder, session_id, now=time.time())
        except StoreError:
            if is_open(folder, session_id):
                raise
    if is_open(folder, session_id):
        return _loaded(folder, session_id)
    return _revise(folder, session_id, record)  # also of one that ended meanwhile: twice said is once said


def _loaded(folder: Path, session_id: str) -> Session:
    loaded = load(session_path(folder, session_id))
    if loaded.session is None:
        raise StoreError("; ".join(loaded.problems))
    return loaded.session


def _revise(folder: Path, session_id: str, record: Mapping[str, Any]) -> Session:
    """Write a session's file, and its summary, anew, as one revision more; not if nothing new was said."""
    own_folder(folder / JOURNALS)
    path = session_path(folder, session_id)
    pulled = is_pulled(path)
    with locked(folder / JOURNALS / "revise.lock"):
        document = _document(path)
        if pulled and document.get("state") == "open":  # ours would count for more than its own end
            raise StoreError(f"{session_id} is still open on another machine", advise="annotate it once it has ended")
        changed = annotate(document, record)
        if changed != document:
            known = document.get("revision")
            changed["revision"] = max(1, known if isinstance(known, int) else 1) + 1
            write_whole(path, encode_documents(changed), mode=0o400 if pulled else 0o600)
        session = _loaded(folder, session_id)
        if pulled:
            return session
        from nimble_watch.reports.summary import summary  # noqa: PLC0415  every short call of the store would pay

        write_whole(folder / f"summary-{session_id}.txt", summary(session).encode())
    return session


def _document(path: Path) -> dict[str, Any]:
    import json  # noqa: PLC0415  every short call of the store would pay

    raw = read_whole(path)
    try:
        document = json.loads(raw, parse_float=Decimal)  # a number is written back as it was read, digit by digit
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path.name} is not whole JSON, so nothing was added to it") from error
    if not isinstance(document, dict):
        raise StoreError(f"{path.name} holds no JSON object, so nothing was added to it")
    version = document.get("schema")
    if isinstance(version, int) and version > SCHEMA:
        raise StoreError(
            f"{path.name} was written by a newer nimble-watch (schema {version}, here {SCHEMA})",
            advise="annotate it with that one",
        )
    if wrong := misshapen(document):
        raise StoreError(f"{' and '.join(wrong)} in {path.name} is no list, so nothing was added to it")
    return document
