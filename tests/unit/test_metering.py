"""Who pays for which part of which node."""

from __future__ import annotations

from decimal import Decimal

import pytest

from nimble_watch.metering import Meter, machine, quantity, share_of
from nimble_watch.objects import Node, Pod, Ref, ref
from nimble_watch.scope import Scope
from nimble_watch.session import milliseconds
from nimble_watch.signals import Seen, Signal, Unseen
from nimble_watch.state import ClusterState
from tests.unit.made import T0, begin, made, seen, when

YESTERDAY = T0 - 86_400
HELM = ("helm", "install", "nim", "./c", "-n", "nim")


@pytest.mark.parametrize(
    ("text", "value"),
    [("500m", "0.5"), ("2", "2"), ("16Gi", "17179869184"), ("1.5k", "1500"), ("2e3", "2000"), ("", "0"), ("x", "0")],
)
def test_quantities_are_read_as_kubernetes_writes_them(text: str, value: str) -> None:
    assert quantity(text) == Decimal(value)


def node(name: str, shape: str, *, at: float = YESTERDAY, cpus: str = "30", memory: str = "240Gi") -> Node:
    """Make a node of a shape."""
    thing = made(
        "Node",
        name,
        at=at,
        labels={"node.kubernetes.io/instance-type": shape},
        status={"capacity": {"cpu": cpus, "memory": memory}},
        spec={"providerID": "oci://ocid1.instance.oc1.phx.x"},
    )
    assert isinstance(thing, Node)
    return thing


def pod(name: str, on: str, *, gpus: int = 0, cpu: str = "0", phase: str = "Pending", release: str = "nim") -> Pod:
    """Make a pod that is bound to a node five seconds into the phase."""
    resources = {"limits": {"nvidia.com/gpu": str(gpus)} if gpus else {}, "requests": {"cpu": cpu}}
    bound = {"type": "PodScheduled", "status": "True", "lastTransitionTime": when(T0 + 5)}
    thing = made(
        "Pod",
        name,
        release=release,
        spec={"nodeName": on, "containers": [{"name": "nim", "resources": resources}]},
        status={"phase": phase, "conditions": [bound]},
    )
    assert isinstance(thing, Pod)
    return thing


def metered(*signals: Signal) -> Meter:
    """Give the meter of a session that began at T0, after these signals."""
    state = ClusterState()
    scope = Scope(state)
    meter = Meter(state, scope, T0)
    for signal in [*begin(*HELM), *signals]:
        state.apply(signal)
        for reference in scope.apply(signal):
            meter.look(reference, signal.at)
        if isinstance(signal, Seen):
            meter.look(ref(signal.kind, signal.object), signal.at)
    return meter


def test_a_pod_pays_for_its_gpus_of_the_node() -> None:
    meter = metered(seen("Node", node("n", "VM.GPU.A10.2")), seen("Pod", pod("p", "n", gpus=1)))
    (use,) = meter.usage()
    assert (use.share, use.usd_per_hour, use.start_ms, use.end_ms) == (
        Decimal("0.5"), Decimal("4.00"), milliseconds(T0 + 5), None
    )  # fmt: skip
    assert meter.spent(T0 + 5 + 1800) == Decimal("1.00")


def test_a_pod_on_a_cpu_node_pays_for_the_larger_of_cpu_and_memory() -> None:
    about = node("n", "VM.Standard.E5.Flex", cpus="8", memory="64Gi")
    assert share_of(pod("p", "n", cpu="2"), about, machine(about)) == Decimal("0.25")
    assert machine(about).usd_per_hour == Decimal("0.03") * 4 + Decimal("0.002") * 64


def test_a_pod_that_goes_stops_paying() -> None:
    gone = seen("Pod", pod("p", "n", gpus=1), at=T0 + 65, change="deleted")
    meter = metered(seen("Node", node("n", "VM.GPU.A10.1")), seen("Pod", pod("p", "n", gpus=1)), gone)
    assert [use.end_ms for use in meter.usage()] == [milliseconds(T0 + 65)]


