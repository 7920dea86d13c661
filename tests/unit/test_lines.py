"""What did not change between a pod's versions is kept once, and nothing passes the door uncleaned for that."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nimble_watch.cluster.lines import Change, Lines
from nimble_watch.objects import Pod

Json = dict[str, Any]
OWNER = [{"kind": "ReplicaSet", "name": "nim", "uid": "rs-1", "controller": True}]


def body(uid: str = "pod-1", *, node: str = "10.0.0.1", message: str = "", owned: bool = True, **meta: Any) -> Json:
    ready = {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": message}
    return {
        "metadata": {
            "name": f"nim-{uid}",
            "namespace": "nim",
            "uid": uid,
            "labels": {"app": "nim"},
            "ownerReferences": OWNER if owned else [],
            "managedFields": [{"manager": "kubectl", "operation": "Update", "time": "2026-08-03T06:00:00Z"}],
            **meta,
        },
        "spec": {
            "nodeName": node,
            "containers": [{"name": "nim", "image": "nvcr.io/nim:1"}],
            "volumes": [
                {"name": f"token-{uid}", "projected": {"sources": []}},
                {"name": "cache", "persistentVolumeClaim": {"claimName": "cache"}},
            ],
        },
        "status": {"phase": "Pending", "conditions": [ready]},
    }


def read(lines: Lines, thing: Json, word: str = "MODIFIED") -> Pod:
    said = lines.line(json.dumps({"type": word, "object": thing}).encode())
    assert isinstance(said, Change)
    assert isinstance(said.object, Pod)
    return said.object


def test_a_next_version_shares_what_did_not_change() -> None:
    lines = Lines("Pod")
    first = read(lines, body(), "ADDED")
    then = read(lines, body(message="not yet"))
    assert then.spec is first.spec
    assert then.metadata.labels is first.metadata.labels
    assert then.metadata.owner_references is first.metadata.owner_references
    assert then.status.conditions is not None
    assert then.status.conditions[0].message == "not yet"


def test_a_specification_that_changed_is_the_new_one() -> None:
    lines = Lines("Pod")
    first = read(lines, body(node=""), "ADDED")
    bound = read(lines, body(node="10.0.0.7"))
    assert (first.spec.node_name, bound.spec.node_name) == ("", "10.0.0.7")
    assert bound.spec.containers is first.spec.containers


def test_replicas_share_what_is_equal_and_keep_only_volumes_that_depend_on_something() -> None:
    lines = Lines("Pod")
    one, other = read(lines, body("pod-1"), "ADDED"), read(lines, body("pod-2"), "ADDED")
    assert one.spec.containers is other.spec.containers
    assert [volume.name for volume in one.spec.volumes or ()] == ["cache"]
    assert one.spec.volumes is other.spec.volumes
    assert (one.metadata.name, other.metadata.name) == ("nim-pod-1", "nim-pod-2")


@pytest.mark.parametrize("owned", [True, False])
def test_who_changed_a_pod_is_known_where_no_controller_made_it(owned: bool) -> None:
    lines = Lines("Pod")
    for _ in range(2):
        fields = read(lines, body(owned=owned)).metadata.managed_fields
        assert [entry.manager for entry in fields or ()] == ([] if owned else ["kubectl"])
    page = lines.page(json.dumps({"metadata": {}, "items": [body("pod-3", owned=owned)]}).encode())
    assert bool(page.objects[0].metadata.managed_fields) is not owned


def test_no_version_of_a_pod_passes_uncleaned() -> None:
    lines = Lines("Pod")
    told = "password=hunter2hunter2"
    for word in ("ADDED", "MODIFIED", "MODIFIED"):
        pod = read(lines, body(message=f"failed: {told}", annotations={"meta.helm.sh/release-name": "a\x1bb"}), word)
        assert pod.status.conditions is not None
        assert told not in (pod.status.conditions[0].message or "")
        assert pod.metadata.annotations is not None
        assert pod.metadata.annotations.release_name == "a^[b"


def test_a_pod_that_went_is_forgotten_and_may_come_back() -> None:
    lines = Lines("Pod")
    first = read(lines, body(), "ADDED")
    lines.forget(first)
    again = read(lines, body(), "ADDED")
    assert again == first
    assert again.spec is not first.spec
    lines.forget_all_but({"another"})
    assert read(lines, body(), "ADDED").spec is not again.spec


def test_a_specification_that_is_none_is_not_understood() -> None:
    thing = body()
    thing["spec"] = None
    assert Lines("Pod").line(json.dumps({"type": "ADDED", "object": thing}).encode()) is None
