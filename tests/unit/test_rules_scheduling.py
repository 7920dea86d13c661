"""Pods without a node: the scheduler's words compared with the nodes, so that exactly one kind speaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from nimble_watch import recording
from nimble_watch.findings import Verdict
from nimble_watch.objects import Event, Ref
from nimble_watch.observer.replay import replay
from nimble_watch.signals import Seen, Signal, Synced
from tests.unit.judging import CPU_SHAPE, TOLERANT, World, container, limits, running, unschedulable
from tests.unit.made import T0, when

STREAMS = Path(__file__).parents[1] / "streams"
NO_GPU = "0/2 nodes are available: 1 Insufficient nvidia.com/gpu, 1 node(s) had untolerated taint(s). preemption: 0/2"
TAINTED = "0/2 nodes are available: 2 node(s) had untolerated taint(s). preemption: 0/2 nodes are available"
LABELS = "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector. preemption: 0/2"
A10 = "VM.GPU.A10.1"


def _cluster() -> World:
    world = World()
    world.node("10.0.10.1", A10, gpus=1, cpu="30", memory="240Gi")
    world.node("10.0.10.9", CPU_SHAPE)
    return world


def _gpu_pod(world: World, message: str = NO_GPU, *, gpus: int = 1, tolerant: bool = True, **spec: Any) -> Ref:
    tolerations = TOLERANT if tolerant else []
    wanted = {"containers": [limits(gpu=str(gpus))], "tolerations": tolerations, **spec}
    return world.put("Pod", "waits", spec=wanted, status=unschedulable(message))


def _holder(world: World, *, owner: Ref | None = None, **more: Any) -> Ref:
    since = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": when(T0 - 11520)}]
    return world.put(
        "Pod",
        "train-7",
        namespace="team-x",
        owner=owner,
        spec={"containers": [limits(gpu="1")], "nodeName": "10.0.10.1"},
        status={**running(T0 - 11520), "conditions": since},
        **more,
    )


def test_a_taken_gpu_is_told_with_who_holds_it_and_since_when() -> None:
    world = _cluster()
    _holder(world)
    pod = _gpu_pod(world)
    assert world.kinds(pod, T0) == {"gpu-insufficient": Verdict.GRACE}
    (finding,) = world.ask("gpu-insufficient", pod, T0)
    assert finding.cause == "1/1 GPUs of VM.GPU.A10.1 10.0.10.1 held by team-x/train-7 (1 GPU, for 3h12m)."
    assert finding.evidence == NO_GPU
    assert finding.deadline == T0 + 60


def test_a_gpu_held_by_a_job_is_waited_for_without_an_end() -> None:
    world = _cluster()
    _holder(world, owner=world.put("Job", "train", namespace="team-x"))
    (finding,) = world.ask("gpu-insufficient", _gpu_pod(world), T0)
    assert (finding.verdict, finding.deadline) == (Verdict.GRACE, None)
    assert "Job train" in finding.cause


def test_a_gpu_whose_holder_terminates_is_given_half_an_hour() -> None:
    world = _cluster()
    _holder(world, deleting=True)
    (finding,) = world.ask("gpu-insufficient", _gpu_pod(world), T0)
    assert finding.deadline == T0 + 1800
    assert "terminating" in finding.cause


def test_a_roll_out_that_waits_for_its_own_old_pod_is_told_so() -> None:
    world = _cluster()
    above = world.put("Deployment", "nim")
    old = world.put("ReplicaSet", "nim-1", owner=above)
    new = world.put("ReplicaSet", "nim-2", owner=above)
    _holder(world, owner=old)
    spec = {"containers": [limits(gpu="1")], "tolerations": TOLERANT}
    pod = world.put("Pod", "nim-2-a", owner=new, spec=spec, status=unschedulable(NO_GPU))
    (finding,) = world.ask("gpu-insufficient", pod, T0)
    assert finding.cause.endswith("Its own old pod holds a GPU that the roll-out waits for.")


def test_more_gpus_than_any_node_has_are_told_as_such() -> None:
    world = _cluster()
    (finding,) = world.ask("gpu-insufficient", _gpu_pod(world, gpus=4), T0)
    assert finding.cause == "The pod asks for 4 GPUs, the largest node has 1."


def test_a_gpu_node_without_a_device_plugin_is_named() -> None:
    world = World()
    world.node("10.0.10.1", A10, cpu="30")
    (finding,) = world.ask("gpu-insufficient", _gpu_pod(world), T0)
    assert finding.cause == "VM.GPU.A10.1 10.0.10.1 offers no GPU: its device plugin is not running."


def test_nodes_that_cannot_be_seen_are_not_taken_for_none() -> None:
    world = World()
    world.hide("Node", "not allowed to list nodes")
    (finding,) = world.ask("gpu-insufficient", _gpu_pod(world), T0)
    assert finding.cause == (
        "The scheduler finds no free GPU; who holds them is not visible (not allowed to list nodes)."
    )


def test_a_cpu_node_that_says_gpu_does_not_hide_a_missing_toleration() -> None:
    world = _cluster()
    pod = _gpu_pod(world, tolerant=False)
    assert world.kinds(pod, T0) == {"taint-untolerated": Verdict.GRACE}
    (finding,) = world.ask("taint-untolerated", pod, T0)
    assert finding.summary == "pod/waits does not tolerate nvidia.com/gpu=present:NoSchedule"
    assert "nvidia.com/gpu with operator Exists" in finding.fix


def test_an_autoscaler_at_work_prolongs_the_grace() -> None:
    world = _cluster()
    _holder(world)
    pod = _gpu_pod(world)
    world.say(pod, "TriggeredScaleUp", "pod triggered scale-up: [{pool 0->1 (max: 2)}]", at=T0 + 5)
    (finding,) = world.ask("gpu-insufficient", pod, T0 + 10)
    assert finding.deadline == T0 + 905


def test_an_autoscaler_that_refuses_for_the_pods_own_sake_ends_it() -> None:
    world = _cluster()
    pod = _gpu_pod(world, LABELS, nodeSelector={"gpu": "h300"})
    refusal = "pod didn't trigger scale-up: 2 node(s) didn't match Pod's node affinity/selector"
    world.say(pod, "NotTriggerScaleUp", refusal, at=T0 + 5)
    assert world.kinds(pod, T0 + 10) == {"affinity-mismatch": Verdict.TERMINAL}


def test_an_autoscaler_at_its_maximum_leaves_hope() -> None:
    world = _cluster()
    _holder(world)
    pod = _gpu_pod(world)
    world.say(pod, "NotTriggerScaleUp", "pod didn't trigger scale-up: 1 max node group size reached", at=T0 + 5)
    (finding,) = world.ask("gpu-insufficient", pod, T0 + 10)
    assert (finding.verdict, finding.deadline) == (Verdict.GRACE, T0 + 60)


def test_a_label_that_no_node_has_is_named() -> None:
    world = _cluster()
    pod = _gpu_pod(world, LABELS, nodeSelector={"node.kubernetes.io/instance-type": "BM.GPU.H100.8"})
    (finding,) = world.ask("affinity-mismatch", pod, T0)
    assert finding.cause == (
        "The pod demands node.kubernetes.io/instance-type=BM.GPU.H100.8; the nodes have "
        "node.kubernetes.io/instance-type=VM.GPU.A10.1, VM.Standard.E5.Flex."
    )


def test_required_node_affinity_is_read_as_the_scheduler_reads_it() -> None:
    world = _cluster()
    term = {"matchExpressions": [{"key": "nvidia.com/gpu.present", "operator": "Exists"}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
    pod = _gpu_pod(world, LABELS, affinity=affinity)
    (finding,) = world.ask("affinity-mismatch", pod, T0)
    assert finding.cause == "The pod demands nvidia.com/gpu.present; no node has the label nvidia.com/gpu.present."


def test_the_node_that_the_pod_itself_demands_is_too_small() -> None:
    world = _cluster()
    said = "0/2 nodes are available: 1 Insufficient memory, 1 node(s) had untolerated taint(s)."
    spec = {"containers": [limits(memory="100Gi")], "nodeSelector": {"node.kubernetes.io/instance-type": CPU_SHAPE}}
    pod = world.put("Pod", "waits", spec=spec, status=unschedulable(said))
    assert world.kinds(pod, T0) == {"resources-insufficient": Verdict.GRACE}
    (finding,) = world.ask("resources-insufficient", pod, T0)
    assert finding.cause == "The pod asks for 100 GiB of memory, which is not free on VM.Standard.E5.Flex 10.0.10.9."


def test_a_free_gpu_without_free_cpu_is_a_lack_of_cpu() -> None:
    world = _cluster()
    spec = {"containers": [limits(cpu="29")], "nodeName": "10.0.10.1"}
    world.put("Pod", "busy", spec=spec, status=running())
    said = "0/2 nodes are available: 1 Insufficient cpu, 1 Insufficient nvidia.com/gpu."
    pod = world.put(
        "Pod",
        "waits",
        spec={"containers": [limits(gpu="1", cpu="4")], "tolerations": TOLERANT},
        status=unschedulable(said),
    )
    assert world.kinds(pod, T0) == {"resources-insufficient": Verdict.GRACE}


def test_a_node_that_is_not_ready_is_the_cause_where_no_other_could_take_the_pod() -> None:
    world = World()
    taint = {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}
    said = {"conditions": [{"type": "Ready", "status": "Unknown", "lastTransitionTime": when(T0)}]}
    world.node("10.0.10.9", CPU_SHAPE, spec={"taints": [taint]}, status=said)
    pod = world.put("Pod", "waits", spec={"containers": [container()]}, status=unschedulable(TAINTED))
    assert world.kinds(pod, T0) == {"node-not-ready": Verdict.GRACE}


def test_a_cordoned_node_is_none_of_these() -> None:
    world = World()
    cordon = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    world.node("10.0.10.9", CPU_SHAPE, spec={"unschedulable": True, "taints": [cordon]})
    said = "0/1 nodes are available: 1 node(s) were unschedulable."
    pod = world.put("Pod", "waits", spec={"containers": [container()]}, status=unschedulable(said))
    assert world.kinds(pod, T0) == {}


def test_a_volume_in_another_domain_is_none_of_these() -> None:
    world = _cluster()
    said = "0/2 nodes are available: 1 Insufficient nvidia.com/gpu, 1 node(s) had volume node affinity conflict."
    assert world.kinds(_gpu_pod(world, said), T0) == {}


def test_the_condition_counts_and_not_an_older_event() -> None:
    world = _cluster()
    pod = _gpu_pod(world, TAINTED, tolerant=False)
    world.say(pod, "FailedScheduling", "0/2 nodes are available: 2 Insufficient nvidia.com/gpu.", at=T0)
    assert world.kinds(pod, T0) == {"taint-untolerated": Verdict.GRACE}


def test_a_pod_that_has_a_node_is_not_waiting_for_one() -> None:
    world = _cluster()
    pod = _gpu_pod(world, NO_GPU, nodeName="10.0.10.1")
    assert world.kinds(pod, T0) == {}


def test_a_pod_that_was_never_judged_by_the_scheduler_is_not_told() -> None:
    world = _cluster()
    pod = world.put("Pod", "waits", spec={"containers": [limits(gpu="1")]}, status={"phase": "Pending"})
    assert world.kinds(pod, T0) == {}


UNBOUND = "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/2"


@pytest.mark.parametrize("late", ["Node", "Pod"])
def test_while_nodes_or_pods_are_being_listed_no_reason_is_told_that_all_of_them_may_belie(late: str) -> None:
    """Ten seconds after the cluster was found the GPU node was not listed yet, and want of GPUs was a false alarm."""
    world = World(but=late)
    world.node("10.0.10.9", CPU_SHAPE)
    pod = _gpu_pod(world, tolerant=False)
    assert world.kinds(pod, T0 + 50) == {}
    assert set(world.again("gpu-insufficient", pod, T0 + 50)) == {60.0}
    world.node("10.0.10.1", A10, gpus=1, cpu="30", memory="240Gi")
    again = world.state.apply(Synced(T0, late, "", frozenset({pod.uid, "Node//10.0.10.1", "Node//10.0.10.9"})))
    assert pod in again, "with the whole list the pod is judged anew"
    assert set(world.kinds(pod, T0 + 50)) == {"taint-untolerated"}


def test_a_list_that_never_comes_is_not_waited_for_beyond_a_minute() -> None:
    world = World(but="Node")
    pod = _gpu_pod(world)
    (finding,) = world.ask("gpu-insufficient", pod, T0 + 60)
    assert "not visible (Node not listed yet)" in finding.cause


def _mounting(world: World, status: object) -> Ref:
    volumes = [{"name": "cache", "persistentVolumeClaim": {"claimName": "cache"}}]
    return world.put("Pod", "waits", spec={"containers": [container()], "volumes": volumes}, status=status)


def test_an_unbound_claim_is_told_after_two_seconds_with_the_claims_own_words() -> None:
    world = World()
    claim = world.put("PersistentVolumeClaim", "cache", status={"phase": "Pending"})
    world.say(claim, "ProvisioningFailed", 'storageclass.storage.k8s.io "oci-bw" not found')
    pod = _mounting(world, unschedulable(UNBOUND))
    assert world.kinds(pod, T0 + 1) == {}
    assert world.again("pvc-unbound", pod, T0 + 1) == [2.0]
    (finding,) = world.ask("pvc-unbound", pod, T0 + 3)
    assert (finding.verdict, finding.because) == (Verdict.GRACE, (claim,))
    assert finding.cause == 'Of the claim is said: storageclass.storage.k8s.io "oci-bw" not found.'
    assert finding.fix.startswith("Create that storage class")


def test_a_claim_that_is_shown_after_its_pod_is_waited_for_as_it_says_more() -> None:
    world = World()
    pod = _mounting(world, unschedulable(UNBOUND))
    assert world.kinds(pod, T0 + 9) == {}
    assert world.again("pvc-unbound", pod, T0 + 9) == [10.0]
    claim = world.put("PersistentVolumeClaim", "cache", status={"phase": "Pending"})
    (finding,) = world.ask("pvc-unbound", pod, T0 + 9)
    assert finding.command == "kubectl -n nim describe persistentvolumeclaim/cache"
    assert finding.because == (claim,)


def test_a_claim_that_is_never_shown_is_not_waited_for_beyond_ten_seconds() -> None:
    world = World()
    pod = _mounting(world, unschedulable(UNBOUND))
    (finding,) = world.ask("pvc-unbound", pod, T0 + 10)
    assert finding.command == "kubectl -n nim get pvc"


def test_claims_that_may_not_be_seen_are_not_waited_for() -> None:
    world = World()
    world.hide("PersistentVolumeClaim", "claims cannot be seen in all namespaces: forbidden")
    pod = _mounting(world, unschedulable(UNBOUND))
    assert world.kinds(pod, T0 + 9) == {}, "those of the pod's namespace may still be listed"
    world.hide("PersistentVolumeClaim", "claims cannot be seen in namespace nim: forbidden", namespace="nim")
    (finding,) = world.ask("pvc-unbound", pod, T0 + 3)
    assert finding.cause.endswith("why is not visible (claims cannot be seen in namespace nim: forbidden).")


def test_in_the_recorded_stream_too_the_claim_may_come_seconds_after_the_pod_s_word() -> None:
    """So it came on a machine with more to do than it could."""
    stream = list(recording.read(STREAMS / "pvc-unbound" / "raises.jsonl"))
    pod = next(signal.at for signal in stream if isinstance(signal, Seen) and signal.kind == "Pod")
    of_claim = [signal for signal in stream if _concerns_the_claim(signal)]
    late = [msgspec.structs.replace(signal, at=max(signal.at, pod + 6)) for signal in of_claim]
    rest = [signal for signal in stream if signal not in of_claim]
    told = [change.obstacle for change in replay(sorted([*rest, *late], key=lambda signal: signal.at))]
    (first, *_) = [one for one in told if one is not None and one.kind == "pvc-unbound"]
    assert first.finding.command.endswith(" describe persistentvolumeclaim/cache")


def _concerns_the_claim(signal: Signal) -> bool:
    if isinstance(signal, Synced):
        return signal.kind == "PersistentVolumeClaim"
    if not isinstance(signal, Seen):
        return False
    about = signal.object.involved_object.kind if isinstance(signal.object, Event) else signal.kind
    return about == "PersistentVolumeClaim"


def test_a_claim_of_a_placed_pod_that_nobody_provides_is_told_itself() -> None:
    world = World()
    claim = world.put("PersistentVolumeClaim", "cache", status={"phase": "Pending"})
    _mounting(world, {"phase": "Pending"})
    text = 'failed to provision volume with StorageClass "oci-bv": rpc error: code = Internal desc = LimitExceeded'
    world.say(claim, "ProvisioningFailed", text, at=T0)
    (finding,) = world.ask("pvc-unbound", claim, T0 + 3)
    assert (finding.subject, finding.evidence) == (claim, text)


def test_a_claim_that_waits_for_its_first_consumer_is_in_order() -> None:
    world = World()
    claim = world.put("PersistentVolumeClaim", "cache", status={"phase": "Pending"})
    _mounting(world, {"phase": "Pending"})
    world.say(claim, "WaitForFirstConsumer", "waiting for first consumer to be created before binding")
    assert world.kinds(claim, T0 + 60) == {}


def test_a_volume_that_is_still_being_made_is_in_order() -> None:
    world = World()
    claim = world.put("PersistentVolumeClaim", "cache", status={"phase": "Pending"})
    _mounting(world, {"phase": "Pending"})
    text = "Waiting for a volume to be created either by the external provisioner 'blockvolume.csi.oraclecloud.com'"
    world.say(claim, "ExternalProvisioning", text, at=T0)
    assert world.kinds(claim, T0 + 30) == {}
    assert world.kinds(claim, T0 + 61) == {"pvc-unbound": Verdict.GRACE}


def test_a_silent_node_is_told_once_its_condition_says_so() -> None:
    world = World()
    ready = {"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status."}
    said = {"conditions": [{**ready, "lastTransitionTime": when(T0)}]}
    node = world.node("10.0.10.1", A10, gpus=1, at=T0 - 9000, status=said)
    (finding,) = world.ask("node-not-ready", node, T0 + 1)
    assert (finding.verdict, finding.evidence) == (Verdict.GRACE, "Kubelet stopped posting node status.")
    assert finding.deadline == T0 + 300


def test_a_node_that_has_just_joined_is_given_time() -> None:
    world = World()
    ready = {"type": "Ready", "status": "False", "message": "container runtime is down", "lastTransitionTime": when(T0)}
    node = world.node("10.0.10.1", A10, at=T0, status={"conditions": [ready]})
    assert world.kinds(node, T0 + 60) == {}
    assert world.again("node-not-ready", node, T0 + 60) == [300.0]


def test_a_node_without_a_network_plugin_is_another_kind() -> None:
    world = World()
    text = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:no CNI"
    ready = {"type": "Ready", "status": "False", "message": text, "lastTransitionTime": when(T0)}
    node = world.node("10.0.10.1", A10, at=T0 - 9000, status={"conditions": [ready]})
    assert world.kinds(node, T0 + 1) == {}


def test_a_node_out_of_memory_is_told_for_five_minutes() -> None:
    world = World()
    node = world.node("10.0.10.1", A10, at=T0 - 9000)
    world.say(node, "SystemOOM", "System OOM encountered, victim process: pip3, pid: 23143", at=T0)
    assert world.kinds(node, T0 + 1) == {"oom-killed": Verdict.RECOVERS}
    assert world.kinds(node, T0 + 301) == {}
