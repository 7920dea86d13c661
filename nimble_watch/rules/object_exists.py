"""The phase is to create what is there already, made by somebody else or by an earlier run.

Signal: a phase that failed has said at its end `Error from server (AlreadyExists): ... already exists`, `failed to
create deployment: ... already exists`, or helm's `exists and cannot be imported into the current release: invalid
ownership metadata`.

Near misses: a create that the phase got over (`|| true`, or an apply after it); a release whose name is taken
(helm-name-in-use).

Verdict: terminal.

Fix: apply instead of create; for helm, delete the object or let the release adopt it (--take-ownership).

Source: API server, kubectl 1.20 to 1.36, helm 3 and 4.
"""

from __future__ import annotations

import re

from nimble_watch.rules._printed import Told, printed_rule, said_by_tool

_HELM = re.compile(
    r'(?P<kind>[A-Z]\w+) "(?P<name>[^"]+)" in namespace "(?P<space>[^"]*)" exists and cannot be imported'
)
_CREATE = re.compile(
    r"(?:\(AlreadyExists\)|[Ff]ailed to create|FAILED).*?"
    r'(?P<kind>[a-z.]+\w) "(?P<name>[^"]+)" already exists'
)


def _read(text: str) -> Told | None:
    if (found := _HELM.search(text)) is not None:
        kind, name, at = found["kind"].lower(), found["name"], f" -n {found['space']}" if found["space"] else ""
        return Told(
            summary=f"{kind} {name} exists already and is not the release's",
            cause="The chart makes an object that is there already, made without this release.",
            fix="Delete it if nothing needs it, or let the release adopt it: helm upgrade --install --take-ownership.",
            command=f"kubectl get {kind} {name}{at} -o yaml --show-managed-fields",
            signature=f"{kind}/{name}",
        )
    if (found := _CREATE.search(text)) is None:
        return None
    kind, name = found["kind"], found["name"]
    return Told(
        summary=f"{kind} {name} exists already",
        cause="kubectl create makes new objects only, and an earlier run, or somebody else, made this one.",
        fix="Use kubectl apply, which makes or changes it; for a Secret: kubectl create ... --dry-run=client -o yaml | "
        "kubectl apply -f -",
        command=f"kubectl get {kind} {name}",
        signature=f"{kind}/{name}",
    )


says = said_by_tool(_read)
RULE = printed_rule("object-exists", "deployment-failure", 9, _read)
