"""What watching costs: events per second and memory, against the official client's Watch in the same run.

The same lines of the same pods go over the same kind of loopback connection to each reader; each runs in a process of
its own, so that neither imports nor garbage of one weigh on another, and counts its
own CPU time, so that whatever else the machine does weighs on nobody.  Memory is the process's after its first list
less what it was before it, with all 10,000 pods kept in the cluster state.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_ENOUGH = 600.0
_ROUTINES = ("ours", "judged", "models", "plain")
_SIZES = {"3.5 kB": 1, "8.4 kB": 2}
_PODS = 10_000
_BATCH = 256


def measure(*, brief: bool) -> Iterator[str]:
    """Yield ratios of events per second, and the memory of many pods."""
    rounds = 1 if brief else 3
    for size, containers in _SIZES.items():
        lines = [line(number, containers) for number in range(2000)]
        mean = statistics.mean(map(len, lines))
        taken = {who: rate(who, lines, rounds, brief=brief) for who in _ROUTINES}
        yield (
            f"pods of {mean / 1000:.1f} kB: {taken['ours']:,.0f} events per second of CPU "
            "decoded, cleaned and put (goal: 20,000), "
            f"{taken['ours'] / taken['models']:.1f} times the official Watch with models (goal: 13), "
            f"{taken['ours'] / taken['plain']:.1f} times it without ({size})"
        )
        yield (
            f"the same through the inbox, the state, the scope and every rule: {taken['judged']:,.0f} a second of CPU, "
            f"{taken['judged'] / taken['models']:.1f} times what the official Watch with models takes to decode alone"
        )
    for size, containers in _SIZES.items():
        lines = [line(number, containers) for number in range(_PODS)]
        grown, peak = memory(lines)
        yield (
            f"{_PODS:,} pods of {size} kept: {grown:.0f} MiB more than before the first list, "
            f"{peak:.0f} at the peak (goal: 60)"
        )


def rate(who: str, lines: list[bytes], rounds: int, *, brief: bool) -> float:
    """Give the median events per second of one reader."""
    many = (4 if brief else 10) if who != "models" else 1
    return statistics.median(float(run(who, lines * many)["rate"]) for _ in range(rounds))


def memory(lines: list[bytes]) -> tuple[float, float]:
    """Give by how many MiB a process has grown with those pods in its state, now and at its peak."""
    said = run("state", lines)
    return float(said["grown"]), float(said["peak"])


def run(who: str, lines: list[bytes]) -> dict[str, Any]:
    """Serve the lines to a process that reads them that way, and give what it measured."""
    with TemporaryDirectory(prefix="nimble-watch-bench-") as folder, Server(lines, listed=who == "state") as server:
        path = Path(folder, "kubeconfig")
        cluster = {"name": "c", "cluster": {"server": server.url}}
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        config = {"current-context": "c", "contexts": [context], "clusters": [cluster], "users": []}
        path.write_text(json.dumps(config))
        command = [sys.executable, "-m", "tests.bench.watching", who, str(path), str(len(lines))]
        environ = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_ENOUGH, env=environ, stdin=subprocess.DEVNULL
        )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
    said: dict[str, Any] = json.loads(done.stdout)
    return said


# -- what is served ----------------------------------------------------------------------------------------------------


def line(number: int, containers: int) -> bytes:
    """Give a line of a watch: a running pod as a Deployment makes it, one in ten in trouble."""
    name = f"nim-llm-{number // 10:04d}-{number % 10:05d}"
    when = f"2026-08-{number // 86400 + 1:02d}T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z"
    sick = number % 10 == 0
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name[:-6], "uid": f"0f0e-{number // 10:08d}"}
    labels = {
        "app.kubernetes.io/name": "nim-llm", "app.kubernetes.io/instance": f"release-{number // 100}",
        "pod-template-hash": f"{number // 10:08x}",
    }  # fmt: skip
    probe = {"httpGet": {"path": "/v1/health/ready", "port": 8000}, "periodSeconds": 10, "failureThreshold": 3}
    quantity = {"nvidia.com/gpu": "1", "cpu": "8", "memory": "32Gi"}
    env: list[dict[str, Any]] = [{"name": f"SETTING_{n}", "value": f"value-{n}"} for n in range(4)]
    env.append({"name": "NGC_API_KEY", "valueFrom": {"secretKeyRef": {"name": "ngc-api", "key": "NGC_API_KEY"}}})
    mounts = [{"name": "cache", "mountPath": "/opt/nim/.cache"}, {"name": "token", "mountPath": "/var/run/secrets"}]
    app = [
        {
            "name": f"nim-{n}", "image": f"nvcr.io/nim/meta/llama-3.1-8b-instruct:1.8.{n}", "env": env,
            "resources": {"limits": quantity, "requests": quantity}, "volumeMounts": mounts,
            "startupProbe": probe, "readinessProbe": probe, "livenessProbe": probe,
            "ports": [{"containerPort": 8000, "protocol": "TCP"}], "imagePullPolicy": "IfNotPresent",
        }
        for n in range(containers)
    ]  # fmt: skip
    message = 'Back-off pulling image "nvcr.io/nim/meta/llama-3.1-8b-instruct:1.8": ErrImagePull: not found'
    state = (
        {"waiting": {"reason": "ImagePullBackOff", "message": message}} if sick else {"running": {"startedAt": when}}
    )
    statuses = [
        {
            "name": one["name"], "image": one["image"], "imageID": f"nvcr.io/nim@sha256:{number:064x}",
            "containerID": f"containerd://{number:064x}", "ready": not sick, "started": not sick, "restartCount": 0,
            "state": state, "lastState": {},
        }
        for one in app
    ]  # fmt: skip
    conditions = [
        {"type": kind, "status": "False" if sick and kind.endswith("eady") else "True", "lastTransitionTime": when,
         "lastProbeTime": None, **({"reason": "ContainersNotReady", "message": "containers with unready status: [nim]"}
                                   if sick and kind.endswith("eady") else {})}
        for kind in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    ]  # fmt: skip
    fields: dict[str, Any] = {f"f:field-{n:02d}": {} for n in range(4 if containers == 1 else 50)}
    managed = [
        {"manager": manager, "operation": "Update", "apiVersion": "v1", "time": when, "fieldsType": "FieldsV1",
         "fieldsV1": {"f:spec": {"f:containers": {f'k:{{"name":"{one["name"]}"}}': fields for one in app}}}}
        for manager in ("kube-controller-manager", "kubelet")
    ]  # fmt: skip
    meta: dict[str, Any] = {
        "name": name, "namespace": f"team-{number % 20}", "uid": f"7d9c4b5e-0000-4000-8000-{number:012d}",
        "resourceVersion": str(1000 + number), "creationTimestamp": when, "labels": labels, "generateName": name[:-5],
        "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}], "managedFields": managed,
    }  # fmt: skip
    spec = {
        "containers": app, "nodeName": f"10.0.{number % 200}.{number % 250}", "serviceAccountName": "default",
        "schedulerName": "default-scheduler", "restartPolicy": "Always", "priority": 0, "enableServiceLinks": True,
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
                        {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "tolerationSeconds": 300}],
        "volumes": [{"name": "cache", "persistentVolumeClaim": {"claimName": "nim-cache"}},
                    {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}],
        "imagePullSecrets": [{"name": "ngc-secret"}],
    }  # fmt: skip
    status = {
        "phase": "Pending" if sick else "Running", "conditions": conditions, "containerStatuses": statuses,
        "startTime": when, "podIP": "10.244.0.9", "hostIP": "10.0.10.2", "qosClass": "Burstable",
    }  # fmt: skip
    pod = {"kind": "Pod", "apiVersion": "v1", "metadata": meta, "spec": spec, "status": status}
    return json.dumps({"type": "ADDED", "object": pod}, separators=(",", ":")).encode() + b"\n"


class Server:
    """Answers every watch of pods with the same lines, one chunk each, already put together."""

    def __init__(self, lines: list[bytes], *, listed: bool) -> None:
        self._listed = listed
        marks = {"resourceVersion": "99999", "annotations": {"k8s.io/initial-events-end": "true"}}
        mark = json.dumps({"type": "BOOKMARK", "object": {"metadata": marks}}).encode() + b"\n"
        self._events = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in lines)
        self._mark = b"%x\r\n%b\r\n" % (len(mark), mark)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(peer)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        try:
            while request := self._request(peer):
                if "/version" in request:
                    body = b'{"gitVersion":"v1.36.0"}'
                    peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
                elif "watch=" in request:
                    peer.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                    parts = [self._events] if "/pods" in request else []
                    if "sendInitialEvents" in request:
                        parts.insert(len(parts) if self._listed else 0, self._mark)
                    for part in parts:
                        peer.sendall(part)
                else:
                    peer.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
        except OSError:
            return  # the reader has what it wanted

    @staticmethod
    def _request(peer: socket.socket) -> str:
        data = b""
        while b"\r\n\r\n" not in data:
            block = peer.recv(65536)
            if not block:
                return ""
            data += block
        return data.split(b"\r\n", 1)[0].decode()

    def __enter__(self) -> Server:  # noqa: PYI034  Self would hide that this is no base class
        """Serve."""
        return self

    def __exit__(self, *_: object) -> None:
        """End every connection."""
        self._listener.close()
        for peer in self._open:
            peer.close()


# -- who reads, each in a process of its own ---------------------------------------------------------------------------


def _ours(path: str, count: int) -> dict[str, float]:
    from collections import deque  # noqa: PLC0415  each reader imports what it needs and no more

    from nimble_watch.cluster import Settings, Watcher  # noqa: PLC0415
    from nimble_watch.signals import Seen, Signal  # noqa: PLC0415

    # Dropped soon after, as those of the official watch are: what is done with events is another question.
    inbox: deque[Signal] = deque(maxlen=16)
    done = threading.Event()
    seen, began, took = 0, 0.0, 0.0

    def put(signal: Signal) -> None:
        nonlocal seen, began, took
        inbox.append(signal)
        if isinstance(signal, Seen):
            began = began or time.process_time()
            seen += 1
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


def _judged(path: str, count: int) -> dict[str, float]:
    from nimble_watch.cluster import Settings, Watcher  # noqa: PLC0415
    from nimble_watch.observer.core import Observer  # noqa: PLC0415
    from nimble_watch.observer.inbox import Inbox  # noqa: PLC0415
    from nimble_watch.rules import all_rules  # noqa: PLC0415
    from nimble_watch.signals import PhaseStarted, Seen, Signal  # noqa: PLC0415

    inbox: Inbox[Signal] = Inbox(8192)
    observer = Observer(all_rules(), _Silent())
    # One namespace in twenty is the phase's; of the others every pod is kept, and none is judged.
    ours = ("kubectl", "-n", "team-3", "wait", "pod", "-l", "app.kubernetes.io/name=nim-llm")
    observer.take([PhaseStarted(0.0, "bench", ours)], 0.0)
    watcher = Watcher(Settings(kubeconfig=path), inbox.put)
    seen, began = 0, 0.0
    watcher.start()
    while seen < count:
        batch = [inbox.get(timeout=_ENOUGH)]
        while len(inbox) and len(batch) < _BATCH:
            batch.append(inbox.get_nowait())
        if not began and any(isinstance(signal, Seen) for signal in batch):
            began = time.process_time()
        observer.take(batch, time.time())
        seen += sum(isinstance(signal, Seen) for signal in batch)
    took = time.process_time() - began
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


def _state(path: str, count: int) -> dict[str, float]:
    from queue import Queue  # noqa: PLC0415

    from nimble_watch.cluster import Settings, Watcher  # noqa: PLC0415
    from nimble_watch.signals import ClusterFound, Seen, Signal, Synced  # noqa: PLC0415
    from nimble_watch.state import ClusterState  # noqa: PLC0415

    inbox: Queue[Signal] = Queue(maxsize=1000)
    state = ClusterState()
    watcher = Watcher(Settings(kubeconfig=path), inbox.put)
    before = 0.0
    seen = 0
    watcher.start()
    while True:
        signal = inbox.get(timeout=_ENOUGH)
        if isinstance(signal, ClusterFound):
            before = resident("VmRSS")
        state.apply(signal)
        seen += isinstance(signal, Seen)
        if isinstance(signal, Synced) and signal.kind == "Pod" and seen >= count:
            break
    del signal
    measured = {"grown": resident("VmRSS") - before, "peak": resident("VmHWM") - before}
    watcher.stop()
    return measured


def resident(name: str) -> float:
    """Give a figure of this process's memory in MiB."""
    status = Path("/proc/self/status").read_text()
    return next(int(entry.split()[1]) / 1024 for entry in status.splitlines() if entry.startswith(name))


_READERS: dict[str, Callable[[str, int], dict[str, float]]] = {
    "ours": _ours,
    "judged": _judged,
    "models": lambda path, count: _official(path, count, models=True),
    "plain": lambda path, count: _official(path, count, models=False),
    "state": _state,
}

if __name__ == "__main__":
    print(json.dumps(_READERS[sys.argv[1]](sys.argv[2], int(sys.argv[3]))))
    sys.stdout.flush()
    os._exit(0)  # the official watch has no end of its own
