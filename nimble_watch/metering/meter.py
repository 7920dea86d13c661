"""The meter: follows the pods of the session from node to node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from msgspec import Struct

from nimble_watch.metering.nodes import Machine, machine, quantity, share_of
from nimble_watch.objects import Claim, Pod, Ref, Service, condition, seconds
from nimble_watch.prices import hourly_text, load_balancer_hourly, volume_hourly
from nimble_watch.scope import Scope
from nimble_watch.session import Costs, Held, Standing, Taken, Usage, milliseconds
from nimble_watch.state import ClusterState

_NOTHING = Decimal(0)
_HOUR = Decimal(3600)
_GB = Decimal(10**9)


class _Hold(Struct):
    """A pod's hold on a node: which part, from when, until when (epoch seconds; None: still)."""

    pod: Ref
    node: Machine
    share: Decimal
    start: float
    end: float | None = None


class _Stay(Struct):
    """A node that came into being for the session, and is paid for as a whole."""

    node: Machine
    start: float
    end: float | None = None


class Meter:
    """What one session's machines cost, as far as the cluster tells; `look` at whatever changed."""

    def __init__(self, state: ClusterState, scope: Scope, started: float) -> None:
        """Begin a session at `started` (epoch seconds); what was there before is not charged."""
        self._state = state
        self._scope = scope
        self._started = started
        self._holds: dict[str, list[_Hold]] = {}
        self._stays: dict[str, _Stay] = {}
        self._nodes: dict[str, Machine] = {}
        self._stood: dict[str, Machine] = {}

    # -- following -----------------------------------------------------------------------------------------------------

    def look(self, reference: Ref, now: float) -> None:
        """Look at an object that changed, came into scope, or went."""
        if reference.kind == "Pod":
            self._look_at_pod(reference, now)
        elif reference.kind == "Node":
            stay = self._stays.get(reference.name)
            if self._state.get(reference) is None:
                if stay is not None and stay.end is None:
                    stay.end = now
                self._nodes.pop(reference.name, None)
            elif self._nodes.pop(reference.name, None) is None:
                for pod, _ in self._state.pods_on(reference.name):  # seen before its node was
                    self._look_at_pod(pod, now)

    def _look_at_pod(self, reference: Ref, now: float) -> None:
        pod = self._state.pod(reference)
        holds = self._holds.get(reference.uid)
        if pod is None or pod.status.phase in ("Succeeded", "Failed"):
            if holds and holds[-1].end is None:
                holds[-1].end = now
            return
        if not pod.spec.node_name or (holds and holds[-1].end is None):
            return
        belonging = self._scope.of(reference)
        if not (belonging.ours and belonging.sure):
            return
        about = self._machine(pod.spec.node_name)
        node = self._state.node(pod.spec.node_name)
        if about is None or node is None:
            return
        if about.created >= self._started:
            self._stays.setdefault(about.name, _Stay(about, about.created))
        else:
            self._stood.setdefault(about.name, about)
        if share := share_of(pod, node, about):
            bound = max(self._started, _bound_at(pod) or now)
            self._holds.setdefault(reference.uid, []).append(_Hold(reference, about, share, bound))

    def _machine(self, name: str) -> Machine | None:
        if (known := self._nodes.get(name)) is not None:
            return known
        node = self._state.node(name)
        if node is None:
            return None
        self._nodes[name] = machine(node)
        return self._nodes[name]

    # -- what it costs -------------------------------------------------------------------------------------------------

    def usage(self) -> list[Usage]:
        """Give the parts of nodes that the session pays for: whole new nodes, and shares of those that stood before."""
        holds = [hold for holds in self._holds.values() for hold in holds]
        on: dict[str, list[Taken]] = {name: [] for name in self._stays}
        for hold in holds:
            if hold.node.name in on:
                on[hold.node.name].append(_taken(hold))
        whole = [_usage(stay.node, Decimal(1), stay.start, stay.end, on[name]) for name, stay in self._stays.items()]
        shares = [
            _usage(hold.node, hold.share, hold.start, hold.end, [_taken(hold)])
            for hold in holds
            if hold.node.name not in self._stays
        ]
        return [*whole, *shares]

    def spent(self, now: float) -> Decimal:
        """Give what has been used up so far, in USD; what has no price is not in it."""
        return sum(
            (
                use.usd_per_hour
                * use.share
                * (Decimal((use.end_ms or milliseconds(now)) - use.start_ms) / 1000)
                / _HOUR
                for use in self.usage()
                if use.usd_per_hour is not None
            ),
            _NOTHING,
        )

    def saved(self, stop: float, end: float) -> tuple[Decimal | None, str]:
        """Give the bill at `end` less the bill if what came for the session had gone at `stop` (epoch seconds), in USD.

        Minimums are in both; what stood before and stays is in neither.  The text says what has no price, or why
        nothing is known.
        """
        stays = self._stays.values()
        if not stays and not self._stood and (hidden := self._state.unseen("Node")):
            return None, f"no node was seen: {hidden}"
        unpriced = [stay.node for stay in stays if stay.node.usd_per_hour is None]
        gaps = "; ".join(dict.fromkeys(f"{node.shape or node.name}: {node.reason}" for node in unpriced))
        if gaps and len(unpriced) == len(stays):
            return None, f"no price: {gaps}"
        amount = sum((_bill(stay, end) - _bill(stay, stop) for stay in stays), _NOTHING)
        return amount, f"at least; without a price: {gaps}" if gaps else ""

    def held(self, subjects: Iterable[Ref]) -> list[Held]:
        """Give what those objects, or the pods below them, have held of nodes in the session."""
        found: dict[tuple[str, float], Held] = {}
        for subject in subjects:
            for hold in self._holds_of(subject):
                found[hold.pod.uid, hold.start] = Held(
                    resource=f"pod {hold.pod.namespace}/{hold.pod.name}",
                    node=hold.node.name,
                    shape=hold.node.shape,
                    share=hold.share,
                    usd_per_hour=hold.node.usd_per_hour,
                    reason=hold.node.reason,
                    start_ms=milliseconds(hold.start),
                    end_ms=_ended(hold.end),
                )
        return list(found.values())

    def _holds_of(self, subject: Ref) -> Iterator[_Hold]:
        if subject.kind == "Pod":
            yield from self._holds.get(subject.uid, ())
        elif subject.kind == "Node":
            for holds in self._holds.values():
                yield from (hold for hold in holds if hold.node.name == subject.name)
        elif subject.kind == "PersistentVolumeClaim":
            for pod in self._state.claimants(subject):
                yield from self._holds.get(pod.uid, ())
        else:
            for pod, _ in self._state.pods_below(subject):
                yield from self._holds.get(pod.uid, ())

    def per_hour(self, subjects: Iterable[Ref]) -> str:
        """Say in words what those objects hold now costs per hour; nothing where they hold nothing."""
        now = [held for held in self.held(subjects) if held.end_ms is None]
        if not now:
            return ""
        rates = [held.usd_per_hour * held.share for held in now if held.usd_per_hour is not None]
        gaps = dict.fromkeys(
            f"{held.shape or held.node} unpriced: {held.reason}" for held in now if held.usd_per_hour is None
        )
        shapes = ", ".join(dict.fromkeys(held.shape for held in now if held.shape))
        if not rates:
            return "; ".join(gaps)
        least = "at least " if gaps else ""
        return f"{least}{hourly_text(sum(rates, _NOTHING))} while it stands ({shapes})"

    def costs(self, *, over: bool) -> Costs:
        """Give the session's costs so far; `over` says that it ends now: minimums, and what goes on billing."""
        usage = self.usage()
        costs = Costs(usage=usage if usage or self._state.cluster is not None else None)
        costs.at_least = any(stay.node.usd_per_hour is not None for stay in self._stays.values())
        costs.standing = [_standing(about, "") for about in self._stood.values()]
        if over:
            costs.minimums_usd = self._minimums()
            costs.after = list(self._left())
        return costs

    def _minimums(self) -> Decimal:
        """Give what is billed beyond a node's short life, of nodes whose life lies within the session."""
        return sum(
            (
                stay.node.usd_per_hour * Decimal(stay.node.minimum - (stay.end - stay.start)) / _HOUR
                for stay in self._stays.values()
                if stay.end is not None
                and stay.node.usd_per_hour is not None
                and stay.end - stay.start < stay.node.minimum
            ),
            _NOTHING,
        )

    def _left(self) -> Iterator[Standing]:
        """Give what goes on billing: nodes of GPUs or made for the session, load balancers, volumes."""
        for name in {**self._stays, **self._stood}:
            about = self._machine(name)
            if about is not None and (about.gpus or name in self._stays):
                why_not = self._why_it_must_stay(name)
                yield _standing(about, "" if why_not else _end_of_node(about), why_not)
        for reference, thing in self._state.all_of("Service"):
            if isinstance(thing, Service) and thing.spec.type == "LoadBalancer" and self._is_ours(reference):
                command = f"kubectl -n {reference.namespace} delete service {reference.name}"
                yield Standing(
                    what=f"load balancer of {reference}", usd_per_hour=load_balancer_hourly(), command=command
                )
        for reference, thing in self._state.all_of("PersistentVolumeClaim"):
            if isinstance(thing, Claim) and thing.spec.volume_name and self._is_ours(reference):
                size = int(quantity((thing.status.capacity or {}).get("storage")) / _GB) or 1
                command = f"kubectl -n {reference.namespace} delete pvc {reference.name}"
                yield Standing(
                    what=f"volume of {reference}, {size} GB", usd_per_hour=volume_hourly(size), command=command
                )

    def _why_it_must_stay(self, node: str) -> str:
        """Say who else would lose their work with a node; empty if nobody would."""
        if unseen := self._state.unseen("Pod"):
            return f"whether others use it is not known ({unseen})"
        for reference, pod in self._state.pods_on(node):
            owners = pod.metadata.owner_references or ()
            ended = pod.status.phase in ("Succeeded", "Failed")
            if not ended and not any(owner.kind == "DaemonSet" for owner in owners) and not self._is_ours(reference):
                return f"used by others too: pod {reference.namespace}/{reference.name}"
        return ""

    def _is_ours(self, reference: Ref) -> bool:
        belonging = self._scope.of(reference)
        return belonging.ours and belonging.sure


