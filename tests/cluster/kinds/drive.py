"""Play all cases at once on a live cluster, watched by our own watcher, and give each case's stream of signals.

One watch of the whole cluster serves all cases; each case's stream is then what its phase would have seen: the nodes,
its own namespace, and its own command's start, output and end.  So forty-odd cases take as long as the slowest.
"""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from nimble_watch.cleaning import clean
from nimble_watch.cluster import Settings, Watcher
from nimble_watch.objects import STRUCTS, Event, KubeObject, Node
from nimble_watch.signals import (
    ClusterFound,
    Output,
    PhaseEnded,
    PhaseStarted,
    Seen,
    Signal,
    Synced,
)
from tests.cluster.harness import Cluster, until
from tests.cluster.kinds.cases import Case
from tests.cluster.kinds.manifests import IMAGE

PHASE = "install"
_AFTER = 1.0
"""Seconds that are watched on after a phase's end: what the cluster said at its end is still under way."""
_LIMIT = 180.0


class Played:
    """A case that was played: its own stream of signals, in order."""

    def __init__(self, case: Case, signals: Iterable[Signal]) -> None:
        self.case = case
        self.signals = tuple(signals)


class _Inbox:
    """What the watcher puts, kept in order."""

    def __init__(self) -> None:
        self.signals: list[Signal] = []
        self.synced: set[str] = set()
        self._queue: queue.SimpleQueue[Signal | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def put(self, *signals: Signal) -> None:
        """Take signals from any thread."""
        for signal in signals:
            self._queue.put(signal)

    def stop(self) -> None:
        """Take what is there and end."""
        self._queue.put(None)
        self._thread.join()

    def _take(self) -> None:
        while (signal := self._queue.get()) is not None:
            self.signals.append(signal)
            if isinstance(signal, Synced):
                self.synced.add(signal.kind)


def play(cluster: Cluster, cases: Sequence[Case], folder: Path) -> dict[tuple[str, str], Played]:
    """Play the cases, all at the same time, and give them by kind and side; what they made is taken away again."""
    inbox = _Inbox()
    watcher = Watcher(Settings(kubeconfig=cluster.kubeconfig), inbox.put)
    nodes: dict[str, str] = {}
    try:
        nodes.update(_prepare(cluster, cases))
        watcher.start()
        until(lambda: inbox.synced >= STRUCTS.keys(), "the watch of all kinds")
        before = len(inbox.signals)
        phases = [_Playing(cluster, case, folder, nodes.get(case.namespace, "")) for case in cases]
        until(lambda: all(phase.ended for phase in phases), "all cases to end", _LIMIT)
        time.sleep(_AFTER)
    finally:
        watcher.stop()
        inbox.stop()
        _clear(cluster, cases, nodes)
    listed, live = inbox.signals[:before], inbox.signals[before:]
    return {(p.case.kind, p.case.side): Played(p.case, _stream(p, listed, live)) for p in phases}


def _prepare(cluster: Cluster, cases: Sequence[Case]) -> Iterator[tuple[str, str]]:
    """Make the namespaces, what must stand before a phase begins, and the nodes of those that need one."""
    spaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": case.namespace, "labels": dict(case.labels)}}
        for case in cases
    ]
    cluster.apply(*spaces)
    for case in cases:
        if case.node:
            name = cluster.add_node("cpu", case.namespace)
            cluster.kubectl("taint", "node", name, "nimble-watch.test/own=case:NoSchedule")
            yield case.namespace, name
    for case in cases:
        cluster.kubectl("wait", "-n", case.namespace, "--for=create", "serviceaccount/default", "--timeout=60s")
        if case.first:
            cluster.apply(*case.first, namespace=case.namespace)
    for case in cases:
        for thing in case.first:
            if thing["kind"] == "Deployment":
                name = f"deployment/{thing['metadata']['name']}"
                cluster.kubectl("wait", "-n", case.namespace, "--for=condition=Available", name, "--timeout=60s")
            if thing["kind"] == "ResourceQuota":
                path = "--for=jsonpath={.status.hard}"
                cluster.kubectl("wait", "-n", case.namespace, path, "resourcequota/team", "--timeout=60s")


