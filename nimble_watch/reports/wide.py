"""Sessions in a table with more columns: region, shapes, image, how much time obstacles took, who ran it, tags."""

from __future__ import annotations

from collections.abc import Sequence

from nimble_watch.reports import Report, View
from nimble_watch.reports._table import NARROW, row, table
from nimble_watch.reports._words import cut, one_line, seconds
from nimble_watch.session import Session
from nimble_watch.session.baseline import likeness

_HEAD = (*NARROW, "OBSTACLE TIME", "REGION", "SHAPES", "IMAGE", "CI", "TAGS")
_WIDEST = 40


def _row(session: Session) -> tuple[str, ...]:
    like = likeness(session)
    ci = session.ci or {}
    return (
        *row(session),
        seconds(session.performance.total_obstacle_time),
        *(cut(one_line(like[name]), _WIDEST) for name in ("region", "shapes", "image")),
        cut(one_line(str(ci.get("name") or "-")), _WIDEST),
        cut(one_line(" ".join(session.tags) or "-"), _WIDEST),
    )


def _render(sessions: Sequence[Session], _view: View) -> str:
    return table(sessions, _HEAD, _row)


REPORT = Report(name="wide", about="sessions in a table with more columns", render=_render)
