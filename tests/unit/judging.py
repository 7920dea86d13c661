"""A small world for tests of the rules: objects and events as the API would show them, and one rule asked about one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from nimble_watch.findings import Finding, LookAgain, Verdict
from nimble_watch.objects import Annotations, Ref, ref
from nimble_watch.rules import all_rules
from nimble_watch.signals import ClusterFound, Output, PhaseStarted, Seen, Synced, Unseen
from nimble_watch.state import ClusterState
from tests.unit.made import T0, ended, made, when

CPU_SHAPE = "VM.Standard.E5.Flex"
GPU_TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
TOLERANT = [{"key": "nvidia.com/gpu", "operator": "Exists"}]


class World:
    """What is known of a cluster; objects are put in with the parts that matter."""

    def __init__(self, *, but: str = "") -> None:
        """Begin with every kind listed, `but` one."""
        self.state = ClusterState()
        self.state.apply(ClusterFound(T0, "https://cluster.test", "test", "v1.36", "nim"))
        for kind in {"Pod", "Event", "Node", "PersistentVolumeClaim", "Deployment", "ReplicaSet"} - {but}:
            self.state.apply(Synced(T0, kind, "", frozenset()))
        self._events = 0

    def put(self, kind: str, name: str, *, at: float = T0, owner: Ref | None = None, **more: Any) -> Ref:
        """Put an object in, or change it; `more` are made()'s settings, spec and status."""
        revision = more.pop("revision", "")
        thing = made(kind, name, at=at, owner=owner, **more)
        if revision:
            notes = Annotations(revision=revision)
            thing = msgspec.structs.replace(thing, metadata=msgspec.structs.replace(thing.metadata, annotations=notes))
        self.state.apply(Seen(at, kind, "added", thing))
        return ref(kind, thing)

    def say(
        self,
        about: Ref,
        reason: str,
        message: str,
        *,
        at: float = T0,
        container: str = "",
        count: int = 1,
        first: float = 0.0,
    ) -> None:
        """Let an event be said about an object."""
        self._events += 1
        field = f"spec.containers{{{container}}}" if container else ""
        involved = {
            "kind": about.kind,
            "namespace": about.namespace,
            "name": about.name,
            "uid": about.uid,
            "fieldPath": field,
        }
        event = made(
            "Event",
            f"e{self._events}",
            at=at,
            involvedObject=involved,
            reason=reason,
            message=message,
            count=count,
            firstTimestamp=when(first or at),
            lastTimestamp=when(at),
        )
        self.state.apply(Seen(at, "Event", "added", event))

    def hide(self, kind: str, reason: str, *, namespace: str = "") -> None:
        """Let a kind of object be invisible."""
        self.state.apply(Unseen(T0, kind, namespace, reason))

    def phase(self, *lines: str, status: int = 1, at: float = T0 + 60) -> Ref:
        """Let a phase run that prints lines and ends."""
        self.state.apply(PhaseStarted(T0, "install", ("helm",)))
        for line in lines:
            self.state.apply(Output(at, "install", "stderr", line))
        self.state.apply(ended(at, status=status))
        return self.state.phases["install"].ref

    def printing(self, *lines: str, at: float = T0) -> None:
        """Let a phase run that has printed lines."""
        self.state.apply(PhaseStarted(T0, "install", ("make",)))
        for line in lines:
            self.state.apply(Output(at, "install", "stdout", line))

    def node(self, name: str, shape: str, *, gpus: int = 0, cpu: str = "8", memory: str = "64Gi", **more: Any) -> Ref:
        """Put a node in as OKE has it: GPU nodes carry the GPU taint."""
        offers = {"cpu": cpu, "memory": memory, **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
        spec = {"taints": [GPU_TAINT] if ".GPU." in shape else [], **more.pop("spec", {})}
        status = {
            "capacity": offers,
            "allocatable": offers,
            "conditions": [{"type": "Ready", "status": "True"}],
            **more.pop("status", {}),
        }
        labels = {"node.kubernetes.io/instance-type": shape, **more.pop("labels", {})}
        return self.put("Node", name, spec=spec, status=status, labels=labels, **more)

    def ask(self, kind: str, subject: Ref, now: float = T0 + 60) -> list[Finding]:
        """Give what a rule sees."""
        return [answer for answer in self._answers(kind, subject, now) if isinstance(answer, Finding)]

    def again(self, kind: str, subject: Ref, now: float) -> list[float]:
        """Give when a rule wants to look again, in seconds after T0."""
        return [answer.at - T0 for answer in self._answers(kind, subject, now) if isinstance(answer, LookAgain)]

    def kinds(self, subject: Ref, now: float = T0 + 60) -> dict[str, Verdict]:
        """Give all that any rule sees on an object: the verdict by kind."""
        rules = (rule for rule in all_rules().values() if subject.kind in rule.subjects)
        found = ((rule.kind, self.ask(rule.kind, subject, now)) for rule in rules)
        return {kind: findings[0].verdict for kind, findings in found if findings}

    def _answers(self, kind: str, subject: Ref, now: float) -> list[Finding | LookAgain]:
        return list(all_rules()[kind].recognise(subject, self.state, now))


def container(name: str = "nim", image: str = "nvcr.io/nim/llm:1", **more: Any) -> Mapping[str, Any]:
    """Give a container's specification."""
    return {"name": name, "image": image, **more}


def limits(**amounts: str) -> Mapping[str, Any]:
    """Give a container with limits; `gpu` stands for nvidia.com/gpu."""
    named = {("nvidia.com/gpu" if name == "gpu" else name): amount for name, amount in amounts.items()}
    return container(resources={"limits": named, "requests": named})


def pending(reason: str = "", message: str = "", name: str = "nim", **more: Any) -> Mapping[str, Any]:
    """Give the status of a pod whose container waits."""
    waiting = {"waiting": {"reason": reason or "ContainerCreating", "message": message}}
    return {"phase": "Pending", "containerStatuses": [{"name": name, "state": waiting, "ready": False, **more}]}


def running(since: float = T0, *, ready: bool = True, name: str = "nim", **more: Any) -> Mapping[str, Any]:
    """Give the status of a pod whose container runs."""
    state = {"running": {"startedAt": when(since)}}
    return {"phase": "Running", "containerStatuses": [{"name": name, "state": state, "ready": ready, **more}]}


def died(
    code: int, *, at: float, reason: str = "Error", ran: float = 1.0, message: str = ""
) -> Mapping[str, Mapping[str, Any]]:
    """Give a container state that has ended."""
    times = {"startedAt": when(at - ran), "finishedAt": when(at)}
    return {"terminated": {"exitCode": code, "reason": reason, "message": message, **times}}


def crashed(
    code: int, *, restarts: int, at: float = T0 + 10, waiting: bool = True, init: bool = False, **more: Any
) -> Mapping[str, Any]:
    """Give the status of a pod whose container crashed, and waits to be started again or has just ended."""
    ended_state = died(code, at=at, **more)
    back_off = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container=nim"}}
    entry = {
        "name": "nim",
        "ready": False,
        "restartCount": restarts,
        "state": back_off if waiting else ended_state,
        "lastState": ended_state if waiting else {},
    }
    field = "initContainerStatuses" if init else "containerStatuses"
    return {"phase": "Pending" if init else "Running", field: [entry]}


def unschedulable(message: str, *, at: float = T0) -> Mapping[str, Any]:
    """Give the status of a pod that the scheduler cannot place."""
    said = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
        "lastTransitionTime": when(at),
    }
    return {"phase": "Pending", "conditions": [said]}


def owned(world: World, *, ready: int = 0, revisions: Sequence[int] = (1,), **status: Any) -> list[Ref]:
    """Put a Deployment in with a ReplicaSet for each revision, and give the ReplicaSets."""
    above = world.put("Deployment", "nim", spec={"replicas": 1}, status=status)
    return [
        world.put(
            "ReplicaSet",
            f"nim-{revision}",
            owner=above,
            spec={"replicas": 1},
            status={"replicas": 1, "readyReplicas": ready},
            revision=str(revision),
        )
        for revision in revisions
    ]
