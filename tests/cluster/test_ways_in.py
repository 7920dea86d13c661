"""The ways to a cluster beside a plain kubeconfig: through a proxy, and from inside a pod, on a real API server."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cluster.desk import NIMBLE_WATCH, Ended, deployment, environment, manifest, watched
from tests.cluster.harness import Cluster
from tests.process.deaths import mounting

pytestmark = pytest.mark.cluster

_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


class Proxy:
    """A proxy that connects its clients to the one address asked for (RFC 9110, 9.3.6) and sees only sealed bytes."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked: list[str] = []
        self._ends = [self._listener]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += client.recv(4096)
        method, address, _ = request.split(b"\r\n")[0].decode().split()
        self.asked.append(f"{method} {address}")
        host, _, port = address.rpartition(":")
        server = socket.create_connection((host, int(port)))
        self._ends += [client, server]
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=_pass_on, args=(server, client), daemon=True).start()
        _pass_on(client, server)

    def close(self) -> None:
        """End every connection."""
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """Give a proxy of the test's own."""
    running = Proxy()
    yield running
    running.close()


def _server(cluster: Cluster) -> str:
    return cluster.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")


def _breaking(folder: Path, namespace: str) -> str:
    """Give a script that deploys what cannot be pulled, and waits until the cluster says so."""
    path = manifest(folder, "ours", deployment("ours", pull="not-found"))
    hands = f"kubectl -n {namespace}"
    seen = f"{hands} get events | grep -q 'not found'"
    return f"{hands} apply -f {path}; for i in $(seq 300); do {seen} && break; sleep 0.1; done; sleep 1; exit 5"


def test_an_api_server_behind_a_proxy_is_watched_through_it(
    cluster: Cluster, namespace: str, proxy: Proxy, tmp_path: Path
) -> None:
    """As the kubeconfig's proxy-url says; TLS goes through it unbroken, to the server's own certificate."""
    config = json.loads(cluster.kubectl("config", "view", "--raw", "--flatten", "-o", "json"))
    config["clusters"][0]["cluster"]["proxy-url"] = proxy.url
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    direct = f"KUBECONFIG={cluster.kubeconfig}; export KUBECONFIG; {_breaking(tmp_path, namespace)}"
    ended = watched(cluster, tmp_path / "sessions", direct, kubeconfig=str(path))
    assert ended.status == 5
    assert ended.kinds == {"image-not-found"}, ended.stderr
    assert set(proxy.asked) == {f"CONNECT {urlsplit(_server(cluster)).netloc}"}


def test_inside_a_pod_its_service_account_is_used_and_its_token_read_anew(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    """With no kubeconfig and rights in one namespace only, as a CI runner in the cluster has them.

    The first token is refused, as one that has ended would be; the phase then finds a new one, which the kubelet puts
    there in a real pod.
    """
    may_mount = mounting()
    cluster.kubectl("create", "rolebinding", "runner", "--clusterrole=admin", f"--serviceaccount={namespace}:default",
                    "-n", namespace)  # fmt: skip
    config = json.loads(cluster.kubectl("config", "view", "--raw", "--flatten", "-o", "json"))
    account = tmp_path / "account"
    account.mkdir()
    authority = config["clusters"][0]["cluster"]["certificate-authority-data"]
    (account / "ca.crt").write_bytes(base64.b64decode(authority))
    (account / "namespace").write_text(namespace)
    (account / "token").write_text("ended")
    new = tmp_path / "new"
    new.write_text(cluster.kubectl("create", "token", "default", "-n", namespace))
    server = urlsplit(_server(cluster))
    environ = {
        **environment(cluster, tmp_path / "sessions"),
        "HOME": str(tmp_path),
        "KUBERNETES_SERVICE_HOST": str(server.hostname),
        "KUBERNETES_SERVICE_PORT": str(server.port),
    }
    del environ["KUBECONFIG"]
    script = f"cp {new} {_ACCOUNT}/token; {_breaking(tmp_path, namespace)}"
    pod = f'mount -t tmpfs tmpfs /run && mkdir -p {_ACCOUNT} && mount --bind {account} {_ACCOUNT} && exec "$@"'
    command = [NIMBLE_WATCH, "exec", "--phase", "install", "--", "sh", "-c", script]
    done = subprocess.run(
        [*may_mount, "sh", "-c", pod, "sh", *command],
        env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    ended = Ended(done, tmp_path / "sessions")
    assert ended.status == 5, ended.stderr
    assert ended.kinds == {"image-not-found"}, ended.stderr
    assert ended.session["namespaces"] == [namespace]
