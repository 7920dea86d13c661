"""Containers that cannot be created because something they are configured from is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nimble_watch.findings import LookAgain
from nimble_watch.objects import Ref
from nimble_watch.rules._pods import container_of, first_said, live, parts
from nimble_watch.rules._said import Said
from nimble_watch.state import ClusterState

_HOLD = 2.0
_STATE = "CreateContainerConfigError"
_PREFIX = "Error: "


def unconfigured(subject: Ref, state: ClusterState) -> Iterator[tuple[str, str, float]]:
    """Give the containers that cannot be configured: which, in the kubelet's words, since when (epoch seconds).

    The event comes as early as the status and does not say that its trouble is over, so the status decides; the event
    alone counts only before the status has said anything else.
    """
    pod = live(state, subject)
    if pod is None:
        return
    for part in parts(pod):
        if part.waiting == _STATE:
            text = part.waiting_message
            yield part.name, text, first_said(state, subject, text, pod)
        elif part.status is None or part.waiting in ("", "ContainerCreating", "PodInitializing"):
            if part.running_since is not None or part.death is not None:
                continue
            told = [event for event in state.events(subject) if container_of(event) == part.name]
            if told and told[0].reason == "Failed" and told[0].message.startswith(_PREFIX):
                yield part.name, told[0].message, told[0].first_at


def lacking(
    subject: Ref, state: ClusterState, now: float, wording: re.Pattern[str]
) -> Iterator[tuple[str, re.Match[str], float] | LookAgain]:
    """Give the containers that cannot be configured in these words: which, the words, since when.

    What a container lacks may come a moment after it, so nothing is said in the first two seconds.
    """
    for container, text, since in unconfigured(subject, state):
        found = wording.search(text)
        if found is None:
            continue
        if now < since + _HOLD:
            yield LookAgain(since + _HOLD)
        else:
            yield container, found, since


def said_config(said: Said, wording: re.Pattern[str]) -> bool:
    """Tell whether a lone message is the kubelet's word on such a container."""
    if said.where == "waiting" and said.reason not in (_STATE, ""):
        return False
    if said.where == "event" and said.reason not in ("Failed", ""):
        return False
    if said.where in ("terminated", "condition", "log"):
        return False
    if said.where == "output":  # a table of events, as `kubectl describe` prints it
        _, told, text = said.message.rpartition(_PREFIX)
        return bool(told) and wording.match(text) is not None
    return wording.match(said.message.removeprefix(_PREFIX)) is not None
