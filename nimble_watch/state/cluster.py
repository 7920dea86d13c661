"""The indexes: taking signals in, and answering questions about what is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from nimble_watch.objects import (
    Claim,
    Event,
    KubeObject,
    Node,
    Pod,
    Ref,
    Service,
    Workload,
    controller_of,
    ref,
)
from nimble_watch.signals import (
    ClusterFound,
    ClusterLost,
    Command,
    LogTail,
    Output,
    PhaseEnded,
    PhaseStarted,
    Seen,
    Signal,
    Synced,
    Unseen,
)
from nimble_watch.state.phase import Phase
from nimble_watch.state.pods import claim_names, gpus_wanted, same_offer, stays
from nimble_watch.state.sight import Sight

_Key = TypeVar("_Key")
_EVENTS_KEPT = 24
_PLACE_PODS = ("Pod", "Node", "PersistentVolumeClaim")


class ClusterState:
    """Pods, events, nodes, owners, claims and services as last seen, and the phases that ran."""

    def __init__(self) -> None:
        """Begin knowing nothing, which is different from knowing that there is nothing: see `unseen`."""
        self.cluster: ClusterFound | None = None
        self.sight = Sight()
        self.phases: dict[str, Phase] = {}
        self.logs: dict[tuple[str, str, str], LogTail] = {}
        self._objects: dict[str, dict[str, KubeObject]] = {}
        self._refs: dict[str, Ref] = {}
        self._names: dict[tuple[str, str, str], str] = {}
        self._events: dict[str, dict[str, Event]] = {}
        self._about: dict[str, str] = {}
        self._children: dict[str, set[str]] = {}
        self._bound: dict[str, set[str]] = {}
        self._unbound: set[str] = set()
        self._claimants: dict[tuple[str, str], set[str]] = {}
        self._pulling_with: dict[tuple[str, str], set[str]] = {}
        self._stirred: dict[str, float] = {}

    # -- taking signals in ---------------------------------------------------------------------------------------------

    def apply(self, signal: Signal) -> tuple[Ref, ...]:
        """Take a signal in; give the objects to judge again: the changed one, its owners and what depends on it."""
        if isinstance(signal, Seen):  # first, and without a pattern: almost all are
            self._stir(signal)
            if isinstance(signal.object, Event):
                return self._apply_event(signal.object, signal.change)
            return self._apply_object(signal.kind, signal.object, signal.change)
        match signal:
            case Synced():
                return self._apply_synced(signal)
            case Output():
                return self._apply_output(signal)
            case PhaseStarted() | PhaseEnded():
                return self._apply_phase(signal)
            case LogTail():
                self.logs[signal.namespace, signal.pod, signal.container] = signal
                pod = self.named("Pod", signal.namespace, signal.pod)
                return (pod,) if pod is not None else ()
            case _:
                self._apply_news(signal)
                return ()

    def _stir(self, signal: Seen) -> None:
        if not signal.listed:
            self._stirred[signal.object.metadata.namespace] = signal.at

    def _apply_news(self, signal: Signal) -> None:
        match signal:
            case ClusterFound():
                self.cluster = signal
                self.sight.found(signal.at)
            case ClusterLost():
                self.sight.lost = signal.reason
            case Command():
                if (phase := self.phases.get(signal.phase)) is not None:
                    phase.runs(signal.argv)
            case Unseen():
                self.sight.refused(signal)
            case _:
                pass

    def _apply_phase(self, signal: PhaseStarted | PhaseEnded) -> tuple[Ref, ...]:
        if isinstance(signal, PhaseStarted):
            self.phases[signal.phase] = Phase(signal.phase, signal.at, signal.argv, observed=signal.observed)
        phase = self.phases.get(signal.phase)
        if phase is None:
            return ()
        if isinstance(signal, PhaseEnded):
            phase.ended = signal
        return (phase.ref,)

    def _apply_output(self, signal: Output) -> tuple[Ref, ...]:
        if (phase := self.phases.get(signal.phase)) is None:
            return ()
        return (phase.ref,) if phase.heard(signal) else ()

    def _apply_object(self, kind: str, thing: KubeObject, change: str) -> tuple[Ref, ...]:
        uid = thing.metadata.uid
        known = self._objects.setdefault(kind, {})
        before = known.get(uid)
        if before is not None and change != "deleted" and isinstance(thing, Pod) and stays(before, thing):
            known[uid] = thing  # the next word on a pod that stays where it is moves no index
            return (self._refs[uid], *self._owner_refs(thing))
        reference = ref(kind, thing)
        dependents = self._dependents(kind, before, thing)
        if change == "deleted":
            self._forget(kind, uid)
        else:
            self._remember(kind, uid, reference, thing)
        return (reference, *self._owner_refs(thing), *dependents)

    def _remember(self, kind: str, uid: str, reference: Ref, thing: KubeObject) -> None:
        new = uid not in self._refs
        self._objects[kind][uid] = thing
        self._refs[uid] = reference
        self._names[kind, reference.namespace, reference.name] = uid
        if new:
            for owner in thing.metadata.owner_references or ():
                self._children.setdefault(owner.uid, set()).add(uid)
        if isinstance(thing, Pod):
            if thing.spec.node_name:
                self._bound.setdefault(thing.spec.node_name, set()).add(uid)
                self._unbound.discard(uid)
            else:
                self._unbound.add(uid)
            if new:
                for name in claim_names(thing):
                    self._claimants.setdefault((reference.namespace, name), set()).add(uid)
                for secret in thing.spec.image_pull_secrets or ():
                    self._pulling_with.setdefault((reference.namespace, secret.name), set()).add(uid)

    def _forget(self, kind: str, uid: str) -> None:
        thing = self._objects.get(kind, {}).pop(uid, None)
        reference = self._refs.pop(uid, None)
        if thing is None or reference is None:
            return
        if self._names.get((kind, reference.namespace, reference.name)) == uid:
            del self._names[kind, reference.namespace, reference.name]
        for owner in thing.metadata.owner_references or ():
            _drop(self._children, owner.uid, uid)
        if isinstance(thing, Pod):
            self._unbound.discard(uid)
            _drop(self._bound, thing.spec.node_name, uid)
            for name in claim_names(thing):
                _drop(self._claimants, (reference.namespace, name), uid)
            for secret in thing.spec.image_pull_secrets or ():
                _drop(self._pulling_with, (reference.namespace, secret.name), uid)

    def _dependents(self, kind: str, before: KubeObject | None, after: KubeObject) -> Iterator[Ref]:
        """Give whose judgement depends on that object beside its owners."""
        if isinstance(after, Node):
            if isinstance(before, Node) and same_offer(before, after):
                return
            yield from self._refs_of(self._unbound)
            yield from self._refs_of(self._bound.get(after.metadata.name, ()))
        elif kind == "PersistentVolumeClaim":
            yield from self._refs_of(self._claimants.get((after.metadata.namespace, after.metadata.name), ()))

    def _refs_of(self, uids: set[str] | tuple[str, ...]) -> Iterator[Ref]:
        for uid in tuple(uids):
            if (found := self._refs.get(uid)) is not None:
                yield found

    def _apply_event(self, event: Event, change: str) -> tuple[Ref, ...]:
        about = event.involved_object
        if change == "deleted":
            self._about.pop(event.metadata.uid, None)
            self._drop_event(about.uid, event.metadata.uid)
            return ()
        events = self._events.setdefault(about.uid, {})
        known = events.pop(event.metadata.uid, None)
        if known is not None and known.times == event.times and known.at == event.at:
            events[event.metadata.uid] = event
            return ()
        events[event.metadata.uid] = event
        self._about[event.metadata.uid] = about.uid
        while len(events) > _EVENTS_KEPT:
            oldest = min(events, key=lambda uid: events[uid].at)
            del events[oldest]
            self._about.pop(oldest, None)
        reference = self._refs.get(about.uid) or Ref(about.kind, about.namespace, about.name, about.uid)
        thing = self.get(reference)
        return (reference, *(self._owner_refs(thing) if thing is not None else ()))

    def _drop_event(self, about: str, uid: str) -> None:
        events = self._events.get(about)
        if events is not None:
            events.pop(uid, None)
            if not events:
                del self._events[about]

    def _apply_synced(self, signal: Synced) -> tuple[Ref, ...]:
        self.sight.listed(signal)
        if signal.kind == "Event":
            for uid in [uid for uid in self._about if uid not in signal.uids]:
                self._drop_event(self._about.pop(uid), uid)
            return ()
        gone = [
            uid
            for uid, thing in self._objects.get(signal.kind, {}).items()
            if uid not in signal.uids and signal.namespace in ("", thing.metadata.namespace)
        ]
        changed: list[Ref] = []
        for uid in gone:
            changed.extend(self._apply_object(signal.kind, self._objects[signal.kind][uid], "deleted"))
        return (*changed, *(self._refs_of(self._unbound) if signal.kind in _PLACE_PODS else ()))

    # -- questions -----------------------------------------------------------------------------------------------------

    def unseen(self, kind: str, namespace: str = "") -> str:
        """Say why objects of that kind (in that namespace) cannot be seen; empty when they can.

        Unknown is never empty: whoever concludes something from an absence asks here first.
        """
        return self.sight.unseen(kind, namespace)

    def awaited(self, kind: str, namespace: str = "") -> float:
        """Give until when (epoch seconds) the first list of a kind may still come; 0 when it is there or refused."""
        return self.sight.awaited(kind, namespace)

    def stirred(self, namespace: str) -> float:
        """Tell when anything last changed in a namespace (epoch seconds); 0 if nothing has since it is watched."""
        return self._stirred.get(namespace, 0.0)

    def pods_in(self, namespace: str) -> Iterator[Pod]:
        """Walk over the pods of a namespace: over all pods, so only for what is asked every ten minutes."""
        for reference, thing in self.all_of("Pod"):
            if reference.namespace == namespace and isinstance(thing, Pod):
                yield thing

    def get(self, reference: Ref) -> KubeObject | None:
        """Give the object as last seen, None when it is gone or was never seen."""
        return self._objects.get(reference.kind, {}).get(reference.uid)

    def named(self, kind: str, namespace: str, name: str) -> Ref | None:
        """Give the object that bears that name now."""
        uid = self._names.get((kind, namespace, name))
        return self._refs.get(uid) if uid else None

    def reference(self, uid: str) -> Ref | None:
        """Give the object of that uid if it is there now."""
        return self._refs.get(uid)

    def pod(self, reference: Ref) -> Pod | None:
        """Give a pod as last seen."""
        thing = self.get(reference)
        return thing if isinstance(thing, Pod) else None

    def node(self, name: str) -> Node | None:
        """Give a node by name."""
        found = self.named("Node", "", name)
        thing = self.get(found) if found else None
        return thing if isinstance(thing, Node) else None

    def workload(self, reference: Ref) -> Workload | None:
        """Give a Deployment, ReplicaSet, StatefulSet, DaemonSet or Job as last seen."""
        thing = self.get(reference)
        return thing if isinstance(thing, Workload) else None

    def claim(self, reference: Ref) -> Claim | None:
        """Give a claim as last seen."""
        thing = self.get(reference)
        return thing if isinstance(thing, Claim) else None

    def service(self, reference: Ref) -> Service | None:
        """Give a Service as last seen."""
        thing = self.get(reference)
        return thing if isinstance(thing, Service) else None

    def all_of(self, kind: str) -> Iterator[tuple[Ref, KubeObject]]:
        """Walk over all objects of a kind: for reports and the start of a phase, never per signal."""
        for uid, thing in self._objects.get(kind, {}).items():
            yield self._refs[uid], thing

    def nodes(self) -> Iterator[Node]:
        """Walk over the nodes: as many as machines are paid for, so a rule about scheduling may."""
        for thing in self._objects.get("Node", {}).values():
            if isinstance(thing, Node):
                yield thing

    def events(self, reference: Ref, *reasons: str) -> list[Event]:
        """Give the kept events about an object, newest first, of these reasons only if any are named."""
        kept = self._events.get(reference.uid, {}).values()
        # Events have a grain of one second; of those that share it, the one told last is the newest.
        named = [event for event in kept if not reasons or event.reason in reasons][::-1]
        return sorted(named, key=lambda event: -event.at)

    def latest(self, reference: Ref, *reasons: str) -> Event | None:
        """Give the newest event about an object, of these reasons."""
        found = self.events(reference, *reasons)
        return found[0] if found else None

    def owner(self, reference: Ref) -> Ref | None:
        """Give the controller above an object, even one of a kind that is not watched."""
        thing = self.get(reference)
        if thing is None:
            return None
        for owner in thing.metadata.owner_references or ():
            if owner.controller:
                return self._refs.get(owner.uid) or Ref(owner.kind, thing.metadata.namespace, owner.name, owner.uid)
        return None

    def root(self, reference: Ref) -> Ref:
        """Give the topmost owner: the object a person created."""
        seen = {reference.uid}
        while (above := self.owner(reference)) is not None and above.uid not in seen:
            reference = above
            seen.add(above.uid)
        return reference

    def owners(self, reference: Ref) -> Iterator[Ref]:
        """Give the chain of controllers above an object, nearest first."""
        seen = {reference.uid}
        while (above := self.owner(reference)) is not None and above.uid not in seen:
            yield above
            reference = above
            seen.add(above.uid)

    def children(self, reference: Ref) -> list[Ref]:
        """Give what is directly owned by an object."""
        return list(self._refs_of(self._children.get(reference.uid, set())))

    def pods_below(self, reference: Ref) -> Iterator[tuple[Ref, Pod]]:
        """Give every pod that an object owns, through however many controllers."""
        for child in self.children(reference):
            pod = self.pod(child)
            if pod is not None:
                yield child, pod
            else:
                yield from self.pods_below(child)

    def claimants(self, claim: Ref) -> list[Ref]:
        """Give the pods that mount a claim."""
        return list(self._refs_of(self._claimants.get((claim.namespace, claim.name), set())))

    def pulling_with(self, namespace: str, secret: str) -> Iterator[tuple[Ref, Pod]]:
        """Give the pods of a namespace that name a pull secret."""
        for found in self._refs_of(self._pulling_with.get((namespace, secret), set())):
            pod = self.pod(found)
            if pod is not None:
                yield found, pod

    def pods_on(self, node: str) -> Iterator[tuple[Ref, Pod]]:
        """Give the pods bound to a node."""
        for found in self._refs_of(self._bound.get(node, set())):
            pod = self.pod(found)
            if pod is not None:
                yield found, pod

    def gpu_holders(self, node: str) -> list[tuple[Ref, Pod, int]]:
        """Give who holds GPUs of a node and how many: bound pods that have not ended, the largest first."""
        holders = [
            (found, pod, held)
            for found, pod in self.pods_on(node)
            if pod.status.phase not in ("Succeeded", "Failed") and (held := gpus_wanted(pod))
        ]
        return sorted(holders, key=lambda holder: (-holder[2], holder[0].namespace, holder[0].name))

    def _owner_refs(self, thing: KubeObject) -> list[Ref]:
        """Give the chain of known controllers above an object, nearest first."""
        found: list[Ref] = []
        above = self._refs.get(controller_of(thing.metadata))
        while above is not None and above not in found:
            found.append(above)
            owner = self.get(above)
            above = self._refs.get(controller_of(owner.metadata)) if owner is not None else None
        return found


def _drop(index: dict[_Key, set[str]], key: _Key, uid: str) -> None:
    members = index.get(key)
    if members is not None:
        members.discard(uid)
        if not members:
            del index[key]
