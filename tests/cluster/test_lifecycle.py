"""A cluster comes up anywhere, keeps to itself, and leaves nothing behind, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.cluster.harness import HERE, Cluster, CommandError, build, scripted, until
from tests.permissions import Permission, allowed

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

ROOT = HERE.parents[1]
NODES = "a10-1=1,cpu=1"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Start the one that most tests of this file share."""
    running = Cluster.start(tmp_path_factory.mktemp("lifecycle") / "cluster", nodes=NODES)
    yield running
    running.stop()


def web(name: str, **faults: object) -> dict[str, Any]:
    """Give a pod whose server is probed."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}, "annotations": scripted(**faults)},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "nim",
                    "image": "nvcr.io/nim/meta/llama-3.1-8b-instruct:1.8.4",
                    "ports": [{"containerPort": 8000}],
                    "readinessProbe": {"httpGet": {"path": "/v1/health/ready", "port": 8000}, "periodSeconds": 1},
                }
            ],
        },
    }


def exercise(cluster: Cluster, namespace: str) -> str:
    """Use every way that the API server and the kubelet have to a pod, and give the pod's published address."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 8000}]},
    }
    cluster.apply(web("web", log="the model is loaded"), service, namespace=namespace)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/web", "-n", namespace, "--timeout=60s")
    assert "the model is loaded" in cluster.kubectl("logs", "web", "-n", namespace)
    assert cluster.kubectl("exec", "web", "-n", namespace, "--", "echo", "here").strip() == "here"
    through_proxy = f"/api/v1/namespaces/{namespace}/services/web:8000/proxy/v1/models"
    until(lambda: cluster.get("endpoints", "web", namespace).get("subsets"), "the service's endpoints")
    assert json.loads(cluster.kubectl("get", "--raw", through_proxy))["data"]
    with forwarded(cluster, "pod/web", namespace) as port:
        assert json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=10))["data"]
    address: str = cluster.get("pod", "web", namespace)["status"]["podIP"]
    return address


