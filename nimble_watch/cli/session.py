"""`nimble-watch session ...`: the history, and what scripts tell of a session while it is open.

What scripts tell of a session event by event is read by `events`, without argparse; here it only has its `--help`.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from nimble_watch.claim import sessions_directory
from nimble_watch.cleaning import learn_secrets
from nimble_watch.cli import _naming
from nimble_watch.cli._annotating import annotate
from nimble_watch.cli._annotating import configure as configure_annotating
from nimble_watch.cli._compact import compact
from nimble_watch.cli._compact import configure as configure_compact
from nimble_watch.cli._ended import share_later
from nimble_watch.cli._export import configure as configure_export
from nimble_watch.cli._export import export
from nimble_watch.cli._import import configure as configure_import
from nimble_watch.cli._import import take_in
from nimble_watch.cli._keeping import configure as configure_keeping
from nimble_watch.cli._keeping import prune, put_away
from nimble_watch.cli._listing import OUTPUTS, filters
from nimble_watch.cli._listing import configure as configure_listing
from nimble_watch.cli._sharing import bring, send
from nimble_watch.cli._sharing import configure as configure_sharing
from nimble_watch.cli._source import configure_source, source_of
from nimble_watch.cli.events import EVENTS, end, performance
from nimble_watch.config import FILE, file_here
from nimble_watch.errors import UsageError
from nimble_watch.log import log_of
from nimble_watch.reports import View, report
from nimble_watch.session import Session, Targets
from nimble_watch.session.baseline import TOTAL, alike, newest, rows, succeeded
from nimble_watch.session.targets import missed
from nimble_watch.store import close_abandoned, current_id, how_closed, recall

Command = Callable[[argparse.Namespace], int]
_COMPARED = 200
"""How many of the newest sessions are looked at, and how many of those like the newest a comparison uses."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the subcommands of `session`; each takes --sessions."""
    rooms = parser.add_subparsers(dest="what", metavar="WHAT", required=True)

    def add(name: str, text: str, run: Command) -> argparse.ArgumentParser:
        room = rooms.add_parser(name, help=text, description=text)
        room.add_argument("--sessions", metavar="DIR", help="the folder of the sessions")
        room.set_defaults(run=run)
        return room

    for name, event in EVENTS.items():
        room = add(name, event.about, summary)
        room.usage = f"nimble-watch session {name} [option ...] {event.usage}"
        for option, metavar in event.options.items():
            if metavar:
                room.add_argument(option, metavar=metavar)
            else:
                room.add_argument(option, action="store_true")
    ended = add("end", "end the open session: final figures, summary, one line of history", end_open)
    ended.add_argument("--result", choices=("success", "failure", "error", "timeout", "cancellation", "skip"))
    add("calculate-performance", "figures of the open session so far: duration, obstacles, efficiency", calculate)
    for name, text, run in (
        ("summary", "one session for people: what took how long, what stood in the way, what it cost", summary),
        ("show", "everything that is known of one session", show),
    ):
        room = add(name, text, run)
        room.add_argument("session", nargs="?", help=_naming.WAYS)
        room.add_argument("-o", "--output", choices=("text", "json"), default="text" if name == "summary" else "json")
    listed = add("list", "the sessions, newest first", list_sessions)
    configure_listing(listed)
    compared = add("compare", "the newest sessions side by side, and what to aim for", compare)
    compared.add_argument("-n", "--number", type=int, default=10, help="how many (default: 10)")
    compared.add_argument(
        "--fail-on",
        action="append",
        choices=("slower", "failed", "target"),
        help="end with 1 if the newest session was slower than is usual, failed, or missed a target (may be repeated)",
    )
    said = add("annotate", "say what an obstacle's cause was and what really helped; tag a session, or note", explain)
    configure_annotating(said)
    exported = add("export", "sessions for other programs", lambda given: export(given, _folder(given)))
    configure_export(exported)
    add("schema", "the JSON Schema of a session's file: every field, what it means, what null stands for", show_schema)
    imported = add("import", "take in sessions of elsewhere, each once", lambda given: take_in(given, _folder(given)))
    configure_import(imported)
    compacted = add("compact", "put sessions into a Parquet dataset", lambda given: compact(given, _folder(given)))
    configure_compact(compacted)
    for room in (listed, compared, exported):
        configure_source(room)
    old = "old sessions; what is open is never touched, and all-sessions.txt keeps their lines"
    pruned = add("prune", f"remove {old}", lambda given: prune(given, _folder(given)))
    put = add("archive", f"move {old}", lambda given: put_away(given, _folder(given)))
    put.add_argument("--to", metavar="DIR", help="where to (default: archive in the folder of the sessions)")
    for room in (pruned, put):
        configure_keeping(room)
    pushed = add(
        "push",
        "send sessions that have ended to the store that a team shares",
        lambda given: send(given, _folder(given)),
    )
    configure_sharing(pushed, sending=True)
    pulled = add(
        "pull",
        "bring what others sent there: read-only, beside the sessions of this machine",
        lambda given: bring(given, _folder(given)),
    )
    configure_sharing(pulled, sending=False)


