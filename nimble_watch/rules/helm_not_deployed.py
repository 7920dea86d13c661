"""helm is to change a release that was never installed, or whose first install failed.

Signal: a phase that failed has said at its end `"nim" has no deployed releases`, `release: not found` or `release has
no 3 version`.

Near misses: an uninstall of what is not there that the phase got over; an install of a name that is taken
(helm-name-in-use).

Verdict: terminal.

Fix: `helm upgrade --install`; where a failed first install blocks that, uninstall it first.

Source: helm 3 and 4.
"""

from __future__ import annotations

import re

from nimble_watch.rules._printed import Told, printed_rule, said_by_tool

_WORDING = re.compile(
    r'"(?P<name>[^"]+)" has no deployed releases|(?:Release not loaded: (?P<lost>\S+): )?release: not found'
    r"|release has no (?P<revision>\d+) version"
)


def _read(text: str) -> Told | None:
    if (found := _WORDING.search(text)) is None:
        return None
    name = found["name"] or found["lost"] or ""
    if found["revision"]:
        summary = f"the release has no revision {found['revision']}"
    else:
        summary = f"release {name} is not deployed" if name else "the release is not deployed"
    return Told(
        summary=summary,
        cause="It was never installed in this namespace, was taken away, or its first install failed.",
        fix="Use helm upgrade --install; if a failed first install is in the way, helm uninstall it before.",
        command=f"helm history {name}" if name else "helm list --all-namespaces",
        signature=name,
    )


says = said_by_tool(_read)
RULE = printed_rule("helm-not-deployed", "deployment-failure", 9, _read)
