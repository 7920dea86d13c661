"""When trouble is proof enough to end a phase: terminal, surely the phase's, and made by this very phase.

What stood there broken before a phase began may be just what the phase is about to replace, repair or remove.  So only
what came to be in the phase proves anything: a ReplicaSet, Job or pod that was created meanwhile, or a set whose
specification was changed.  A node proves nothing: its pods may come up on another one.
"""

from __future__ import annotations

from nimble_watch.findings import Verdict
from nimble_watch.objects import Ref, Workload, seconds
from nimble_watch.obstacles.model import Obstacle
from nimble_watch.obstacles.weight import effective
from nimble_watch.signals import Seen
from nimble_watch.state import ClusterState

_REWRITTEN = ("StatefulSet", "DaemonSet")
"""Kinds whose pods follow a changed specification; a ReplicaSet's and a Job's never changes, another one is made."""
_GRAIN = 1.0  # seconds; object times have it
_MADE = ("Pod", "ReplicaSet", "Job", "PersistentVolumeClaim", *_REWRITTEN)


class Fresh:
    """What has come to be since the phase began."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._made: set[str] = set()
        self._generations: dict[str, int] = {}

    def phase_started(self) -> None:
        """Begin a phase: what is there by now is old."""
        self._made.clear()

    def heard(self, signal: Seen, began: float) -> None:
        """Take an object that was seen; `began` is when the phase did, on the API server's clock.

        One that was there when it was first listed counts by its creation, which is told in whole seconds, rounded
        down.  What was made in the second before is the phase's as well: its trouble is still to come, and helm makes
        its objects before the first listing is through.
        """
        meta = signal.object.metadata
        if signal.kind not in _MADE:
            return
        if signal.change == "deleted":
            self._made.discard(meta.uid)
            self._generations.pop(meta.uid, None)
            return
        if signal.change == "added" and (
            not signal.listed or (seconds(meta.creation_timestamp) or 0.0) > began - _GRAIN
        ):
            self._made.add(meta.uid)
        if signal.kind in _REWRITTEN:
            if meta.generation > self._generations.get(meta.uid, meta.generation):
                self._made.add(meta.uid)
            self._generations[meta.uid] = meta.generation

    def made(self, subject: Ref) -> bool:
        """Tell whether an object is there, stays, and is as the phase made it."""
        if subject.kind == "Deployment":
            return self._stays(subject) and any(self.made(child) for child in self._state.children(subject))
        return subject.kind in _MADE and self._stays(subject) and self.holder(subject).uid in self._made

    def holder(self, subject: Ref) -> Ref:
        """Give the object that holds the specification of a pod: its controller, or the pod itself."""
        return (self._state.owner(subject) or subject) if subject.kind == "Pod" else subject

    def _stays(self, subject: Ref) -> bool:
        if self._state.get(subject) is None:
            return False
        for reference in (subject, *self._state.owners(subject)):
            thing = self._state.get(reference)
            if thing is not None and thing.metadata.deletion_timestamp is not None:
                return False
            if isinstance(thing, Workload) and thing.spec.replicas == 0:
                return False
        return True


def proven_by(obstacle: Obstacle, fresh: Fresh, now: float) -> Ref | None:
    """Give the object whose trouble proves that the phase cannot succeed; None while nothing proves it."""
    sure = obstacle.stands and not obstacle.frozen and obstacle.belonging.ours and obstacle.belonging.sure
    if not sure or obstacle.verdict is not Verdict.TERMINAL or effective(obstacle.finding, now) is not Verdict.TERMINAL:
        return None
    subjects = [obstacle.finding.subject, *obstacle.subjects.values()]
    return next((subject for subject in subjects if fresh.made(subject)), None)
