"""Play all cases at the same time on a live cluster, each under a `nimble-watch exec` of its own.

So forty-odd cases take as long as the slowest.  Of each we keep what a person saw on stderr, the session, and the
stream of signals: a watch of ours beside them sees the whole cluster, and a case's stream is what concerns it, the
nodes, its own namespace, and its own command's start, output and end.
"""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Literal

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
from tests.cluster.desk import NIMBLE_WATCH, environment
from tests.cluster.harness import Cluster, until
from tests.cluster.kinds.cases import Case
from tests.cluster.kinds.manifests import IMAGE

PHASE = "install"
OURS = "nimble-watch: "
_AFTER = 1.0
"""Seconds that are watched on after a phase's end: what the cluster said at its end is still under way."""
_LIMIT = 180.0
"""Seconds in which one more case has to end: how long all of them take is the machine's business."""
_WHOLE = """({script})
own=$?
echo $own >{own}
for _ in $(seq 300); do grep -qs '"server"' {session} && break; sleep 0.1; done
exit $own"""
_STARTING, _AT_ONCE = 3, 24
"""How many phases may be on their way to the cluster, and how many may run at all, at the same time."""


class Played:
    """A case that was played.

    `status` is what nimble-watch ended with and `own` what the child did, `said` our lines on stderr, `session`
    what was kept, `signals` the case's own stream in order.
    """

    def __init__(self, phase: _Playing, signals: Sequence[Signal]) -> None:
        self.case = phase.case
        self.status = phase.status
        self.own = int(phase.own.read_text())
        self.said = tuple(phase.said)
        self.session = phase.session()
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
    phases: list[_Playing] = []
    try:
        nodes.update(_prepare(cluster, cases))
        watcher.start()
        until(lambda: inbox.synced >= STRUCTS.keys(), "the watch of all kinds")
        before = len(inbox.signals)
        # The longest first; and few on their way at once, else each would see a cluster that is slow as none is.
        for case in sorted(cases, key=lambda case: -case.wait):
            until(lambda: sum(not phase.under_way for phase in phases) < _STARTING, "phases to be under way", _LIMIT)
            until(lambda: sum(not phase.ended for phase in phases) < _AT_ONCE, "a phase to end", _LIMIT)
            phases.append(_Playing(cluster, case, folder, nodes.get(case.namespace, "")))
        _await_all(phases)
        time.sleep(_AFTER)
    finally:
        for phase in phases:
            phase.stop()
        watcher.stop()
        inbox.stop()
        _clear(cluster, cases, nodes)
    listed, live = inbox.signals[:before], inbox.signals[before:]
    return {(p.case.kind, p.case.side): Played(p, list(_stream(p, listed, live))) for p in phases}


def _await_all(phases: Sequence[_Playing]) -> None:
    while left := sum(not phase.ended for phase in phases):
        until(lambda left=left: sum(not phase.ended for phase in phases) < left, "one more case to end", _LIMIT)  # type: ignore[misc]  # bound early


def _prepare(cluster: Cluster, cases: Sequence[Case]) -> Iterator[tuple[str, str]]:
    """Make the namespaces, what must stand before a phase begins, and the nodes of those that need one."""
    spaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": case.namespace, "labels": dict(case.labels)}}
        for case in cases
    ]
    cluster.apply(*spaces)
    for case in cases:
        if case.node:
            name = cluster.add_node(case.node, case.namespace)
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
    """A case's phase while it runs: its command under `nimble-watch exec`, and what both print.

    However soon the command is through, the phase lasts until its observer has seen the cluster, so that what it does
    not say means something.
    """

    def __init__(self, cluster: Cluster, case: Case, folder: Path, node: str) -> None:
        self.case = case
        self.said: list[str] = []
        self.status = -1
        self.own = folder / f"{case.namespace}.status"
        self._sessions = folder / "sessions" / case.namespace
        manifest = folder / f"{case.namespace}.json"
        items = json.dumps({"apiVersion": "v1", "kind": "List", "items": case.manifests})
        # An image of its own for each case: what one has pulled would be there already for the next.
        manifest.write_text(items.replace(IMAGE, IMAGE.replace("llama3-8b-instruct", case.namespace)))
        self._script = case.command(manifest, node)
        self._hide = str(folder)
        self._printed: list[Output] = []
        whole = _WHOLE.format(script=self._script, own=self.own, session=self._sessions / "current.json")
        self._process = subprocess.Popen(
            [NIMBLE_WATCH, "exec", "--phase", PHASE, "--", "sh", "-c", whole],
            env={**environment(cluster, self._sessions), "HELM_CACHE_HOME": str(folder / "helm")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._readers = [
            threading.Thread(target=self._read, args=(stream, name), daemon=True)
            for name, stream in (("stdout", self._process.stdout), ("stderr", self._process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def under_way(self) -> bool:
        """Tell whether its observer has found the cluster and its command has printed something, or both are past."""
        return self.ended or bool(self._printed and self.session().get("cluster"))

    @property
    def ended(self) -> bool:
        """Tell whether it is over and all that was printed is read."""
        if self._process.poll() is None:
            return False
        for reader in self._readers:
            reader.join()
        self.status = self._process.returncode
        return True

    def stop(self) -> None:
        """End it if it still runs; nimble-watch takes the child along."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()

    def session(self) -> dict[str, Any]:
        """Give the session as its file has it; nothing while there is none."""
        path = self._sessions / "current.json"
        read: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return read

    def signals(self) -> list[Signal]:
        """Give the phase's own signals: its start, what it printed, and its end."""
        phase = self.session()["phases"][PHASE]
        start, end = phase["start_ms"] / 1000, phase["end_ms"] / 1000
        printed = [Output(min(line.at, end), line.phase, line.stream, line.line) for line in self._printed]
        return [
            PhaseStarted(start, PHASE, ("sh", "-c", self._shown(self._script))),
            *sorted(printed, key=lambda line: line.at),
            PhaseEnded(end, PHASE, phase["result"], phase["exit"], phase["signal"], end - start),
        ]

    def _shown(self, text: str) -> str:
        """Leave this machine's folder names out of what is recorded."""
        return clean(text.replace(self._hide, "manifests").replace(str(Path(__file__).parent), "kinds"))

    def _read(self, stream: IO[str], name: Literal["stdout", "stderr"]) -> None:
        with stream as printed:
            for line in printed:
                if line.startswith(OURS):
                    self.said.append(line.rstrip("\n").removeprefix(OURS))
                else:
                    self._printed.append(Output(time.time(), PHASE, name, self._shown(line.rstrip("\n"))))


def _stream(phase: _Playing, listed: Sequence[Signal], live: Sequence[Signal]) -> Iterator[Signal]:
    """Give what that phase would have seen, in order of time."""
    space = phase.case.namespace
    own = phase.signals()
    began, end = own[0].at, own[-1].at
    mine = [signal for signal in live if signal.at <= end + _AFTER]
    known: dict[str, set[str]] = {}
    seen = [shown for signal in (*listed, *mine) if (shown := _of(space, signal, known)) is not None]
    told = list(_without_heartbeats(seen))
    yield from (signal for signal in told if signal.at <= began)
    rest = [signal for signal in told if signal.at > began] + own
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
