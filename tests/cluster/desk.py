"""nimble-watch at work on the embedded cluster: run a phase, read what it said and what it kept."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cluster.harness import Cluster, scripted

NIMBLE_WATCH = str(Path(sys.executable).with_name("nimble-watch"))


class Ended:
    """A command of ours that has ended: its status, what it printed, the sessions it left."""

    def __init__(self, done: subprocess.CompletedProcess[str], sessions: Path) -> None:
        self.status = done.returncode
        self.stdout = done.stdout
        self.stderr = done.stderr
        self.sessions = sessions

    @property
    def session(self) -> dict[str, Any]:
        """The newest session as its file has it."""
        read: dict[str, Any] = json.loads((self.sessions / "current.json").read_text())
        return read

    @property
    def kinds(self) -> set[str]:
        """The kinds of the session's obstacles."""
        return {obstacle["kind"] for obstacle in self.session["obstacles"]}


def environment(cluster: Cluster, sessions: Path, kubeconfig: str | None = None) -> dict[str, str]:
    """Give the environment of a person who works with this cluster and keeps sessions there."""
    return {**cluster.environment(kubeconfig), "NIMBLE_WATCH_SESSIONS": str(sessions)}


def watched(
    cluster: Cluster,
    sessions: Path,
    script: str,
    *,
    phase: str = "install",
    kubeconfig: str | None = None,
    flags: tuple[str, ...] = (),
    settings: Mapping[str, str] | None = None,
) -> Ended:
    """Run a shell script as one phase under `nimble-watch exec`, to its end."""
    done = subprocess.run(
        [NIMBLE_WATCH, "exec", "--phase", phase, *flags, "--", "sh", "-c", script],
        env={**environment(cluster, sessions, kubeconfig), **(settings or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    return Ended(done, sessions)


def deployment(name: str, *, gpus: int = 0, image: str = "", **faults: object) -> dict[str, Any]:
    """Describe a Deployment of one replica whose pod's fate is scripted."""
    # A node keeps what it has pulled, also for the tests after this one: what cannot be pulled is another image.
    image = image or f"nvcr.io/nim/meta/llama:{faults.get('pull', '1.0')}"
    limits = {"nvidia.com/gpu": str(gpus)} if gpus else {}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}, "annotations": scripted(**faults)},
                "spec": {
                    "terminationGracePeriodSeconds": 0,
                    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
                    "containers": [{"name": "nim", "image": image, "resources": {"limits": limits}}],
                },
            },
        },
    }


def manifest(folder: Path, name: str, *things: Mapping[str, Any]) -> Path:
    """Write objects to a file that kubectl applies."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(things)}))
    return path
