"""The embedded cluster as tests see it: started once, a namespace for each test, faults set and taken back by name.

Everything goes through the cluster's own commands (`up`, `down`, `user`, kubectl), as a person's hands would; nothing
here knows how it works inside.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

HERE = Path(__file__).parent
PREFIX = "scripted.nimble-watch.test/"
LIMIT = 60.0

T = TypeVar("T")

Manifest = Mapping[str, Any]


def build() -> Path:
    """Give the cluster's program; the first time this takes minutes and says so."""
    built = subprocess.run(
        [sys.executable, str(HERE / "build.py")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Path(built.stdout.strip())


def until(condition: Callable[[], T], what: str, limit: float = LIMIT) -> T:
    """Wait until a condition gives something true, and return that; give up loudly after the limit (seconds)."""
    deadline = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {limit:.0f} s for {what}; last seen: {value!r}")
        time.sleep(0.05)


def scripted(**faults: object) -> dict[str, str]:
    """Give the annotations that script something: `scripted(pull="not-found", pull_seconds=3)`."""
    return {PREFIX + name.replace("_", "-"): str(value) for name, value in faults.items()}


class Cluster:
    """A running cluster; `start` makes one, and it ends with `stop` or with this process, however that ends."""

    def __init__(self, binary: Path, folder: Path, process: subprocess.Popen[str], kubeconfig: str) -> None:
        self.binary = binary
        self.folder = folder
        self.process = process
        self.kubeconfig = kubeconfig
        self.bin = folder / "bin"
        self.path = f"{self.bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}"

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        nodes: str | None = None,
        kwok_nodes: int = 0,
        logs: Path | None = None,
        prefix: Sequence[str] = (),
        binary: Path | None = None,
    ) -> Cluster:
        """Start a cluster in a folder that does not exist yet; a prefix such as `nice` says in what setting."""
        binary = binary or build()
        command = [*prefix, str(binary), "up", "--dir", str(folder), "--kwok-nodes", str(kwok_nodes)]
        command += ["--nodes", nodes] if nodes is not None else []
        command += ["--logs", str(logs)] if logs is not None else []
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        kubeconfig = process.stdout.readline().strip()
        if not kubeconfig:
            raise AssertionError(f"the cluster did not start (exit {process.wait()}); its own lines above say why")
        return cls(binary, folder, process, kubeconfig)

    def stop(self) -> None:
        """End the cluster, and wait until it has cleaned up after itself."""
        self.process.terminate()
        self.process.communicate(timeout=LIMIT)

    def environment(self, kubeconfig: str | None = None) -> dict[str, str]:
        """Give the environment in which this cluster's kubectl and helm are found and speak to it."""
        return {**os.environ, "PATH": self.path, "KUBECONFIG": kubeconfig or self.kubeconfig}

    def command(self, *arguments: str) -> str:
        """Run one of the cluster's own commands and give what it prints."""
        name, *rest = arguments
        return _run([str(self.binary), name, "--dir", str(self.folder), *rest], dict(os.environ))

    def kubectl(self, *arguments: str, kubeconfig: str | None = None, text: str | None = None) -> str:
        """Run kubectl and give what it prints; `text` is its stdin, `kubeconfig` that of a limited user."""
        return _run([str(self.bin / "kubectl"), *arguments], self.environment(kubeconfig), text)

    def status(self) -> dict[str, Any]:
        """Give what `status -o json` says."""
        answer: dict[str, Any] = json.loads(self.command("status", "-o", "json"))
        return answer

    def get(self, kind: str, name: str, namespace: str = "default") -> dict[str, Any]:
        """Give one object as the API server has it."""
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-n", namespace, "-o", "json"))
        return found

    def apply(self, *manifests: Manifest, namespace: str = "default") -> None:
        """Create or change objects."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self.kubectl("apply", "-n", namespace, "-f", "-", text=json.dumps(items))

    def script(self, kind: str, name: str, *, namespace: str = "default", **faults: object) -> None:
        """Set what shall happen to an object from now on; None takes a setting back."""
        changes = [
            f"{PREFIX}{key.replace('_', '-')}" + ("-" if value is None else f"={value}")
            for key, value in faults.items()
        ]
        self.kubectl("annotate", "--overwrite", kind, name, "-n", namespace, *changes)

    @contextlib.contextmanager
    def namespace(self, name: str) -> Iterator[str]:
        """Make a namespace, usable at once, and take it away at the end; a test's name serves as its name."""
        name = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:50].strip("-")
        self.kubectl("create", "namespace", name)
        try:
            until(lambda: self.kubectl("get", "serviceaccounts", "-n", name, "-o", "name"), f"the account of {name}")
            yield name
        finally:
            # Pods at once, so that their GPUs are free for the next test; the rest may take its time.
            self.kubectl("delete", "namespace", name, "--wait=false")
            self.kubectl("delete", "pods", "--all", "-n", name, "--now", "--ignore-not-found", "--wait=false")

    def user(self, name: str, *, groups: Sequence[str] = (), namespace: str = "default", valid: str = "24h") -> str:
        """Make a user without any right and give the path of a kubeconfig; roles are bound as to any user."""
        options = ["--name", name, "--namespace", namespace, "--valid", valid]
        return self.command("user", *options, *(["--group", ",".join(groups)] if groups else [])).strip()

    def add_node(self, shape: str, pool: str = "") -> str:
        """Start a node with a kubelet of its own, wait until it is Ready, and give its name."""
        name = self.command("node-add", "--shape", shape, "--pool", pool).strip()
        for condition in ("create", "condition=Ready"):
            self.kubectl("wait", f"--for={condition}", f"node/{name}", "--timeout=60s")
        return name

    def remove_node(self, name: str) -> None:
        """End a node as if its instance were terminated."""
        self.command("node-remove", name)

    def audit(self, user: str) -> list[dict[str, Any]]:
        """List what a user has asked of the API server since the cluster began, as its audit log has it."""
        lines = (self.folder / "audit.log").read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["user"].get("username") == user]


def _run(command: Sequence[str], environment: Mapping[str, str], text: str | None = None) -> str:
    """Run a command to its end and give its stdout; a failure carries the command's own words."""
    done = subprocess.run(
        command,
        env=environment,
        input=text,
        stdin=subprocess.DEVNULL if text is None else None,
        capture_output=True,
        text=True,
        timeout=LIMIT * 2,
        check=False,
    )
    if done.returncode:
        raise CommandError(f"`{' '.join(command[-6:])}` ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


class CommandError(AssertionError):
    """A command failed; its own words are in the message."""
