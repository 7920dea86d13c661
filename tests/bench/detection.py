"""How long from the moment the API server publishes what tells the kind until our line stands on stderr.

A plain watch in this process reads the same streams beside nimble-watch and notes when each version arrived.
Afterwards the rules are asked about those versions one after another: the first from which the kind could be told is
the start of the clock, the arrival of our line in this process its end.  With thousands of other pods in the cluster it
must be the same: the cost does not grow with what is not ours.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import ssl
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import msgspec
import yaml

from nimble_watch.findings import Finding
from nimble_watch.objects import STRUCTS, KubeObject
from nimble_watch.rules import all_rules
from nimble_watch.signals import ClusterFound, Seen, Synced
from nimble_watch.state import ClusterState
from tests.bench._plain import plain_install
from tests.cluster.desk import deployment
from tests.cluster.harness import Cluster, until

KIND = "image-not-found"
PATHS = {
    "Pod": "/api/v1/pods",
    "Event": "/api/v1/events",
    "ReplicaSet": "/apis/apps/v1/replicasets",
    "Deployment": "/apis/apps/v1/deployments",
}
LINE = re.compile(rf"{KIND}: image nvcr\.io/nim/bench-(\d+):1 ")


class PlainWatch:
    """Watches the kinds as simply as can be and notes when each line came."""

    def __init__(self, kubeconfig: str, namespace: str) -> None:
        document = yaml.safe_load(Path(kubeconfig).read_text())
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._context = ssl.create_default_context(cadata=authority)
        with TemporaryDirectory() as folder:
            pair = [Path(folder) / name for name in ("crt", "key")]
            pair[0].write_bytes(base64.b64decode(user["client-certificate-data"]))
            pair[1].write_bytes(base64.b64decode(user["client-key-data"]))
            self._context.load_cert_chain(*map(str, pair))
        self._server = urlsplit(cluster["server"])
        self._namespace = namespace
        self.lines: list[tuple[float, str, bytes]] = []
        self._connections: list[http.client.HTTPSConnection] = []
        self._threads = [threading.Thread(target=self._read, args=(kind,), daemon=True) for kind in PATHS]
        for thread in self._threads:
            thread.start()

    def _read(self, kind: str) -> None:
        connection = http.client.HTTPSConnection(
            self._server.hostname or "", self._server.port, context=self._context, timeout=600
        )
        self._connections.append(connection)
        head, _, plural = PATHS[kind].rpartition("/")
        connection.request("GET", f"{head}/namespaces/{self._namespace}/{plural}?watch=1&resourceVersion=0")
        answer = connection.getresponse()
        rest = b""
        try:
            while block := answer.read1(262144):
                now = time.perf_counter()
                *whole, rest = (rest + block).split(b"\n")
                self.lines.extend((now, kind, line) for line in whole)
        except (OSError, ValueError, http.client.HTTPException, AttributeError):
            return  # stopped

    def stop(self) -> None:
        """End the watches."""
        for connection in self._connections:
            if connection.sock is not None:
                connection.sock.shutdown(2)
        for thread in self._threads:
            thread.join(5)


def first_told(lines: list[tuple[float, str, bytes]]) -> dict[int, float]:
    """Give for each of our images when the first version arrived from which the kind could be told."""
    state, told = ClusterState(), dict[int, float]()
    state.apply(ClusterFound(0.0, "bench", "bench", "", ""))
    for kind in STRUCTS:
        state.apply(Synced(0.0, kind, "", frozenset()))
    rule = all_rules()[KIND]
    decoders = {kind: msgspec.json.Decoder(dict[str, msgspec.Raw]) for kind in PATHS}
    for arrived, kind, line in sorted(lines, key=lambda entry: entry[0]):
        change = decoders[kind].decode(line)
        word: str = msgspec.json.decode(change["type"], type=str)
        if word not in ("ADDED", "MODIFIED"):
            continue
        thing: KubeObject = msgspec.json.decode(change["object"], type=STRUCTS[kind])
        now = time.time()
        for subject in state.apply(Seen(now, kind, "added" if word == "ADDED" else "modified", thing)):
            if subject.kind not in rule.subjects:
                continue
            for answer in rule.recognise(subject, state, now):
                if isinstance(answer, Finding) and (named := re.search(r"bench-(\d+):1", answer.evidence)):
                    told.setdefault(int(named.group(1)), arrived)
    return told


def measure(*, brief: bool) -> Iterator[str]:
    """Yield the quantiles of the delay, with few and with many other pods in the cluster."""
    count = 12 if brief else 40
    crowds = (0, 2000) if brief else (0, 2000, 10000)
    with plain_install() as bin_folder, TemporaryDirectory(prefix="nimble-watch-bench-") as folder:
        for crowd in crowds:
            cluster = Cluster.start(
                Path(folder) / f"c{crowd}", nodes="cpu=1", kwok_nodes=-(-crowd // 100) if crowd else 0
            )
            try:
                if crowd:
                    fill(cluster, crowd)
                delays = one(cluster, bin_folder, Path(folder) / f"s{crowd}", count)
            finally:
                cluster.stop()
            quantiles = statistics.quantiles(delays, n=100, method="inclusive")
            yield (
                f"with {crowd} other pods: our line stood {quantiles[49] * 1e3:.1f} ms (median) and"
                f" {quantiles[98] * 1e3:.1f} ms (p99 of {len(delays)}) after a plain watch beside it had the version"
                " (goals: 2 and 10)"
            )


def fill(cluster: Cluster, crowd: int) -> None:
    """Let kwok run so many pods of others."""
    busy: dict[str, Any] = deployment("crowd")
    busy["spec"]["replicas"] = crowd
    spec = busy["spec"]["template"]["spec"]
    spec["nodeSelector"] = {"type": "kwok"}
    spec["tolerations"] = [{"operator": "Exists"}]
    cluster.kubectl("create", "namespace", "crowd")
    until(lambda: cluster.kubectl("get", "serviceaccounts", "-n", "crowd", "-o", "name"), "the account of crowd")
    cluster.apply(busy, namespace="crowd")

    def running() -> bool:
        status = cluster.get("deployment", "crowd", "crowd")["status"]
        return bool(status.get("readyReplicas", 0) >= crowd)

    until(running, f"{crowd} pods of kwok", limit=900)


def one(cluster: Cluster, bin_folder: Path, sessions: Path, count: int) -> list[float]:
    """Deploy images that do not exist, one after another, and give the seconds from told to said for each."""
    cluster.kubectl("create", "namespace", "bench")
    until(lambda: cluster.kubectl("get", "serviceaccounts", "-n", "bench", "-o", "name"), "the account of bench")
    plain = PlainWatch(cluster.kubeconfig, "bench")
    things = [deployment(f"bench-{at}", image=f"nvcr.io/nim/bench-{at}:1", pull="not-found") for at in range(count)]
    files = []
    for at, thing in enumerate(things):
        path = sessions.parent / f"{sessions.name}-{at}.json"
        path.write_text(json.dumps(thing))
        files.append(path)
    script = "sleep 3; " + "".join(f"kubectl apply -n bench -f {path} && sleep 0.5; " for path in files) + "sleep 12"
    process = subprocess.Popen(
        [
            str(bin_folder / "nimble-watch"),
            "exec",
            "--phase",
            "bench",
            "--sessions",
            str(sessions),
            "--",
            "sh",
            "-c",
            script,
        ],
        env={**cluster.environment(), "NIMBLE_WATCH_COLOR": "never"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    said: dict[int, float] = {}
    assert process.stderr is not None
    descriptor, rest = process.stderr.fileno(), b""
    while block := os.read(descriptor, 65536):
        now = time.perf_counter()
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            if (found := LINE.search(line.decode(errors="replace"))) is not None:
                said.setdefault(int(found.group(1)), now)
    process.wait()
    plain.stop()
    told = first_told(plain.lines)
    delays = [said[at] - told[at] for at in told if at in said]
    if len(delays) < count:
        raise RuntimeError(f"only {len(delays)} of {count} obstacles were both told and said")
    return delays
