"""The parts of Kubernetes objects that nimble-watch looks at, and nothing else of them.

A pod in JSON is 8 kB, most of it managed fields and specifications that no rule asks about.  msgspec decodes straight
into these structs and skips the rest without building it, which is what makes 10,000 pods affordable in Python.
Every field is optional: bookmarks, partial objects and other API versions leave holes, and a hole must never end a
watch.  The structs are frozen and invisible to the garbage collector (`gc=False`), which halves the cost of keeping.
Field names and meanings: Kubernetes API reference v1.36 (core/v1, apps/v1, batch/v1).
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from msgspec import Struct, field


class Ref(NamedTuple):
    """Names one object for good: `kind` and `uid` identify it, namespace and name are for people."""

    kind: str
    namespace: str
    name: str
    uid: str

    def __str__(self) -> str:
        """Give the object as kubectl takes it, such as `pod/nim-0`."""
        return f"{self.kind.lower()}/{self.name}"


class OwnerReference(Struct, rename="camel", frozen=True, gc=False):
    """Who owns an object; `controller` marks the one that manages it."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class ManagedFields(Struct, rename="camel", frozen=True, gc=False):
    """Who last changed which part of an object and when (one second grain)."""

    manager: str = ""
    operation: str = ""
    time: datetime | None = None
    subresource: str = ""


class Annotations(Struct, rename="camel", frozen=True, gc=False):
    """The annotations that decide something here; all others are skipped while decoding."""

    release_name: str | None = field(default=None, name="meta.helm.sh/release-name")
    release_namespace: str | None = field(default=None, name="meta.helm.sh/release-namespace")
    revision: str | None = field(default=None, name="deployment.kubernetes.io/revision")
    node_pool: str | None = field(default=None, name="oci.oraclecloud.com/node-pool-id")


class Meta(Struct, rename="camel", frozen=True, gc=False):
    """metadata of any object."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] | None = None
    annotations: Annotations | None = None
    owner_references: tuple[OwnerReference, ...] | None = None
    managed_fields: tuple[ManagedFields, ...] | None = None


class Condition(Struct, rename="camel", frozen=True, gc=False):
    """One entry of status.conditions, of whichever kind of object."""

    type: str = ""
    status: str = ""
    reason: str | None = None
    message: str | None = None
    last_transition_time: datetime | None = None


class Resources(Struct, rename="camel", frozen=True, gc=False):
    """requests and limits by resource name, as quantities in text (`500m`, `16Gi`, `1`)."""

    requests: dict[str, str] | None = None
    limits: dict[str, str] | None = None


class Probe(Struct, rename="camel", frozen=True, gc=False):
    """How often and how patiently the kubelet asks; the API server fills in the defaults."""

    initial_delay_seconds: int = 0
    period_seconds: int = 10
    timeout_seconds: int = 1
    failure_threshold: int = 3

    @property
    def budget(self) -> float:
        """Seconds from the container's start until the kubelet may give up for the first time."""
        return self.initial_delay_seconds + self.failure_threshold * max(self.period_seconds, self.timeout_seconds)


class KeyRef(Struct, rename="camel", frozen=True, gc=False):
    """A reference to one key of a Secret or ConfigMap, or to the whole of it."""

    name: str = ""
    key: str = ""
    optional: bool | None = None


class EnvSource(Struct, rename="camel", frozen=True, gc=False):
    """Where the value of an environment variable comes from."""

    secret_key_ref: KeyRef | None = None
    config_map_key_ref: KeyRef | None = None


class EnvVar(Struct, rename="camel", frozen=True, gc=False):
    """An environment variable: its name and its source; a literal value is never decoded, it may be a secret."""

    name: str = ""
    value_from: EnvSource | None = None


class EnvFrom(Struct, rename="camel", frozen=True, gc=False):
    """All keys of a Secret or ConfigMap as environment variables."""

    secret_ref: KeyRef | None = None
    config_map_ref: KeyRef | None = None


class Container(Struct, rename="camel", frozen=True, gc=False):
    """A container as specified."""

    name: str = ""
    image: str = ""
    resources: Resources | None = None
    startup_probe: Probe | None = None
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    env: tuple[EnvVar, ...] | None = None
    env_from: tuple[EnvFrom, ...] | None = None
    restart_policy: str | None = None


class ClaimSource(Struct, rename="camel", frozen=True, gc=False):
    """The claim that a volume of a pod comes from."""

    claim_name: str = ""


class SecretSource(Struct, rename="camel", frozen=True, gc=False):
    """The Secret that a volume of a pod shows."""

    secret_name: str = ""
    optional: bool | None = None


class Volume(Struct, rename="camel", frozen=True, gc=False):
    """A volume of a pod, as far as it depends on another object."""

    name: str = ""
    persistent_volume_claim: ClaimSource | None = None
    secret: SecretSource | None = None
    config_map: KeyRef | None = None


