"""helm cannot get the chart: no such repository, chart, version or folder, or its server refuses.

Signal: a phase that failed has said at its end `repo nvidia not found`, `chart "x" matching 1.0 not found in nvidia
index`, `path "./chart" not found`, `is not a valid chart repository or cannot be reached`, `failed to fetch https://...
: 401 Unauthorized`, `failed to download "nvidia/nim-llm"`, or that a dependency is not in charts/.

Near misses: an image that cannot be pulled; a cluster that cannot be reached (api-unreachable); a `helm repo add` that
the phase got over.

Verdict: terminal: the command has ended.

Fix: add or update the repository, log in to it (NGC: user $oauthtoken, the key as password), or correct the name.

Source: helm 3 and 4.
"""

from __future__ import annotations

import re

from nimble_watch.rules._printed import Told, printed_rule, said_by_tool

_WORDING = re.compile(
    r"repo (?P<repo>\S+) not found|chart \"(?P<chart>[^\"]+)\" (?:matching|version) .*not found"
    r"|path \"(?P<path>[^\"]+)\" not found|looks like \"(?P<url>[^\"]+)\" is not a valid chart repository"
    r"|failed to fetch (?P<fetch>https?://\S+)|failed to download \"(?P<download>[^\"]+)\""
    r"|FAILED: Get \"(?P<oci>https://[^\"]+/v2/[^\"]+)\""
    r"|found in Chart\.yaml, but missing in charts/ directory: (?P<needs>[^\n]+)"
    r"|(?P<none>Chart\.yaml file is missing|no repositories found|no cached repo found)"
)
_LOGIN = re.compile(r"\b40[13]\b|[Uu]nauthorized|denied|authentication required")


def _read(text: str) -> Told | None:
    if (found := _WORDING.search(text)) is None:
        return None
    parts = found.groupdict()
    what = next((value for value in parts.values() if value), "")
    if _LOGIN.search(text):
        cause, fix = "Its server refuses the login, or knows none.", "Log in to it with a key that may read the chart."
        command = "helm repo add NAME URL --username='$oauthtoken' --password-stdin"
    elif parts["needs"]:
        cause, fix, command = (
            "The chart needs others that were not fetched.",
            "Fetch them.",
            "helm dependency build CHART",
        )
    elif parts["path"] or parts["none"]:
        cause, fix, command = "No chart is in that place.", "Check the folder from which helm is started.", "ls"
    elif parts["url"] or parts["oci"]:
        cause, fix = "The repository does not answer, or is none.", "Check its address, and the network to it."
        command = "helm repo list"
    else:
        cause, fix = (
            "No repository that helm knows here has it.",
            "Add the repository, update its index, check the name.",
        )
        command = "helm repo update && helm search repo NAME --versions"
    return Told(summary=f"chart not to be had: {what}", cause=cause, fix=fix, command=command, signature=what)


says = said_by_tool(_read)
RULE = printed_rule("helm-chart-unavailable", "config-error", 9, _read)
