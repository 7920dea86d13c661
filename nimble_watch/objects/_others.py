"""Everything but pods: nodes, events, workloads, claims, services."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct, field

from nimble_watch.objects._common import Condition, Meta, Resources


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
