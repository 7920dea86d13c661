"""Sessions as YAML: the same objects as in JSON, for people who read them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import yaml

from nimble_watch.reports import Report, View
from nimble_watch.reports.json import REPORT as JSON
from nimble_watch.session import Session


def _render(sessions: Sequence[Session], view: View) -> str:
    known = msgspec.json.decode(JSON.render(sessions, view))
    text: str = yaml.safe_dump(known, sort_keys=False, allow_unicode=True, width=view.width)
    return text


REPORT = Report(name="yaml", about="everything that is known, as YAML", render=_render)
