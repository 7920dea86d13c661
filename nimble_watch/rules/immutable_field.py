"""An object is there already, and what the phase wants to change in it can never be changed.

Signal: a phase that failed has said at its end `field is immutable`, `updates to statefulset spec for fields other than
... are forbidden`, or `spec is immutable after creation`.

Near misses: another fault of a manifest (spec-invalid); a refusal that the phase got over, by replacing the object.

Verdict: terminal.

Fix: delete the object and let it be made anew (a StatefulSet with --cascade=orphan keeps its pods), or leave the field
as it was.

Source: API server, kubectl 1.20 to 1.36, helm 3 and 4.
"""

from __future__ import annotations

import re

from nimble_watch.rules._printed import Told, printed_rule, said_by_tool

_WORDING = re.compile(
    r"field is immutable|updates to \w+ spec for fields other than|is immutable after creation|field can not be changed"
)
_OBJECT = re.compile(r'(?:The (?P<kind>\S+) |(?P<lower>[A-Z]\w+)(?:\.\w+)? |cannot patch )"(?P<name>[^"]+)"')
_KIND = re.compile(r"with kind (\w+)")


def _read(text: str) -> Told | None:
    if _WORDING.search(text) is None:
        return None
    found = _OBJECT.search(text)
    patched = _KIND.search(text)
    kind = ((found["kind"] or found["lower"] if found else "") or (patched[1] if patched else "") or "object").lower()
    name = found["name"] if found else ""
    orphan = " --cascade=orphan" if kind == "statefulset" else ""
    return Told(
        summary=f"{kind} {name} cannot be changed in that way".replace("  ", " "),
        cause="The change touches a field that is fixed once the object exists.",
        fix="Delete the object and apply again, which makes it anew, or leave that field as it was.",
        command=f"kubectl delete {kind} {name}{orphan}" if name and kind != "object" else "",
        signature=f"{kind}/{name}",
    )


says = said_by_tool(_read)
RULE = printed_rule("immutable-field", "validation-failure", 9, _read)
