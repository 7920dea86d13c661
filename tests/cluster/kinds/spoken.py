"""For each kind that a phase's own output tells: one case that raises it, and one near miss that must not.

A case is a shell script that plays the phase.  kubectl, helm, make and shells say what they really say, most of them
about the embedded cluster; what OCI and a client's rate limiter say is printed (`printed`): no OCI is there to ask.
Nothing in the cluster need be watched for these kinds, so all cases share one namespace and take seconds together.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from nimble_watch.cleaning import clean
from nimble_watch.signals import ClusterFound, Output, PhaseEnded, PhaseStarted, Signal
from tests.cluster.harness import Cluster
from tests.cluster.kinds.cases import CHART

PHASE = "install"
_AT_ONCE = 3
_GOES_ON = "kubectl -n {ns} create configmap {name} --from-literal=a=b; false"
_CHART = "{chart} -n {ns} --set image=registry.test/spoken:1"
_REQUEST = "4E739ED59996C9208C3F08CC8CF4C0F7/9B1DEB4D3B7D4BAD9BDD2B0D7B3DCB6D/2C5EA4C0"


@dataclass(frozen=True)
class Spoken:
    """One case; in a script `{ns}`, `{chart}`, `{name}` (the case's own) and `{nobody}` are filled in.

    `{nobody}` is the kubeconfig of a user without any right.  `printed` is written to stderr before the script.
    `silence` is by how many seconds all that follows the first line is put off afterwards: nobody waits for them.
    """

    kind: str
    side: str
    script: str = "false"
    printed: str = ""
    silence: float = 0.0

    @property
    def name(self) -> str:
        """The case's own name."""
        return f"{self.kind}-{self.side.replace('_', '-')}"


def _raises(kind: str, script: str = "false", **more: object) -> Spoken:
    return Spoken(kind, "raises", script, **more)  # type: ignore[arg-type]  # the fields of Spoken


def _near(kind: str, script: str = "false", **more: object) -> Spoken:
    return Spoken(kind, "near_miss", script, **more)  # type: ignore[arg-type]  # the fields of Spoken


def _service_error(status: int, code: str, message: str, operation: str = "launch_instance") -> str:
    """Give an error as the OCI CLI prints it."""
    about = {
        "client_version": "Oracle-PythonSDK/2.150.0, Oracle-PythonCLI/3.55.0",
        "code": code,
        "message": message,
        "opc-request-id": _REQUEST,
        "operation_name": operation,
        "request_endpoint": "POST https://iaas.us-ashburn-1.oraclecloud.com/20160918/instances",
        "status": status,
        "target_service": "compute",
        "timestamp": "2026-11-25T15:00:00.000000+00:00",
    }
    return f"ServiceError:\n{json.dumps(about, indent=4)}"


_GONE = "Authorization failed or requested resource not found."
_LIMITS = (
    "The following service limits were exceeded: gpu-a10-count. Request a service limit increase from the service"
    " limits page in the console. "
)
_QUOTA = "The following compartment quotas were exceeded: gpu-a10-count in policy ocid1.quota.oc1..example by 1"
_NOWHERE = "kubectl --server=https://127.0.0.1:1"
_JOB = (
    "kubectl -n {ns} create job {name} --image=registry.test/spoken:1 && kubectl -n {ns} patch job {name} --type=json"
    ' -p \'[{{"op": "replace", "path": "/spec/completionMode", "value": "Indexed"}}]\''
)
_INVALID = (
    'printf \'{{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {{"name": "nim"}}, \''
    '\'"spec": {{"replicas": "x"}}}}\''
    " >nim.yaml; kubectl -n {ns} apply -f nim.yaml"
)

_LOCK = (
    f"helm install {{name}} {_CHART},minReadySeconds=500 --wait >/dev/null & helm=$!;"
    " until kubectl -n {ns} get deployment {name} >/dev/null 2>&1; do sleep 0.2; done; kill -KILL $helm"
)
_UPGRADE = f"helm upgrade --install {{name}} {_CHART}"

SPOKEN = (
    _raises("api-unreachable", f"for try in 1 2 3; do {_NOWHERE} get pods && break; sleep 3; done; false"),
    _near("api-unreachable", f"{_NOWHERE} get pods || kubectl -n {{ns}} get configmaps; false"),
    _raises("api-auth", "KUBECONFIG={nobody} kubectl -n {ns} create deployment nim --image=registry.test/spoken:1"),
    _near("api-auth", "KUBECONFIG={nobody} kubectl get nodes || " + _GOES_ON),
    _raises(
        "client-throttled",
        printed="Error: client rate limiter Wait returned an error: context deadline exceeded",
    ),
    _near(
        "client-throttled",
        printed="I0708 03:28:11.315405       1 request.go:601] Waited for 1.176544858s due to client-side throttling, "
        "not priority and fairness, request: GET:https://10.0.16.20:443/apis/apps/v1?timeout=32s",
    ),
    _raises("command-missing", "printf 'install:\\n\\tno-such-helm upgrade nim\\n' >Makefile; make install"),
    _near("command-missing", "printf 'install:\\n\\t-no-such-helm version\\n\\t@false\\n' >Makefile; make install"),
    _raises("makefile-invalid", "printf 'install:\\n    kubectl version\\n' >Makefile; make install"),
    _near("makefile-invalid", "printf 'install:\\n\\t@false\\n' >Makefile; make install"),
    _raises("namespace-missing", "kubectl -n no-such-namespace create configmap nim --from-literal=a=b"),
    _near("namespace-missing", "kubectl get namespace no-such-namespace || " + _GOES_ON),
    _raises("spec-invalid", _INVALID),
    _near("spec-invalid", f"{_INVALID} || {_GOES_ON}"),
    _raises("immutable-field", _JOB),
    _near("immutable-field", f"{_JOB} || {_GOES_ON}"),
    _raises("crd-missing", "kubectl -n {ns} get nimservices"),
    _near("crd-missing", "kubectl -n {ns} get nimservices || " + _GOES_ON),
    _raises("helm-name-in-use", f"helm install twice {_CHART} && helm install twice {_CHART}"),
    _near(
        "helm-name-in-use",
        f"helm install more {_CHART}; helm install more {_CHART} || helm upgrade more {_CHART}; false",
    ),
    _raises("helm-locked", f"{_LOCK}; {_UPGRADE}"),
    _near("helm-locked", f"{_LOCK}; {_UPGRADE} || {{{{ helm uninstall {{name}} -n {{ns}} && {_UPGRADE}; }}}}; false"),
    _raises("helm-not-deployed", f"helm upgrade never {_CHART}"),
    _near("helm-not-deployed", f"helm uninstall once -n {{ns}} || helm install once {_CHART}; false"),
    _raises("helm-chart-unavailable", "helm install nim no-such-repo/nim-llm -n {ns}"),
    _near("helm-chart-unavailable", f"helm repo update no-such-repo || helm install other {_CHART}; false"),
    _raises(
        "object-exists", "for try in 1 2; do kubectl -n {ns} create configmap {name} --from-literal=a=b || exit; done"
    ),
    _near("object-exists", "kubectl create namespace {ns} || " + _GOES_ON),
    _raises("oci-api", printed=_service_error(404, "NotAuthorizedOrNotFound", _GONE, "get_cluster")),
    _near("oci-api", _GOES_ON, printed=_service_error(429, "TooManyRequests", "Too many requests for the user.")),
    _raises("oci-service-limit", printed=_service_error(400, "LimitExceeded", _LIMITS)),
    _near("oci-service-limit", printed=_service_error(400, "QuotaExceeded", _QUOTA)),
    _raises("oci-quota-exceeded", printed=_service_error(400, "QuotaExceeded", _QUOTA)),
    _near("oci-quota-exceeded", printed=_service_error(400, "LimitExceeded", _LIMITS)),
    _raises("oci-out-of-capacity", printed=_service_error(500, "InternalError", "Out of host capacity.")),
    _near("oci-out-of-capacity", printed=_service_error(500, "InternalError", "Internal error occurred")),
    _raises("command-race", "kubectl -n {ns} wait pod -l app=none --for=condition=Ready --timeout=2s"),
    _near("command-race", "kubectl -n {ns} wait pod -l app=none --for=condition=Ready --timeout=2s || " + _GOES_ON),
    _raises("command-timeout", "timeout 1 tail -f /dev/null"),
    _near("command-timeout", "timeout 1 tail -f /dev/null || echo 'that took too long; going on without'; false"),
    _raises("phase-silent", "echo building; echo built", silence=900),
    _near("phase-silent", "echo building; echo built", silence=300),
)


def speak(
    cluster: Cluster, namespace: str, cases: Sequence[Spoken], folder: Path
) -> dict[tuple[str, str], list[Signal]]:
    """Play the cases in a namespace that is there, and give each one's stream by kind and side."""
    nobody = cluster.user("nobody", namespace=namespace)

    def play(case: Spoken) -> list[Signal]:
        names = {"ns": namespace, "chart": CHART, "name": case.name, "nobody": nobody}
        return list(_Voice(cluster, case, case.script.format(**names), folder / case.name).signals)

    with ThreadPoolExecutor(_AT_ONCE) as players:
        return {(case.kind, case.side): stream for case, stream in zip(cases, players.map(play, cases), strict=True)}


class _Voice:
    """One case, played to its end."""

    def __init__(self, cluster: Cluster, case: Spoken, script: str, folder: Path) -> None:
        folder.mkdir()
        self._hide = {str(folder): "folder", str(CHART): "chart", str(cluster.folder): "cluster"}
        self._later = 0.0
        self._began = time.time()
        self.signals: list[Signal] = [
            ClusterFound(self._began, "https://cluster.test", "test", "v1.36", "default"),
            PhaseStarted(self._began, PHASE, ("sh", "-c", self._shown(script)), observed=True),
        ]
        said = folder / "said"
        said.write_text(f"{case.printed}\n" if case.printed else "")
        process = subprocess.Popen(
            ["sh", "-c", f"cat {said}; {script}"],
            cwd=folder,
            env={**cluster.environment(), "HELM_CACHE_HOME": str(folder / "helm"), "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        with process.stdout as printed:
            for line in printed:
                self.signals.append(Output(self._now(), PHASE, "stderr", self._shown(line.rstrip("\n"))))
                self._later = case.silence
        status, now = process.wait(), self._now()
        result = "success" if status == 0 else "failure"
        self.signals.append(PhaseEnded(now, PHASE, result, status, None, now - self._began))

    def _now(self) -> float:
        return time.time() + self._later

    def _shown(self, text: str) -> str:
        """Leave this machine's folder names out of what is recorded."""
        for folder, name in self._hide.items():
            text = text.replace(folder, name)
        return clean(text)