def _bill(stay: _Stay, until: float) -> Decimal:
    """Give what a node is billed that goes at `until`, if it has not gone before; without a price nothing."""
    lived = (until if stay.end is None else min(until, stay.end)) - stay.start
    if lived <= 0 or stay.node.usd_per_hour is None:
        return _NOTHING
    return stay.node.usd_per_hour * Decimal(max(lived, stay.node.minimum)) / _HOUR


def _taken(hold: _Hold) -> Taken:
    return Taken(share=hold.share, start_ms=milliseconds(hold.start), end_ms=_ended(hold.end))


def _ended(at: float | None) -> int | None:
    return None if at is None else milliseconds(at)


def _usage(about: Machine, share: Decimal, start: float, end: float | None, taken: list[Taken]) -> Usage:
    return Usage(
        node=about.name,
        shape=about.shape,
        gpus=about.gpus or None,
        share=share,
        usd_per_hour=about.usd_per_hour,
        reason=about.reason,
        start_ms=milliseconds(start),
        end_ms=_ended(end),
        taken=taken,
        price_source=about.source,
        price_date=about.date,
        part=about.part,
    )


def _standing(about: Machine, command: str, why_not: str = "") -> Standing:
    gpus = f", {about.gpus} GPU{'s' if about.gpus > 1 else ''}" if about.gpus else ""
    return Standing(
        what=f"node {about.name} ({about.shape or 'unknown shape'}{gpus})" + (why_not and f", {why_not}"),
        usd_per_hour=about.usd_per_hour,
        reason=about.reason,
        command=command,
    )


def _end_of_node(about: Machine) -> str:
    """Give the command that ends a node's bill, where the cluster tells its pool and instance."""
    if not about.pool or not about.instance:
        return ""
    return (
        f"oci ce node-pool delete-node --node-pool-id {about.pool} --node-id {about.instance} --is-decrement-size true"
    )


def _bound_at(pod: Pod) -> float | None:
    said = condition(pod.status.conditions, "PodScheduled")
    bound = seconds(said.last_transition_time) if said is not None and said.status == "True" else None
    return bound if bound is not None else seconds(pod.status.start_time)
