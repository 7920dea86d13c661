"""What a person must be shown of each kind's case on stderr, and how those lines are read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from nimble_watch.rules import all_rules

_HEAD = re.compile(r"([a-z]+(?:-[a-z]+)+): (.+)")
_ROW = re.compile(r"  (cluster|output|cause|hence|do|type|waiting|cost) +(\S.*)")


@dataclass(frozen=True)
class Shown:
    """What must be there: a part of the sentence that somebody else said, and of the command to type next.

    `said_by` is who said it; `shape` is that of the GPU node which the case's pod holds, of which there is to be a
    price.
    """

    says: str
    type: str
    verdicts: tuple[str, ...] = ("grace", "terminal")
    shape: str = ""
    said_by: str = "cluster"


_A10, _A10_PAIR, _H100 = "VM.GPU.A10.1", "VM.GPU.A10.2", "BM.GPU.H100.8"

SHOWN = {
    "affinity-mismatch": Shown("didn't match Pod's node affinity/selector", "kubectl get nodes -L gpu"),
    "crash-loop": Shown("exit code 1", "logs pod/nim-", shape=_H100),
    "gpu-insufficient": Shown("1 Insufficient nvidia.com/gpu", "kubectl get pods -A -o wide"),
    "helm-timeout": Shown("context deadline exceeded", "kubectl get pods", ("terminal",), said_by="output"),
    "image-auth": Shown("unauthorized: authentication required", "create secret docker-registry", shape=_H100),
    "image-not-found": Shown("image-not-found-raises:1.0.0: not found", "describe pod/nim-", shape=_H100),
    "init-failed": Shown("exit code 1", "-c fetch", shape=_H100),
    "key-missing": Shown(
        "couldn't find key NGC_API_KEY in Secret key-missing-raises/ngc-api", "describe secret ngc-api"
    ),
    "node-not-ready": Shown("Kubelet stopped posting node status.", "kubectl describe node/", shape=_A10),
    "oom-killed": Shown("OOMKilled", "logs pod/nim-", shape=_H100),
    "phase-failed": Shown('deployments.apps "nim" not found', "", ("terminal",), said_by="output"),
    "pod-security": Shown('violates PodSecurity "restricted:latest"', "kubectl get namespace", ("terminal",)),
    "progress-deadline": Shown("has timed out progressing", "describe deployment/nim"),
    "pull-secret-missing": Shown(
        "Unable to retrieve some image pull secrets (ngc-secret)", "create secret docker-registry", shape=_H100
    ),
    "pvc-unbound": Shown("unbound immediate PersistentVolumeClaims", "describe persistentvolumeclaim/cache"),
    "quota-exceeded": Shown("exceeded quota: team", "describe resourcequota team", ("terminal",)),
    "readiness-failing": Shown("Readiness probe failed", "logs pod/nim-", ("recovers",), shape=_A10_PAIR),
    "resources-insufficient": Shown("1 Insufficient cpu", "kubectl describe nodes"),
    "secret-missing": Shown('secret "ngc-api" not found', "create secret generic ngc-api", shape=_H100),
    "startup-probe": Shown("failed startup probe", "describe pod/nim-", shape=_A10_PAIR),
    "taint-untolerated": Shown("had untolerated taint", "kubectl get nodes"),
}
"""All kinds but image-pull-slow, which is a wait and never an obstacle."""

PATIENCE = {
    "terminal": "does not help",
    "grace": "may help",
    "recovers": "helps, but",
}
"""How the row about waiting begins, by verdict."""


@dataclass
class Block:
    """What we said about one obstacle when it opened: its kind, what is wrong, and the rows below by their label."""

    kind: str
    summary: str
    rows: dict[str, str] = field(default_factory=dict)


def blocks(said: Iterable[str]) -> list[Block]:
    """Read our lines, without their prefix: a block for every line that begins with a kind."""
    found: list[Block] = []
    inside = False
    for line in said:
        if (head := _HEAD.fullmatch(line)) and head[1] in all_rules():
            found.append(Block(head[1], head[2]))
            inside = True
        elif inside and (row := _ROW.fullmatch(line)):
            found[-1].rows.setdefault(row[1], row[2])
        else:
            inside = False
    return found
