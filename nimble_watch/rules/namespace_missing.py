"""The phase works in a namespace that does not exist, or that is just being deleted.

Signal: a phase that failed has said at its end `namespaces "x" not found`, `the server could not find the requested
resource (post secrets)`, or `unable to create new content in namespace x because it is being terminated`.

Near misses: a look whether the namespace is there (`kubectl get namespace x || kubectl create namespace x`), a clean-up
that finds nothing to delete; a namespace named in a log.

Verdict: terminal: the command has ended, and nothing else makes it.

Fix: create it, or have helm do so (--create-namespace); one that goes away must be gone first.

Source: API server, kubectl 1.20 to 1.36, helm 3 and 4.
"""

from __future__ import annotations

import re

from nimble_watch.rules._printed import Told, printed_rule, said_by_tool

_MISSING = re.compile(r'namespaces? "(?P<name>[^"]+)" not found')
_POST = re.compile(r"could not find the requested resource \(post [a-z]+\)")
_GOING = re.compile(r"in namespace (?P<name>\S+) because it is being terminated")


def _read(text: str) -> Told | None:
    if (found := _GOING.search(text)) is not None:
        name = found["name"]
        return Told(
            summary=f"namespace {name} is being deleted",
            cause=f"Namespace {name} takes nothing new until it is gone.",
            fix=f"Wait until namespace {name} is gone, then create it anew.",
            command=f"kubectl wait --for=delete namespace/{name} --timeout=120s",
            signature=f"{name} going",
        )
    found = _MISSING.search(text)
    if found is None and _POST.search(text) is None:
        return None
    name = found["name"] if found is not None else ""
    return Told(
        summary=f"namespace {name} does not exist" if name else "the namespace does not exist",
        cause="The phase puts objects into a namespace that is not there.",
        fix="Create the namespace first; helm does it itself with --create-namespace.",
        command=f"kubectl create namespace {name or 'NAME'}",
        signature=name,
    )


says = said_by_tool(_read)
RULE = printed_rule("namespace-missing", "config-error", 9, _read)
