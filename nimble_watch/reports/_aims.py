"""A session against its targets, a line for each: what `summary` and `compare` share."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from nimble_watch.reports import View
from nimble_watch.reports._words import UNKNOWN, clock, cut, money
from nimble_watch.session import Session
from nimble_watch.session.targets import Aim, aims

_WIDEST = 28


def against(session: Session, view: View) -> Iterator[str]:
    """Give the lines; none where there are no targets."""
    held = list(aims(session, view.targets))
    if not held:
        return
    wanted = session.targets or view.targets
    source = f" ({wanted.source})" if wanted is not None and wanted.source else ""
    yield f"Targets{source}:"
    wide = max(12, min(_WIDEST, max(len(aim.name) for aim in held)))
    for aim in held:
        limit = f"{'at least' if aim.unit == '%' else 'at most'} {_figure(aim, aim.wanted)}"
        was = f"{UNKNOWN if aim.was is None else _figure(aim, aim.was):>9}"
        why = f" ({aim.why})" if aim.why else ""
        yield cut(f"  {cut(aim.name, wide):<{wide}} {was}  {limit:<18} {aim.outcome}{why}", view.width)


def _figure(aim: Aim, amount: Decimal) -> str:
    if aim.unit == "s":
        return clock(int(amount))
    return money(amount) if aim.unit == "USD" else f"{amount}%"