@contextlib.contextmanager
def forwarded(cluster: Cluster, target: str, namespace: str) -> Iterator[int]:
    """Run `kubectl port-forward` and give the port on this side."""
    command = [str(cluster.bin / "kubectl"), "port-forward", target, ":8000", "-n", namespace, "--address", "127.0.0.1"]
    with subprocess.Popen(
        command, env=cluster.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
            found = re.search(r"127\.0\.0\.1:(\d+)", said)
            assert found, f"kubectl port-forward said {said!r}"
            yield int(found[1])
        finally:
            process.terminate()


def processes(folder: Path) -> list[int]:
    """List the processes that belong to the cluster of that folder: those that name it, or run in it."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                said = [*process.cmdline(), process.cwd(), process.environ().get("TMPDIR", "")]
                if any(part == str(folder) or part.startswith(f"{folder}/") for part in said):
                    found.append(process.pid)
    return found


def network() -> dict[str, str]:
    """Give the machine's network settings: interfaces and routes (packet counters aside)."""
    interfaces = sorted(_interfaces())
    routes = [line.split() for line in Path("/proc/net/route").read_text().splitlines()]
    trie = [line for line in Path("/proc/net/fib_trie").read_text().splitlines() if "/32" in line or "--" in line]
    return {"interfaces": repr(interfaces), "routes": repr([[*r[:4], *r[6:]] for r in routes]), "addresses": repr(trie)}


def gone(folder: Path) -> None:
    """Wait until nothing of a cluster is left."""
    until(lambda: not processes(folder), f"the end of all processes of {folder}", 20)
    until(lambda: not folder.exists(), f"the end of {folder}", 20)


def test_down_leaves_no_process_no_file_and_no_network_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary, folder = build(), tmp_path / "cluster"
    for name in ("TMPDIR", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
        (tmp_path / name.lower()).mkdir()
    before = network()
    command = [str(binary), "up", "--detach", "--dir", str(folder), "--nodes", NODES]
    kubeconfig = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert kubeconfig.strip() == str(folder / "kubeconfig")
    assert processes(folder)
    with pytest.raises(subprocess.CalledProcessError):  # the folder is taken
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    subprocess.run([str(binary), "down", "--dir", str(folder)], check=True)
    assert not processes(folder)
    assert not folder.exists()
    assert network() == before
    assert [list((tmp_path / name).iterdir()) for name in ("tmpdir", "home")] == [[], []]


def test_make_cluster_up_tells_anew_how_to_use_the_one_that_runs(tmp_path: Path) -> None:
    folder = tmp_path / "by-hand"

    def make(target: str) -> str:
        command = ["make", "-C", str(ROOT), target, f"CLUSTER_DIR={folder}", "NODES=cpu=1"]
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True).stdout

    try:
        told = make("cluster-up")
        assert f"  export KUBECONFIG={folder}/kubeconfig\n" in told
        assert make("cluster-up") == told
    finally:
        make("cluster-down")
    gone(folder)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_after_a_signal_to_the_supervisor(tmp_path: Path, end: signal.Signals) -> None:
    cluster = Cluster.start(tmp_path / "cluster", nodes="cpu=1")
    assert len(processes(cluster.folder)) >= 7
    cluster.process.send_signal(end)
    cluster.process.communicate(timeout=60)
    gone(cluster.folder)


def test_nothing_is_left_after_whoever_started_it_was_killed(tmp_path: Path) -> None:
    folder = tmp_path / "cluster"
    starter = (
        "import subprocess, sys, time\n"
        "subprocess.Popen(sys.argv[1:], stdout=sys.stdout)\n"
        "time.sleep(600)\n"
    )  # fmt: skip
    command = [sys.executable, "-c", starter, str(build()), "up", "--dir", str(folder), "--nodes", "cpu=1"]
    parent = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline().strip() == str(folder / "kubeconfig")
    parent.kill()
    parent.communicate(timeout=60)
    gone(folder)


def test_nothing_is_left_after_a_start_that_was_broken_off(tmp_path: Path) -> None:
    folder = tmp_path / "cluster"
    command = [str(build()), "up", "--dir", str(folder), "--nodes", NODES]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    until((folder / "audit.log").exists, "the API server's start")
    process.kill()
    process.communicate(timeout=60)
    gone(folder)


def test_the_death_of_a_part_ends_the_cluster_and_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cluster = Cluster.start(tmp_path / "cluster", nodes="")
    (scheduler,) = [part for part in cluster.status()["components"] if part["name"] == "kube-scheduler"]
    os.kill(scheduler["pid"], signal.SIGKILL)
    cluster.process.communicate(timeout=60)
    assert cluster.process.returncode == 1
    said = capfd.readouterr().err
    assert "kube-scheduler ended with signal: killed. Its last lines:" in said
    assert "What to try: start again with --logs FOLDER" in said
    gone(cluster.folder)


def test_an_end_that_was_asked_for_is_told_as_one_and_not_as_the_death_of_nodes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cluster = Cluster.start(tmp_path / "cluster", nodes="cpu=1")
    cluster.stop()
    said = capfd.readouterr().err
    assert "ends: " in said
    assert "died" not in said
    assert "What to try" not in said


def test_what_a_killed_reaper_left_is_cleaned_up_by_the_next_start(tmp_path: Path) -> None:
    folder = tmp_path / "cluster"
    cluster = Cluster.start(folder, nodes="")
    (reaper,) = [pid for pid in processes(folder) if "reap" in psutil.Process(pid).cmdline()]
    os.kill(reaper, signal.SIGKILL)
    cluster.process.kill()
    cluster.process.communicate(timeout=60)
    until(lambda: not processes(folder), "the end of all processes")
    assert (folder / "kubeconfig").exists()
    again = Cluster.start(folder, nodes="")
    assert again.status()["ready"]
    again.stop()
    gone(folder)


def test_a_folder_with_other_peoples_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    done = subprocess.run([str(build()), "up", "--dir", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is not empty and no cluster's" in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_two_clusters_run_side_by_side_with_the_same_addresses(cluster: Cluster, tmp_path: Path) -> None:
    other = Cluster.start(tmp_path / "other", nodes=NODES)
    try:
        with cluster.namespace("beside") as ours, other.namespace("beside") as theirs:
            addresses = {exercise(cluster, ours), exercise(other, theirs)}
        assert all(address.startswith("10.244.12.") for address in addresses)
        assert cluster.status()["server"] != other.status()["server"]
    finally:
        other.stop()


def test_it_runs_as_an_ordinary_user() -> None:
    nobody = pwd.getpwnam("nobody")
    drop = (
        "import os, sys\n"
        f"os.setgroups([]); os.setgid({nobody.pw_gid}); os.setuid({nobody.pw_uid})\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as base:
        Path(base).chmod(0o777)
        binary = Path(shutil.copy(build(), base))
        prefix = [sys.executable, "-c", drop] if os.geteuid() == 0 else []
        cluster = Cluster.start(Path(base) / "cluster", nodes=NODES, prefix=prefix, binary=binary)
        owners = {psutil.Process(pid).uids().real for pid in processes(cluster.folder)}
        assert owners == {nobody.pw_uid if prefix else os.geteuid()}
        with cluster.namespace("ordinary") as namespace:
            exercise(cluster, namespace)
        cluster.stop()
        gone(cluster.folder)


def test_everything_works_where_no_packet_can_leave(tmp_path: Path) -> None:
    command = allowed(Permission.NETWORK_NAMESPACE, ("unshare", "--map-root-user", "--net"), ("unshare", "--net"))
    command += [sys.executable, "-m", "tests.cluster.test_lifecycle", str(tmp_path / "cluster")]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["lo", "10.244.12.1"]


def test_nobody_dials_an_address_outside_the_machine(cluster: Cluster) -> None:
    pids = {*processes(cluster.folder), cluster.process.pid}
    seen: set[str] = set()
    enough = threading.Event()

    def watch() -> None:
        while not enough.wait(0.005):
            seen.update(remotes(pids))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with cluster.namespace("dialling") as namespace:
            exercise(cluster, namespace)
    finally:
        enough.set()
        watcher.join()
    assert any(address.startswith("127.") for address in seen)
    assert [address for address in sorted(seen) if not address.startswith("127.")] == []


def remotes(pids: set[int]) -> set[str]:
    """Give the far ends of all connections, made or only tried, of these processes."""
    inodes = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    inodes.add(str(link.readlink()).removeprefix("socket:[").removesuffix("]"))
    found = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, _, remote, *rest = line.split()
            number = bytes.fromhex(remote.split(":")[0])
            if rest[6] in inodes and any(number):
                words = struct.unpack(f"<{len(number) // 4}I", number)
                plain = struct.pack(f">{len(words)}I", *words)
                family = socket.AF_INET if len(plain) == 4 else socket.AF_INET6
                found.add(socket.inet_ntop(family, plain).removeprefix("::ffff:"))
    return found


def test_the_proxy_refuses_whoever_is_not_of_the_cluster(cluster: Cluster) -> None:
    refused = []
    for target in ("10.0.0.1:443", "10.245.0.7:80", "192.168.192.168:8000", "8.8.8.8:53", "example.org:443"):
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as client:
            here = os.open(cluster.folder, os.O_PATH)
            client.connect(f"/proc/self/fd/{here}/egress.sock")
            os.close(here)
            client.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
            refused.append(client.recv(100).split(b"\r\n")[0])
    assert refused == [b"HTTP/1.1 403 Forbidden"] * 5


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("pul", "not-found", "annotation scripted.nimble-watch.test/pul is unknown; known are create-error, exit,"),
        (
            "pull",
            "lost",
            'annotation scripted.nimble-watch.test/pull has the value "lost"; it takes one of ok, not-found',
        ),
        ("exit", "1,256", 'annotation scripted.nimble-watch.test/exit has the value "1,256"; it takes exit codes'),
        (
            "pull.sidecar",
            "ok",
            "annotation scripted.nimble-watch.test/pull.sidecar: what follows the key is no container",
        ),
        (
            "runtime.nim",
            "cri-o",
            "annotation scripted.nimble-watch.test/runtime.nim: what follows the key is no container",
        ),
    ],
)
def test_an_annotation_that_would_script_nothing_is_refused(
    cluster: Cluster, key: str, value: str, sentence: str
) -> None:
    pod = web("wrong")
    pod["metadata"]["annotations"] = {f"scripted.nimble-watch.test/{key}": value}
    with pytest.raises(CommandError) as refusal:
        cluster.apply(pod)
    assert sentence in str(refusal.value)


def test_annotations_of_nodes_claims_and_services_are_checked_too(cluster: Cluster) -> None:
    (cpu,) = [node["name"] for node in cluster.status()["nodes"] if node["shape"].startswith("VM.Standard")]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 1}]}}
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "c"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    manifests: list[dict[str, Any]] = [service, claim]
    for manifest in manifests:
        manifest["metadata"]["annotations"] = scripted(provision_secons=1)
        with pytest.raises(CommandError, match="provision-secons is unknown"):
            cluster.apply(manifest)
    with pytest.raises(CommandError, match='fault has the value "on-fire"; it takes one of not-ready'):
        cluster.script("node", cpu, fault="on-fire")