def test_a_pod_that_was_seen_before_its_node_pays_all_the_same() -> None:
    meter = metered(seen("Pod", pod("p", "n", gpus=1)), seen("Node", node("n", "VM.GPU.A10.1")))
    assert [use.share for use in meter.usage()] == [Decimal(1)]


def test_what_others_hold_is_not_ours_to_pay() -> None:
    others = pod("p", "n", gpus=1, release="theirs")
    assert metered(seen("Node", node("n", "VM.GPU.A10.2")), seen("Pod", others)).usage() == []


def test_a_node_that_came_for_the_session_is_paid_from_its_creation_as_a_whole() -> None:
    new = seen("Node", node("n", "BM.GPU.H100.8", at=T0 + 2), at=T0 + 2)
    meter = metered(new, seen("Pod", pod("p", "n", gpus=1), at=T0 + 6))
    (use,) = meter.usage()
    assert (use.share, use.start_ms, use.usd_per_hour) == (Decimal(1), milliseconds(T0 + 2), Decimal("80.00"))
    assert meter.costs(over=False).at_least


def test_bare_metal_that_lived_for_a_minute_is_billed_for_an_hour() -> None:
    about = node("n", "BM.GPU.H100.8", at=T0 + 2)
    gone = seen("Node", about, at=T0 + 62, change="deleted")
    meter = metered(seen("Node", about, at=T0 + 2), seen("Pod", pod("p", "n", gpus=1), at=T0 + 6), gone)
    assert meter.costs(over=True).minimums_usd == Decimal("80.00") * 59 / 60


def test_an_unknown_shape_is_unpriced_with_a_reason_and_never_free() -> None:
    meter = metered(seen("Node", node("n", "VM.GPU.A10.4")), seen("Pod", pod("p", "n", cpu="15")))
    (use,) = meter.usage()
    assert use.usd_per_hour is None
    assert use.reason
    reference = Ref("Pod", "nim", "p", "Pod/nim/p")
    assert "unpriced" in meter.per_hour([reference])


def test_an_obstacle_holds_what_its_pods_hold() -> None:
    meter = metered(seen("Node", node("n", "VM.GPU.A10.2")), seen("Pod", pod("p", "n", gpus=1)))
    (held,) = meter.held([Ref("Pod", "nim", "p", "Pod/nim/p")])
    assert (held.resource, held.share, held.usd_per_hour) == ("pod nim/p", Decimal("0.5"), Decimal("4.00"))
    assert meter.per_hour([Ref("Pod", "nim", "p", "Pod/nim/p")]).startswith("$2.00 per hour")


def test_gpu_nodes_that_are_left_are_named_with_their_price() -> None:
    meter = metered(seen("Node", node("n", "VM.GPU.A10.1")), seen("Pod", pod("p", "n", gpus=1)))
    costs = meter.costs(over=True)
    assert [(left.what, left.usd_per_hour) for left in costs.after] == [
        ("node n (VM.GPU.A10.1, 1 GPU)", Decimal("2.00"))
    ]
    assert [stood.usd_per_hour for stood in costs.standing] == [Decimal("2.00")]


def test_a_node_that_others_use_too_is_left_standing_and_says_who_they_are() -> None:
    shared = metered(
        seen("Node", node("n", "VM.GPU.A10.2")),
        seen("Pod", pod("p", "n", gpus=1)),
        seen("Pod", pod("q", "n", gpus=1, release="another")),
    )
    (left,) = shared.costs(over=True).after
    assert left.what == "node n (VM.GPU.A10.2, 2 GPUs), used by others too: pod nim/q"
    assert left.command == ""


def test_a_node_whose_pods_cannot_all_be_seen_is_left_standing_too() -> None:
    blind = metered(
        Unseen(T0, "Pod", "", "forbidden"), seen("Node", node("n", "VM.GPU.A10.1")), seen("Pod", pod("p", "n", gpus=1))
    )
    (left,) = blind.costs(over=True).after
    assert "whether others use it is not known (forbidden)" in left.what
    assert left.command == ""


def test_without_a_cluster_nothing_is_known_to_be_used_which_is_not_nothing() -> None:
    state = ClusterState()
    assert Meter(state, Scope(state), T0).costs(over=True).usage is None
