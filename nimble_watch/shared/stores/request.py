"""A pre-authenticated request of OCI Object Storage: a URL that is itself the right to write, for a while.

`https://objectstorage.REGION.oraclecloud.com/p/TOKEN/n/NAMESPACE/b/BUCKET/o/PATH`: a plain HTTPS PUT without any SDK or
key, which is all that a CI job needs.  It can neither list nor read, so the history is pulled another way.  Whoever has
the URL can write: its token is never shown, and it does not travel without TLS.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit, urlunsplit

from nimble_watch.cleaning import clean
from nimble_watch.retry import TryAgainError
from nimble_watch.shared.address import Address, masked
from nimble_watch.shared.layout import SharedError
from nimble_watch.shared.protocol import SharedStore, WriteOnlyError
from nimble_watch.shared.stores._answers import refusal

SCHEMES = frozenset(("https", "http"))

_PATH = re.compile(r"/p/[^/]+/n/[^/]+/b/[^/]+/o(?:/|\Z)")
_HERE = ("127.0.0.1", "localhost")
_THERE, _NOT_KNOWN = 412, (400, 501)
_NOT_ANY_MORE = (401, 403, 404)


def open_store(address: Address, seconds: float) -> SharedStore:
    """Open the place that a request's URL allows to write to."""
    parts = urlsplit(address.url)
    if not _PATH.match(parts.path):
        raise SharedError(
            "this URL is no pre-authenticated request of OCI Object Storage",
            where=address.shown,
            advise="it has the form https://HOST/p/TOKEN/n/NAMESPACE/b/BUCKET/o/; for S3 write s3://BUCKET?endpoint=URL",
        )
    if parts.scheme != "https" and parts.hostname not in _HERE:
        raise SharedError("the URL is a key, which does not travel without TLS", where=address.shown, advise="https://")
    return RequestStore(
        urlunsplit((parts.scheme, parts.netloc, f"{parts.path.rstrip('/')}/", "", "")), address, seconds
    )


class RequestStore:
    """Objects put below one URL."""

    def __init__(self, url: str, address: Address, seconds: float) -> None:
        self._url = url
        self._seconds = seconds
        self._conditional = True
        self.shown = address.shown

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Write an object unless it is there; without the condition where it is not known."""
        if self._conditional and (made := self._put(key, content, {"If-None-Match": "*"})) is not None:
            return made
        self._put(key, content, {})
        return True

    def _put(self, key: str, content: bytes, condition: dict[str, str]) -> bool | None:
        kind = "application/gzip" if key.endswith(".gz") else "text/plain"
        asked = urllib.request.Request(  # noqa: S310  https, as open_store saw to, or this machine
            self._url + quote(key), data=content, method="PUT", headers={"Content-Type": kind, **condition}
        )
        try:
            with urllib.request.urlopen(asked, timeout=self._seconds):  # noqa: S310  as above
                return True
        except urllib.error.HTTPError as error:
            with error:
                if condition and error.code == _THERE:
                    return False
                if condition and error.code in _NOT_KNOWN:
                    self._conditional = False
                    return None
                raise self._refused(error) from None
        except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
            self._unreachable(error)

    def _refused(self, error: urllib.error.HTTPError) -> SharedError | TryAgainError:
        said = _said(error)
        failed = refusal(
            self.shown,
            error.code,
            str(said.get("code") or ""),
            masked(str(said.get("message") or "")),
            retry_after=error.headers.get("Retry-After"),
        )
        if isinstance(failed, SharedError) and error.code in _NOT_ANY_MORE:
            advise = "it may have expired or been deleted, or not allow writing objects there: make a new one"
            return SharedError(failed.what, where=self.shown, advise=advise)
        return failed

    def _unreachable(self, error: OSError | http.client.HTTPException) -> NoReturn:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        text = clean(str(reason) or type(reason).__name__, limit=300)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise SharedError(
                f"the store's certificate is not accepted: {text}",
                where=self.shown,
                advise="name the file of its authority in SSL_CERT_FILE",
            ) from None
        raise TryAgainError(f"the store cannot be reached: {text}") from None

    def list_keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """Say that this cannot be done."""
        self._only_written(prefix, after)

    def get(self, key: str) -> bytes:
        """Say that this cannot be done."""
        self._only_written(key)

    def _only_written(self, *_asked: str) -> NoReturn:
        raise WriteOnlyError(
            "a pre-authenticated request can only write",
            where=self.shown,
            advise="to pull name the bucket itself: --store oci://BUCKET/PATH or s3://BUCKET/PATH",
        )


def _said(error: urllib.error.HTTPError) -> dict[str, Any]:
    """Read the JSON with which OCI says what is wrong."""
    try:
        said = json.loads(error.read(65536))
    except (ValueError, OSError, http.client.HTTPException):
        return {}
    return said if isinstance(said, dict) else {}