def _clear(cluster: Cluster, cases: Sequence[Case], nodes: dict[str, str]) -> None:
    names = [case.namespace for case in cases]
    for name in names:
        cluster.kubectl("delete", "pods", "--all", "-n", name, "--now", "--ignore-not-found", "--wait=false")
    cluster.kubectl("delete", "namespace", "--ignore-not-found", "--wait=false", *names)
    cluster.kubectl("delete", "storageclass", "nowhere", "--ignore-not-found")
    for node in nodes.values():
        cluster.remove_node(node)


class _Playing:
    """A case's phase while it runs: its command, and what it prints."""

    def __init__(self, cluster: Cluster, case: Case, folder: Path, node: str) -> None:
        self.case = case
        self.node = node
        self.signals: list[Signal] = []
        self.ended = False
        manifest = folder / f"{case.namespace}.json"
        items = json.dumps({"apiVersion": "v1", "kind": "List", "items": case.manifests})
        # An image of its own for each case: what one has pulled would be there already for the next.
        manifest.write_text(items.replace(IMAGE, IMAGE.replace("llama3-8b-instruct", case.namespace)))
        self.script = case.command(manifest, node)
        environment = {**cluster.environment(), "HELM_CACHE_HOME": str(folder / "helm")}
        self.began = time.time()
        self._process = subprocess.Popen(
            ["sh", "-c", self.script],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._hide = str(folder)
        self.signals.append(PhaseStarted(self.began, PHASE, ("sh", "-c", self._shown(self.script))))
        threading.Thread(target=self._read, daemon=True).start()

    def _shown(self, text: str) -> str:
        """Leave this machine's folder names out of what is recorded."""
        return clean(text.replace(self._hide, "manifests").replace(str(Path(__file__).parent), "kinds"))

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as printed:
            for line in printed:
                self.signals.append(Output(time.time(), PHASE, "stderr", self._shown(line.rstrip("\n"))))
        status = self._process.wait()
        now = time.time()
        result = "success" if status == 0 else "failure"
        self.signals.append(PhaseEnded(now, PHASE, result, status, None, now - self.began))
        self.ended = True


def _stream(phase: _Playing, listed: Sequence[Signal], live: Sequence[Signal]) -> Iterator[Signal]:
    """Give what that phase would have seen, in order of time."""
    space = phase.case.namespace
    end = phase.signals[-1].at
    mine = [signal for signal in live if signal.at <= end + _AFTER]
    known: dict[str, set[str]] = {}
    seen = [shown for signal in (*listed, *mine) if (shown := _of(space, signal, known)) is not None]
    told = list(_without_heartbeats(seen))
    yield from (signal for signal in told if signal.at <= phase.began)
    rest = [signal for signal in told if signal.at > phase.began] + phase.signals
    yield from sorted(rest, key=lambda signal: signal.at)


def _of(space: str, signal: Signal, known: dict[str, set[str]]) -> Signal | None:
    """Give a signal as far as it concerns a namespace; None if it does not.  `known` gathers what was kept by kind."""
    if isinstance(signal, Seen):
        if not _concerns(space, signal.object, listed=signal.listed):
            return None
        known.setdefault(signal.kind, set()).add(signal.object.metadata.uid)
        return signal
    if isinstance(signal, Synced):
        return Synced(signal.at, signal.kind, signal.namespace, signal.uids & known.get(signal.kind, set()))
    if isinstance(signal, ClusterFound):
        return ClusterFound(signal.at, "https://cluster.test", "test", signal.version, "default")
    return None


def _concerns(space: str, thing: KubeObject, *, listed: bool) -> bool:
    """Tell whether an object is one of the namespace's or a node; what nodes said long before is left out."""
    if isinstance(thing, Event):
        return thing.involved_object.namespace == space or (thing.involved_object.kind == "Node" and not listed)
    return isinstance(thing, Node) or thing.metadata.namespace == space


def _without_heartbeats(signals: Sequence[Signal]) -> Iterator[Signal]:
    """Leave out nodes that only say again what they said."""
    last: dict[str, object] = {}
    for signal in signals:
        if isinstance(signal, Seen) and isinstance(node := signal.object, Node):
            conditions = [(entry.type, entry.status, entry.reason) for entry in node.status.conditions or ()]
            told = (node.spec, node.status.allocatable, node.metadata.labels, conditions, signal.change)
            if last.get(node.metadata.uid) == told:
                continue
            last[node.metadata.uid] = told
        yield signal
