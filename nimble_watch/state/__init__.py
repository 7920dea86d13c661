"""Cluster state: what is known now, kept up to date signal by signal.

This is the only place that reads raw Kubernetes objects together; rules ask it named questions.  Each signal costs the
same however large the cluster is: indexes are updated for the one object that changed, and `apply` answers with the
objects whose judgement may have changed with it, so nobody ever walks over all of them.
"""

from __future__ import annotations

from nimble_watch.state.cluster import ClusterState
from nimble_watch.state.phase import Phase
from nimble_watch.state.pods import GPU, claim_names, gpus_allocatable, gpus_wanted, unscheduled_since
from nimble_watch.state.sight import LISTING

__all__ = [
    "GPU",
    "LISTING",
    "ClusterState",
    "Phase",
    "claim_names",
    "gpus_allocatable",
    "gpus_wanted",
    "unscheduled_since",
]
