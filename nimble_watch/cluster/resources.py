"""Where the kinds that are watched live in the API."""

from __future__ import annotations

from typing import NamedTuple

from nimble_watch.objects import STRUCTS


class Resource(NamedTuple):
    """A kind's API group and plural; `everywhere` marks kinds that have no namespace."""

    group: str
    plural: str
    everywhere: bool = False

    def path(self, namespace: str) -> str:
        """Give the path of the collection, of all namespaces when `namespace` is empty."""
        return f"{self.group}/namespaces/{namespace}/{self.plural}" if namespace else f"{self.group}/{self.plural}"


# In the order in which their first lists are asked for: what explains most comes first.
RESOURCES: dict[str, Resource] = {
    "Pod": Resource("/api/v1", "pods"),
    "Event": Resource("/api/v1", "events"),
    "Node": Resource("/api/v1", "nodes", everywhere=True),
    "ReplicaSet": Resource("/apis/apps/v1", "replicasets"),
    "Deployment": Resource("/apis/apps/v1", "deployments"),
    "StatefulSet": Resource("/apis/apps/v1", "statefulsets"),
    "DaemonSet": Resource("/apis/apps/v1", "daemonsets"),
    "Job": Resource("/apis/batch/v1", "jobs"),
    "PersistentVolumeClaim": Resource("/api/v1", "persistentvolumeclaims"),
    "Service": Resource("/api/v1", "services"),
}
if RESOURCES.keys() != STRUCTS.keys():  # a kind with a struct but no place would silently never be watched
    raise AssertionError(f"kinds without a place in the API: {sorted(RESOURCES.keys() ^ STRUCTS.keys())}")
