"""Sessions as JSON: one as the object of its file, several as a list."""

from __future__ import annotations

from collections.abc import Sequence

from nimble_watch.reports import Report, View
from nimble_watch.session import Session, encode, encode_documents, to_document


def _render(sessions: Sequence[Session], _view: View) -> str:
    if len(sessions) == 1:
        return encode(sessions[0]).decode()
    return encode_documents([to_document(session) for session in sessions]).decode()


REPORT = Report(name="json", about="everything that is known, for programs", render=_render)
