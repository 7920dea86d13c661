"""Manifests for the kinds' cases: small Deployments whose pods carry their fate in annotations."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from tests.cluster.harness import Manifest, scripted

CPU = {"node.kubernetes.io/instance-type": "VM.Standard.E5.Flex"}
A10 = {"node.kubernetes.io/instance-type": "VM.GPU.A10.1"}
A10_PAIR = {"node.kubernetes.io/instance-type": "VM.GPU.A10.2"}
H100 = {"node.kubernetes.io/instance-type": "BM.GPU.H100.8"}
TOLERANT = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
IMAGE = "nvcr.io/nim/meta/llama3-8b-instruct:1.0.0"


def deployment(
    name: str = "nim",
    *,
    faults: Mapping[str, object] | None = None,
    pod: Mapping[str, Any] | None = None,
    container: Mapping[str, Any] | None = None,
    spec: Mapping[str, Any] | None = None,
) -> Manifest:
    """Give a Deployment of one pod on a CPU node; `pod`, `container` and `spec` are laid over it."""
    template = {
        "terminationGracePeriodSeconds": 1,
        "nodeSelector": CPU,
        "containers": [{"name": "nim", "image": IMAGE, **(container or {})}],
        **(pod or {}),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}, "annotations": scripted(**dict(faults or {}))},
                "spec": template,
            },
            **(spec or {}),
        },
    }


def gpus(count: int) -> Mapping[str, Any]:
    """Give a container's resources with so many GPUs."""
    return {"resources": {"limits": {"nvidia.com/gpu": str(count)}}}


def probe(path: str = "/v1/health/ready", **times: int) -> Mapping[str, Any]:
    """Give a probe of the container's server on port 8000."""
    return {"httpGet": {"path": path, "port": 8000}, **times}


PORT = {"ports": [{"containerPort": 8000}]}


def secret(name: str, **values: str) -> Manifest:
    """Give a Secret; its values are made up."""
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded}


def pull_secret(name: str, password: str) -> Manifest:
    """Give a pull secret for nvcr.io with a made-up password."""
    auth = base64.b64encode(f"$oauthtoken:{password}".encode()).decode()
    config = {"auths": {"nvcr.io": {"username": "$oauthtoken", "password": password, "auth": auth}}}
    text = base64.b64encode(json.dumps(config).encode()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": text},
    }


def from_key(kind: str, name: str, key: str, *, optional: bool = False) -> Mapping[str, Any]:
    """Give a container's environment with one variable from a key."""
    source = {f"{kind}KeyRef": {"name": name, "key": key, "optional": optional}}
    return {"env": [{"name": "NGC_API_KEY", "valueFrom": source}]}


def claim(name: str, storage_class: str) -> Manifest:
    """Give a volume claim of 100 GiB."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": "100Gi"}},
        },
    }


def mounting(name: str) -> Mapping[str, Any]:
    """Give a pod's volume of a claim."""
    return {"volumes": [{"name": "cache", "persistentVolumeClaim": {"claimName": name}}]}


def quota(**hard: str) -> Manifest:
    """Give a ResourceQuota; `_` in a name stands for a dot."""
    limits = {name.replace("_", "."): amount for name, amount in hard.items()}
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "team"},
        "spec": {"hard": limits},
    }


def storage_class(name: str) -> Manifest:
    """Give a class that binds at once and that nobody provides."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": "nobody.nimble-watch.test",
        "volumeBindingMode": "Immediate",
    }
