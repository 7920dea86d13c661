"""Trouble in the phase's namespaces that is not the phase's: counted, so that one line can tell of it."""

from __future__ import annotations

from nimble_watch.findings import Finding, Verdict
from nimble_watch.objects import Ref
from nimble_watch.scope import Belonging, Level, Scope
from nimble_watch.state import ClusterState


class Nearby:
    """What was in trouble nearby; what turned out to be the phase's is left out when it is asked for."""

    def __init__(self) -> None:
        self._found: dict[str, Ref] = {}

    def note(self, finding: Finding, belonging: Belonging) -> None:
        """Keep a finding's subject if it is nearby and its trouble is more than a wait."""
        if belonging.level is Level.NEARBY and finding.verdict in (Verdict.TERMINAL, Verdict.GRACE):
            self._found[finding.subject.uid] = finding.subject

    def tops(self, state: ClusterState, scope: Scope) -> list[Ref]:
        """Give each by its topmost owner, once."""
        there = (near for near in self._found.values() if state.get(near) is not None)
        tops = (state.root(near) for near in there if scope.of(near).level is Level.NEARBY)
        return list({top.uid: top for top in tops}.values())
