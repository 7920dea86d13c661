"""What a million sessions in a Parquet dataset cost: `session compare` and `list --from`, time and memory.

A thousand sessions as `history` writes them, each repeated with ids and times of its own, a month to a file as `session
compact` leaves them.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from nimble_watch import columns
from nimble_watch import session as s
from nimble_watch.dataset.layout import FILE, partition
from nimble_watch.store import load, session_ids, session_path
from tests.bench import history
from tests.bench._plain import plain_install

GOAL_S, GOAL_MB = 1.0, 200
_MANY, _BRIEF, _BASE = 1_000_000, 100_000, 1000
_BEGAN, _APART = 1_600_000_000, 150
_WEIGH = """
import os, resource, sys, time
began = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
took = time.perf_counter() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(took, used.ru_utime + used.ru_stime, used.ru_maxrss, file=sys.stderr)
sys.exit(status)
"""
"""A small process that starts a command and weighs it: the system counts what its parent held as the command's own."""


def measure(*, brief: bool) -> Iterator[str]:
    """Yield the medians of a comparison and of lists, with the most memory that any of the rounds took."""
    rounds, many = (5, _BRIEF) if brief else (9, _MANY)
    with plain_install() as bin_folder, TemporaryDirectory(prefix="nimble-watch-bench-") as name:
        dataset = Path(name) / "dataset"
        write(Path(name) / "sessions", dataset, many)
        size = sum(path.stat().st_size for path in dataset.rglob("*.parquet"))
        yield f"{many:,} sessions take {size / 1e6:.0f} MB as Parquet, {size / many:.0f} bytes each"
        environ = {**os.environ, "NIMBLE_WATCH_SESSIONS": str(Path(name) / "none")}
        for words in (["compare"], ["list"], ["list", "--kind", "image-auth", "--sort", "cost"]):
            command = [str(bin_folder / "nimble-watch"), "session", *words, "--from", str(dataset)]
            taken = [cost(command, environ) for _ in range(rounds + 1)][1:]  # the first reads the disk
            clock, cpu = (statistics.median(one[at] for one in taken) for at in (0, 1))
            goal = f"goals: {GOAL_S:.0f} and {GOAL_MB}; " if words == ["compare"] else ""
            yield (
                f"session {' '.join(words)} over them: {clock:.2f} s by the clock, {cpu:.2f} s of CPU, at most "
                f"{max(one[2] for one in taken):.0f} MB ({goal}medians of {rounds})"
            )


def cost(command: list[str], environ: dict[str, str]) -> tuple[float, float, float]:
    """Give what a command takes: seconds by the clock and of CPU, and its largest resident size in MB."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", _WEIGH, *command],
        env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr}")
    clock, cpu, kib = done.stderr.splitlines()[-1].split()
    return float(clock), float(cpu), int(kib) * 1024 / 1e6


def write(folder: Path, dataset: Path, many: int) -> None:
    """Write a dataset of so many sessions."""
    folder.mkdir(mode=0o700)
    for number in range(_BASE):
        history.write(folder, number)
    base = [session for name in session_ids(folder) if (session := load(session_path(folder, name)).session)]
    table = pa.Table.from_pylist([columns.row(session) for session in base], schema=columns.schema())
    documents = table.column("document").to_pylist()
    months: dict[str, list[pa.Table]] = {}
    for first in range(0, many, _BASE):
        began = [(_BEGAN + (first + at) * _APART) * 1000 for at in range(_BASE)]
        for month, rows in _repeated(table, base, documents, began).items():
            months.setdefault(month, []).append(rows)
        for month in sorted(months)[:-1]:
            _put(dataset, month, months.pop(month))
    for month, rest in months.items():
        _put(dataset, month, rest)


def _repeated(table: pa.Table, base: list[s.Session], documents: list[str], began: list[int]) -> dict[str, pa.Table]:
    """Give the sessions of a table with other ids and times, by the month in which they began."""
    ids = ["session-" + s.stamp(at).translate({45: None, 58: None, 84: "-", 90: None}) for at in began]
    uids = [s.new_uid(at, at.to_bytes(10, "little")) for at in began]
    changed = [
        document.replace(one.session_id, session_id).replace(str(one.uid), uid).replace(str(one.start_ms), str(at))
        for document, one, session_id, uid, at in zip(documents, base, ids, uids, began, strict=True)
    ]
    new = {"session_id": ids, "uid": uids, "start_ms": began, "start_time": [at * 1000 for at in began]}
    for name, values in {**new, "document": changed}.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))
    edges = [at for at in range(1, len(ids)) if s.stamp(began[at])[:7] != s.stamp(began[at - 1])[:7]]
    spans = zip([0, *edges], [*edges, len(ids)], strict=True)
    return {s.stamp(began[start])[:7]: table.slice(start, end - start) for start, end in spans}


def _put(dataset: Path, month: str, parts: list[pa.Table]) -> None:
    path = dataset / partition("nim", month) / FILE
    path.parent.mkdir(parents=True)
    with columns.writer(str(path)) as parquet:
        for rows in columns.regrouped(parts):
            parquet.write_table(rows)
