"""A cluster in which more happens than we can follow costs the child nothing."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from pathlib import Path

from tests.process.api_server import ApiServer, Request, event, pod
from tests.process.sides import end, start, until, wrapped

_BATCH = 500


def test_a_flood_of_events_changes_neither_the_child_nor_its_end(tmp_path: Path, sessions: Path) -> None:
    """Case 46: events come as fast as a socket carries them, from before the child's end until after it."""
    sent: list[int] = []

    def pods(request: Request) -> None:
        request.picture(pod("a"))
        for number in itertools.count(7):
            lines = (
                json.dumps(event("MODIFIED", pod(f"p{one}", str(number)))).encode() + b"\n" for one in range(_BATCH)
            )
            request.send(b"".join(lines))
            sent.append(_BATCH)

    with ApiServer(pods) as api:
        environ = {**os.environ, "KUBECONFIG": str(api.kubeconfig(tmp_path))}
        command = wrapped(["sh", "-c", "echo begun; read line; echo $line; exit 7"], "--phase", "install")
        process = start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        until(lambda: sum(sent) >= 20_000, "twenty thousand events", 60)
        process.stdin.write(b"said\n")
        process.stdin.close()
        with process.stdout:
            assert process.stdout.read() == b"said\n"
        assert end(process, 30) == 7
    (path,) = sessions.glob("session-*.json")
    document = json.loads(path.read_text())
    assert (document["state"], document["phases"]["install"]["exit"]) == ("ended", 7)
