"""A compartment's quota, set by the tenancy's own administrator, is used up.

Signal: the OCI CLI, an SDK or Terraform says `QuotaExceeded`, `The following compartment quotas were exceeded: ... in
policy ...`, as the last words of a phase that failed or again and again while it runs.

Near misses: a service limit of the tenancy (oci-service-limit), which Oracle raises; a ResourceQuota of a Kubernetes
namespace (quota-exceeded).

Verdict: grace while it is repeated; terminal once the phase failed by it.

Fix: give back what the compartment does not need, or have the administrator raise the quota in the named policy.

Source: OCI CLI 3, SDK for Python, Terraform's provider 4 to 7; messages only, no OCI is asked in the tests.
"""

from __future__ import annotations

from nimble_watch.rules._oci import failure_in
from nimble_watch.rules._printed import Told, printed_rule, said_by_tool


def _read(text: str) -> Told | None:
    failure = failure_in(text)
    if failure is None or failure.code != "QuotaExceeded":
        return None
    quotas = failure.limits or "a compartment quota"
    policy = f" of policy {failure.policy}" if failure.policy else ""
    return Told(
        summary=f"OCI compartment quota used up: {quotas}",
        cause=f"The compartment has as much as the quota{policy} allows.",
        fix="Terminate what the compartment does not need, or have the tenancy's administrator raise the quota.",
        command=f"oci limits quota get --quota-id {failure.policy or 'OCID'}",
        signature=quotas,
        evidence=failure.evidence,
    )


says = said_by_tool(_read)
RULE = printed_rule("oci-quota-exceeded", "resource-quota", 8, _read, retried=True)
