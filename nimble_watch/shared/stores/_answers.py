"""What an object store's refusal means for people: one sentence with what to try, or that another attempt may do.

The codes are those of S3 (docs.aws.amazon.com, API error responses) and of OCI Object Storage (docs.oracle.com, API
errors), read in both vendors' SDKs; where a store says none, the HTTP status decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from nimble_watch.cleaning import clean
from nimble_watch.retry import TryAgainError
from nimble_watch.shared.layout import SharedError

_PASSING = frozenset((408, 425, 429, 500, 502, 503, 504))
_LONGEST_PAUSE = 30.0

_CLOCK = "the clock of this machine is wrong, or the store's: set it (`chronyc tracking`, `timedatectl`)"
_ADVICE: dict[str, str] = {
    "NoSuchBucket": "make the bucket, or correct its name in the address",
    "BucketNotFound": "make the bucket, correct its name in the address, or ask for the right to see it",
    "NamespaceNotFound": "correct the namespace in the address: ?namespace=NAME",
    "AccessDenied": "ask for the right to write there (to pull: to list and read)",
    "InvalidAccessKeyId": "the access key is not known there: is it of this store?",
    "SignatureDoesNotMatch": "the secret key is not the one of this access key",
    "ExpiredToken": "the credentials have expired: get new ones",
    "InvalidToken": "the credentials are not of this store, or have expired",
    "RequestTimeTooSkewed": _CLOCK,
    "RequestExpired": _CLOCK,
    "PermanentRedirect": "the bucket is in another region: say it behind the address, ?region=NAME",
    "AuthorizationHeaderMalformed": "the bucket is in another region: say it behind the address, ?region=NAME",
    "IllegalLocationConstraintException": "the bucket is in another region: say it behind the address, ?region=NAME",
    "InvalidBucketName": "correct the bucket's name in the address",
    "NotAuthenticated": "OCI does not know this key or token, or the clock of this machine is off by over five minutes",
    "NotAuthorizedOrNotFound": "make the bucket, or ask for a policy: manage objects in its compartment",
    "NotImplemented": "the store does not know the way in which this was sent; please report it",
}
_BY_STATUS = {
    301: _ADVICE["PermanentRedirect"],
    307: _ADVICE["PermanentRedirect"],
    401: "are there credentials for this store, and are they still valid?",
    403: _ADVICE["AccessDenied"],
    404: "is there such a bucket?",
    501: _ADVICE["NotImplemented"],
}


def refusal(
    shown: str, status: int, code: str, message: str, *, retry_after: str | None = None
) -> SharedError | TryAgainError:
    """Give the error that a store's answer stands for; `retry_after` is the header of that name."""
    said = clean(message or "", limit=300).rstrip(". ")
    what = f"the store answers {status}{f' {clean(code, limit=60)}' if code else ''}{f': {said}' if said else ''}"
    if status in _PASSING or code in ("SlowDown", "RequestTimeout", "TooManyRequests"):
        return TryAgainError(what, pause=_pause(retry_after))
    advise = _ADVICE.get(code) or _BY_STATUS.get(status, "")
    if "skew" in said.lower() or "clock" in said.lower():
        advise = _CLOCK
    return SharedError(what, where=shown, advise=advise)


def _pause(retry_after: str | None) -> float | None:
    """Give the seconds that the store asks for; its other form, a date, is as good as nothing said."""
    if retry_after is None or not retry_after.strip().isdigit():
        return None
    return min(float(retry_after), _LONGEST_PAUSE)


def paged(root: str, prefix: str, after: str, page: Callable[[str, str], tuple[list[str], bool]]) -> Iterator[str]:
    """Give the keys below `root` that begin with `prefix` and sort behind `after`, page by page.

    `page` takes the beginning of the whole names and the last one before the page (empty: none), and gives its names
    and whether more follow.  No token of the store's is kept, so that a listing which broke off can go on anywhere.
    """
    last, more = root + after if after else "", True
    while more:
        names, more = page(root + prefix, last)
        yield from (name.removeprefix(root) for name in names)
        more = more and bool(names)
        last = names[-1] if names else last


def joined(path: str) -> str:
    """Give the beginning of every key below an address's path: nothing, or the path with one `/` behind it."""
    path = path.strip("/")
    return f"{path}/" if path else ""
