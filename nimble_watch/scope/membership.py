"""How an object belongs to the phase: named, touched, reached, nearby, elsewhere.

Evidence only ever adds; scope stays for the session.  Each signal costs the same however large the cluster is: an
object is looked up by its name, its release and its owners.  Only a new piece of evidence, of which a phase has a
handful, is compared with what is there already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum

from msgspec import Struct

from nimble_watch.objects import KubeObject, Meta, Pod, Ref, Service, controller_of, seconds
from nimble_watch.scope.evidence import Evidence, Named, Release, Selected, Working, from_argv
from nimble_watch.scope.printed import Reader
from nimble_watch.signals import ClusterFound, Command, Output, PhaseStarted, Seen, Signal
from nimble_watch.state import ClusterState, claim_names

_ROOTS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "Pod", "ReplicaSet", "PersistentVolumeClaim", "Service")
_OWN_OR_ABOVE = ("Pod", "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "Job")
"""Kinds that belong to a phase by what they and their owners are, whatever else belongs to it."""
_CONTROLLERS = (
    "controller",
    "operator",
    "scheduler",
    "kubelet",
    "provisioner",
    "autoscaler",
    "karpenter",
    "node-fetcher",
    "scripted",
)
_GITOPS = ("argocd", "argo-cd", "kustomize-controller", "helm-controller", "flux", "fleet")
_INSTANCE = "app.kubernetes.io/instance"
_UNCLEAR = 1.0  # seconds; object times have this grain


class Level(IntEnum):
    """How close an object is to the phase; only the last three can make it responsible."""

    ELSEWHERE = 0
    NEARBY = 1
    REACHED = 2
    TOUCHED = 3
    NAMED = 4


class Belonging(Struct, frozen=True):
    """How an object belongs, and why, in words.

    Unless `sure`, its trouble is at most waited for: it is neither priced nor does it end a phase.  `guessed` tells
    that a change is all the evidence, which goes once the phase tells what it works on.
    """

    level: Level
    sure: bool = False
    why: str = ""
    guessed: bool = False

    @property
    def ours(self) -> bool:
        """Whether the phase is responsible at all."""
        return self.level >= Level.REACHED


_ELSEWHERE = Belonging(Level.ELSEWHERE)


class _Touch(Struct, frozen=True):
    """Who changed a root object since a phase began; `clear` unless it may have been just before."""

    manager: str
    group: str
    gitops: bool
    clear: bool


class Scope:
    """What is known of the phase's objects; `apply` takes what `state` took, after it."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._readers: dict[str, Reader] = {}
        self._known: set[Evidence] = set()
        self._named: set[tuple[str, str, str]] = set()
        self._releases: set[tuple[str, str]] = set()
        self._selected: list[Selected] = []
        self._spaces: set[str] = set()
        self._default = ""
        self._in_default = False
        self._started: float | None = None
        self._touched: dict[str, _Touch] = {}
        self._groups: dict[str, set[str]] = {}
        self._entered: set[str] = set()
        self._guessed: set[str] = set()
        self._pods: dict[str, set[str]] = {}
        self._far: dict[str, str] = {}
        self.doubts = 0
        """How many objects were changed meanwhile by somebody of whom we know no more: grows."""

    @property
    def namespaces(self) -> frozenset[str]:
        """The namespaces that the phases work in."""
        return frozenset(self._spaces | ({self._default} if self._in_default and self._default else set()))

    @property
    def empty(self) -> bool:
        """Whether nothing in the cluster is known to belong to any phase."""
        return not self._entered

    # -- taking signals in ---------------------------------------------------------------------------------------------

    def apply(self, signal: Signal) -> tuple[Ref, ...]:
        """Take a signal in; give the objects that belong to the phase from now on, or no more."""
        if isinstance(signal, Seen):  # first, and without a pattern: almost all are
            meta = signal.object.metadata
            if signal.change == "modified" and signal.kind == "Pod" and (owner := self._far.get(meta.uid)):
                if owner == controller_of(meta):
                    return ()  # no word on the pod of another's workload brings it here
                del self._far[meta.uid]
            return tuple(self._seen(signal))
        match signal:
            case Output():
                reader = self._readers.get(signal.phase)
                return tuple(self.learn(reader.line(signal.line))) if reader is not None else ()
            case Command():
                return tuple(self.learn(from_argv(signal.argv)))
            case PhaseStarted():
                self._readers[signal.phase] = Reader(signal.argv)
                first = self._started is None
                self._started = signal.at if self._started is None else self._started
                again = list(self._look_back()) if first else []
                return (*again, *self.learn(from_argv(signal.argv)))
            case ClusterFound():
                self._default = signal.namespace or "default"
                self._far.clear()
                return ()
            case _:
                return ()

    def learn(self, evidence: Iterable[Evidence]) -> Iterator[Ref]:
        """Take evidence in; give the known objects that it brings into scope, and the doubtful that it takes out."""
        for piece in evidence:
            if piece in self._known:
                continue
            self._known.add(piece)
            self._far.clear()
            before = self.namespaces
            if piece.namespace:
                self._spaces.add(piece.namespace)
            elif isinstance(piece, Working):
                self._in_default = True
            match piece:
                case Named():
                    self._named.add((piece.kind, piece.namespace, piece.name))
                case Release():
                    self._releases.add((piece.name, piece.namespace))
                case Selected():
                    self._selected.append(piece)
                case Working():
                    pass
            if not isinstance(piece, Working) or self.namespaces != before:
                yield from self._look_back()
                yield from self._look_out()

    def _look_back(self) -> Iterator[Ref]:
        """Compare everything that a person may have made with the evidence: once per piece of evidence."""
        for kind in _ROOTS:
            for reference, thing in list(self._state.all_of(kind)):
                if controller_of(thing.metadata):
                    continue
                self._touch(reference, thing, listed=False)
                if reference.uid not in self._entered and self.of(reference).ours:
                    yield from self._enter(reference)

    def _look_out(self) -> Iterator[Ref]:
        """Give up what was only thought to be the phase's, now that it has told what it works on."""
        for uid in list(self._guessed):
            reference = self._state.reference(uid)
            if reference is not None and not self.of(reference).ours:
                self._guessed.discard(uid)
                self._entered.discard(uid)
                self._pods.get(reference.namespace, set()).discard(uid)
                yield reference

    def _seen(self, signal: Seen) -> Iterator[Ref]:
        thing = signal.object
        reference = Ref(signal.kind, thing.metadata.namespace, thing.metadata.name, thing.metadata.uid)
        if signal.kind not in _ROOTS:
            return
        if signal.change != "modified" or signal.kind != "Pod":
            self._far.pop(reference.uid, None)
        if signal.change != "deleted" and not controller_of(thing.metadata):
            self._touch(reference, thing, listed=signal.listed)
        if reference.uid not in self._entered:
            if self.of(reference).ours:
                yield from self._enter(reference)
            elif signal.change == "deleted":
                self._far.pop(reference.uid, None)  # it will not be asked about again
        elif isinstance(thing, Pod) and signal.change == "deleted":
            self._pods.get(reference.namespace, set()).discard(reference.uid)

    def _enter(self, reference: Ref) -> Iterator[Ref]:
        self._entered.add(reference.uid)
        self._far.pop(reference.uid, None)
        if self.of(reference).guessed:
            self._guessed.add(reference.uid)
        yield reference
        if (pod := self._state.pod(reference)) is not None:
            self._pods.setdefault(reference.namespace, set()).add(reference.uid)
            for name in claim_names(pod):
                claim = self._state.named("PersistentVolumeClaim", reference.namespace, name)
                if claim is not None and claim.uid not in self._entered:
                    yield from self._enter(claim)
            if pod.spec.node_name and (node := self._state.named("Node", "", pod.spec.node_name)) is not None:
                yield node
        for child in self._state.children(reference):
            if child.uid not in self._entered:
                yield from self._enter(child)

    # -- who touched it ------------------------------------------------------------------------------------------------

    def _touch(self, reference: Ref, thing: KubeObject, *, listed: bool) -> None:
        known = self._touched.get(reference.uid)
        if self._started is None or (known is not None and known.clear):
            return
        changed, manager = _last_change(thing.metadata)
        if changed is None or changed + _UNCLEAR <= self._started or _is_controller(manager):
            return
        clear = changed >= self._started or not listed
        group = _group(thing.metadata) or manager
        gitops = any(word in manager.lower() for word in _GITOPS)
        if reference.uid not in self._touched and self._own(reference) is None:
            self.doubts += 1
        self._far.pop(reference.uid, None)
        self._touched[reference.uid] = _Touch(manager, group, gitops, clear)
        self._groups.setdefault(reference.namespace, set()).add(group)

    # -- questions -----------------------------------------------------------------------------------------------------

    def is_far(self, uid: str) -> bool:
        """Tell whether an object is known to lie elsewhere, at the cost of one look."""
        return uid in self._far

    def of(self, reference: Ref) -> Belonging:
        """Tell how an object belongs to the phases."""
        if reference.uid in self._far:
            return _ELSEWHERE
        if reference.kind == "Phase":
            return Belonging(Level.NAMED, sure=True, why="the phase itself")
        if reference.kind == "Node":
            return self._best((found for found, _ in self._state.pods_on(reference.name)), "a pod of ours runs there")
        if (own := self._own(reference)) is not None and own.sure:
            return own
        above = [own] if own is not None else []
        above.extend(
            Belonging(Level.REACHED, found.sure, f"belongs to {owner}, {found.why}", found.guessed)
            for owner in self._state.owners(reference)
            if (found := self._own(owner)) is not None
        )
        if reference.kind == "PersistentVolumeClaim":
            above.append(self._best(self._state.claimants(reference), "a pod of ours mounts it"))
        elif reference.kind == "Service":
            above.append(self._best(self._behind(reference), "a pod of ours stands behind it"))
        best = max(above, key=_strength, default=_ELSEWHERE)
        if not best.ours and reference.namespace and reference.namespace in self.namespaces:
            return Belonging(Level.NEARBY, why=f"in namespace {reference.namespace}, where the phase works")
        if not best.ours and reference.kind in _OWN_OR_ABOVE and not self._selects_in(reference.namespace):
            # Of ten thousand objects almost all are others': once is enough.  Only evidence changes that, which clears
            # all, or that it is touched or entered itself, as what is owned by something that enters does.
            thing = self._state.get(reference)
            self._far[reference.uid] = controller_of(thing.metadata) if thing is not None else ""
        return best

    def _best(self, references: Iterable[Ref], why: str) -> Belonging:
        found = max((self.of(reference) for reference in references), key=_strength, default=_ELSEWHERE)
        return Belonging(Level.REACHED, found.sure, why, found.guessed) if found.ours else _ELSEWHERE

    def _behind(self, service: Ref) -> Iterator[Ref]:
        thing = self._state.get(service)
        selector = thing.spec.selector if isinstance(thing, Service) else None
        if not selector:
            return
        for uid in self._pods.get(service.namespace, ()):
            pod = self._state.get(Ref("Pod", service.namespace, "", uid))
            labels = (pod.metadata.labels if pod is not None else None) or {}
            if selector.items() <= labels.items():
                yield Ref("Pod", service.namespace, pod.metadata.name if pod is not None else "", uid)

    def _own(self, reference: Ref) -> Belonging | None:
        """Judge one object by itself, without those above and below it."""
        kind, namespace, name, _ = reference
        touch = self._touched.get(reference.uid)
        if (kind, namespace, name) in self._named:
            return Belonging(Level.NAMED, sure=True, why="which the phase named")
        here = namespace in self.namespaces
        if (kind, "", name) in self._named and self._one_of_ours(namespace, touch):
            return Belonging(Level.NAMED, sure=True, why="which the phase named")
        thing = self._state.get(reference)
        meta = thing.metadata if thing is not None else Meta()
        if (release := self._release_of(meta, namespace)) is not None:
            ours = (release, namespace) in self._releases or ((release, "") in self._releases and here)
            if ours:
                return Belonging(Level.NAMED, sure=True, why=f"of release {release}, which the phase named")
            if self._releases:
                return None  # of another release: whoever touched it, it was not for this phase
        for selected in self._selected:
            if self._selects(selected, kind, namespace, meta):
                return Belonging(Level.NAMED, sure=True, why="which the phase selected")
        return self._judge_touch(namespace, touch, here=here) if touch is not None else None

    def _hands(self, namespace: str) -> Iterator[str]:
        """Give who changed the named objects of a namespace: whoever else they changed there is likely ours too."""
        for kind, at, name in self._named:
            if at in ("", namespace) and (named := self._state.named(kind, namespace, name)) is not None:
                touch = self._touched.get(named.uid)
                if touch is not None:
                    yield touch.manager

    def _one_of_ours(self, namespace: str, touch: _Touch | None) -> bool:
        """Tell whether a name without a namespace can mean an object there."""
        known = self.namespaces
        return namespace in known if known else namespace == self._default or (touch is not None and touch.clear)

    def _release_of(self, meta: Meta, namespace: str) -> str | None:
        if meta.annotations is not None and meta.annotations.release_name:
            at = meta.annotations.release_namespace
            return meta.annotations.release_name if at in (None, "", namespace) else f"{at}/-"
        labels = meta.labels or {}
        if labels.get("app.kubernetes.io/managed-by") == "Helm":  # hooks carry no annotation of their release
            return labels.get(_INSTANCE)
        return None

    def _selects_in(self, namespace: str) -> bool:
        """Tell whether a change of labels alone can bring an object of that namespace into scope."""
        return any((selected.namespace or self._default) == namespace for selected in self._selected)

    def _selects(self, selected: Selected, kind: str, namespace: str, meta: Meta) -> bool:
        at = selected.namespace or self._default
        return (
            namespace == at
            and selected.kind in ("", kind)
            and set(selected.labels) <= set((meta.labels or {}).items())
            and bool(meta.uid)
        )

    def _judge_touch(self, namespace: str, touch: _Touch, *, here: bool) -> Belonging | None:
        """Say how much it means that somebody changed an object since the phase began.

        It was the phase only if nobody else deploys there: it is known to work there, it has not told what it works on
        in other words, and all that changed there bears one name.  Once it has told, what merely changed is not its
        own, unless whoever changed it there also changed what it named there.
        """
        why = f"changed by {touch.manager or 'somebody'} since the phase began"
        told = bool(self._named or self._releases or self._selected)
        if told and not (here and touch.manager in self._hands(namespace)):
            return None
        alone = len(self._groups.get(namespace, ())) <= 1
        sure = here and not told and alone and touch.clear and not touch.gitops
        return Belonging(Level.TOUCHED, sure=sure, why=why, guessed=True)


def _strength(belonging: Belonging) -> tuple[bool, bool, int]:
    return belonging.sure, not belonging.guessed, belonging.level


def _is_controller(manager: str) -> bool:
    lower = manager.lower()
    return any(word in lower for word in _CONTROLLERS) and not any(word in lower for word in _GITOPS)


def _last_change(meta: Meta) -> tuple[float | None, str]:
    """Give when an object was last changed by whoever wants it so (not its status), and the name they go by."""
    changes = [
        (entry.time.timestamp(), entry.manager)
        for entry in meta.managed_fields or ()
        if entry.time is not None and entry.subresource in ("", "scale") and not _is_controller(entry.manager)
    ]
    if changes:
        return max(changes)
    if meta.managed_fields:
        return None, "a controller"
    return seconds(meta.creation_timestamp), ""


def _group(meta: Meta) -> str:
    """Give the name that things deployed together share."""
    if meta.annotations is not None and meta.annotations.release_name:
        return f"release {meta.annotations.release_name}"
    labels = meta.labels or {}
    for key in (_INSTANCE, "app.kubernetes.io/part-of", "app.kubernetes.io/name", "app"):
        if labels.get(key):
            return labels[key]
    return ""
