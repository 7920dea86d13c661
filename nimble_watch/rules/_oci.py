"""An error of the OCI service as its tools print it: the CLI's object over many lines, the SDK's on one, Terraform's.

Of what it says the service's own code decides; an `InternalError` whose text is `Out of host capacity` is none.
Forms: OCI CLI 3 and SDK for Python 2 (their sources; no OCI is asked here), Terraform's provider 4 to 7.
"""

from __future__ import annotations

import re

from msgspec import Struct

from nimble_watch.state.printed import OCI_CODES

_CODE = re.compile(
    r"['\"]code['\"]: *['\"](?P<json>\w+)['\"]|(?:^|[\s|│*])(?:Error: )?(?P<status>[45]\d\d)-(?P<tf>[A-Z]\w+)"
    r"|Code: (?P<old>[A-Z]\w+)[;.]|Service error: ?(?P<go>[A-Z]\w+)\.|\((?P<number>[45]\d\d), (?P<sdk>[A-Z]\w+), \w+\)"
)
_MESSAGE = re.compile(
    r"['\"]message['\"]: *(?:'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\")"
    r"|[45]\d\d-\w+, (?P<tf>[^\n]+)|Message: (?P<old>[^\n]+)"
)
_REQUEST = re.compile(r"[Oo][Pp][Cc][- ][Rr]equest[- ][Ii][Dd]['\"]?: *['\"]?(?P<id>[/\w-]+)")
_OPERATION = re.compile(r"['\"]operation_name['\"]: *['\"](\w+)['\"]")
_SERVICE = re.compile(r"['\"]target_service['\"]: *['\"](\w+)['\"]")
_CAPACITY = re.compile(r"Out of host capacity|OutOf(?:Host)?Capacity|errorCode OutOfResource", re.IGNORECASE)
_LIMITS = re.compile(r"limits were exceeded: (?P<limits>[\w, -]+?)\.?(?:$|[\s\"'.])", re.MULTILINE)
_QUOTAS = re.compile(r"quotas were exceeded: (?P<quotas>[\w, -]+?) in policy '?(?P<policy>[\w.-]+)")
_BALANCER = re.compile(r"load ?balancer", re.IGNORECASE)
_OWN = re.compile(OCI_CODES)
_ID = 12


def _surely(code: re.Match[str], text: str) -> bool:
    """Tell whether a code is OCI's: many services answer with JSON that has one."""
    return code["json"] is None or _OWN.fullmatch(code["json"]) is not None or _REQUEST.search(text) is not None


class Failure(Struct, frozen=True):
    """What the service said: its code and message, for which operation of which service, and the request's id, short.

    `limits` are the names of what is used up.
    """

    code: str
    message: str
    operation: str = ""
    request: str = ""
    limits: str = ""
    policy: str = ""

    @property
    def where(self) -> str:
        """The operation in words, as far as it is known."""
        return f" to {self.operation}" if self.operation else ""

    @property
    def evidence(self) -> str:
        """The service's own words, with the request's id shortened: enough for support to find it."""
        request = f" (opc-request-id {self.request})" if self.request else ""
        return f"{self.code}: {self.message}{request}" if self.message else f"{self.code}{request}"


def failure_in(text: str) -> Failure | None:
    """Read a complaint; None if it is none of OCI's."""
    if _BALANCER.search(text):
        return None  # of the cloud's controller, which speaks of a Service
    code = _CODE.search(text)
    capacity = _CAPACITY.search(text)
    if capacity is None and (code is None or not _surely(code, text)):
        return None
    parts = [code[name] for name in ("json", "tf", "old", "go", "sdk") if code[name]] if code is not None else []
    message = _MESSAGE.search(text)
    said = next(filter(None, message.groups()), "").strip() if message is not None else ""
    request, operation, service = (found.search(text) for found in (_REQUEST, _OPERATION, _SERVICE))
    limits, quotas = _LIMITS.search(text), _QUOTAS.search(text)
    of = f" of {service[1]}" if service is not None else ""
    return Failure(
        code="OutOfHostCapacity" if capacity is not None else parts[0],
        message=said or (capacity[0] if capacity is not None else ""),
        operation=f"{operation[1]}{of}" if operation is not None else "",
        request=request["id"].lstrip("/")[:_ID] if request is not None else "",
        limits=(limits["limits"] if limits is not None else quotas["quotas"] if quotas is not None else "").strip(),
        policy=quotas["policy"] if quotas is not None else "",
    )
