"""What a cloud brings, as small programs: they say what the real ones say, and do what an annotation tells them."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.desk import deployment
from tests.cluster.harness import Cluster, scripted, until

pytestmark = pytest.mark.cluster


def events(cluster: Cluster, namespace: str, name: str) -> dict[str, str]:
    """Give the newest message of each reason about an object."""
    listed = json.loads(
        cluster.kubectl(
            "get", "events", "-n", namespace, "--field-selector", f"involvedObject.name={name}", "-o", "json"
        )
    )
    return {event["reason"]: event["message"] for event in listed["items"]}


def service(name: str, **faults: object) -> dict[str, Any]:
    """Describe a Service with a load balancer in front of the pods of that app."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "annotations": scripted(**faults)},
        "spec": {"type": "LoadBalancer", "selector": {"app": name}, "ports": [{"port": 8000}]},
    }


def claim(name: str, **faults: object) -> dict[str, Any]:
    """Describe a claim for a block volume."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "annotations": scripted(**faults)},
        "spec": {
            "storageClassName": "oci-bv",
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "100Gi"}},
        },
    }


def serving(name: str, *, claim_name: str = "") -> dict[str, Any]:
    """Describe a Deployment whose pod answers on port 8000, with a volume if one is named."""
    made = deployment(name, image=f"nvcr.io/nim/{name}:1")
    spec = made["spec"]["template"]["spec"]
    spec["containers"][0]["ports"] = [{"containerPort": 8000}]
    if claim_name:
        spec["volumes"] = [{"name": "cache", "persistentVolumeClaim": {"claimName": claim_name}}]
        spec["containers"][0]["volumeMounts"] = [{"name": "cache", "mountPath": "/cache"}]
    return made


def test_a_load_balancer_gets_an_address_that_really_leads_to_a_pod(cluster: Cluster, namespace: str) -> None:
    cluster.apply(serving("web"), service("web"), namespace=namespace)
    cluster.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s")
    ingress = until(
        lambda: cluster.get("service", "web", namespace)["status"]["loadBalancer"].get("ingress"), "an address"
    )
    address = f"http://{ingress[0]['ip']}:8000/v1/models"

    def answer() -> Any:
        try:
            return json.load(urllib.request.urlopen(address, timeout=5))
        except OSError:
            return None

    assert until(answer, f"an answer of {address}")["data"]
    assert {"EnsuringLoadBalancer", "EnsuredLoadBalancer"} <= set(events(cluster, namespace, "web"))
    cluster.kubectl("delete", "service", "web", "-n", namespace, "--timeout=30s")
    assert answer() is None


def test_a_load_balancer_over_the_limit_says_what_oracle_says_and_comes_once_it_is_raised(
    cluster: Cluster, namespace: str
) -> None:
    cluster.apply(service("web", load_balancer="limit-exceeded"), namespace=namespace)
    said = until(lambda: events(cluster, namespace, "web").get("SyncLoadBalancerFailed", ""), "the failure")
    assert "lb-flexible-count" in said
    cluster.script("service", "web", namespace=namespace, load_balancer="ok")
    until(lambda: cluster.get("service", "web", namespace)["status"]["loadBalancer"].get("ingress"), "an address")


def test_a_volume_comes_with_its_first_consumer_and_goes_with_its_claim(cluster: Cluster, namespace: str) -> None:
    cluster.apply(claim("cache"), namespace=namespace)
    until(lambda: "WaitForFirstConsumer" in events(cluster, namespace, "cache"), "the wait for a consumer")
    cluster.apply(serving("web", claim_name="cache"), namespace=namespace)
    cluster.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s")
    volume = cluster.get("pvc", "cache", namespace)["spec"]["volumeName"]
    cluster.kubectl("delete", "deployment/web", "pvc/cache", "-n", namespace, "--timeout=60s")
    until(lambda: volume not in cluster.kubectl("get", "pv", "-o", "name"), "the end of the volume")


def test_a_volume_over_the_limit_says_what_oracle_says_and_comes_once_it_is_raised(
    cluster: Cluster, namespace: str
) -> None:
    cluster.apply(claim("cache", provision="limit-exceeded"), serving("web", claim_name="cache"), namespace=namespace)
    said = until(lambda: events(cluster, namespace, "cache").get("ProvisioningFailed", ""), "the failure")
    assert 'failed to provision volume with StorageClass "oci-bv"' in said
    cluster.script("pvc", "cache", namespace=namespace, provision="ok")
    cluster.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s")


@pytest.fixture
def pools(cluster: Cluster) -> Iterator[Any]:
    """Give a function that configures the autoscaler; it and its nodes are gone afterwards."""
    before = set(cluster.kubectl("get", "nodes", "-o", "name").split())

    def configure(*described: dict[str, object]) -> None:
        data = {"pools": json.dumps(described)}
        cluster.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "scripted-autoscaler"}, "data": data},
            namespace="kube-system",
        )

    yield configure
    cluster.kubectl("delete", "configmap", "scripted-autoscaler", "-n", "kube-system", "--ignore-not-found")
    for node in set(cluster.kubectl("get", "nodes", "-o", "name").split()) - before:
        cluster.remove_node(node.removeprefix("node/"))


def wanting(name: str, gpus: int) -> dict[str, Any]:
    """Describe a Deployment that only a node of a pool called fresh can take."""
    made = deployment(name, gpus=gpus, image=f"nvcr.io/nim/{name}:1")
    made["spec"]["template"]["spec"]["nodeSelector"] = {"oke.oraclecloud.com/pool.name": "fresh"}
    return made


def pod_of(cluster: Cluster, namespace: str, name: str) -> str:
    """Give the name of a Deployment's pod."""

    def named() -> str:
        return cluster.kubectl("get", "pods", "-n", namespace, "-l", f"app={name}", "-o", "name").strip()

    return str(until(named, f"the pod of {name}")).removeprefix("pod/")


def test_the_autoscaler_orders_a_node_and_the_pod_runs_there(cluster: Cluster, namespace: str, pools: Any) -> None:
    pools({"name": "fresh", "shape": "a10-1", "max": 1, "delaySeconds": 1, "outcome": "node"})
    cluster.apply(wanting("late", 1), namespace=namespace)
    pod = pod_of(cluster, namespace, "late")
    said = until(lambda: events(cluster, namespace, pod).get("TriggeredScaleUp", ""), "the order")
    assert "0->1 (max: 1)" in said
    cluster.kubectl("rollout", "status", "deployment/late", "-n", namespace, "--timeout=90s")


def test_the_autoscaler_says_why_it_orders_nothing(cluster: Cluster, namespace: str, pools: Any) -> None:
    pools(
        {"name": "fresh", "shape": "a10-1", "max": 0, "delaySeconds": 0, "outcome": "node"},
        {"name": "other", "shape": "cpu", "max": 9, "delaySeconds": 0, "outcome": "node"},
    )
    cluster.apply(wanting("never", 1), namespace=namespace)
    pod = pod_of(cluster, namespace, "never")
    said = until(lambda: events(cluster, namespace, pod).get("NotTriggerScaleUp", ""), "the refusal")
    assert "1 max node group size reached" in said
    assert "1 node(s) didn't match Pod's node affinity/selector" in said
