"""The parts of Kubernetes objects that nimble-watch looks at, and nothing else of them.

A pod in JSON is 8 kB, most of it managed fields and specifications that no rule asks about.  msgspec decodes straight
into these structs and skips the rest without building it, which is what makes 10,000 pods affordable in Python.
Every field is optional: bookmarks, partial objects and other API versions leave holes, and a hole must never end a
watch.  The structs are frozen and invisible to the garbage collector (`gc=False`), which halves the cost of keeping.
Field names and meanings: Kubernetes API reference v1.36 (core/v1, apps/v1, batch/v1).
"""

from __future__ import annotations

from nimble_watch.objects._common import (
    Annotations,
    Condition,
    ManagedFields,
    Meta,
    OwnedMeta,
    OwnerReference,
    Ref,
    Resources,
    condition,
    controller_of,
    seconds,
)
from nimble_watch.objects._others import (
    Claim,
    ClaimSpec,
    ClaimStatus,
    Event,
    EventSeries,
    EventSource,
    Ingress,
    InvolvedObject,
    LabelSelector,
    LoadBalancer,
    Node,
    NodeSpec,
    NodeStatus,
    RollingUpdate,
    Service,
    ServiceSpec,
    ServiceStatus,
    Strategy,
    Taint,
    Workload,
    WorkloadSpec,
    WorkloadStatus,
)
from nimble_watch.objects._pods import (
    Affinity,
    ClaimSource,
    Container,
    ContainerState,
    ContainerStatus,
    EnvFrom,
    EnvSource,
    EnvVar,
    KeyRef,
    LocalRef,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Pod,
    PodSpec,
    PodStatus,
    Probe,
    Running,
    SecretSource,
    Terminated,
    Toleration,
    Volume,
    Waiting,
)

__all__ = [
    "STRUCTS",
    "Affinity",
    "Annotations",
    "Claim",
    "ClaimSource",
    "ClaimSpec",
    "ClaimStatus",
    "Condition",
    "Container",
    "ContainerState",
    "ContainerStatus",
    "EnvFrom",
    "EnvSource",
    "EnvVar",
    "Event",
    "EventSeries",
    "EventSource",
    "Ingress",
    "InvolvedObject",
    "KeyRef",
    "KubeObject",
    "LabelSelector",
    "LoadBalancer",
    "LocalRef",
    "ManagedFields",
    "Meta",
    "Node",
    "NodeAffinity",
    "NodeSelector",
    "NodeSelectorRequirement",
    "NodeSelectorTerm",
    "NodeSpec",
    "NodeStatus",
    "OwnedMeta",
    "OwnerReference",
    "Pod",
    "PodSpec",
    "PodStatus",
    "Probe",
    "Ref",
    "Resources",
    "RollingUpdate",
    "Running",
    "SecretSource",
    "Service",
    "ServiceSpec",
    "ServiceStatus",
    "Strategy",
    "Taint",
    "Terminated",
    "Toleration",
    "Volume",
    "Waiting",
    "Workload",
    "WorkloadSpec",
    "WorkloadStatus",
    "condition",
    "controller_of",
    "ref",
    "seconds",
]

KubeObject = Pod | Node | Event | Workload | Claim | Service

STRUCTS: dict[str, type[Pod | Node | Event | Workload | Claim | Service]] = {
    "Pod": Pod,
    "Node": Node,
    "Event": Event,
    "Deployment": Workload,
    "ReplicaSet": Workload,
    "StatefulSet": Workload,
    "DaemonSet": Workload,
    "Job": Workload,
    "PersistentVolumeClaim": Claim,
    "Service": Service,
}
"""Which struct decodes which kind; the kinds that are watched are exactly these."""


def ref(kind: str, thing: KubeObject) -> Ref:
    """Give the reference of an object of that kind."""
    meta = thing.metadata
    return Ref(kind, meta.namespace, meta.name, meta.uid)
