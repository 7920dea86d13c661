"""OCI Object Storage by its own API, which takes every principal and knows the condition that S3's endpoint may lack.

`oci://BUCKET/PATH?namespace=NAME&principal=WAY&profile=NAME&config=FILE&region=NAME&endpoint=URL`; all but the bucket
may be left out, the namespace is then that of the tenancy.  WAY is config, token, instance, resource, workload or
delegation.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from nimble_watch.cleaning import clean
from nimble_watch.oci_principals import innermost, principal
from nimble_watch.retry import TryAgainError
from nimble_watch.shared.address import Address
from nimble_watch.shared.layout import SharedError
from nimble_watch.shared.protocol import MissingError, SharedStore
from nimble_watch.shared.stores._answers import joined, paged, refusal

SCHEMES = frozenset(("oci",))

_CONNECT = 4.0
_THERE = 412
_PAGE = 1000


def open_store(address: Address, seconds: float) -> SharedStore:
    """Open a bucket; the bucket itself is asked for nothing yet."""
    import oci  # noqa: PLC0415  a fifth of a second that only those wait for who use it

    address.only("namespace", "principal", "profile", "config", "region", "endpoint")
    if not address.place:
        raise SharedError("the address names no bucket", where=address.shown, advise="write oci://BUCKET/PATH")
    given = address.options
    asking = principal(
        os.environ,
        way=given.get("principal", ""),
        profile=given.get("profile", ""),
        file=given.get("config", ""),
        region=given.get("region", ""),
    )
    if "region" not in asking.settings and "endpoint" not in given:
        raise SharedError(
            "nothing says in which region the bucket is", where=address.shown, advise="say it: ?region=us-phoenix-1"
        )
    with _failing(address.shown):
        client = oci.object_storage.ObjectStorageClient(
            {"region": "us-phoenix-1", **asking.settings},  # with an endpoint of its own no region is asked
            **asking.arguments,
            **({"service_endpoint": given["endpoint"]} if "endpoint" in given else {}),
            timeout=(min(_CONNECT, seconds), seconds),
            retry_strategy=oci.retry.NoneRetryStrategy(),  # ours know when time is up
            circuit_breaker_strategy=oci.circuit_breaker.NoCircuitBreakerStrategy(),
        )
    return OciStore(client, given.get("namespace", ""), address)


class OciStore:
    """Objects in a bucket below a path."""

    def __init__(self, client: Any, namespace: str, address: Address) -> None:
        self._client = client
        self._bucket = address.place
        self._known_namespace = namespace
        self._root = joined(address.path)
        self.shown = address.shown

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Write an object unless it is there, in one step."""
        from oci.exceptions import ServiceError  # noqa: PLC0415  as above

        with _failing(self.shown):
            try:
                self._client.put_object(
                    self._namespace(),
                    self._bucket,
                    self._root + key,
                    content,
                    content_type="application/gzip" if key.endswith(".gz") else "text/plain",
                    if_none_match="*",
                )
            except ServiceError as error:
                if error.status == _THERE:
                    return False
                raise
        return True

    def list_keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """Give the keys, a thousand to a request."""

        def page(beginning: str, last: str) -> tuple[list[str], bool]:
            with _failing(self.shown):
                listed = self._client.list_objects(
                    self._namespace(),
                    self._bucket,
                    prefix=beginning,
                    limit=_PAGE,
                    fields="name",
                    **({"start_after": last} if last else {}),
                ).data
            return [entry.name for entry in listed.objects], bool(listed.next_start_with)

        return paged(self._root, prefix, after, page)

    def get(self, key: str) -> bytes:
        """Give an object's bytes."""
        with _failing(self.shown, key):
            content: bytes = self._client.get_object(self._namespace(), self._bucket, self._root + key).data.content
            return content

    def _namespace(self) -> str:
        if not self._known_namespace:
            self._known_namespace = str(self._client.get_namespace().data)
        return self._known_namespace


@contextlib.contextmanager
def _failing(shown: str, key: str = "") -> Iterator[None]:
    """Turn the SDK's errors into ours."""
    from oci import exceptions as failures  # noqa: PLC0415  as above

    try:
        yield
    except failures.ServiceError as error:
        if key and error.code == "ObjectNotFound":
            raise MissingError(f"there is no object {key}", where=shown) from error
        headers = {str(name).lower(): value for name, value in (error.headers or {}).items()}
        message = str(error.message or "")
        raise refusal(
            shown, int(error.status), str(error.code or ""), message, retry_after=headers.get("retry-after")
        ) from error
    except (failures.RequestException, failures.ConnectTimeout) as error:
        text = clean(innermost(error), limit=300)
        if "certificate" in text.lower():
            raise SharedError(
                f"the store's certificate is not accepted: {text}",
                where=shown,
                advise="name the file of its authority in REQUESTS_CA_BUNDLE",
            ) from error
        raise TryAgainError(f"the store cannot be reached: {text}") from error
    except (failures.ClientError, ValueError) as error:
        raise SharedError(f"OCI cannot be used so: {clean(str(error), limit=300)}", where=shown) from error
