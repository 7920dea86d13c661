"""Kubernetes quantities (`500m`, `16Gi`, `1`) as numbers that can be compared."""

from __future__ import annotations

import re
from decimal import Decimal

_QUANTITY = re.compile(r"^([+-]?\d+(?:\.\d+)?)(?:[eE]([+-]?\d+)|([numkKMGTPE]i?))?$")
_SUFFIXES = {
    "n": Decimal(10) ** -9,
    "u": Decimal(10) ** -6,
    "m": Decimal(10) ** -3,
    "k": Decimal(1000),
    **{letter: Decimal(1000) ** (power + 2) for power, letter in enumerate("MGTPE")},
    **{f"{letter}i": Decimal(1024) ** (power + 1) for power, letter in enumerate("KMGTPE")},
}


def quantity(text: str) -> Decimal | None:
    """Give a quantity as a number; None when the text is none, for unknown is not zero."""
    found = _QUANTITY.match(text.strip())
    if found is None:
        return None
    number = Decimal(found.group(1))
    if found.group(2):
        return number * Decimal(10) ** int(found.group(2))
    factor = _SUFFIXES.get(found.group(3) or "", None if found.group(3) else Decimal(1))
    return None if factor is None else number * factor
