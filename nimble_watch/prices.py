"""What a machine costs per hour: looked up in the dated table that comes with the program, never guessed.

A shape that is not in the table, or whose price is not certain, is unpriced with a reason; that is not zero.
All amounts are USD, as Decimal.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from functools import cache
from importlib import resources
from typing import Any

from msgspec import Struct

_TABLE = "prices-2026-08-22.toml"
_GIB = Decimal(1024**3)
_MONTH_HOURS = 744  # 24 x 31, as Oracle's price list counts a month
_VM_MINIMUM, _BM_MINIMUM = 60, 3600


class Price(Struct, frozen=True, kw_only=True):
    """What one node of a shape costs: `usd_per_hour` for the whole node, with where the figure is from.

    `part` is Oracle's part number; `minimum_seconds` is billed even if the instance lived shorter.
    """

    shape: str
    usd_per_hour: Decimal
    gpus: int
    source: str
    date: str
    part: str
    minimum_seconds: int


class Unpriced(Struct, frozen=True):
    """No price is known, and why; whatever contains it is "at least"."""

    shape: str
    reason: str


@cache
def _table() -> dict[str, Any]:
    text = (resources.files("nimble_watch.data") / _TABLE).read_text(encoding="utf-8")
    return tomllib.loads(text)


def price(
    shape: str,
    *,
    ocpus: Decimal | None = None,
    memory_gb: Decimal | None = None,
    overrides: Mapping[str, Decimal] | None = None,
) -> Price | Unpriced:
    """Give the price of one node of a shape; a flexible shape needs its OCPUs and memory.

    `overrides` are prices per node and hour that the user gave; they win.
    """
    table = _table()
    if overrides and shape in overrides:
        return _price(shape, overrides[shape], "given by the user", date="", gpus=_gpus(shape))
    if shape in table["gpu"]:
        gpus, each, part = table["gpu"][shape]
        return _price(shape, Decimal(each) * gpus, table["source"], date=table["date"], gpus=gpus, part=part)
    if shape in table["flex"]:
        if ocpus is None or memory_gb is None:
            return Unpriced(shape, "a flexible shape has no price without its OCPUs and memory")
        per_ocpu, per_gb, part = table["flex"][shape]
        cost = Decimal(per_ocpu) * ocpus + Decimal(per_gb) * memory_gb
        return _price(shape, cost, table["source"], date=table["date"], part=part)
    return Unpriced(shape, _why_unpriced(shape, table["unpriced"]))


def shapes() -> list[str]:
    """Give the shapes that have a price, in the table's order; that of a flexible one depends on its size."""
    table = _table()
    return [*table["gpu"], *table["flex"]]


def _price(shape: str, cost: Decimal, source: str, *, date: str, gpus: int = 0, part: str = "") -> Price:
    return Price(
        shape=shape,
        usd_per_hour=cost,
        gpus=gpus,
        source=source,
        date=date,
        part=part,
        minimum_seconds=minimum_seconds(shape) or 0,
    )


def _gpus(shape: str) -> int:
    entry = _table()["gpu"].get(shape)
    return int(entry[0]) if entry else 0


def _why_unpriced(shape: str, reasons: Mapping[str, str]) -> str:
    if not shape:
        return "the node does not say its shape"
    for name, reason in reasons.items():
        if shape == name or (name.endswith("*") and shape.startswith(name[:-1])):
            return reason
    return f"the shape is not in the price table of {_table()['date']}"


def minimum_seconds(shape: str) -> int | None:
    """Give how long an instance of a shape is billed at least: a minute, bare metal an hour; None if not known."""
    if shape.startswith("BM."):
        return _BM_MINIMUM
    return _VM_MINIMUM if shape.startswith("VM.") else None


def flexible_size(cpus: int, memory_bytes: int) -> tuple[Decimal, Decimal]:
    """Give (OCPUs, memory in GB) of a flexible shape from what its node reports.

    An OCPU is two virtual CPUs.  The kernel keeps a little of the memory for itself, and it is sold in whole GB, so it
    is rounded up; it may still be a GB or two more than this.
    """
    return Decimal(cpus) / 2, (Decimal(memory_bytes) / _GIB).to_integral_value(ROUND_CEILING)


def load_balancer_hourly(bandwidth_mbps: int = 10) -> Decimal:
    """Give what a flexible load balancer costs per hour, the free tier left aside."""
    other = _table()["other"]
    return Decimal(other["load_balancer_hour"]) + Decimal(other["load_balancer_mbps_hour"]) * bandwidth_mbps


def volume_monthly(size_gb: int, *, vpus: int = 10) -> Decimal:
    """Give what a block or boot volume costs per month of 744 hours; 10 VPUs per GB is the balanced performance."""
    other = _table()["other"]
    return size_gb * (Decimal(other["volume_gb_month"]) + Decimal(other["volume_vpu_gb_month"]) * vpus)


def volume_hourly(size_gb: int, *, vpus: int = 10) -> Decimal:
    """Give what a block or boot volume costs per hour."""
    return volume_monthly(size_gb, vpus=vpus) / _MONTH_HOURS


def cluster_hourly() -> Decimal:
    """Give what an enhanced OKE cluster costs per hour (a basic one costs nothing)."""
    return Decimal(_table()["other"]["cluster_hour"])


def hourly_text(usd: Decimal) -> str:
    """Say what an hour costs, as `cents_text` has it."""
    return f"{cents_text(usd)} per hour"


def cents_text(usd: Decimal) -> str:
    """Say an amount to the cent; less than half of one is said as that, since `$0.00` reads as free."""
    cents = usd.quantize(Decimal("0.01"), ROUND_HALF_UP)
    return "less than $0.01" if usd > 0 and not cents else f"${cents}"
