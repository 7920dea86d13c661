"""For each kind of obstacle one case that raises it and one near miss that must not, on the embedded cluster.

A case is a namespace, manifests, and a shell script that plays the phase: it applies the manifests and waits, as a
person's deployment would.  All cases are played together (see drive.py), so none may disturb another: each of the few
GPUs belongs to one case, whose pod holds a node while it is in trouble or whose point it is; all others stay on CPUs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.harness import Manifest
from tests.cluster.kinds.manifests import (
    A10,
    A10_PAIR,
    CPU,
    H100,
    PORT,
    TOLERANT,
    claim,
    deployment,
    from_key,
    gpus,
    mounting,
    probe,
    pull_secret,
    quota,
    secret,
    storage_class,
)

CHART = Path(__file__).parent / "chart"
_APPLY = "kubectl apply -n {ns} -f {manifest}"
_HELM = (
    "helm upgrade --install nim {chart} -n {ns} --wait --timeout 12s"
    " --set image=registry.test/{ns}:1.0.0,minReadySeconds={ready}"
)


@dataclass(frozen=True)
class Case:
    """One case; `wait` is how many seconds the phase waits for Deployment nim, `script` replaces all of that.

    In a script `{ns}`, `{manifest}`, `{chart}` and `{node}` (the case's own node, of the shape that `node` names) are
    filled in.  `first` is applied before the phase begins, `labels` are the namespace's.
    """

    kind: str
    side: str
    manifests: tuple[Manifest, ...] = ()
    wait: int = 20
    script: str = ""
    first: tuple[Manifest, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    node: str = ""

    @property
    def namespace(self) -> str:
        """The case's own namespace."""
        return f"{self.kind}-{self.side.replace('_', '-')}"

    def command(self, manifest: Path, node: str) -> str:
        """Give the phase's shell script."""
        waiting = f"kubectl wait -n {{ns}} --for=condition=Available deployment/nim --timeout={self.wait}s"
        script = self.script or f"{_APPLY} && {waiting}"
        return script.format(ns=self.namespace, manifest=manifest, chart=CHART, node=node, ready=0)


def _raises(kind: str, *manifests: Manifest, **more: object) -> Case:
    return Case(kind, "raises", manifests, **more)  # type: ignore[arg-type]  # the fields of Case


def _near(kind: str, *manifests: Manifest, **more: object) -> Case:
    return Case(kind, "near_miss", manifests, **more)  # type: ignore[arg-type]  # the fields of Case


def _ngc() -> Mapping[str, object]:
    return {"imagePullSecrets": [{"name": "ngc-secret"}]}


def _on(pool: str) -> Mapping[str, object]:
    return {
        "nodeSelector": {"oke.oraclecloud.com/pool.name": pool},
        "tolerations": [{"key": "nimble-watch.test/own", "operator": "Exists"}, *TOLERANT],
    }


def _gpu(selector: Mapping[str, str], **more: object) -> Mapping[str, object]:
    return {"nodeSelector": selector, "tolerations": TOLERANT, **more}


def _paid(
    shape: Mapping[str, str] = H100,
    *,
    pod: Mapping[str, object] | None = None,
    container: Mapping[str, object] | None = None,
    **more: object,
) -> Manifest:
    """Give Deployment nim whose pod holds a GPU while it is in trouble."""
    return deployment(pod=_gpu(shape, **(pod or {})), container={**gpus(1), **(container or {})}, **more)  # type: ignore[arg-type]


_HOLD = {"minReadySeconds": 60}
"""Keeps a Deployment from being called available between two crashes of its pod."""

_LOADING = {**PORT, "readinessProbe": probe(periodSeconds=1)}

CASES = (
    _raises("image-not-found", _paid(faults={"pull": "not-found"}), wait=30),
    _near("image-not-found", deployment(faults={"pull": "no-such-host"})),
    _raises(
        "image-auth",
        pull_secret("ngc-secret", "wrong"),
        _paid(faults={"pull": "unauthorized", "runtime": "cri-o"}, pod=_ngc()),
    ),
    _near(
        "image-auth",
        pull_secret("ngc-secret", "right"),
        deployment(faults={"pull": "payment-required"}, pod=_ngc()),
    ),
    _raises(
        "pull-secret-missing",
        _paid(faults={"pull": "needs-password", "pull_password": "right"}, pod=_ngc()),
    ),
    _near("pull-secret-missing", deployment(pod=_ngc())),
    _raises("image-pull-slow", _paid(faults={"pull_seconds": 66}), wait=90),
    _near("image-pull-slow", deployment(faults={"pull_seconds": 3}), wait=60),
    _raises(
        "gpu-insufficient",
        deployment(container=gpus(1), pod=_gpu(A10)),
        first=(deployment("holder", container=gpus(1), pod=_gpu(A10)),),
    ),
    _near("gpu-insufficient", deployment(container=gpus(8), pod={"nodeSelector": {}})),
    _raises("resources-insufficient", deployment(container={"resources": {"requests": {"cpu": "500"}}})),
    _near("resources-insufficient", deployment(container=gpus(3), pod=_gpu(A10_PAIR))),
    _raises("taint-untolerated", deployment(container=gpus(2), pod={"nodeSelector": A10_PAIR})),
    _near("taint-untolerated", deployment(pod={"nodeSelector": {**CPU, "gpu": "h300"}})),
    _raises("affinity-mismatch", deployment(pod={"nodeSelector": {"gpu": "h300"}})),
    _near("affinity-mismatch", deployment(container={"resources": {"requests": {"memory": "900Gi"}}})),
    _raises(
        "quota-exceeded",
        deployment(container={"resources": {"requests": {"cpu": "2"}}}),
        first=(quota(requests_cpu="1"),),
    ),
    _near("quota-exceeded", deployment(), first=(quota(requests_cpu="1"),)),
    _raises("pod-security", deployment(), labels={"pod-security.kubernetes.io/enforce": "restricted"}),
    _near("pod-security", deployment(), labels={"pod-security.kubernetes.io/warn": "restricted"}),
    _raises("secret-missing", _paid(container=from_key("secret", "ngc-api", "NGC_API_KEY"))),
    _near("secret-missing", deployment(container=from_key("secret", "ngc-api", "NGC_API_KEY", optional=True))),
    _raises(
        "key-missing",
        secret("ngc-api", KEY="made-up"),
        deployment(container=from_key("secret", "ngc-api", "NGC_API_KEY")),
    ),
    _near("key-missing", deployment(container=from_key("configMap", "nim", "PROFILE"))),
    _raises(
        "pvc-unbound",
        storage_class("nowhere"),
        claim("cache", "nowhere"),
        deployment(pod=mounting("cache")),
    ),
    _near(
        "pvc-unbound",
        claim("cache", "oci-bv"),
        deployment(pod={**mounting("cache"), "nodeSelector": {"gpu": "h300"}}),
    ),
    _raises("crash-loop", _paid(faults={"exit": "1", "log": "no such profile"}, spec=_HOLD), wait=30),
    _near("crash-loop", deployment(faults={"exit": "0"}, spec=_HOLD), wait=30),
    _raises("oom-killed", _paid(faults={"exit": "137", "exit_reason": "OOMKilled"}, spec=_HOLD)),
    _near("oom-killed", deployment(faults={"exit": "137"}, spec=_HOLD)),
    _raises(
        "init-failed",
        _paid(faults={"exit.fetch": "1"}, pod={"initContainers": [{"name": "fetch", "image": "nvcr.io/nim/fetch:1"}]}),
    ),
    _near(
        "init-failed",
        deployment(
            faults={"exit.fetch": "0", "exit.nim": "1"},
            spec=_HOLD,
            pod={"initContainers": [{"name": "fetch", "image": "nvcr.io/nim/fetch:1"}]},
        ),
    ),
    _raises(
        "readiness-failing",
        _paid(A10_PAIR, container=_LOADING, faults={"http_ready_after": 3600}),
        wait=75,
    ),
    _near("readiness-failing", deployment(container=_LOADING, faults={"http_ready_after": 25}), wait=50),
    _raises(
        "startup-probe",
        _paid(
            A10_PAIR,
            container={**PORT, "startupProbe": probe(periodSeconds=1, failureThreshold=4)},
            faults={"http_ready_after": 3600},
        ),
        wait=25,
    ),
    _near(
        "startup-probe",
        deployment(
            container={**PORT, "startupProbe": probe(periodSeconds=1, failureThreshold=90)},
            faults={"http_ready_after": 40},
        ),
        wait=60,
    ),
    _raises(
        "node-not-ready",
        deployment(container=gpus(1), pod=_on("node-not-ready-raises")),
        node="a10-1",
        script=f"{_APPLY} && kubectl wait -n {{ns}} --for=condition=Available deployment/nim --timeout=30s"
        " && kubectl annotate node {node} scripted.nimble-watch.test/fault=silent"
        " && kubectl wait node/{node} --for=condition=Ready=unknown --timeout=60s"
        " && kubectl wait -n {ns} --for=condition=Available=False deployment/nim --timeout=30s && sleep 1; false",
    ),
    _near(
        "node-not-ready",
        deployment(pod=_on("node-not-ready-near-miss")),
        node="cpu",
        script=f"{_APPLY} && kubectl wait -n {{ns}} --for=condition=Available deployment/nim --timeout=30s"
        " && kubectl cordon {node} && kubectl rollout restart -n {ns} deployment/nim"
        " && kubectl rollout status -n {ns} deployment/nim --timeout=10s",
    ),
    _raises(
        "progress-deadline",
        deployment(
            container={**PORT, "readinessProbe": probe(periodSeconds=1)},
            faults={"http_ready_after": 3600},
            spec={"progressDeadlineSeconds": 8},
        ),
        wait=35,
    ),
    _near(
        "progress-deadline",
        deployment(faults={"pull_seconds": 24}, spec={"progressDeadlineSeconds": 8}),
        wait=50,
    ),
    _raises("helm-timeout", script=_HELM.replace("{ready}", "500")),
    _near(
        "helm-timeout",
        script=_HELM + ' --set-json \'annotations={{"scripted.nimble-watch.test/pull":"not-found"}}\'',
    ),
    _raises("phase-failed", script="kubectl get -n {ns} deployment nim"),
    _near("phase-failed", deployment(faults={"pull": "not-found"}), wait=15),
)
