"""OCI has no host left for the shape that the phase asks for.

Signal: the OCI CLI, an SDK, Terraform or a work request says `Out of host capacity`, though under the code
`InternalError` and status 500; as the last words of a phase that failed or again and again while it runs.

Near misses: another InternalError (oci-api); a limit or a quota of our own (oci-service-limit, oci-quota-exceeded).

Verdict: grace while it is repeated, since hosts come free; terminal once the phase failed by it.

Fix: another availability or fault domain, another shape or region, or a capacity reservation; or try again later.

Source: OCI CLI 3, SDK for Python, Terraform's provider 4 to 7; messages only, no OCI is asked in the tests.
"""

from __future__ import annotations

from nimble_watch.rules._oci import failure_in
from nimble_watch.rules._printed import Told, printed_rule, said_by_tool


def _read(text: str) -> Told | None:
    failure = failure_in(text)
    if failure is None or failure.code != "OutOfHostCapacity":
        return None
    return Told(
        summary="OCI is out of host capacity",
        cause="No host of that shape is free in that availability domain, whatever this tenancy's limits are.",
        fix="Try another availability domain, fault domain or shape; hosts come free, so try again later.",
        command="oci compute compute-capacity-report create --availability-domain AD --compartment-id TENANCY "
        '--shape-availabilities \'[{"instanceShape": "SHAPE"}]\'',
        signature="capacity",
        evidence=failure.evidence,
    )


says = said_by_tool(_read)
RULE = printed_rule("oci-out-of-capacity", "resource-quota", 8, _read, retried=True)
