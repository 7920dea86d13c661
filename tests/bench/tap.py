"""What looking at the output costs: the launcher's CPU time against that of `cat` in its place, run in turn.

From the first byte that the reader gets to the last: the interpreter's start is not in it, nor is the observer, a
process of its own.  Once the output is zeros without a line, once it is lines, which keep the observer busy all along.
Both again while the cluster tells the observer more than it can follow, against the same `cat` with nobody beside it.
"""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench._plain import plain_install
from tests.bench._pods import lives
from tests.bench._server import Server

_READ = 1 << 20
_OUTPUTS = {"zeros": "head -c {size} /dev/zero", "lines": "yes 'layer 7: 12 % of 9 GB pulled' | head -c {size}"}


def measure(*, brief: bool) -> Iterator[str]:
    """Yield the median of the ratios of interleaved runs, for each kind of output, and again with a busy observer."""
    rounds, size = (5, 512 << 20) if brief else (9, 2 << 30)
    with plain_install() as bin_folder, TemporaryDirectory(prefix="nimble-watch-bench-") as folder:
        environ = {**os.environ, "NIMBLE_WATCH_SESSIONS": folder, "KUBECONFIG": os.devnull}
        wrapper = [str(bin_folder / "nimble-watch"), "exec", "-q", "--phase", "bench", "--", "sh", "-c"]
        for busy, (kind, output) in product((False, True), _OUTPUTS.items()):
            script = output.format(size=size)
            ratios = []
            for _ in range(rounds):
                ours = (
                    _busy(wrapper, script, size, environ, Path(folder))
                    if busy
                    else _cpu_of([*wrapper, script], None, size, environ)
                )
                ratios.append(ours / _cpu_of(["cat"], script, size, environ))
            what = f"{size >> 20} MiB of {kind}{', the observer busy with a flood of events' if busy else ''}"
            yield (
                f"{what}: {statistics.median(ratios):.2f} times the CPU time of `cat` in between "
                f"(median of {rounds}; goal: at most 2)"
            )


def _busy(wrapper: list[str], script: str, size: int, environ: dict[str, str], folder: Path) -> float:
    """Have the output begin once the observer is in the middle of more events than it can follow."""
    go = folder / "go"
    go.unlink(missing_ok=True)
    with Server([], _events(), again=True) as server:
        flooded = {**environ, "KUBECONFIG": str(server.kubeconfig(folder))}
        waiting = f"while [ ! -e {go} ]; do sleep 0.05; done; {script}"

        def begin() -> None:
            if not server.said.wait(60):
                raise RuntimeError("the observer has not asked for the events")
            go.touch()

        return _cpu_of([*wrapper, waiting], None, size, flooded, begin)


@cache
def _events() -> list[bytes]:
    return lives(500, 2)


def _cpu_of(
    command: list[str],
    feeder: str | None,
    size: int,
    environ: dict[str, str],
    begin: Callable[[], None] = lambda: None,
) -> float:
    """Run a command, with another one's output as its input if there is one, and give its own CPU seconds."""
    with Path(os.devnull).open("rb") as nothing:
        source = None if feeder is None else subprocess.Popen(["sh", "-c", feeder], stdout=subprocess.PIPE)
        process = subprocess.Popen(
            command,
            stdin=nothing if source is None else source.stdout,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environ,
        )
    if source is not None and source.stdout is not None:
        source.stdout.close()
    if process.stdout is None:
        raise RuntimeError("there is no pipe to read")
    buffer = bytearray(_READ)
    begin()
    with process.stdout:
        descriptor = process.stdout.fileno()
        left = size - os.readv(descriptor, [buffer])
        begun = _cpu_seconds(process.pid)
        while left:
            got = os.readv(descriptor, [buffer])
            if not got:
                raise RuntimeError(f"{command[0]} ended {left} bytes too early")
            left -= got
        spent = _cpu_seconds(process.pid) - begun
        while os.readv(descriptor, [buffer]):
            raise RuntimeError(f"{command[0]} wrote more than it was given")
    process.wait()
    if source is not None:
        source.wait()
    return spent


def _cpu_seconds(pid: int) -> float:
    """Give the CPU time of a process without its children, in seconds (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
