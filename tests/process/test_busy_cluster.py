"""A cluster that hangs, is not there, or in which more happens than we can follow costs the child nothing."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.process.api_server import ApiServer, Request, event, pod
from tests.process.deaths import ended
from tests.process.sides import LIMIT, Outcome, nimble_watch, until, wrapped

RATE = 10_000
"""Events per second."""
_SECONDS = 2
_BATCH = 500
_COMMAND = ("sh", "-c", "echo begun; read line; echo $line; echo err >&2; exit 7")

Trouble = Callable[[Path], AbstractContextManager[tuple[Path, Callable[[], bool]]]]
"""Gives a kubeconfig, and the condition that the trouble has come."""


@contextmanager
def a_flood_of_events(folder: Path) -> Iterator[tuple[Path, Callable[[], bool]]]:
    """Send ten thousand events a second, for as long as the watch lasts; a client that is slower is waited for."""
    batches = [
        b"".join(json.dumps(event("MODIFIED", pod(f"p{one}", str(number)))).encode() + b"\n" for one in range(_BATCH))
        for number in range(7, 7 + RATE // _BATCH)
    ]
    sent: list[int] = []
    over = threading.Event()

    def pods(request: Request) -> None:
        request.picture(pod("a"))
        for batch in itertools.cycle(batches):
            request.send(batch)
            sent.append(_BATCH)
            if over.wait(_BATCH / RATE):
                return

    with ApiServer(pods) as api:
        try:
            yield api.kubeconfig(folder), lambda: sum(sent) >= RATE * _SECONDS
        finally:
            over.set()


@contextmanager
def a_server_that_hangs(folder: Path) -> Iterator[tuple[Path, Callable[[], bool]]]:
    """Accept every request and answer none."""
    with ApiServer(Request.hold, others=Request.hold) as api:
        yield api.kubeconfig(folder), lambda: bool(api.requests)


@contextmanager
def no_kubeconfig(folder: Path) -> Iterator[tuple[Path, Callable[[], bool]]]:
    """Name a file that is not there; whoever has a word for that has said it by the record."""
    journals = folder / "sessions" / ".journal"
    yield folder / "none", lambda: any("kubeconfig" in path.read_text() for path in journals.glob("*/*.jsonl"))


def _treated(command: list[str], kubeconfig: Path, happened: Callable[[], bool] = lambda: True) -> Outcome:
    """Run a command that waits for a line, which it gets once the trouble has come."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "KUBECONFIG": str(kubeconfig)},
        start_new_session=True,
    )
    try:
        until(happened, "the trouble", 60)
        out, err = process.communicate(b"said\n", timeout=LIMIT)
    finally:
        process.kill()
        process.communicate()
    return Outcome(process.returncode, out, err)


@pytest.mark.parametrize("trouble", [a_server_that_hangs, a_flood_of_events, no_kubeconfig])
def test_a_cluster_in_trouble_changes_neither_the_child_nor_its_end(
    trouble: Trouble, tmp_path: Path, sessions: Path
) -> None:
    """Case 46."""
    with trouble(tmp_path) as (kubeconfig, happened):
        bare = _treated(list(_COMMAND), kubeconfig)
        ours = _treated(wrapped(_COMMAND, "--phase", "install"), kubeconfig, happened)
    assert ours == bare == (7, b"begun\nsaid\n", b"err\n")
    session = ended(sessions)
    assert (session["result"], session["phases"]["install"]["exit"]) == ("failure", 7)


@pytest.mark.parametrize(
    ("trouble", "warning"),
    [
        (a_server_that_hangs, b"install was over before one could be looked at"),
        (a_flood_of_events, b""),
        (no_kubeconfig, b"there is no kubeconfig"),
    ],
)
def test_a_cluster_in_trouble_costs_one_line_at_most(trouble: Trouble, warning: bytes, tmp_path: Path) -> None:
    """More of case 46: one that is merely busy is not worth a word."""
    with trouble(tmp_path) as (kubeconfig, happened):
        done = _treated([*nimble_watch(), "exec", "--phase", "install", "--", *_COMMAND], kubeconfig, happened)
    assert (done.status, done.out) == (7, b"begun\nsaid\n")
    told = [line for line in done.err.splitlines() if b" not watching a cluster: " in line or b" may not see " in line]
    assert len(told) == bool(warning)
    assert all(line.startswith(b"nimble-watch: not watching a cluster: " + warning) for line in told)
