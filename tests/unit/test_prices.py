"""Prices: exactly the list's where it is certain, and a reason everywhere else."""

from __future__ import annotations

from decimal import Decimal

import pytest

from nimble_watch.prices import (
    Price,
    Unpriced,
    cluster_hourly,
    flexible_size,
    hourly_text,
    load_balancer_hourly,
    minimum_seconds,
    price,
    volume_hourly,
    volume_monthly,
)


@pytest.mark.parametrize(
    ("shape", "gpus", "hourly"),
    [
        ("VM.GPU2.1", 1, "1.275"),
        ("BM.GPU2.2", 2, "2.55"),
        ("VM.GPU3.4", 4, "11.80"),
        ("BM.GPU3.8", 8, "23.60"),
        ("BM.GPU4.8", 8, "24.40"),
        ("VM.GPU.A10.1", 1, "2.00"),
        ("VM.GPU.A10.2", 2, "4.00"),
        ("BM.GPU.A10.4", 4, "8.00"),
        ("BM.GPU.A100-v2.8", 8, "32.00"),
        ("BM.GPU.L40S.4", 4, "14.00"),
        ("BM.GPU.H100.8", 8, "80.00"),
        ("BM.GPU.H200.8", 8, "80.00"),
        ("BM.GPU.B200.8", 8, "112.00"),
        ("BM.GPU.GB200.4", 4, "64.00"),
        ("BM.GPU.B300.8", 8, "120.00"),
        ("BM.GPU.GB300.4", 4, "72.00"),
        ("BM.GPU.RTXPRO.8", 8, "36.00"),
        ("BM.GPU.MI300X.8", 8, "48.00"),
        ("BM.GPU.MI355X.8", 8, "68.80"),
    ],
)
def test_a_gpu_node_costs_its_gpus_times_the_list_price(shape: str, gpus: int, hourly: str) -> None:
    found = price(shape)
    assert isinstance(found, Price)
    assert (found.usd_per_hour, found.gpus) == (Decimal(hourly), gpus)
    assert found.part.startswith("B")
    assert (found.source, found.date) == ("Oracle's public price list", "2026-08-22")


def test_a_flexible_node_costs_its_cpus_and_memory() -> None:
    found = price("VM.Standard.E5.Flex", ocpus=Decimal(4), memory_gb=Decimal(64))
    assert isinstance(found, Price)
    assert found.usd_per_hour == Decimal("0.248")


def test_a_flexible_node_of_unknown_size_is_unpriced() -> None:
    assert price("VM.Standard.E5.Flex") == Unpriced(
        "VM.Standard.E5.Flex", "a flexible shape has no price without its OCPUs and memory"
    )


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ("VM.GPU.A10.4", "Oracle has no shape of this name; four A10 are BM.GPU.A10.4"),
        ("VM.GPU.L40S.2", "no public price is known"),
        ("BM.GPU.B4.8", "its part number is not certain"),
        ("BM.GPU.GB200-v3.4", "only BM.GPU.GB200.4 has a certain price"),
        ("BM.GPU.MI355X-v1.8", "only BM.GPU.MI355X.8 has a certain price"),
        ("BM.GPU.T1-2.4", "no public price is known"),
        ("p5.48xlarge", "the shape is not in the price table of 2026-08-22"),
        ("", "the node does not say its shape"),
    ],
)
def test_what_is_not_certain_is_unpriced_with_the_reason(shape: str, reason: str) -> None:
    assert price(shape) == Unpriced(shape, reason)


def test_a_price_that_the_user_gave_wins() -> None:
    found = price("BM.GPU.H100.8", overrides={"BM.GPU.H100.8": Decimal("61.50")})
    assert isinstance(found, Price)
    assert (found.usd_per_hour, found.gpus, found.source) == (Decimal("61.50"), 8, "given by the user")


def test_a_virtual_machine_is_billed_a_minute_and_bare_metal_an_hour_at_least() -> None:
    assert [minimum_seconds(shape) for shape in ("VM.GPU.A10.1", "BM.GPU.H100.8", "m5.large")] == [60, 3600, None]


def test_the_size_of_a_flexible_node_is_read_off_what_the_node_reports() -> None:
    assert flexible_size(8, 67_000_000_000) == (Decimal(4), Decimal(63))


def test_the_rest_of_a_deployment_has_prices_too() -> None:
    assert load_balancer_hourly() == Decimal("0.0123")
    assert volume_monthly(100) == Decimal("4.25")
    assert round(volume_hourly(100), 4) == Decimal("0.0057")
    assert cluster_hourly() == Decimal("0.10")


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        ("80", "$80.00 per hour"),
        ("0.0057", "$0.01 per hour"),
        ("0.0029", "less than $0.01 per hour"),
        ("0", "$0.00 per hour"),
    ],
)
def test_what_costs_less_than_a_cent_an_hour_is_not_said_to_be_free(usd: str, text: str) -> None:
    assert hourly_text(Decimal(usd)) == text
