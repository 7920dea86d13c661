"""A manifest, a values file or a chart's template cannot be read, or is refused for what it says.

Signal: a phase that failed has said at its end `error validating data`, `The Deployment "x" is invalid: ...`, `cannot
be handled as a Deployment`, `error parsing nim.yaml`, `values don't meet the specifications of the schema(s)`, a
template's `execution error at (...)`, or that the file is not there.

Near misses: `field is immutable` (immutable-field); a kind that the cluster does not know (crd-missing); validation
that could not be done since the server cannot be reached or refuses the login (api-unreachable, api-auth); a refusal
that the phase got over.

Verdict: terminal: the file must be changed.

Fix: the field that the message names.

Source: API server, kubectl 1.20 to 1.36, helm 3 and 4.
"""

from __future__ import annotations

import re

from nimble_watch.rules._printed import Told, printed_rule, said_by_tool

_WORDING = re.compile(
    r"error validating (?:\"(?P<file>[^\"]*)\"|data): (?:error validating data: )?(?P<data>[^\n]+)"
    r"|(?:The )?(?P<object>[A-Z]\S+ \"[^\"]+\") is invalid: (?P<field>[^\n]+)"
    r"|(?P<type>\w+ in version \"[^\"]+\" cannot be handled as a \w+: [^\n]+)"
    r"|failed to create typed patch object \((?P<typed>[^)]*)\): (?P<errors>[\s\S]+)"
    r"|error parsing (?P<parsed>\S+): (?P<yaml>[^\n]+)"
    r"|(?P<schema>values don't meet the specifications of the schema\(s\)[\s\S]*)"
    r"|(?P<template>(?:execution|parse|YAML parse) error (?:at|on) [^\n]+)"
    r"|executing \"(?P<at>[^\"]+)\" at (?P<nil>[\s\S]+)"
    r"|the path \"(?P<path>[^\"]+)\" does not exist|Error: open (?P<open>\S+): no such file"
)
_FILE = re.compile(r"error when \w+ \"(?P<file>[^\"]+)\"")
_OTHER = re.compile(
    r"failed to download openapi|no matches for kind|immutable|updates to \w+ spec for fields other than|"
    r"failed calling webhook|denied the request"
)


def _read(text: str) -> Told | None:
    found = _WORDING.search(text)
    if found is None or _OTHER.search(text):
        return None
    parts = found.groupdict()
    missing = parts["path"] or parts["open"]
    if missing:
        return Told(
            summary=f"file {missing} is not there",
            cause=f"The command was given {missing}, and there is no such file in the folder in which it ran.",
            fix="Check the name and the folder.",
            command=f"ls {missing}",
            signature=missing,
        )
    created = _FILE.search(text)
    what = next(
        (parts[key] for key in ("object", "file", "typed", "parsed", "at") if parts[key]),
        created["file"] if created else "",
    )
    said = ("data", "field", "type", "errors", "yaml", "schema", "template", "nil")
    why = " ".join(next((parts[key] for key in said if parts[key]), "").split())
    return Told(
        summary=f"{what or 'a manifest or its values'} is not valid",
        cause=f"It was refused for what it says: {why[:300]}",
        fix="Correct the field that the message names.",
        command=f"kubectl apply --dry-run=server -f {what}" if what.endswith((".yaml", ".yml", ".json")) else "",
        signature=what,
    )


says = said_by_tool(_read)
RULE = printed_rule("spec-invalid", "validation-failure", 9, _read)