class Toleration(Struct, rename="camel", frozen=True, gc=False):
    """A taint that a pod puts up with."""

    key: str | None = None
    operator: str = "Equal"
    value: str = ""
    effect: str | None = None


class LocalRef(Struct, rename="camel", frozen=True, gc=False):
    """A reference by name inside the namespace."""

    name: str = ""


class NodeSelectorRequirement(Struct, rename="camel", frozen=True, gc=False):
    """One condition on a node's label or field."""

    key: str = ""
    operator: str = ""
    values: tuple[str, ...] | None = None


class NodeSelectorTerm(Struct, rename="camel", frozen=True, gc=False):
    """Conditions that must all hold."""

    match_expressions: tuple[NodeSelectorRequirement, ...] | None = None
    match_fields: tuple[NodeSelectorRequirement, ...] | None = None


class NodeSelector(Struct, rename="camel", frozen=True, gc=False):
    """Terms of which one must hold."""

    node_selector_terms: tuple[NodeSelectorTerm, ...] | None = None


class NodeAffinity(Struct, rename="camel", frozen=True, gc=False):
    """Which nodes a pod demands."""

    required: NodeSelector | None = field(default=None, name="requiredDuringSchedulingIgnoredDuringExecution")


class Affinity(Struct, rename="camel", frozen=True, gc=False):
    """The part of a pod's affinity that can make it unschedulable by itself."""

    node_affinity: NodeAffinity | None = None


class PodSpec(Struct, rename="camel", frozen=True, gc=False):
    """spec of a pod."""

    node_name: str = ""
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] | None = None
    volumes: tuple[Volume, ...] | None = None
    tolerations: tuple[Toleration, ...] | None = None
    node_selector: dict[str, str] | None = None
    affinity: Affinity | None = None
    image_pull_secrets: tuple[LocalRef, ...] | None = None
    service_account_name: str = ""
    scheduler_name: str = ""
    restart_policy: str = "Always"


class Waiting(Struct, rename="camel", frozen=True, gc=False):
    """A container that has not started."""

    reason: str = ""
    message: str | None = None


class Running(Struct, rename="camel", frozen=True, gc=False):
    """A container that runs."""

    started_at: datetime | None = None


class Terminated(Struct, rename="camel", frozen=True, gc=False):
    """A container that has ended."""

    exit_code: int = 0
    signal: int | None = None
    reason: str = ""
    message: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


class ContainerState(Struct, rename="camel", frozen=True, gc=False):
    """One of the three is set, or none."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(Struct, rename="camel", frozen=True, gc=False):
    """What the kubelet last said of a container."""

    name: str = ""
    image: str = ""
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    state: ContainerState | None = None
    last_state: ContainerState | None = None


class PodStatus(Struct, rename="camel", frozen=True, gc=False):
    """status of a pod."""

    phase: str = ""
    reason: str | None = None
    message: str | None = None
    conditions: tuple[Condition, ...] | None = None
    container_statuses: tuple[ContainerStatus, ...] | None = None
    init_container_statuses: tuple[ContainerStatus, ...] | None = None
    start_time: datetime | None = None


class Pod(Struct, rename="camel", frozen=True, gc=False):
    """core/v1 Pod."""

    metadata: Meta = Meta()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class Taint(Struct, rename="camel", frozen=True, gc=False):
    """What keeps pods off a node."""

    key: str = ""
    value: str = ""
    effect: str = ""
    time_added: datetime | None = None


class NodeSpec(Struct, rename="camel", frozen=True, gc=False):
    """spec of a node."""

    taints: tuple[Taint, ...] | None = None
    unschedulable: bool = False
    provider_id: str = field(default="", name="providerID")


class NodeStatus(Struct, rename="camel", frozen=True, gc=False):
    """status of a node; quantities are text as the API has them."""

    capacity: dict[str, str] | None = None
    allocatable: dict[str, str] | None = None
    conditions: tuple[Condition, ...] | None = None


class Node(Struct, rename="camel", frozen=True, gc=False):
    """core/v1 Node."""

    metadata: Meta = Meta()
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class InvolvedObject(Struct, rename="camel", frozen=True, gc=False):
    """What an event is about; `field_path` names the container (`spec.containers{nim}`)."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    field_path: str = ""


class EventSource(Struct, rename="camel", frozen=True, gc=False):
    """Which component said it, on which host."""

    component: str = ""
    host: str = ""


class EventSeries(Struct, rename="camel", frozen=True, gc=False):
    """How often an event was repeated, by the newer way of counting."""

    count: int = 0
    last_observed_time: datetime | None = None


