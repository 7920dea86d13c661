"""Sessions in a table, one line each, newest first."""

from __future__ import annotations

from collections.abc import Sequence

from nimble_watch.reports import Report, View
from nimble_watch.reports._stops import advice
from nimble_watch.reports._table import NARROW, row, table
from nimble_watch.session import Session


def _render(sessions: Sequence[Session], view: View) -> str:
    said = advice(view.history) if sessions else ""
    return table(sessions, NARROW, row) + (f"{said}\n" if said else "")


REPORT = Report(name="list", about="sessions in a table, newest first", render=_render)