def main(arguments: argparse.Namespace) -> int:
    """Run the subcommand that was typed."""
    learn_secrets(os.environ)
    log_of("session").debug(
        "command",
        what=arguments.what,
        folder=str(_folder(arguments)),
        current=current_id(_folder(arguments)),
        named_by_environment=os.environ.get("NIMBLE_WATCH_SESSION"),
    )
    ended = close_abandoned(_folder(arguments))
    _naming.warn([how_closed(closed) for closed in ended])
    share_later(_folder(arguments), ended)
    run: Command = arguments.run
    gc.disable()  # it would look through every session that is read again and again: half of the time of a long history
    try:
        return run(arguments)
    finally:
        gc.enable()


def _folder(arguments: argparse.Namespace) -> Path:
    return Path(sessions_directory(arguments.sessions, dict(os.environb)))


def _say(text: str) -> None:
    sys.stdout.write(text)


def _view(history: Sequence[Session] = (), rows: int = 10, targets: Targets | None = None) -> View:
    return View(rows=rows, now_ms=round(time.time() * 1000), history=history, targets=targets)


def _targets() -> Targets | None:
    """Give the targets of the folder that we are in; for sessions that were begun without any."""
    return file_here(lambda wrong: _naming.warn([wrong])).targets


def end_open(arguments: argparse.Namespace) -> int:
    """End the open session."""
    return end(_folder(arguments), arguments.result)


def calculate(arguments: argparse.Namespace) -> int:
    """Bring the figures in the open session's file up to now, and print them."""
    return performance(_folder(arguments))


def summary(arguments: argparse.Namespace) -> int:
    """Print the summary of one session; of an open one the figures so far."""
    folder = _folder(arguments)
    name = "json" if arguments.output == "json" else "summary"
    chosen = _naming.read(folder, _naming.choose(folder, arguments.session))
    if name == "summary":
        recall(folder, chosen)
    _say(report(name).render([chosen], _view(targets=_targets())))
    return 0


show = summary


def show_schema(_arguments: argparse.Namespace) -> int:
    """Print the schema of a session's file."""
    from nimble_watch.session.schema import schema

    _say(schema())
    return 0


def explain(arguments: argparse.Namespace) -> int:
    """Keep what a person says of an obstacle, or of a session."""
    return annotate(arguments, _folder(arguments))


def list_sessions(arguments: argparse.Namespace) -> int:
    """Print the sessions that were asked for: in a table, as JSON, YAML or CSV, or their names."""
    known = source_of(arguments, _folder(arguments))
    sessions = list(known.chosen(arguments, whole=arguments.output in ("json", "yaml")))
    if not sessions and filters(arguments) and arguments.output in ("table", "wide", "obstacles"):
        _say("No session is as asked for; `nimble-watch session list` shows all.\n")
    elif arguments.output == "name":
        _say("".join(f"{session.session_id}\n" for session in sessions))
    elif arguments.output == "json" and len(sessions) == 1:
        _say("[" + report("json").render(sessions, _view()).rstrip() + "]\n")
    else:
        stopped = known.stopped() if arguments.output == "table" else ()  # nothing else shows it
        _say(report(OUTPUTS[arguments.output]).render(sessions, _view(stopped)))
    known.save()
    return 0


def compare(arguments: argparse.Namespace) -> int:
    """Print the comparison of the newest sessions; with --fail-on end with 1 where it says so."""
    known, number = source_of(arguments, _folder(arguments)), max(1, arguments.number)
    sessions = known.newest(max(number, _COMPARED))
    if sessions:
        sessions += known.older_alike(newest(sessions), sessions, _COMPARED)
    targets = _targets()
    _say(report("compare").render(sessions, _view(known.stopped(), rows=number, targets=targets)))
    known.save()
    return int(bool(sessions) and _fails(newest(sessions), sessions, arguments.fail_on or (), targets))


def _fails(last: Session, sessions: Sequence[Session], conditions: Sequence[str], targets: Targets | None) -> bool:
    if "target" in conditions and last.targets is None and targets is None:
        raise UsageError(
            f"--fail-on target: {last.session_id} has no targets, and none are set here",
            advise=f"write [targets] into {FILE} beside the Makefile",
        )
    usual = [other for other in alike(last, sessions) if succeeded(other)]
    slower = any(row.verdict == "slower" for row in rows(last, usual) if row.name == TOTAL)
    failed = {"slower": slower, "failed": not succeeded(last), "target": missed(last, targets)}
    return any(failed[condition] for condition in conditions)
