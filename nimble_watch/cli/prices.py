"""`nimble-watch prices`: the price table in force, for people, and for scripts that must know before they pay.

A script asks with --tsv and gets one line for everything it asked for, in the order it asked: the name, USD per hour or
the word "unpriced", and where that is from or why there is none.  Not knowing a price is an answer, not an error.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from msgspec import Struct

from nimble_watch.errors import UsageError
from nimble_watch.prices import Unpriced, load_balancer_hourly, price, shapes, volume_hourly, volume_monthly

_UNPRICED = "unpriced"


class Row(Struct, frozen=True):
    """One thing that has a price per hour, or none and a reason; `about` is the source or the reason."""

    name: str
    usd_per_hour: Decimal | None
    about: str
    gpus: int = 0
    part: str = ""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("shape", nargs="*", help="such as VM.GPU.A10.1; none: all that the table holds")
    parser.add_argument("--ocpus", metavar="N", help="OCPUs of a flexible shape (an OCPU is two virtual CPUs)")
    parser.add_argument("--memory-gb", metavar="N", help="memory of a flexible shape")
    parser.add_argument("--volume-gb", metavar="N", type=_gigabytes, help="a block volume of this size, too")
    parser.add_argument("--load-balancer", action="store_true", help="a flexible load balancer of 10 Mbps, too")
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--tsv", action="store_true", help="lines for scripts: name, USD per hour or unpriced, source or reason"
    )
    form.add_argument("--json", action="store_true", help="the same as JSON")


def main(arguments: argparse.Namespace) -> int:
    """Print the prices asked for."""
    rows = list(_rows(arguments))
    if arguments.json:
        print(json.dumps([_as_json(row) for row in rows], indent=2))
    elif arguments.tsv:
        for row in rows:
            print(row.name, _amount(row), row.about, sep="\t")
    else:
        width = max(len(row.name) for row in rows)
        print(f"{'':<{width}}  {'GPUs':>4}  {'USD/h':>9}")
        for row in rows:
            print(f"{row.name:<{width}}  {row.gpus or '':>4}  {_amount(row):>9}  {row.about}")
    return 0


def _rows(arguments: argparse.Namespace) -> Iterator[Row]:
    others = bool(arguments.volume_gb or arguments.load_balancer)
    ocpus, memory = _number(arguments.ocpus, "--ocpus"), _number(arguments.memory_gb, "--memory-gb")
    for shape in arguments.shape or ([] if others else shapes()):
        found = price(shape, ocpus=ocpus, memory_gb=memory)
        if isinstance(found, Unpriced):
            yield Row(shape, None, found.reason)
        else:
            about = ", ".join(filter(None, (found.source, found.date, found.part)))
            yield Row(shape, found.usd_per_hour, about, found.gpus, found.part)
    if arguments.volume_gb:
        monthly = _cents(volume_monthly(arguments.volume_gb))
        yield Row(f"volume-{arguments.volume_gb}GB", volume_hourly(arguments.volume_gb), f"{monthly} USD a month")
    if arguments.load_balancer:
        yield Row("load-balancer", load_balancer_hourly(), "flexible, 10 Mbps, the free tier left aside")


def _amount(row: Row) -> str:
    if row.usd_per_hour is None:
        return _UNPRICED
    # Volumes cost fractions of a cent, nodes whole dollars; both are read side by side.
    whole, _, part = str(row.usd_per_hour.quantize(Decimal("0.0001"), ROUND_HALF_UP)).partition(".")
    return f"{whole}.{part[:2]}{part[2:].rstrip('0')}"


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def _as_json(row: Row) -> dict[str, Any]:
    usd = None if row.usd_per_hour is None else float(row.usd_per_hour)
    about = {"reason" if usd is None else "source": row.about}
    return {"name": row.name, "usd_per_hour": usd, "gpus": row.gpus, **about}


def _gigabytes(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of GB")


def _number(text: str | None, option: str) -> Decimal | None:
    if text is None:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number <= 0:
        raise UsageError(f"{option} is {text!r}, which is not a positive number")
    return number
