"""What every rule sees on every object now, and which of it is new, changed or gone since the last decision."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator

from nimble_watch.findings import Finding, Rule, Verdict
from nimble_watch.objects import Ref
from nimble_watch.obstacles.model import Obstacle, Waiting
from nimble_watch.state import ClusterState

_Slot = tuple[str, str]
_Key = tuple[str, str, str]


class Sighting:
    """What one rule sees on one object now, and where it was put: into an obstacle, under another one, or nowhere."""

    __slots__ = ("asked", "finding", "gone", "obstacle", "rule", "under", "wait")

    def __init__(self, rule: Rule, asked: Ref, finding: Finding) -> None:
        self.rule = rule
        self.asked = asked
        self.finding = finding
        self.obstacle: Obstacle | None = None
        self.under: Obstacle | None = None
        self.wait: Waiting | None = None
        self.gone = False


class Sightings:
    """Keeps the sightings; `left` is told of each one that is no more, and whether that means that it is fixed."""

    def __init__(self, state: ClusterState, left: Callable[[Sighting, bool], None]) -> None:
        self._state = state
        self._left = left
        self._slots: dict[_Slot, dict[_Key, Sighting]] = {}
        self._asked: dict[str, set[_Slot]] = {}
        self._subjects: dict[str, list[Sighting]] = {}
        self._dirty: dict[int, Sighting] = {}
        self._later: list[tuple[float, int, Sighting]] = []
        self._count = 0

    def judge(self, rule: Rule, asked: Ref, findings: Iterable[Finding], now: float) -> None:
        """Note all that a rule sees on an object now: what it saw before and sees no more is over."""
        slot = (asked.uid, rule.kind)
        before = self._slots.pop(slot, {})
        after: dict[_Key, Sighting] = {}
        for finding in findings:
            key = (finding.subject.uid or finding.subject.name, finding.container, finding.signature)
            after[key] = self._see(before.pop(key, None), rule, asked, finding)
            for at in (finding.since, finding.deadline):
                if at is not None and at > now:
                    self.remind(at, after[key])
        if before and self._is_leaving(asked):
            # nothing is fixed by going away: a pod that is being deleted keeps what was wrong with it
            stays = {key: old for key, old in before.items() if old.finding.verdict is not Verdict.INFO}
            after = {**stays, **after}
            before = {key: old for key, old in before.items() if key not in stays}
        for sighting in before.values():
            self._leave(sighting, fixed=True)
        if after:
            self._slots[slot] = after
            self._asked.setdefault(asked.uid, set()).add(slot)
        elif (slots := self._asked.get(asked.uid)) is not None:
            slots.discard(slot)
            if not slots:
                del self._asked[asked.uid]

    def gone(self, asked: Ref) -> None:
        """Note that an object is no more; what was wrong with it is not thereby fixed."""
        for slot in self._asked.pop(asked.uid, ()):
            for sighting in self._slots.pop(slot, {}).values():
                self._leave(sighting, fixed=False)

    def knows(self, asked: Ref) -> bool:
        """Tell whether anything is seen on an object."""
        return asked.uid in self._asked

    def on(self, reference: Ref) -> list[Sighting]:
        """Give what is seen on an object."""
        return list(self._subjects.get(reference.uid, ()))

    def all(self) -> Iterator[Sighting]:
        """Give everything that is seen."""
        for sightings in list(self._subjects.values()):
            yield from list(sightings)

    def note(self, sighting: Sighting) -> None:
        """Have a sighting decided about anew."""
        self._dirty[id(sighting)] = sighting

    def remind(self, at: float, sighting: Sighting) -> None:
        """Have a sighting decided about anew at a time (epoch seconds)."""
        self._count += 1
        heapq.heappush(self._later, (at, self._count, sighting))

    @property
    def due(self) -> float | None:
        """When time alone changes something next."""
        return self._later[0][0] if self._later else None

    def noted(self, now: float) -> list[Sighting]:
        """Give what is to be decided about now, causes before symptoms; asking again gives what was noted since."""
        while self._later and self._later[0][0] <= now:
            sighting = heapq.heappop(self._later)[2]
            if not sighting.gone:
                self.note(sighting)
        dirty, self._dirty = self._dirty, {}
        return sorted(dirty.values(), key=lambda sighting: (sighting.rule.rank, sighting.finding.since))

    def _see(self, known: Sighting | None, rule: Rule, asked: Ref, finding: Finding) -> Sighting:
        if known is None:
            known = Sighting(rule, asked, finding)
            self._subjects.setdefault(finding.subject.uid, []).append(known)
            self.note(known)
        elif known.finding != finding:
            known.finding = finding
            self.note(known)
        return known

    def _leave(self, sighting: Sighting, *, fixed: bool) -> None:
        sighting.gone = True
        uid = sighting.finding.subject.uid
        others = self._subjects[uid]
        others.remove(sighting)
        if not others:
            del self._subjects[uid]
        self.note(sighting)
        self._left(sighting, fixed)

    def _is_leaving(self, asked: Ref) -> bool:
        thing = self._state.get(asked)
        return thing is not None and thing.metadata.deletion_timestamp is not None
