"""What is wrong with the cluster's access is one sentence of ours, and never changes how the child ends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

NIMBLE_WATCH = str(Path(sys.executable).with_name("nimble-watch"))
HOST = "https://127.0.0.1"


def kubeconfig(folder: Path, server: str, *, context: str = "here", current: str = "here") -> Path:
    """Write a kubeconfig for a server, with a token that no output may show."""
    path = folder / "kubeconfig"
    path.write_text(
        "apiVersion: v1\nkind: Config\n"
        f"clusters: [{{name: c, cluster: {{server: '{server}', insecure-skip-tls-verify: true}}}}]\n"
        "users: [{name: u, user: {token: topsecret-0123456789}}]\n"
        f"contexts: [{{name: {context}, context: {{cluster: c, user: u}}}}]\ncurrent-context: {current}\n"
    )
    return path


LOOKED_AT = """for _ in $(seq 450); do
    grep -s '"cluster": "' "$NIMBLE_WATCH_SESSIONS/current.json" | grep -qv 'no cluster was watched' && break
    sleep 0.1
done
exit 3"""
"""A phase that lasts until its session says what is wrong with the cluster; then so does a line on stderr."""


def run(folder: Path, *flags: str, script: str = LOOKED_AT, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a phase to its end."""
    environment = {**os.environ, "NIMBLE_WATCH_SESSIONS": str(folder / "sessions"), **settings}
    return subprocess.run(
        [NIMBLE_WATCH, "exec", "--phase", "install", *flags, "--", "sh", "-c", script],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def free_port() -> int:
    """Give a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def complaints(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Give our lines that speak of the cluster."""
    return [line for line in done.stderr.splitlines() if "cluster" in line or "kubeconfig" in line]


def test_without_a_kubeconfig_it_says_that_nothing_is_watched(tmp_path: Path) -> None:
    """No file, no variable, no pod: the phase runs all the same."""
    done = run(tmp_path)
    assert done.returncode == 3
    assert len(complaints(done)) >= 1, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("text", ["{", "clusters: 7\n", "\x00\x01", "apiVersion: v1\nkind: Config\n"])
def test_a_broken_kubeconfig_is_named_with_what_is_wrong(tmp_path: Path, text: str) -> None:
    """The sentence names the file."""
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    done = run(tmp_path, KUBECONFIG=str(path))
    assert done.returncode == 3
    assert any(str(path) in line or "kubeconfig" in line for line in complaints(done)), done.stderr
    assert "Traceback" not in done.stderr


def test_a_context_that_does_not_exist_is_named(tmp_path: Path) -> None:
    """current-context points nowhere."""
    path = kubeconfig(tmp_path, f"{HOST}:1", current="elsewhere")
    done = run(tmp_path, KUBECONFIG=str(path))
    assert done.returncode == 3
    assert any("elsewhere" in line for line in complaints(done)), done.stderr


def test_a_server_that_nobody_answers_at_is_named_and_no_credential_is(tmp_path: Path) -> None:
    """Connection refused: which server, and never the token."""
    port = free_port()
    done = run(tmp_path, KUBECONFIG=str(kubeconfig(tmp_path, f"{HOST}:{port}")))
    assert done.returncode == 3
    assert any(str(port) in line for line in complaints(done)), done.stderr
    everything = done.stderr + "".join(
        path.read_text(errors="replace") for path in (tmp_path / "sessions").rglob("*") if path.is_file()
    )
    assert "topsecret-0123456789" not in everything


def test_a_server_that_hangs_delays_nothing(tmp_path: Path) -> None:
    """It accepts and never says a word: the child's end is ours."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        path = kubeconfig(tmp_path, f"{HOST}:{server.getsockname()[1]}")
        done = run(tmp_path, script="exit 5", KUBECONFIG=str(path))
    assert done.returncode == 5
