"""Pods: what they demand, and what the kubelet last said of their containers."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct, field

from nimble_watch.objects._common import Condition, Meta, Resources


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
