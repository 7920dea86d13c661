"""A command waited for objects that were not there yet, and so did not wait at all.

Signal: a phase that failed has said at its end `error: no matching resources found`, as kubectl wait does when nothing
fits its labels at the moment in which it starts.

Near misses: a loop that tries until there is something; a wait whose time ran out (helm-timeout).

Verdict: terminal; a symptom, replaced by whatever kept the objects from being made.

Fix: wait until they exist first: `kubectl wait --for=create`, or `kubectl rollout status` on their owner.

Source: kubectl 1.20 to 1.36; --for=create since 1.31.
"""

from __future__ import annotations

import re

from nimble_watch.rules._printed import Told, printed_rule, said_by_tool

_WORDING = re.compile(r"^\s*(?:error: )?no matching resources found", re.MULTILINE)


def _read(text: str) -> Told | None:
    if _WORDING.search(text) is None:
        return None
    return Told(
        summary="the command waited for nothing: no object fitted",
        cause="kubectl wait looks once what fits its labels, and nothing did: not made yet, or the labels are others.",
        fix="Wait for the owner (kubectl rollout status deployment/NAME), or first with --for=create.",
        command="kubectl get pods --show-labels",
        signature="race",
    )


says = said_by_tool(_read)
RULE = printed_rule("command-race", "workflow-failure", 70, _read)
