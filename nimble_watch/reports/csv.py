"""Sessions as CSV (RFC 4180, but for the ends of lines), one line each; what is unknown is an empty cell."""

from __future__ import annotations

import io
from collections.abc import Sequence

from nimble_watch.reports import Report, View
from nimble_watch.reports._flat import write_csv
from nimble_watch.session import Session


def _render(sessions: Sequence[Session], _view: View) -> str:
    text = io.StringIO(newline="")
    write_csv(sessions, "sessions", text, newline="\n")  # as awk and cut expect it
    return text.getvalue()


REPORT = Report(name="csv", about="one line each, for spreadsheets", render=_render)
