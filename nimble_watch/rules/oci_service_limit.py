"""A service limit of the OCI tenancy is used up, so that OCI refuses to create something.

Signal: the OCI CLI, an SDK or Terraform says `LimitExceeded`, `The following service limits were exceeded: ...`, as the
last words of a phase that failed or again and again while it runs.

Near misses: a compartment's quota (oci-quota-exceeded), which the tenancy's own administrator set; a lack of hosts
(oci-out-of-capacity); a load balancer's limit, of which the cloud's controller speaks.

Verdict: grace while it is repeated, for what others give back frees it; terminal once the phase failed by it.

Fix: give back what nobody needs, or ask for a higher limit, which takes hours to days.

Source: OCI CLI 3, SDK for Python, Terraform's provider 4 to 7; messages only, no OCI is asked in the tests.
"""

from __future__ import annotations

from nimble_watch.rules._oci import failure_in
from nimble_watch.rules._printed import Told, printed_rule, said_by_tool


def _read(text: str) -> Told | None:
    failure = failure_in(text)
    if failure is None or failure.code != "LimitExceeded":
        return None
    limits = failure.limits or "a service limit"
    return Told(
        summary=f"OCI service limit used up: {limits}",
        cause=f"The tenancy has as much as its limit allows in this region or availability domain: {limits}.",
        fix="Terminate what nobody needs, use another availability domain or shape, or request a higher limit.",
        command="oci limits value list --service-name compute --compartment-id TENANCY --all",
        signature=limits,
        evidence=failure.evidence,
    )


says = said_by_tool(_read)
RULE = printed_rule("oci-service-limit", "resource-quota", 8, _read, retried=True)
