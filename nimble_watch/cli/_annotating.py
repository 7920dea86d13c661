"""`session annotate`: what an obstacle's cause was and what really helped; tags and notes of a session."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path

from nimble_watch.cleaning import FIELD_LIMIT, clean, clean_lines
from nimble_watch.cli._ended import share_now
from nimble_watch.cli._naming import WAYS, choose, read
from nimble_watch.errors import NimbleWatchError, UsageError
from nimble_watch.session import Obstacle, Session, annotated
from nimble_watch.store import keep_annotation

_LONGEST_TAG = 100
_MOST_NAMED = 8
_USAGE = """nimble-watch session annotate OBSTACLE [--root-cause TEXT] [--fix TEXT] [--session SESSION]
       nimble-watch session annotate [SESSION] [--tag NAME] [--untag NAME] [--note TEXT]"""


def configure(room: argparse.ArgumentParser) -> None:
    """Add what it takes."""
    room.usage = _USAGE
    room.add_argument(
        "word",
        nargs="?",
        metavar="OBSTACLE | SESSION",
        help="with --root-cause or --fix an obstacle: its id, the unique beginning of one, or its kind where the "
        f"session has one of it; without them a session: {WAYS}",
    )
    room.add_argument("--root-cause", metavar="TEXT", help="what the cause really was")
    room.add_argument("--fix", metavar="TEXT", help="what really helped; `explain` and later sessions show it")
    room.add_argument("--session", metavar="SESSION", help=f"whose obstacle: {WAYS}")
    room.add_argument("--tag", action="append", default=[], metavar="NAME", help="a word to find it by (repeatable)")
    room.add_argument("--untag", action="append", default=[], metavar="NAME", help="take a tag away (repeatable)")
    room.add_argument("--note", action="append", default=[], metavar="TEXT", help="a sentence to keep (repeatable)")


def annotate(arguments: argparse.Namespace, folder: Path) -> int:
    """Keep what was said, and print what it was kept of."""
    told = {name: _text(name, getattr(arguments, name)) for name in ("root_cause", "fix")}
    tags, untag = ([_tag(tag) for tag in words] for words in (arguments.tag, arguments.untag))
    notes = [note for given in arguments.note if (note := _text("note", given))]
    of_obstacle = any(text is not None for text in told.values())
    if not (of_obstacle or tags or untag or notes):
        raise UsageError(
            "session annotate needs something to keep", advise="say --fix, --root-cause, --tag, --untag or --note"
        )
    if both := sorted(set(tags) & set(untag)):
        raise UsageError(f"{both[0]} cannot be given and taken away at once")
    if of_obstacle and not arguments.word:
        raise UsageError("--fix and --root-cause are said of an obstacle", advise="name its kind, or its id")
    if not of_obstacle and arguments.word and arguments.session:
        raise UsageError("the session is named twice", advise=f"leave out --session or {clean(arguments.word)}")
    session_id = choose(folder, arguments.session if of_obstacle else arguments.session or arguments.word)
    obstacle = _obstacle(read(folder, session_id), arguments.word) if of_obstacle else None
    record = annotated(
        None if obstacle is None else obstacle.id, **told, tags=tags, untag=untag, notes=notes, time=time.time()
    )
    kept = keep_annotation(folder, session_id, record, writer=f"command-{os.getpid()}-{time.time_ns()}")
    if kept.state != "open":
        share_now(folder, kept)
    about = "" if obstacle is None else f": {_named(obstacle)}"
    revised = f", revision {kept.revision}" if kept.revision > 1 else ""
    print(f"kept in {session_id}{about}{revised}")
    return 0


def _text(name: str, given: str | None) -> str | None:
    """Clean a text; one that says nothing would take away what is known."""
    if given is None:
        return None
    text = clean_lines(given, limit=FIELD_LIMIT).strip()
    if not text:
        raise UsageError(f"--{name.replace('_', '-')} is empty")
    return text


def _tag(word: str) -> str:
    """Give a tag as it is kept: one word, which stands in tables and is named to --tag."""
    tag = clean(word, limit=_LONGEST_TAG + 1)
    if not tag or len(tag) > _LONGEST_TAG or any(letter.isspace() or letter == "," for letter in tag):
        raise UsageError(f"{tag!r} cannot be a tag", advise=f"use one word of at most {_LONGEST_TAG} letters")
    return tag


def _obstacle(session: Session, wanted: str) -> Obstacle:
    """Find the obstacle that is meant, or say which ones there are."""
    every = session.obstacles
    for found in (
        [one for one in every if one.id == wanted],
        [one for one in every if one.kind == wanted],
        [one for one in every if one.type == wanted],
        [one for one in every if one.id.startswith((wanted, f"obs-{wanted}"))],
    ):
        if len(found) == 1:
            return found[0]
        if found:
            raise NimbleWatchError(
                f"{session.session_id} has {len(found)} obstacles that {clean(wanted)} may mean: {_list(found)}",
                advise="name one by its id",
            )
    where = session.session_id
    if not every:
        raise NimbleWatchError(f"{where} has no obstacle", advise="name another session with --session")
    raise NimbleWatchError(
        f"{where} has no obstacle {clean(wanted)!r}; it has {_list(every)}", advise="--session names another session"
    )


def _list(obstacles: Sequence[Obstacle]) -> str:
    more = f" and {len(obstacles) - _MOST_NAMED} more" if len(obstacles) > _MOST_NAMED else ""
    return ", ".join(map(_named, obstacles[:_MOST_NAMED])) + more


def _named(obstacle: Obstacle) -> str:
    """Give an obstacle as people tell it from others."""
    about = ", ".join(part for part in (obstacle.subject, obstacle.phase and f"in {obstacle.phase}") if part)
    kind = clean(obstacle.kind or obstacle.type or "unknown kind", limit=100)
    return f"{clean(obstacle.id, limit=100)} ({kind}{f', {clean(about, limit=200)}' if about else ''})"
