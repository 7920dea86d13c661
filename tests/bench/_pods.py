"""The lives of pods as lines of a watch: what an API server sends while deployments of many teams start and restart.

No two pods are alike, as in a cluster: names, uids, addresses, nodes, token volumes, times and digests are each pod's
own; images, settings, labels and annotations those of its workload, of which there are many.  Every version of a pod is
whole, with managed fields of the size that the API server writes, and differs from the one before it as a kubelet's or
scheduler's next word does.  Everything follows from the numbers, so each reader and each run gets the same bytes.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]

_BEGAN = datetime(2026, 8, 3, 6, 0, tzinfo=UTC)
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # of which the API server makes names
_TEAMS = 20
_NODES = 200
_REGISTRIES = ("nvcr.io/nim/meta", "iad.ocir.io/tenancy/serving", "ghcr.io/example", "docker.io/library")
_MODELS = (
    "llama-3.1-8b-instruct",
    "llama-3.3-70b-instruct",
    "gateway",
    "embedder",
    "redis",
    "worker",
    "web",
    "etl-job",
)
_MANAGERS = ("kube-controller-manager", "kube-scheduler", "kubelet")
_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
_BACK_OFF = (
    'Back-off pulling image "{image}": ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack'
)
_CRASHED = "back-off 20s restarting failed container={name} pod={pod}_{space}({uid})"


class Workload:
    """What the pods of one workload share."""

    def __init__(self, number: int, containers: int) -> None:
        self._chance = random.Random(f"workload {number}")  # noqa: S311  varied, not secret
        chance = self._chance
        self.number, self.replicas = number, chance.choice((1, 1, 2, 3, 4, 6, 10, 24))
        self.team = f"team-{number % _TEAMS}"
        model = chance.choice(_MODELS)
        self.hash = _letters(chance, 10)
        self.name = f"{model.partition('-')[0]}-{_letters(chance, 4)}-{self.hash}"
        self.uid = _uid(chance)
        self.labels = {
            "app.kubernetes.io/name": model, "app.kubernetes.io/instance": f"release-{number}",
            "app.kubernetes.io/part-of": self.team, "pod-template-hash": self.hash,
        }  # fmt: skip
        self.notes: Json = {} if number % 3 else {"checksum/config": f"{chance.getrandbits(256):064x}"}
        if number % 4 == 1:
            self.notes |= {"prometheus.io/scrape": "true", "prometheus.io/port": str(8000 + number % 9)}
        if number % 5 == 2:
            self.notes["kubectl.kubernetes.io/restartedAt"] = _time(number * 7.0)
        self.gpu = model.startswith("llama")
        self.containers = [self._container(model, at, fields=2 if containers == 1 else 14) for at in range(containers)]
        # The API server's record of who set which field is as large as the rest of a pod together.
        self.fields = 3 if containers == 1 else 62

    def _container(self, model: str, at: int, fields: int) -> Json:
        chance = self._chance
        image = f"{chance.choice(_REGISTRIES)}/{model}:{chance.randrange(1, 4)}.{chance.randrange(12)}.{at}"
        quantity = {"cpu": f"{chance.choice((250, 500, 2000, 8000))}m", "memory": f"{chance.choice((1, 4, 32))}Gi"}
        if self.gpu and not at:
            quantity["nvidia.com/gpu"] = str(chance.choice((1, 1, 2, 8)))
        env: list[Json] = [{"name": f"SETTING_{n}", "value": _letters(chance, 12)} for n in range(fields)]
        key = {"name": f"keys-{_letters(chance, 4)}", "key": "NGC_API_KEY"}
        env.append({"name": "NGC_API_KEY", "valueFrom": {"secretKeyRef": key}})
        probe = {"httpGet": {"path": "/v1/health/ready", "port": 8000, "scheme": "HTTP"}, "timeoutSeconds": 1,
                 "periodSeconds": chance.choice((5, 10, 30)), "successThreshold": 1, "failureThreshold": 3}  # fmt: skip
        return {
            "name": "app" if not at else f"sidecar-{at}", "image": image, "env": env,
            "ports": [{"name": "http", "containerPort": 8000 + at, "protocol": "TCP"}],
            "resources": {"limits": quantity, "requests": quantity},
            "startupProbe": {**probe, "failureThreshold": 180}, "readinessProbe": probe,
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "imagePullPolicy": "IfNotPresent",
        }  # fmt: skip


class Pod:
    """One pod: who it is, and each of its versions."""

    def __init__(self, number: int, workload: Workload) -> None:
        chance = random.Random(f"pod {number}")  # noqa: S311  varied, not secret
        self._of = workload
        self._fate = chance.choice(("well",) * 8 + ("no image", "crash"))
        self._name = f"{workload.name}-{_letters(chance, 5)}"
        self._uid = _uid(chance)
        self._token = f"kube-api-access-{_letters(chance, 5)}"
        self._node = f"10.0.10.{chance.randrange(_NODES)}"
        self._ip = f"10.244.{chance.randrange(256)}.{chance.randrange(2, 255)}"
        self._ids = [f"{chance.getrandbits(256):064x}" for _ in workload.containers]
        self.born = number * 0.4
        # created, bound, told to start, running or failing, ready or failing again, and so on while it lives
        delays = (0.0, 0.02, 0.9, 3 + chance.random() * 20, 30 + chance.random() * 60, 90 + chance.random() * 60)
        self.times = [self.born + delay for delay in delays]

    def version(self, step: int, word: str, number: int) -> bytes:
        """Give the line of a watch that brings the pod as it is at a step of its life."""
        when = _time(self.times[min(step, len(self.times) - 1)])
        pod = {
            "kind": "Pod", "apiVersion": "v1", "metadata": self._meta(step, when, number), "spec": self._spec(step),
            "status": self._status(step, when),
        }  # fmt: skip
        return json.dumps({"type": word, "object": pod}, separators=(",", ":")).encode() + b"\n"

    def _meta(self, step: int, when: str, number: int) -> Json:
        of = self._of
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": of.name, "uid": of.uid, "controller": True,
                 "blockOwnerDeletion": True}  # fmt: skip
        parts: Json = {f"f:field{n:02d}": {} for n in range(of.fields)}
        managed: list[Json] = [
            {
                "manager": manager, "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
                "time": _time(self.born) if at < 2 else when,
                "fieldsV1": {"f:spec": {"f:containers": {'k:{"name":"app"}': parts}}} if at != 1 else {"f:status": {}},
                **({"subresource": "status"} if at == 2 else {}),
            }
            for at, manager in enumerate(_MANAGERS[: 1 + min(step, 2)])
        ]  # fmt: skip
        return {
            "name": self._name, "generateName": f"{of.name}-", "namespace": of.team, "uid": self._uid,
            "resourceVersion": str(814_000 + number), "generation": 1, "creationTimestamp": _time(self.born),
            "labels": of.labels, **({"annotations": of.notes} if of.notes else {}), "ownerReferences": [owner],
            "managedFields": managed,
        }  # fmt: skip

    def _spec(self, step: int) -> Json:
        mounts = [{"name": "cache", "mountPath": "/opt/cache"},
                  {"name": self._token, "mountPath": "/run/secrets/kubernetes.io/serviceaccount"}]  # fmt: skip
        sources = [{"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                   {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca", "path": "ca"}]}}]  # fmt: skip
        spec = {
            "volumes": [{"name": "cache", "persistentVolumeClaim": {"claimName": f"cache-{self._of.hash}"}},
                        {"name": self._token, "projected": {"sources": sources, "defaultMode": 420}}],
            "containers": [{**one, "volumeMounts": mounts} for one in self._of.containers],
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "default", "serviceAccount": "default", "securityContext": {},
            "imagePullSecrets": [{"name": "ngc-secret"}], "schedulerName": "default-scheduler",
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
                            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
                             "tolerationSeconds": 300}],
            "priority": 0, "enableServiceLinks": True, "preemptionPolicy": "PreemptLowerPriority",
        }  # fmt: skip
        return {**spec, "nodeName": self._node} if step else spec

    def _status(self, step: int, when: str) -> Json:
        if not step:
            return {"phase": "Pending", "qosClass": "Burstable"}
        ill = self._fate != "well"
        ready = step >= 4 and not ill
        born = _time(self.times[1])
        good = {"PodScheduled", "Initialized"} | ({"PodReadyToStartContainers"} if step >= 3 else set())
        good |= {"Ready", "ContainersReady"} if ready else set()
        why = {"reason": "ContainersNotReady", "message": "containers with unready status: [app]"}
        conditions = [
            {"type": kind, "status": "True" if kind in good else "False", "lastProbeTime": None,
             "lastTransitionTime": when if kind in ("Ready", "ContainersReady") else born,
             **({} if kind in good or kind.startswith("PodReady") else why)}
            for kind in (_CONDITIONS if step > 1 else _CONDITIONS[-1:])
        ]  # fmt: skip
        status: Json = {"phase": "Running" if step >= 3 and self._fate != "no image" else "Pending",
                        "conditions": conditions}  # fmt: skip
        if step == 1:
            return {**status, "qosClass": "Burstable"}
        if step >= 3:
            status |= {"podIP": self._ip, "podIPs": [{"ip": self._ip}]}
        return {
            **status, "hostIP": self._node, "hostIPs": [{"ip": self._node}], "startTime": born,
            "containerStatuses": [self._container(at, one, step, when, ready=ready)
                                  for at, one in enumerate(self._of.containers)],
            "qosClass": "Burstable",
        }  # fmt: skip

    def _container(self, at: int, one: Json, step: int, when: str, *, ready: bool) -> Json:
        state: Json = {"running": {"startedAt": _time(self.times[3])}}
        last: Json = {}
        identity = self._ids[at]
        if step < 3:
            state = {"waiting": {"reason": "ContainerCreating"}}
        elif self._fate == "no image":
            back_off = {"reason": "ImagePullBackOff", "message": _BACK_OFF.format(image=one["image"])}
            state = {"waiting": back_off if step % 2 else {**back_off, "reason": "ErrImagePull"}}
        elif self._fate == "crash":
            end = {"exitCode": 1, "reason": "Error", "startedAt": when, "finishedAt": when,
                   "containerID": f"containerd://{identity}"}  # fmt: skip
            last = {"terminated": end} if step > 3 else {}
            said = _CRASHED.format(name=one["name"], pod=self._name, space=self._of.team, uid=self._uid)
            state = {"waiting": {"reason": "CrashLoopBackOff", "message": said}} if step % 2 else state
        started = step >= 3 and "running" in state
        return {
            "name": one["name"], "state": state, "lastState": last, "ready": ready, "started": started,
            "restartCount": max(0, step - 3) if self._fate == "crash" else 0, "image": one["image"],
            "imageID": f"{one['image'].partition(':')[0]}@sha256:{identity[::-1]}" if started else "",
            **({"containerID": f"containerd://{identity}"} if started else {}),
        }  # fmt: skip


def pods(count: int, containers: int) -> list[Pod]:
    """Give so many pods, those of a workload one after another."""
    made: list[Pod] = []
    number = 0
    while len(made) < count:
        workload = Workload(number, containers)
        number += 1
        made += [Pod(len(made) + at, workload) for at in range(min(workload.replicas, count - len(made)))]
    return made


def lives(count: int, containers: int) -> list[bytes]:
    """Give the lines of a watch while so many pods come, start and stay (or one in ten: go), in order of time."""
    made = pods(count, containers)
    steps = sorted((at, number, step) for number, pod in enumerate(made) for step, at in enumerate(pod.times))
    words = ["ADDED", *["MODIFIED"] * 5]
    lines = [made[number].version(step, words[step], order) for order, (_, number, step) in enumerate(steps)]
    gone = [pod.version(5, "DELETED", len(lines) + at) for at, pod in enumerate(made[::10])]
    return lines + gone


def standing(count: int, containers: int) -> list[bytes]:
    """Give the lines of a first picture of so many pods that have long started."""
    return [pod.version(4, "ADDED", number) for number, pod in enumerate(pods(count, containers))]


def going_on(count: int, containers: int, rounds: int) -> list[bytes]:
    """Give the lines that follow such a picture: every pod changes so many times."""
    made = pods(count, containers)
    return [
        pod.version(5 + turn, "MODIFIED", (turn + 1) * count + number)
        for turn in range(rounds)
        for number, pod in enumerate(made)
    ]


def _letters(chance: random.Random, count: int) -> str:
    return "".join(chance.choices(_ALPHABET, k=count))


def _uid(chance: random.Random) -> str:
    text = f"{chance.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def _time(seconds: float) -> str:
    return (_BEGAN + timedelta(seconds=int(seconds))).strftime("%Y-%m-%dT%H:%M:%SZ")
