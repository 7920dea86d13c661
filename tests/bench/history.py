"""What a long history costs: `session list` and `compare` over 10,000 sessions, with and without the index.

The files are as large as those of a session of four phases with an obstacle or two.  The first command, which finds no
index, reads them all and writes it; the others are what people wait for every day.
"""

from __future__ import annotations

import os
import random
import resource
import statistics
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from nimble_watch import session as s
from tests.bench._plain import plain_install
from tests.bench.start import until_end

GOAL_S = 0.4
_SESSIONS = 10_000
_BEGAN, _APART = 1_780_000_000, 1800
_PHASES = ("discover", "prereqs", "install", "verify")


def measure(*, brief: bool) -> Iterator[str]:
    """Yield the medians of list and compare, beside what they take where the index was removed."""
    rounds, without = (5, 1) if brief else (15, 3)
    with plain_install() as bin_folder, TemporaryDirectory(prefix="nimble-watch-bench-") as name:
        folder = Path(name) / "sessions"
        folder.mkdir(mode=0o700)
        size = sum(write(folder, number) for number in range(_SESSIONS)) / _SESSIONS
        environ = {**os.environ, "NIMBLE_WATCH_SESSIONS": str(folder)}
        index = folder / ".index"
        subprocess.run(["sleep", "2.1"], check=True)  # the youngest file must be as old as the index asks for
        for words in (["compare"], ["list"], ["list", "--sort", "cost"]):
            command = [str(bin_folder / "nimble-watch"), "session", *words]
            until_end(command, environ)  # writes the index
            taken = [cpu(command, environ) for _ in range(rounds)]
            clock = statistics.median(until_end(command, environ) for _ in range(rounds))
            slow = []
            for _ in range(without):
                index.unlink()
                slow.append(cpu(command, environ))
            fast, all_files = statistics.median(taken), statistics.median(slow)
            yield (
                f"session {' '.join(words)} over {_SESSIONS:,} sessions of {size / 1000:.1f} kB: {fast:.2f} s of CPU, "
                f"{clock:.2f} s by the clock (goal: {GOAL_S}; medians of {rounds}); "
                f"{all_files / fast:.1f} times that without the index"
            )


def cpu(command: list[str], environ: dict[str, str]) -> float:
    """Give the CPU seconds that a command takes: the clock says what else the machine does."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environ, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def write(folder: Path, number: int) -> int:
    """Write one session's file and give its size in bytes."""
    chance = random.Random(number)  # noqa: S311  durations, not secrets
    began = now = _BEGAN + number * _APART
    session_id = "session-" + s.stamp(began * 1000).translate({45: None, 58: None, 84: "-", 90: None})
    uid = s.new_uid(began * 1000, chance.randbytes(10))
    records = [
        s.session_started(session_id=session_id, uid=uid, operation="complete-workflow", environment="dev",
                          region="us-phoenix-1", host={"name": "runner", "cpus": 2}, start_time=began)
    ]  # fmt: skip
    for phase in _PHASES:
        records.append(s.phase_started(phase, ["make", phase], time=now))
        now += chance.randint(20, 400)
        if chance.random() < 0.3:
            records.append(s.obstacle_closed(_obstacle(phase, now), time=now))
        records.append(s.phase_ended(phase, result="success", exit=0, time=now))
    node = s.Usage(node="10.0.10.2", shape="VM.GPU.A10.1", gpus=1, usd_per_hour=Decimal(2),
                   start_ms=began * 1000, end_ms=now * 1000)  # fmt: skip
    records += [s.costs_known(s.Costs(usage=[node]), time=now)]
    records += [s.session_ended("success" if chance.random() < 0.9 else "failure", exit=0, time=now)]
    numbered = [{**record, "seq": seq, "writer": "observer"} for seq, record in enumerate(records)]
    return (folder / f"{session_id}.json").write_bytes(s.encode(s.fold(numbered, session_id)))


def _obstacle(phase: str, now: int) -> s.Obstacle:
    return s.Obstacle(
        id=f"obs-{now}-1",
        phase=phase,
        type="performance",
        kind="image-pull-slow",
        description="The image is still being pulled. " * 3,
        root_cause="It has 14.2 GB, and the node pulls 80 MB a second. " * 3,
        fix="Wait, or keep the image on the node. " * 2,
        evidence='Pulling image "nvcr.io/nim/meta/llama-3.1-8b-instruct:1.8.6" ' * 2,
        timestamp=s.stamp((now - 15) * 1000),
        source="watched",
        outcome="fixed",
        verdict="recovers",
        subject="pod nim/nim-0",
        intervals=[((now - 15) * 1000, now * 1000)],
    )
