"""What a node is and costs, and which part of it a pod holds."""

from __future__ import annotations

import re
from decimal import Decimal

from msgspec import Struct

from nimble_watch.objects import Node, Pod, seconds
from nimble_watch.prices import Price, Unpriced, flexible_size, minimum_seconds, price
from nimble_watch.state import gpus_allocatable, gpus_wanted

_SHAPE = "node.kubernetes.io/instance-type"
_UNITS = {
    "": Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("0.001"), "k": Decimal(10**3),
    "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15), "Ki": Decimal(2**10),
    "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50),
}  # fmt: skip
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?)([a-zA-Z]{0,2})")
_ONE = Decimal(1)
_NOTHING = Decimal(0)


class Machine(Struct, frozen=True, kw_only=True):
    """A node as it is billed: `usd_per_hour` for the whole of it, or none and a `reason`.

    `created` is when its Node object was made (epoch seconds); the instance behind it is older.
    """

    name: str
    shape: str
    gpus: int
    usd_per_hour: Decimal | None
    reason: str = ""
    source: str = ""
    date: str = ""
    part: str = ""
    minimum: float = 0.0
    created: float = 0.0
    instance: str = ""
    pool: str = ""


def quantity(text: str | None) -> Decimal:
    """Read a Kubernetes quantity (`500m`, `16Gi`, `2e3`); what is none counts as nothing."""
    found = _QUANTITY.fullmatch(text or "")
    if found is None or found[2] not in _UNITS:
        return _NOTHING
    return Decimal(found[1]) * _UNITS[found[2]]


def machine(node: Node) -> Machine:
    """Give what a node is and costs, by its shape's label."""
    shape = (node.metadata.labels or {}).get(_SHAPE, "")
    capacity = node.status.capacity or {}
    cpus, memory = int(quantity(capacity.get("cpu"))), int(quantity(capacity.get("memory")))
    ocpus, memory_gb = flexible_size(cpus, memory) if cpus and memory else (None, None)
    found: Price | Unpriced = price(shape, ocpus=ocpus, memory_gb=memory_gb)
    priced = found if isinstance(found, Price) else None
    pool = node.metadata.annotations.node_pool if node.metadata.annotations is not None else None
    return Machine(
        name=node.metadata.name,
        shape=shape,
        gpus=(priced.gpus if priced is not None else 0) or gpus_allocatable(node),
        usd_per_hour=priced.usd_per_hour if priced is not None else None,
        reason=found.reason if isinstance(found, Unpriced) else "",
        source=priced.source if priced is not None else "",
        date=priced.date if priced is not None else "",
        part=priced.part if priced is not None else "",
        minimum=float(minimum_seconds(shape) or 0),
        created=seconds(node.metadata.creation_timestamp) or 0.0,
        instance=node.spec.provider_id.removeprefix("oci://"),
        pool=pool or "",
    )


def share_of(pod: Pod, node: Node, about: Machine) -> Decimal:
    """Give the part of a node that a pod holds, 0 to 1."""
    if about.gpus:
        return min(_ONE, Decimal(gpus_wanted(pod)) / about.gpus)
    capacity = node.status.capacity or {}
    parts = [_requested(pod, name) / whole for name in ("cpu", "memory") if (whole := quantity(capacity.get(name)))]
    return min(_ONE, max(parts, default=_NOTHING))


def _requested(pod: Pod, what: str) -> Decimal:
    return sum(
        (quantity((entry.resources.requests or {}).get(what)) for entry in pod.spec.containers if entry.resources),
        _NOTHING,
    )