class Event(Struct, rename="camel", frozen=True, gc=False):
    """core/v1 Event; times and counts stand in one of several places, see `at` and `times`."""

    metadata: Meta = Meta()
    involved_object: InvolvedObject = InvolvedObject()
    reason: str = ""
    message: str = ""
    type: str = ""
    count: int | None = None
    first_timestamp: datetime | None = None
    last_timestamp: datetime | None = None
    event_time: datetime | None = None
    series: EventSeries | None = None
    source: EventSource = EventSource()
    reporting_component: str = ""

    @property
    def at(self) -> float:
        """Seconds since the epoch when it was last said; 0.0 when the event carries no time at all."""
        last = (
            (self.series.last_observed_time if self.series else None)
            or self.last_timestamp
            or self.event_time
            or self.first_timestamp
            or self.metadata.creation_timestamp
        )
        return last.timestamp() if last else 0.0

    @property
    def first_at(self) -> float:
        """Seconds since the epoch when it was first said."""
        first = self.first_timestamp or self.event_time or self.metadata.creation_timestamp
        return first.timestamp() if first else self.at

    @property
    def times(self) -> int:
        """How often it was said, at least once (producers leave 0 or null)."""
        return max(self.series.count if self.series else 0, self.count or 0, 1)


class RollingUpdate(Struct, rename="camel", frozen=True, gc=False):
    """How many pods may be missing or surplus during a roll-out (number or percentage)."""

    max_unavailable: int | str | None = None
    max_surge: int | str | None = None


class Strategy(Struct, rename="camel", frozen=True, gc=False):
    """How a Deployment replaces its pods."""

    type: str = ""
    rolling_update: RollingUpdate | None = None


class LabelSelector(Struct, rename="camel", frozen=True, gc=False):
    """The labels that select pods."""

    match_labels: dict[str, str] | None = None


class WorkloadSpec(Struct, rename="camel", frozen=True, gc=False):
    """spec of a Deployment, ReplicaSet, StatefulSet, DaemonSet or Job, as far as it is looked at."""

    replicas: int | None = None
    paused: bool = False
    strategy: Strategy | None = None
    progress_deadline_seconds: int | None = None
    selector: LabelSelector | None = None
    backoff_limit: int | None = None
    suspend: bool | None = None
    completions: int | None = None


class WorkloadStatus(Struct, rename="camel", frozen=True, gc=False):
    """status of the same."""

    observed_generation: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    updated_replicas: int = 0
    desired_number_scheduled: int = 0
    number_ready: int = 0
    active: int = 0
    failed: int = 0
    succeeded: int = 0
    conditions: tuple[Condition, ...] | None = None


class Workload(Struct, rename="camel", frozen=True, gc=False):
    """apps/v1 Deployment, ReplicaSet, StatefulSet, DaemonSet and batch/v1 Job, told apart by the resource watched."""

    metadata: Meta = Meta()
    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()


class ClaimSpec(Struct, rename="camel", frozen=True, gc=False):
    """spec of a PersistentVolumeClaim."""

    storage_class_name: str | None = None
    volume_name: str = ""
    resources: Resources | None = None


class ClaimStatus(Struct, rename="camel", frozen=True, gc=False):
    """status of a PersistentVolumeClaim."""

    phase: str = ""
    conditions: tuple[Condition, ...] | None = None
    capacity: dict[str, str] | None = None


class Claim(Struct, rename="camel", frozen=True, gc=False):
    """core/v1 PersistentVolumeClaim."""

    metadata: Meta = Meta()
    spec: ClaimSpec = ClaimSpec()
    status: ClaimStatus = ClaimStatus()


class Ingress(Struct, rename="camel", frozen=True, gc=False):
    """An address under which a load balancer answers."""

    ip: str = ""
    hostname: str = ""


class LoadBalancer(Struct, rename="camel", frozen=True, gc=False):
    """The load balancer behind a Service."""

    ingress: tuple[Ingress, ...] | None = None


class ServiceSpec(Struct, rename="camel", frozen=True, gc=False):
    """spec of a Service."""

    type: str = ""
    selector: dict[str, str] | None = None


class ServiceStatus(Struct, rename="camel", frozen=True, gc=False):
    """status of a Service."""

    load_balancer: LoadBalancer | None = None


class Service(Struct, rename="camel", frozen=True, gc=False):
    """core/v1 Service."""

    metadata: Meta = Meta()
    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()


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


def condition(conditions: tuple[Condition, ...] | None, kind: str) -> Condition | None:
    """Give the condition of that type, or None where it is not stated."""
    for entry in conditions or ():
        if entry.type == kind:
            return entry
    return None


def seconds(moment: datetime | None) -> float | None:
    """Give a moment as seconds since the epoch, None staying None."""
    return None if moment is None else moment.timestamp()