def test_nodes_look_like_those_of_oke(cluster: Cluster) -> None:
    node = cluster.get("node", "10.0.10.11")
    labels = node["metadata"]["labels"]
    assert labels["node.kubernetes.io/instance-type"] == "VM.GPU.A10.1"
    assert labels["topology.kubernetes.io/zone"] == "PHX-AD-1"
    assert labels["oke.oraclecloud.com/pool.name"] == "a10-1"
    assert node["spec"]["providerID"].startswith("ocid1.instance.oc1.phx.")
    assert node["metadata"]["annotations"]["oci.oraclecloud.com/node-pool-id"].startswith("ocid1.nodepool.oc1.phx.")
    assert {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"} in node["spec"]["taints"]
    assert node["status"]["capacity"]["nvidia.com/gpu"] == "1"
    assert node["status"]["capacity"]["cpu"] == "30"


def test_a_node_can_come_and_go(cluster: Cluster) -> None:
    name = cluster.add_node("a10-2", "late")
    assert cluster.get("node", name)["metadata"]["labels"]["oke.oraclecloud.com/pool.name"] == "late"
    cluster.remove_node(name)
    with pytest.raises(CommandError, match="NotFound"):
        cluster.get("node", name)
    assert name not in [node["name"] for node in cluster.status()["nodes"]]


def test_a_user_has_only_the_rights_that_were_bound_and_the_audit_log_tells_what_was_asked(cluster: Cluster) -> None:
    kubeconfig = cluster.user("reader")
    with pytest.raises(CommandError, match='User "reader" cannot list resource "pods"'):
        cluster.kubectl("get", "pods", kubeconfig=kubeconfig)
    cluster.kubectl("create", "rolebinding", "reader", "--clusterrole=view", "--user=reader")
    until(lambda: "yes" in _may_list(cluster, kubeconfig), "the new right")
    assert {event["verb"] for event in cluster.audit("reader")} >= {"list", "create"}


def _may_list(cluster: Cluster, kubeconfig: str) -> str:
    with contextlib.suppress(CommandError):  # kubectl ends with 1 on "no"
        return cluster.kubectl("auth", "can-i", "list", "pods", kubeconfig=kubeconfig)
    return "no"


def test_kwok_plays_nodes_on_which_ordinary_pods_never_land(tmp_path: Path) -> None:
    cluster = Cluster.start(tmp_path / "cluster", nodes="", kwok_nodes=20)
    try:
        stray, guest = web("stray"), web("guest")
        guest["spec"] |= {"tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}]}
        cluster.apply(stray, guest)
        cluster.kubectl("wait", "--for=condition=Ready", "pod/guest", "--timeout=60s")
        until(lambda: cluster.get("pod", "stray")["status"].get("conditions"), "the scheduler's word")
        assert "untolerated taint" in cluster.get("pod", "stray")["status"]["conditions"][0]["message"]
        assert len(cluster.kubectl("get", "nodes", "-o", "name").split()) == 20
    finally:
        cluster.stop()


def _raise_loopback() -> None:
    """Bring the one interface of a fresh network namespace up, as `ip link set lo up` does where that is installed."""
    get_flags, set_flags, up = 0x8913, 0x8914, 0x1
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as any_socket:
        flags = struct.unpack("16xH", fcntl.ioctl(any_socket, get_flags, struct.pack("16sH14x", b"lo", 0))[:18])[0]
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sH14x", b"lo", flags | up))


def _alone(folder: Path) -> None:
    """Start and exercise a cluster inside a network namespace that has nothing but the loopback interface."""
    _raise_loopback()
    cluster = Cluster.start(folder, nodes=NODES)
    try:
        with cluster.namespace("alone") as namespace:
            print(*_interfaces(), exercise(cluster, namespace))
    finally:
        cluster.stop()


def _interfaces() -> list[str]:
    """Name the interfaces of our network namespace (sysfs shows those of whoever mounted it)."""
    return [line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]]


if __name__ == "__main__":
    _alone(Path(sys.argv[1]))
