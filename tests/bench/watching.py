"""What watching costs: events per second and memory, against the official client's Watch in the same run.

The same lines of the same pods (`_pods`) go over the same kind of loopback connection to each reader; each runs in a
process of its own, so that neither imports nor garbage of one weigh on another, and counts its own CPU time, so that
whatever else the machine does weighs on nobody.

Compared are unlike things, to our disadvantage: the official Watch only reads and decodes each event and drops it.
Ours decodes it, makes it safe, hands it from the reading thread to the loop, keeps it in the cluster state, tells whose
it is and asks every rule about what is the phase's: one namespace in twenty.  The clock runs from the end of the first,
empty, picture to the last judgement.  The official one is given every fourth line, since it takes so long.

Memory is the process's with all 10,000 pods kept, less what it was before the first list.  Afterwards each pod changes
a few times, because what is kept of a long run must not grow with its length.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.bench._pods import going_on, lives, standing
from tests.bench._server import Server

_ENOUGH = 600.0
_SIZES = (1, 2)
"""Containers of a pod: with one it is a small one, with two its managed fields are large as well."""
_LIVES = 2000
_PODS = 10_000
_CHANGES = 3
_BATCH = 512


def measure(*, brief: bool) -> Iterator[str]:
    """Yield ratios of events per second, and the memory of many pods."""
    rounds = 3 if brief else 7
    for containers in _SIZES:
        lines = lives(_LIVES, containers)
        size = f"{statistics.mean(map(len, lines)) / 1000:.1f} kB"
        taken: dict[str, list[float]] = {}
        for _ in range(rounds):  # in turn, so that what else the machine does meanwhile meets them all
            for who, part in (("judged", lines), ("put", lines), ("models", lines[::4]), ("plain", lines)):
                taken.setdefault(who, []).append(float(run(who, part)["rate"]))
        rate = {who: statistics.median(rates) for who, rates in taken.items()}
        models, plain = (rate["judged"] / rate[who] for who in ("models", "plain"))
        yield (
            f"pods of {size} that start and go: {rate['judged']:,.0f} events per second of CPU, decoded and judged "
            f"(goal: 20,000), {models:.1f} times the official Watch with models (goal: 13), {plain:.1f} times without"
        )
        yield f"  of that, decoded, cleaned and delivered only: {rate['put']:,.0f} events per second of CPU"
    for containers in _SIZES:
        first = standing(_PODS, containers)
        said = run("state", first, going_on(_PODS, containers, _CHANGES))
        yield (
            f"{_PODS:,} pods of {statistics.mean(map(len, first)) / 1000:.1f} kB kept: "
            f"{said['grown']:.0f} MiB more than before the first list (goal: 60), {said['peak']:.0f} at the peak; "
            f"{said['later']:.0f} after each has changed {_CHANGES} times"
        )


def run(who: str, lines: list[bytes], later: list[bytes] | None = None) -> dict[str, Any]:
    """Serve the lines to a process that reads them that way, and give what it measured.

    With `later` they are the first picture, and those what follows it; else the first picture is empty.
    """
    pictured, followed = ([], lines) if later is None else (lines, later)
    with TemporaryDirectory(prefix="nimble-watch-bench-") as folder, Server(pictured, followed) as server:
        path = server.kubeconfig(Path(folder))
        command = [sys.executable, "-m", "tests.bench.watching", who, str(path), str(len(lines)), str(len(later or ()))]
        environ = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_ENOUGH, env=environ, stdin=subprocess.DEVNULL
        )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
    said: dict[str, Any] = json.loads(done.stdout)
    return said


# -- who reads, each in a process of its own ---------------------------------------------------------------------------


def _put(path: str, count: int, _: int) -> dict[str, float]:
    from collections import deque  # noqa: PLC0415  each reader imports what it needs and no more

    from nimble_watch.cluster import Settings, Watcher  # noqa: PLC0415
    from nimble_watch.signals import Seen, Signal, Synced  # noqa: PLC0415

    # Dropped soon after, as those of the official watch are: what is done with events is another question.
    inbox: deque[Signal] = deque(maxlen=16)
    done = threading.Event()
    seen, began, took = 0, 0.0, 0.0

    def put(*signals: Signal) -> None:
        nonlocal seen, began, took
        inbox.extend(signals)
        seen += sum(isinstance(signal, Seen) for signal in signals)
        if any(isinstance(signal, Synced) and signal.kind == "Pod" for signal in signals):
            began = time.process_time()
        if seen == count:
            took = time.process_time() - began
            done.set()

    watcher = Watcher(Settings(kubeconfig=path), put)
    watcher.start()
    if not done.wait(_ENOUGH):
        raise TimeoutError(f"{seen} of {count} events came")
    watcher.stop()
    return {"rate": count / took}


class _Silent:
    """A report that nobody reads."""

    def heard(self, signal: Any, entered: Any, now: float) -> None:
        """Take a signal."""

    def changed(self, changes: Any, now: float) -> None:
        """Take changes."""

    def warn(self, sentence: str) -> None:
        """Fail: nothing may go wrong while it is measured."""
        raise RuntimeError(sentence)


def _judged(path: str, count: int, _: int) -> dict[str, float]:
    from nimble_watch.cluster import Settings, Watcher  # noqa: PLC0415
    from nimble_watch.observer.core import Observer  # noqa: PLC0415
    from nimble_watch.observer.inbox import Inbox  # noqa: PLC0415
    from nimble_watch.rules import all_rules  # noqa: PLC0415
    from nimble_watch.signals import PhaseStarted, Seen, Signal, Synced  # noqa: PLC0415

    inbox: Inbox[Signal] = Inbox(8192)
    observer = Observer(all_rules(), _Silent())
    ours = ("kubectl", "-n", "team-3", "wait", "pod", "-l", "app.kubernetes.io/part-of=team-3")
    observer.take([PhaseStarted(0.0, "bench", ours)], 0.0)
    watcher = Watcher(Settings(kubeconfig=path), inbox.put)
    seen, began = 0, 0.0
    watcher.start()
    while seen < count:
        batch = inbox.take(_BATCH, _ENOUGH)
        if not began and any(isinstance(signal, Synced) and signal.kind == "Pod" for signal in batch):
            began = time.process_time()
        observer.take(batch, time.time())
        seen += sum(isinstance(signal, Seen) for signal in batch)
    took = time.process_time() - began
    if not observer.tracker.obstacles:
        raise RuntimeError("no obstacle was found: something else was measured")
    watcher.stop()
    return {"rate": count / took}


def _official(path: str, count: int, *, models: bool) -> dict[str, float]:
    from kubernetes import client, config, watch  # noqa: PLC0415

    config.load_kube_config(path)
    began = 0.0
    api = client.CoreV1Api()
    stream = watch.Watch().stream(api.list_pod_for_all_namespaces, deserialize=models, resource_version="1")
    for _ in itertools.islice(stream, count):
        began = began or time.process_time()
    return {"rate": count / (time.process_time() - began)}


def _state(path: str, count: int, later: int) -> dict[str, float]:
    from nimble_watch.cluster import Settings, Watcher  # noqa: PLC0415
    from nimble_watch.observer.inbox import Inbox  # noqa: PLC0415
    from nimble_watch.signals import ClusterFound, Seen, Signal, Synced  # noqa: PLC0415
    from nimble_watch.state import ClusterState  # noqa: PLC0415

    inbox: Inbox[Signal] = Inbox(8192)
    state = ClusterState()
    watcher = Watcher(Settings(kubeconfig=path), inbox.put)
    before = 0.0
    seen = 0
    measured: dict[str, float] = {}
    watcher.start()
    while seen < count + later:
        for signal in inbox.take(_BATCH, _ENOUGH):
            if isinstance(signal, ClusterFound):
                before = resident("VmRSS")
            state.apply(signal)
            seen += isinstance(signal, Seen)
            if isinstance(signal, Synced) and signal.kind == "Pod":
                measured = {"grown": resident("VmRSS") - before, "peak": resident("VmHWM") - before}
    del signal
    measured["later"] = resident("VmRSS") - before
    watcher.stop()
    return measured


def resident(name: str) -> float:
    """Give a figure of this process's memory in MiB."""
    status = Path("/proc/self/status").read_text()
    return next(int(entry.split()[1]) / 1024 for entry in status.splitlines() if entry.startswith(name))


_READERS: dict[str, Callable[[str, int, int], dict[str, float]]] = {
    "put": _put,
    "judged": _judged,
    "models": lambda path, count, _: _official(path, count, models=True),
    "plain": lambda path, count, _: _official(path, count, models=False),
    "state": _state,
}

if __name__ == "__main__":
    print(json.dumps(_READERS[sys.argv[1]](sys.argv[2], *map(int, sys.argv[3:]))))
    sys.stdout.flush()
    os._exit(0)  # the official watch has no end of its own
