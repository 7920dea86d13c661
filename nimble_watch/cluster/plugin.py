"""Credential plugins of a kubeconfig (`users[].user.exec`, such as `oci ce cluster generate-token`), run our way.

The official client's runner is not used: it gives the plugin our stdin, waits for ever, runs it once per request where
tokens live for 4 minutes (OKE's do), and goes on without credentials when it fails.  Here it runs once for all threads,
its answer is kept until just before the time stamped on it, and a failure is one sentence.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from nimble_watch.cleaning import clean
from nimble_watch.errors import ConfigError

_FAILURE_KEPT = 5.0
_MARGIN = 30.0
_TOLD = 300


class Credential(Struct, frozen=True):
    """What a plugin gave: a token, or a client certificate with its key (PEM), good until `until` (epoch seconds)."""

    token: str = ""
    certificate: str = ""
    key: str = ""
    until: float | None = None


class Plugin:
    """One credential plugin; `get` may be called from any thread."""

    def __init__(self, spec: Mapping[str, Any], folder: Path, cluster: Mapping[str, Any], timeout: float) -> None:
        """Take the `exec` entry, the folder of its kubeconfig, and the cluster's entry for `provideClusterInfo`."""
        self._command = str(spec.get("command", ""))
        if os.sep in self._command and not Path(self._command).is_absolute():
            self._command = str(folder / self._command)
        self._args = [str(word) for word in spec.get("args") or ()]
        self._variables = {str(entry["name"]): str(entry["value"]) for entry in spec.get("env") or ()}
        self._version = str(spec.get("apiVersion", ""))
        self._hint = str(spec.get("installHint") or "")
        self._cluster = dict(cluster) if spec.get("provideClusterInfo") else None
        self._needs_terminal = spec.get("interactiveMode") == "Always"
        self._timeout = timeout
        self._lock = threading.Lock()
        self._kept: Credential | None = None
        self._stale_at = 0.0
        self._failed: tuple[float, ConfigError] | None = None

    def get(self, *, instead_of: Credential | None = None) -> Credential:
        """Give a credential that is still good; `instead_of` is one that the server refused."""
        with self._lock:
            kept = self._kept
            if kept is not None and kept is not instead_of and time.time() < self._stale_at:
                return kept
            if self._failed is not None and time.monotonic() - self._failed[0] < _FAILURE_KEPT:
                raise self._failed[1]
            try:
                self._kept = self._run()
            except ConfigError as error:
                self._kept, self._failed = None, (time.monotonic(), error)
                raise
            self._failed = None
            self._stale_at = _stale_at(self._kept, time.time())
            return self._kept

    def _trouble(self, what: str, advise: str = "") -> ConfigError:
        return ConfigError(
            f"the credential plugin {clean(self._command, limit=_TOLD)} {what}",
            where="kubeconfig",
            advise=advise or "run it by hand, or `kubectl get nodes`, to see more",
        )

    def _run(self) -> Credential:
        if self._needs_terminal:
            raise self._trouble("wants to ask questions (interactiveMode: Always), which it cannot do here")
        info: dict[str, Any] = {
            "apiVersion": self._version,
            "kind": "ExecCredential",
            "spec": {"interactive": False} | ({"cluster": self._cluster_info()} if self._cluster else {}),
        }
        environ = {**os.environ, **self._variables, "KUBERNETES_EXEC_INFO": json.dumps(info)}
        try:
            with _signals_open():
                process = subprocess.Popen(
                    [self._command, *self._args],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=environ,
                    start_new_session=True,  # no terminal to ask on, and one group to end
                )
        except OSError as error:
            raise self._trouble(
                f"cannot be started: {error.strerror}",
                clean(self._hint, limit=_TOLD) or "is it installed, and on PATH?",
            ) from error
        try:
            out, err = process.communicate(timeout=self._timeout)
        except subprocess.TimeoutExpired as error:
            raise self._trouble(f"gave no answer within {self._timeout:g} s") from error
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        if process.returncode:
            said = clean(err.decode("utf-8", "replace").strip().rpartition("\n")[2], limit=_TOLD)
            raise self._trouble(f"ended with {process.returncode}" + (f": {said}" if said else ""))
        return self._read(out)

    def _cluster_info(self) -> dict[str, Any]:
        cluster = self._cluster or {}
        info = {key: value for key, value in cluster.items() if key not in ("extensions", "certificate-authority")}
        for extension in cluster.get("extensions") or ():
            if extension.get("name") == "client.authentication.k8s.io/exec":
                info["config"] = extension.get("extension")
        return info

    def _read(self, out: bytes) -> Credential:
        try:
            answer = json.loads(out)
            status = answer["status"]
            stamp = status.get("expirationTimestamp")
            credential = Credential(
                token=str(status.get("token") or ""),
                certificate=str(status.get("clientCertificateData") or ""),
                key=str(status.get("clientKeyData") or ""),
                until=datetime.fromisoformat(stamp).timestamp() if stamp else None,
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._trouble("printed something that is no ExecCredential") from error
        if not credential.token and not (credential.certificate and credential.key):
            raise self._trouble("gave neither a token nor a certificate with its key")
        return credential


def _stale_at(credential: Credential, now: float) -> float:
    """Give when to ask again: 30 s before the stamp, at most a tenth of the lifetime before it."""
    if credential.until is None:
        return float("inf")
    lifetime = max(0.0, credential.until - now)
    return credential.until - min(_MARGIN, lifetime / 10)


@contextmanager
def _signals_open() -> Iterator[None]:
    """Let a child start with no signal blocked: it would inherit our threads' mask and could not be interrupted."""
    before = signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
