"""The API server cannot be reached by the phase's own commands.

Signal: kubectl or helm says so of itself: `Unable to connect to the server: ...`, `The connection to the server ... was
refused`, `kubernetes cluster unreachable: ...`, `failed to download openapi: Get "...": dial tcp ...`, `Error from
server (ServiceUnavailable)` or `(Timeout)`, an etcd that timed out; as the last words of a phase that failed, or again
and again for 5 s and more while it runs.

Near misses: a command that got through after all, or whose failure the phase got over; such words in a container's log
or behind klog's `E1125` (kubectl tries again and says the end itself); a registry, a webhook or a chart repository that
cannot be reached; a certificate or login that is refused (api-auth).

Verdict: grace while it is repeated, for a server or a network often comes back; terminal once the phase failed by it.

Fix: by what the network said: nobody listens (address and port), nobody answers (firewall, security list, private
endpoint, VPN), the name is unknown (DNS), or there is no kubeconfig at all (localhost:8080).

Source: client-go and kubectl 1.20 to 1.36, helm 3 and 4.
"""

from __future__ import annotations

import re

from nimble_watch.rules._printed import Told, printed_rule, said_by_tool

_NETWORK = (
    r"dial tcp|i/o timeout|connection refused|no such host|no route to host|network is unreachable"
    r"|TLS handshake timeout|\bEOF\b|connection reset|connection lost|context deadline exceeded"
    r"|Client\.Timeout|request canceled|proxyconnect"
)
_WORDING = re.compile(
    r"Unable to connect to the server: (?P<direct>.+)"
    r"|The connection to the server (?P<refused>\S+) was refused"
    r"|[Kk]ubernetes cluster unreachable: (?P<helm>.+)"
    r"|(?:openapi|recognize \S+|^error|^Error): Get \"?https?://[^\"\s]+/(?:apis?|version|openapi)\b[^\"\s]*\"?: "
    rf"(?P<get>.*(?:{_NETWORK}).*)"
    r"|Error from server \((?P<busy>ServiceUnavailable|Timeout|ServerTimeout)\)"
    r"|Error from server: (?P<etcd>etcdserver: .+)"
    r"|^error: (?P<lost>http2: client connection lost|unexpected EOF)",
    re.MULTILINE,
)
_OTHER = re.compile(r"x509|credential|Unauthorized|failed calling webhook|/v2/|private key")
_HOST = re.compile(r"https?://([^/\"\s]+)|dial tcp:? (?:lookup )?(\S+?):? |server (\S+) was")


def _read(text: str) -> Told | None:
    found = _WORDING.search(text)
    if found is None or _OTHER.search(found[0]):
        return None
    words = found[0].lower()
    host = next((part for match in _HOST.finditer(f"{found[0]} ") for part in match.groups() if part), "")
    cause, fix = _why(words, host or "the API server")
    return Told(
        summary=f"the API server{f' {host}' if host else ''} cannot be reached",
        cause=cause,
        fix=fix,
        command="kubectl get --raw /readyz --request-timeout=5s",
        signature="unreachable",
    )


def _why(words: str, host: str) -> tuple[str, str]:
    if "localhost:8080" in words or "[::1]:8080" in words:
        return (
            "kubectl or helm found no kubeconfig, and so looked for a server on this machine.",
            "Say which cluster: export KUBECONFIG=FILE; oci ce cluster create-kubeconfig --cluster-id OCID makes one.",
        )
    if "no such host" in words or "name resolution" in words:
        return f"The name in {host} is not known to DNS here.", "Check the server in the kubeconfig, the VPN, and DNS."
    if "refused" in words:
        return (
            f"Nothing listens at {host}: the API server is down, or this is not its address.",
            "Compare the kubeconfig's server with the cluster's endpoint; a control plane that restarts comes back.",
        )
    if "error from server" in words or "etcdserver" in words:
        return "The API server answers, but cannot serve: it is overloaded, or its etcd is.", "Try again in a minute."
    return (
        f"Nothing answers at {host}: a firewall or security list, a private endpoint without VPN, or a lost route.",
        "Let this machine reach the endpoint: allow its address in the endpoint's security list, or use a VPN.",
    )


says = said_by_tool(_read)
RULE = printed_rule("api-unreachable", "network-timeout", 8, _read, retried=True, answerable=True)
