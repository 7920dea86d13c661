"""What a person, or a test, can set about watching."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Which cluster, and how patient to be; times are seconds.

    `kubeconfig` "" means $KUBECONFIG, then ~/.kube/config, then the service account of the pod we run in; several files
    are separated by a colon.  `read_timeout` must outlast the API server's minute between two bookmarks twice over: one
    of them was seen to come after 121 s.
    """

    kubeconfig: str = ""
    context: str = ""
    connect_timeout: float = 5.0
    read_timeout: float = 150.0
    backoff_least: float = 0.1
    backoff_most: float = 30.0
    forbidden_pause: float = 60.0
    """How long a refused right, or an API that is not there, is left alone before asking again."""
    stagger: float = 0.03
    """Between the first lists of two kinds: an API server meters them by size."""
    look_for_kubeconfig: float = 2.0
    """How often a missing or broken kubeconfig is looked at again; with a cluster in sight nothing is polled."""
    plugin_timeout: float = 20.0
