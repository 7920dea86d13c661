"""What the scheduler says about a pod it cannot place, taken apart.

The scheduler names, per node, the first filter that refused it, and runs its filters in a fixed order; so the reason
that stands latest in that order comes from the nodes that got furthest.  Taint names left the message with Kubernetes
1.34 (kubernetes/kubernetes#134740, `node(s) had untolerated taint(s)`), so taints are read from the nodes.
"""

from __future__ import annotations

import re
from enum import IntEnum

from nimble_watch.rules._said import Said


class Stage(IntEnum):
    """The scheduler's filters in the order in which they run."""

    CORDONED = 1
    CONDITION_TAINT = 2
    TAINT = 3
    AFFINITY = 4
    PORTS = 5
    RESOURCES = 6
    GPU = 7
    VOLUME_LIMIT = 8
    VOLUME_ZONE = 9
    CLAIM = 10
    PLACEMENT = 11
    OTHER = 12


_PATTERNS: tuple[tuple[Stage, re.Pattern[str]], ...] = tuple(
    (stage, re.compile(pattern))
    for stage, pattern in (
        (Stage.CORDONED, r"node\(s\) were unschedulable"),
        (
            Stage.CONDITION_TAINT,
            (
                r"had (?:untolerated )?taints? \{(?:node\.kubernetes\.io/"
                r"(?:not-ready|unreachable|(?:memory|disk|pid)-pressure"
                r"|network-unavailable|unschedulable|out-of-service)|node\.cloudprovider\.kubernetes\.io/uninitialized)"
            ),
        ),
        (
            Stage.TAINT,
            (
                r"had (?:untolerated )?taint(?:\(s\)|s)?(?! \{node\.(?:cloudprovider\.)?kubernetes\.io/)"
                r"|PodToleratesNodeTaints"
            ),
        ),
        (Stage.AFFINITY, r"didn't match (?:Pod's )?node (?:affinity/)?(?:selector|affinity)|MatchNodeSelector"),
        (Stage.PORTS, r"didn't have free ports"),
        (Stage.RESOURCES, r"Insufficient (?:cpu|memory|ephemeral-storage|hugepages-\w+)"),
        (Stage.GPU, r"Insufficient (?:nvidia|amd|gpu\.intel)\.com/"),
        (Stage.PORTS, r"Too many pods"),
        (Stage.VOLUME_LIMIT, r"exceed max volume count"),
        (Stage.VOLUME_ZONE, r"volume node affinity conflict|no available volume zone|had no available volume zone"),
        (Stage.CLAIM, r"unbound immediate PersistentVolumeClaims|didn't find available persistent volumes to bind"),
        (Stage.PLACEMENT, r"topology spread constraints|anti-affinity rules|pod affinity rules"),
        (
            Stage.OTHER,
            (r"cannot allocate all claims|resourceclaim|device class|persistentvolumeclaim \"|no nodes available"),
        ),
    )
)


_VERDICT = re.compile(r"nodes are available|unbound immediate PersistentVolumeClaims")


def furthest(message: str) -> Stage | None:
    """Give the reason that holds back the nodes that got furthest; None when the message gives none that is known."""
    refused = re.split(r"\bpreemption:", message, maxsplit=1)[0]
    found = [stage for stage, pattern in _PATTERNS if pattern.search(refused)]
    return max(found, default=None)


def said_stage(said: Said) -> Stage | None:
    """Give the same of a lone message, if it is the scheduler's verdict on a pod."""
    if said.where == "event" and said.reason not in ("FailedScheduling", ""):
        return None
    if said.where == "condition" and said.reason not in ("Unschedulable", ""):
        return None
    if not _VERDICT.search(said.message):
        return None
    return furthest(said.message)
