"""`session push` and `session pull`: the sessions here, and those of the store that a team has in common."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from nimble_watch.cli._naming import choose
from nimble_watch.errors import NimbleWatchError, UsageError
from nimble_watch.store import head_of, is_open, own_ids, session_path

_REQUEST = 20.0  # seconds that one request may take
_PATIENCE = 30.0  # seconds without a success after which the store is given up

_UNREADABLE, _STRANGE = "its file cannot be read", "it has no uid, as one of another tracker"


def configure(room: argparse.ArgumentParser, *, sending: bool) -> None:
    """Add what says which sessions go or come, and where the store is."""
    room.add_argument("--store", metavar="URL", help="the store: a folder or a URL (default: $NIMBLE_WATCH_STORE)")
    room.add_argument(
        "--project",
        metavar="NAME",
        help="under which name it has them (default: $NIMBLE_WATCH_PROJECT, else the repository's)",
    )
    if sending:
        room.add_argument("session", nargs="*", help="ids (default: the newest, and those that could not be sent)")
        room.add_argument("--all", action="store_true", help="every session that has ended")
    else:
        room.add_argument("--again", action="store_true", help="read the whole store, not only what is new in it")


def send(arguments: argparse.Namespace, folder: Path) -> int:
    """Send sessions that have ended to the store."""
    from nimble_watch.shared import needed, open_store, patience, push, spooled  # all other commands do without

    if arguments.all and arguments.session:
        raise UsageError("session push takes --all or ids, not both")
    found = needed(os.environ, Path.cwd(), store=arguments.store, project=arguments.project)
    if arguments.session:
        names = [choose(folder, word) for word in arguments.session]
        for name in names:
            if why := _not_yet(folder, name):
                raise NimbleWatchError(f"{name} cannot be sent: {why}")
    else:
        reasons = {name: _not_yet(folder, name) for name in own_ids(folder)}
        ended = [name for name, why in reasons.items() if not why]
        if arguments.all and (strange := sum(why in (_UNREADABLE, _STRANGE) for why in reasons.values())):
            print(
                f"nimble-watch: {strange} left out, unreadable or of another tracker, so without a uid", file=sys.stderr
            )
        names = list(dict.fromkeys([*(ended[::-1] if arguments.all else ended[:1]), *spooled(folder, found)]))
    new = 0
    with patience(_PATIENCE, renewed=True) as patient:
        for sent in push(folder, found, names, patient, open_store(found.address, _REQUEST)):
            new += sent.new
            done = "sent" if sent.new else "was there"
            print(f"{sent.session_id} r{sent.revision.number} {done}: project {sent.project}")
    print(f"nimble-watch: {new} of {len(names)} new in {found.address.shown}", file=sys.stderr)
    return 0


def _not_yet(folder: Path, session_id: str) -> str:
    """Say why a session cannot be sent, if it cannot."""
    if is_open(folder, session_id):
        return "it is still open"
    head = head_of(session_path(folder, session_id))
    if head is None:
        return _UNREADABLE
    return "" if head.uid else _STRANGE


def bring(arguments: argparse.Namespace, folder: Path) -> int:
    """Bring the sessions of others from the store."""
    from nimble_watch.shared import needed, open_store, patience, pull  # as above

    found = needed(os.environ, Path.cwd(), store=arguments.store, project=arguments.project)
    with patience(_PATIENCE, renewed=True) as patient:
        pulled = pull(folder, found, open_store(found.address, _REQUEST), patient, again=arguments.again)
    for problem in pulled.problems:
        print(f"nimble-watch: {problem}", file=sys.stderr)
    number = pulled.sessions
    print(
        f"nimble-watch: {number} new or newer session{'' if number == 1 else 's'} from {found.address.shown}, "
        f"project {found.project}",
        file=sys.stderr,
    )
    return 0
