"""OCI refuses a request of the phase's own commands: who asks, what is asked for, or how often.

Signal: the OCI CLI, an SDK or Terraform says so of itself, as the last words of a phase that failed or again and again
while it runs: `NotAuthenticated`, `NotAuthorizedOrNotFound`, `TooManyRequests`, `InvalidParameter`, `IncorrectState`, a
private key that cannot be read.

Near misses: a limit, a quota or a lack of capacity (oci-service-limit, oci-quota-exceeded, oci-out-of-capacity); an
error in a log of the cloud's controllers; a request that the phase got over; `"code"` in the answer of another service.

Verdict: grace while it is repeated; terminal once the phase failed by it.  TooManyRequests mostly passes by itself.

Fix: by the service's code.  NotAuthorizedOrNotFound says the one or the other on purpose: check the OCID and the region
before the policy.

Source: OCI CLI 3, SDK for Python, Terraform's provider 4 to 7; messages only, no OCI is asked in the tests.
"""

from __future__ import annotations

import re

from nimble_watch.rules._oci import failure_in
from nimble_watch.rules._printed import Told, printed_rule, said_by_tool

_OTHERS = ("LimitExceeded", "QuotaExceeded", "OutOfHostCapacity")
_KEY = re.compile(r"Failed to parse \S+ as a valid auto format key|Could not deserialize key data|InvalidPrivateKey")
_SIGNATURE = re.compile(r"Failed to verify the HTTP\(S\) Signature")
_AUTHORIZED = (
    "The request was not allowed, or the thing is not there: OCI does not say which.",
    "Check OCID, compartment and region first; then have a policy allow it.",
    "oci iam region-subscription list",
)
_LOGIN = (
    "OCI does not accept who asks: key, fingerprint, user or tenancy do not fit, or the clock is off.",
    "Check the profile in ~/.oci/config against the API key in the console; oci session authenticate renews a token.",
    "oci iam region list",
)
_BY_CODE = {
    "NotAuthenticated": _LOGIN,
    "NotAuthorizedOrNotFound": _AUTHORIZED,
    "NotAuthorized": _AUTHORIZED,
    "TooManyRequests": (
        "More requests came from this tenancy than the service takes in that time.",
        "Wait a minute and try again, with pauses that grow.",
        "",
    ),
    "IncorrectState": ("The thing is not in a state that allows this, mostly since it is still changing.", "Wait.", ""),
    "Conflict": ("The thing is being changed, or one of that name is there.", "Wait, or take another name.", ""),
    "InternalError": ("The service failed by itself.", "Try again; with the request's id, ask OCI's support.", ""),
}
_ANY = ("The service refused the request.", "Correct what its message names.", "")


def _read(text: str) -> Told | None:
    if _KEY.search(text) or _SIGNATURE.search(text):
        cause, fix, command = _LOGIN
        return Told(summary="OCI: the API key does not work", cause=cause, fix=fix, command=command, signature="key")
    failure = failure_in(text)
    if failure is None or failure.code in _OTHERS:
        return None
    cause, fix, command = _BY_CODE.get(failure.code, _ANY)
    return Told(
        summary=f"OCI answered {failure.code}{failure.where}",
        cause=cause,
        fix=fix,
        command=command,
        signature=failure.code,
        evidence=failure.evidence,
    )


says = said_by_tool(_read)
RULE = printed_rule("oci-api", "config-error", 8, _read, retried=True)
