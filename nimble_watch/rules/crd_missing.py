"""The cluster does not know a kind of object that the phase uses: its CustomResourceDefinition is not installed.

Signal: a phase that failed has said at its end `no matches for kind "NIMService" in version "..."` or `the server
doesn't have a resource type "x"`.

Near misses: a look whether the kind is there that the phase got over; a kind that comes with the first part of the same
apply and is known at the second try.

Verdict: terminal: the command has ended.

Fix: install the operator that brings it; or use the version of the API that this cluster has.

Source: kubectl 1.20 to 1.36, helm 3 and 4.
"""

from __future__ import annotations

import re

from nimble_watch.rules._printed import Told, printed_rule, said_by_tool

_KIND = re.compile(r'no matches for kind "(?P<kind>[^"]+)" in (?:version|group) "(?P<version>[^"]+)"')
_TYPE = re.compile(r'server doesn\'t have a resource type "(?P<type>[^"]+)"')


def _read(text: str) -> Told | None:
    if (found := _KIND.search(text)) is not None:
        group = found["version"].rpartition("/")[0] or found["version"]
        return Told(
            summary=f"the cluster does not know the kind {found['kind']} ({found['version']})",
            cause=f"No CustomResourceDefinition for {found['kind']} in {found['version']} is installed.",
            fix=f"Install what brings {group}, and wait until it is Established; or use a version that is there.",
            command=f"kubectl api-resources --api-group={group}",
            signature=found["kind"],
        )
    if (found := _TYPE.search(text)) is None:
        return None
    return Told(
        summary=f"the cluster does not know the resource {found['type']}",
        cause=f"{found['type']} is misspelt, or its CustomResourceDefinition is not installed.",
        fix="Check the word; if it is right, install what brings that kind.",
        command=f"kubectl api-resources | grep -i {found['type']}",
        signature=found["type"],
    )


says = said_by_tool(_read)
RULE = printed_rule("crd-missing", "config-error", 9, _read)
