"""helm is to install a release whose name is taken.

Signal: a phase that failed has said at its end `cannot re-use a name that is still in use` (helm 3) or `cannot reuse a
name that is still in use` (helm 4).

Near misses: an operation on the release that is still going on (helm-locked); an object, not a release, that exists
already (object-exists); an install that the phase got over by an upgrade.

Verdict: terminal.

Fix: `helm upgrade --install` instead of `helm install`; or another name, or uninstall the old release first.

Source: helm 3 and 4.
"""

from __future__ import annotations

import re

from nimble_watch.rules._printed import Told, printed_rule, said_by_tool

_WORDING = re.compile(r"cannot re-?use a name that is still in use")


def _read(text: str) -> Told | None:
    if _WORDING.search(text) is None:
        return None
    return Told(
        summary="the release's name is taken",
        cause="A release of that name is in the namespace, perhaps one that failed; helm install makes new ones only.",
        fix="Use helm upgrade --install, which makes or changes it; or uninstall what is there.",
        command="helm list --all-namespaces",
        signature="name",
    )


says = said_by_tool(_read)
RULE = printed_rule("helm-name-in-use", "deployment-failure", 9, _read)
