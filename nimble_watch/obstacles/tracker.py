"""The tracker: takes what rules see, and says which obstacles opened, changed and closed.

`judge` and `gone` only take notes; `settle` decides, once everything that arrived together has been noted.  So the
order in which rules are asked does not matter, and a cause that arrives together with its symptom is the only one told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from nimble_watch.findings import Finding, Rule, Verdict
from nimble_watch.objects import Ref
from nimble_watch.obstacles.fate import fate_of_root
from nimble_watch.obstacles.links import linked, related
from nimble_watch.obstacles.model import Change, Obstacle, Outcome, Symptom, Waiting
from nimble_watch.obstacles.nearby import Nearby
from nimble_watch.obstacles.sightings import Sighting, Sightings
from nimble_watch.obstacles.weight import effective, serious, weight
from nimble_watch.scope import Belonging, Level, Scope
from nimble_watch.state import ClusterState

LASTED = 10.0
"""Seconds after which a grace that closes again has been an obstacle all the same."""
_SETTLE = 2.0
"""Seconds for which symptoms may outlast their cause before they are told on their own."""


class Tracker:
    """Follows findings through time, for one session."""

    def __init__(self, state: ClusterState, scope: Scope, *, first: int = 1) -> None:
        """Begin with no obstacle; the first one is numbered `first`."""
        self._state = state
        self._scope = scope
        self._next = first
        self._seen = Sightings(state, self._left_by)
        self._members: dict[str, list[Sighting]] = {}
        self._index: dict[tuple[str, str, str, str], Obstacle] = {}
        self._left: dict[str, tuple[Obstacle, bool]] = {}
        self._frozen: dict[str, list[Obstacle]] = {}
        self._recheck = 0.0
        self._started = 0.0
        self.phase = ""
        self.obstacles: dict[str, Obstacle] = {}
        self._near = Nearby()

    # -- taking notes --------------------------------------------------------------------------------------------------

    def judge(self, rule: Rule, asked: Ref, findings: Iterable[Finding], now: float) -> None:
        """Note all that a rule sees on an object now: what it saw before and sees no more is over."""
        self._seen.judge(rule, asked, findings, now)

    def gone(self, asked: Ref) -> None:
        """Note that an object is no more; what was wrong with it is not thereby fixed."""
        self._seen.gone(asked)

    def knows(self, reference: Ref) -> bool:
        """Tell whether anything is wrong with an object, as far as it was judged."""
        return self._seen.knows(reference)

    def again(self, reference: Ref) -> None:
        """Note that an object may belong to the phase in another way now."""
        for sighting in self._seen.on(reference):
            self._seen.note(sighting)

    def phase_started(self, phase: str, at: float) -> None:
        """Begin a phase: trouble that is there already counts from now on if it is in the way."""
        self.phase, self._started = phase, at
        for sighting in self._seen.all():
            self._seen.note(sighting)

    def _left_by(self, sighting: Sighting, fixed: bool) -> None:
        if (obstacle := sighting.obstacle) is not None:
            members = self._members[obstacle.id]
            members.remove(sighting)
            if not members:
                self._left[obstacle.id] = (obstacle, fixed)

    # -- deciding ------------------------------------------------------------------------------------------------------

    @property
    def due(self) -> float | None:
        """When time alone changes something next (epoch seconds)."""
        times = [self._seen.due, self._recheck if self._frozen else None]
        return min((at for at in times if at is not None), default=None)

    def settle(self, now: float) -> list[Change]:
        """Decide what all that was noted means, and give what changed, causes before symptoms."""
        changes: list[Change] = []
        while noted := self._seen.noted(now):
            for sighting in noted:
                changes.extend(self._unwait(sighting, now) if sighting.gone else self._place(sighting, now))
        changes.extend(self._close_left(now))
        changes.extend(self._thaw(now))
        return changes

    def _place(self, sighting: Sighting, now: float) -> Iterator[Change]:
        finding = sighting.finding
        if not self.phase or finding.since > now:
            return
        belonging = self._scope.of(finding.subject)
        self._near.note(sighting.finding, belonging)
        if not belonging.ours and self._was_guessed(sighting):
            yield from self._withdraw(sighting, now)
            return
        patient = finding.verdict is Verdict.RECOVERS and (finding.deadline is None or now < finding.deadline)
        if finding.verdict is Verdict.INFO or patient:
            if belonging.ours or sighting.wait is not None:
                yield from self._wait(sighting, belonging)
            return
        root, promoted = self._root(sighting, belonging)
        if root is not None:
            if promoted is not None:
                yield from self._unwait(promoted, now)
                yield from self._stand(promoted, root, root.belonging, now)
            yield from self._attach(sighting, root, now)
        elif belonging.ours or sighting.obstacle is not None:
            yield from self._unwait(sighting, now)
            obstacle = sighting.obstacle or self._open(sighting, belonging)
            yield from self._stand(sighting, obstacle, belonging, now)

    def _was_guessed(self, sighting: Sighting) -> bool:
        """Tell whether a sighting, not ours by now, was told or waited for on a guess."""
        told = sighting.wait or sighting.obstacle
        if told is None or not told.belonging.guessed:
            return False
        return not any(other.under is told for other in self._seen.all())  # elsewhere, but the cause of what is ours

    def _withdraw(self, sighting: Sighting, now: float) -> Iterator[Change]:
        sighting.wait, told, sighting.obstacle = None, sighting.obstacle, None
        if told is not None:
            self._members[told.id].remove(sighting)
            if told.stands and not self._members[told.id]:
                yield self._close(told, "withdrawn", now)

    @property
    def nearby(self) -> list[Ref]:
        """Give what is or was in trouble in the phase's namespaces without belonging to it, by its topmost owner."""
        return self._near.tops(self._state, self._scope)

    # -- waits ---------------------------------------------------------------------------------------------------------

    def _wait(self, sighting: Sighting, belonging: Belonging) -> Iterator[Change]:
        finding = sighting.finding
        known = sighting.wait
        sighting.wait = Waiting(
            kind=sighting.rule.kind,
            subject=finding.subject,
            summary=finding.summary,
            evidence=finding.evidence,
            phase=known.phase if known is not None else self.phase,
            since=finding.since,
            deadline=finding.deadline,
            belonging=belonging,
        )
        if known is None:
            yield Change("waiting", finding.since, wait=sighting.wait)

    def _unwait(self, sighting: Sighting, now: float) -> Iterator[Change]:
        if (wait := sighting.wait) is not None:
            sighting.wait = None
            yield Change("waited", now, wait=msgspec.structs.replace(wait, ended=now))

    @property
    def waits(self) -> list[Waiting]:
        """Give what is waited for now that is no obstacle."""
        found = (s.wait for s in self._seen.all() if s.wait is not None)
        return sorted(found, key=lambda wait: wait.since)

    # -- causes --------------------------------------------------------------------------------------------------------

    def _root(self, sighting: Sighting, belonging: Belonging) -> tuple[Obstacle | None, Sighting | None]:
        """Give the obstacle that explains a sighting, and the sighting that becomes an obstacle by explaining it."""
        finding, rank = sighting.finding, sighting.rule.rank
        best: tuple[int, float, Obstacle] | None = None
        for obstacle in self._candidates(finding.subject):
            if obstacle.rank >= rank or obstacle is sighting.obstacle:
                continue
            if linked(finding, obstacle.finding, self._state):
                found = (obstacle.rank, obstacle.since, obstacle)
                best = found if best is None or found[:2] < best[:2] else best
        if best is not None:
            return best[2], None
        if not belonging.ours and sighting.obstacle is None:
            return None, None
        for other in self._silent(sighting):
            if other.under is not None:
                return other.under, None
            cause = Belonging(Level.REACHED, belonging.sure, f"is the cause for {finding.subject}", belonging.guessed)
            return other.obstacle or self._open(other, cause), other
        return None, None

    def _silent(self, sighting: Sighting) -> Iterator[Sighting]:
        """Give what is known, but told nobody, and would explain a sighting: trouble elsewhere, or a patient wait."""
        finding, rule = sighting.finding, sighting.rule
        if finding.subject.kind == "Phase":
            if rule.type == "timeout":  # it gave up on something that would have come
                waits = (s for s in self._seen.all() if s.wait is not None)
                ours = (s for s in waits if s.wait is not None and s.wait.belonging.sure and serious(s.finding))
                yield from sorted(ours, key=lambda s: (s.rule.rank, s.finding.since))
            return
        for reference in related(finding.subject, finding, self._state):
            for other in self._seen.on(reference):
                if other is sighting or other.rule.rank >= rule.rank or not linked(finding, other.finding, self._state):
                    continue
                if other.under is not None or (serious(other.finding) and other.wait is None):
                    yield other

    def _candidates(self, subject: Ref) -> Iterator[Obstacle]:
        """Give the obstacles that may be a root: those that stand; for a phase also those that went without a fix."""
        for obstacle in self.obstacles.values():
            if obstacle.stands:
                if subject.kind != "Phase" or obstacle.belonging.sure:
                    yield obstacle
            elif subject.kind == "Phase" and obstacle.phase == self.phase and obstacle.outcome == "removed":
                yield obstacle

    def _attach(self, sighting: Sighting, root: Obstacle, now: float) -> Iterator[Change]:
        yield from self._unwait(sighting, now)
        own, sighting.under = sighting.obstacle, root
        finding = sighting.finding
        symptom = Symptom(sighting.rule.kind, finding.subject, finding.evidence)
        known = ((entry.kind, entry.subject.uid) for entry in root.symptoms)
        if (symptom.kind, symptom.subject.uid) not in known:
            root.symptoms.append(symptom)
            yield Change("updated", now, obstacle=root, why="symptom")
        if own is not None and own is not root:
            sighting.obstacle = None
            members = self._members[own.id]
            members.remove(sighting)
            if not members and own.stands:
                own.root = root.id
                yield self._close(own, "superseded", now)

    # -- standing ------------------------------------------------------------------------------------------------------

    def _stand(self, sighting: Sighting, obstacle: Obstacle, belonging: Belonging, now: float) -> Iterator[Change]:
        sighting.under = None
        new, again = not obstacle.intervals, not obstacle.stands
        before = (obstacle.verdict, obstacle.count, obstacle.finding.summary, obstacle.counts)
        if again:
            last = obstacle.intervals[-1][1] if obstacle.intervals else 0.0
            start = max(min(now, sighting.finding.since), self._started, last or 0.0)
            obstacle.intervals.append((start, None))
            obstacle.outcome, obstacle.root, obstacle.verdict = "standing", "", Verdict.GRACE
            self._seen.remind(start + LASTED, sighting)
        self._review(obstacle, belonging, now)
        if new:
            yield Change("opened", now, obstacle=obstacle)
            yield from self._explain(obstacle, now)
        elif again:
            yield Change("updated", now, obstacle=obstacle, why="again")
            yield from self._explain(obstacle, now)
        elif before != (obstacle.verdict, obstacle.count, obstacle.finding.summary, obstacle.counts):
            why = "terminal" if before[0] != obstacle.verdict and obstacle.verdict is Verdict.TERMINAL else ""
            yield Change("updated", now, obstacle=obstacle, why=why)

    def _open(self, sighting: Sighting, belonging: Belonging) -> Obstacle:
        """Put a sighting into its obstacle, one that is known or a new one."""
        finding, rule = sighting.finding, sighting.rule
        chain = [finding.subject, *self._state.owners(finding.subject)]
        keys = [(rule.kind, reference.uid, finding.container, finding.signature) for reference in chain]
        obstacle = next((self._index[key] for key in reversed(keys) if key in self._index), None)
        if obstacle is None:
            obstacle = Obstacle(
                id=f"obs-{int(max(self._started, finding.since))}-{self._next}",
                kind=rule.kind,
                type=rule.type,
                rank=rule.rank,
                phase=self.phase,
                finding=finding,
                verdict=finding.verdict,
                belonging=belonging,
                since=finding.since,
            )
            self._next += 1
            self.obstacles[obstacle.id] = obstacle
        for key in keys:
            self._index.setdefault(key, obstacle)
        sighting.obstacle = obstacle
        self._members.setdefault(obstacle.id, []).append(sighting)
        obstacle.subjects[finding.subject.uid] = finding.subject
        self._left.pop(obstacle.id, None)
        self._unfreeze(obstacle)
        return obstacle

    def _review(self, obstacle: Obstacle, belonging: Belonging, now: float) -> None:
        """Take the newest of what its members say."""
        members = self._members[obstacle.id]
        worst = max(members, key=lambda member: (weight(effective(member.finding, now)), member.finding.since))
        obstacle.finding = worst.finding
        obstacle.since = min([obstacle.since, *(member.finding.since for member in members)])
        known = obstacle.belonging
        if (belonging.sure, not belonging.guessed, belonging.level) > (known.sure, not known.guessed, known.level):
            obstacle.belonging = belonging
        verdict = effective(worst.finding, now)
        if verdict is Verdict.TERMINAL and not obstacle.belonging.sure:
            verdict = Verdict.GRACE
        elif verdict is Verdict.GRACE and obstacle.verdict is Verdict.TERMINAL:
            verdict = Verdict.TERMINAL  # proven once, it stays so until it is over: sources lag behind one another
        obstacle.verdict = verdict
        if verdict is Verdict.TERMINAL and obstacle.was_terminal is None:
            obstacle.was_terminal = now
        obstacle.count = max(obstacle.count, len(obstacle.subjects), worst.finding.count)
        obstacle.counts = obstacle.counts or verdict is not Verdict.GRACE or obstacle.stood(now) >= LASTED

    def _explain(self, cause: Obstacle, now: float) -> Iterator[Change]:
        """Attach what stands already to a cause that has just become known."""
        for obstacle in list(self.obstacles.values()):
            if obstacle.stands and obstacle.rank > cause.rank and linked(obstacle.finding, cause.finding, self._state):
                for member in list(self._members[obstacle.id]):
                    if linked(member.finding, cause.finding, self._state):
                        yield from self._attach(member, cause, now)

    # -- ending --------------------------------------------------------------------------------------------------------

    def _close_left(self, now: float) -> Iterator[Change]:
        left, self._left = self._left, {}
        for obstacle, fixed in left.values():
            if not obstacle.stands or self._members[obstacle.id]:
                continue
            if fixed:
                heir = self._heir(obstacle)
                obstacle.root = heir.id if heir is not None else ""
                yield self._close(obstacle, "superseded" if heir is not None else "fixed", now)
                continue
            top = self._top(obstacle)
            if top is None:
                yield self._close(obstacle, "removed", now)
            else:
                obstacle.frozen = True
                self._frozen.setdefault(top.uid, []).append(obstacle)

    def _top(self, obstacle: Obstacle) -> Ref | None:
        """Give the topmost owner that is still there, of an obstacle whose own objects are gone."""
        found = (self._state.reference(key[1]) for key, known in self._index.items() if known is obstacle)
        there = next(filter(None, found), None)
        return self._state.root(there) if there is not None else None

    def _heir(self, obstacle: Obstacle) -> Obstacle | None:
        """Give the obstacle that stands on the same objects in its place."""
        for subject in obstacle.subjects.values():
            for other in self._seen.on(subject):
                heir = other.obstacle or other.under
                if heir is not None and heir is not obstacle and heir.stands:
                    return heir
        return None

    def _unfreeze(self, obstacle: Obstacle) -> None:
        if not obstacle.frozen:
            return
        obstacle.frozen = False
        for uid, waiting in list(self._frozen.items()):
            if obstacle in waiting:
                waiting.remove(obstacle)
            if not waiting:
                del self._frozen[uid]

    def _thaw(self, now: float) -> Iterator[Change]:
        """Look what became of the owners of objects that went away with their trouble."""
        self._recheck = now + LASTED
        for uid in list(self._frozen):
            top = self._state.reference(uid)
            for obstacle in list(self._frozen.get(uid, ())):
                outcome: Outcome | None = "removed" if top is None else fate_of_root(top, obstacle, self._state, now)
                if outcome is not None:
                    self._unfreeze(obstacle)
                    yield self._close(obstacle, outcome, now)

    def _close(self, obstacle: Obstacle, outcome: Outcome, at: float) -> Change:
        start = obstacle.intervals[-1][0]
        obstacle.intervals[-1] = (start, max(start, at))
        obstacle.outcome = outcome
        if obstacle.root and obstacle.root in self.obstacles:
            heir = self.obstacles[obstacle.root]
            if heir.stands and heir.intervals[-1][0] > start and outcome == "superseded":
                before = [end for _, end in heir.intervals[:-1] if end is not None]
                heir.intervals[-1] = (max([start, *before]), None)  # it was the same trouble all along
        for sighting in self._seen.all():
            if sighting.under is obstacle:
                sighting.under = None
                self._seen.remind(at + _SETTLE, sighting)
        counts = obstacle.counts and outcome not in ("superseded", "withdrawn")
        return Change("closed" if counts else "dismissed", at, obstacle=obstacle)

    def phase_ended(self, at: float, *, failed: bool) -> list[Change]:
        """End the phase: whatever still stands stops counting; if the phase failed, it counts however short it was."""
        changes = []
        for obstacle in self.obstacles.values():
            if obstacle.stands:
                self._unfreeze(obstacle)
                obstacle.counts = obstacle.counts or failed or obstacle.stood(at) >= LASTED
                changes.append(self._close(obstacle, "phase-ended", at))
        for sighting in self._seen.all():
            changes.extend(self._unwait(sighting, at))
        self.phase = ""
        return changes
