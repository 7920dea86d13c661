"""What objects of all kinds share: who they are, who made them, what they say of themselves."""

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


class OwnedMeta(Meta, rename="camel", frozen=True, gc=False):
    """metadata of an object that a controller made; who else changed which part tells nothing, and is not decoded."""

    managed_fields: tuple[ManagedFields, ...] | None = field(default=None, name="-")


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


def controller_of(meta: Meta) -> str:
    """Give the uid of the controller that manages an object; empty where there is none."""
    for owner in meta.owner_references or ():
        if owner.controller:
            return owner.uid
    return ""


def condition(conditions: tuple[Condition, ...] | None, kind: str) -> Condition | None:
    """Give the condition of that type, or None where it is not stated."""
    for entry in conditions or ():
        if entry.type == kind:
            return entry
    return None


def seconds(moment: datetime | None) -> float | None:
    """Give a moment as seconds since the epoch, None staying None."""
    return None if moment is None else moment.timestamp()
