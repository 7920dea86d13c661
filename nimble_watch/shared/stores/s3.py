"""S3: Amazon's, and whatever speaks its protocol, OCI's S3 endpoint and MinIO among them.

`s3://BUCKET/PATH?endpoint=URL&region=NAME&profile=NAME&ca=FILE&style=path` (or `virtual`); all but the bucket may be
left out.  Credentials, region, endpoint and certificates are found where Amazon's own tools look for them (AWS_PROFILE,
AWS_ENDPOINT_URL_S3, AWS_CA_BUNDLE, ~/.aws, an instance's role ...).  The only importer of botocore.

botocore would by default put a checksum behind the body, which it then sends in pieces (aws-chunked); over TLS only, so
that a test without it sees nothing.  OCI's endpoint refuses that.  The content's hash is in its key, so none is needed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from nimble_watch.cleaning import clean
from nimble_watch.extras import needing
from nimble_watch.retry import TryAgainError
from nimble_watch.shared.address import Address
from nimble_watch.shared.layout import SharedError
from nimble_watch.shared.protocol import MissingError, SharedStore
from nimble_watch.shared.stores._answers import joined, paged, refusal

SCHEMES = frozenset(("s3",))

_STYLES = {"path": "path", "virtual": "virtual"}
_CONNECT = 4.0
_THERE, _BUSY, _NOT_KNOWN = 412, 409, (400, 404, 501)


def open_store(address: Address, seconds: float) -> SharedStore:
    """Open a bucket; nothing is sent yet."""
    address.only("endpoint", "region", "profile", "ca", "style")
    if not address.place:
        raise SharedError("the address names no bucket", where=address.shown, advise="write s3://BUCKET/PATH")
    style = address.options.get("style", "")
    if style and style not in _STYLES:
        raise SharedError(f"style={clean(style)} is not known", where=address.shown, advise="say path or virtual")
    with _failing(address.shown):
        client = _client(address, seconds, style or "auto")
        if not style and ".amazonaws.com" not in client.meta.endpoint_url:
            client = _client(address, seconds, "path")  # others seldom have a name for each bucket
        return S3Store(client, address)


def _client(address: Address, seconds: float, style: str) -> Any:
    with needing("s3", "a store in S3"):
        from botocore.config import Config  # noqa: PLC0415  only where S3 is used
        from botocore.session import Session  # noqa: PLC0415  as above

    options = address.options
    session = Session(profile=options.get("profile") or None)
    return session.create_client(
        "s3",
        region_name=options.get("region") or session.get_config_variable("region") or "us-east-1",
        endpoint_url=options.get("endpoint") or None,
        verify=options.get("ca") or None,
        config=Config(
            connect_timeout=min(_CONNECT, seconds),
            read_timeout=seconds,
            retries={"total_max_attempts": 1},  # ours know when time is up
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": style},
            user_agent_extra="nimble-watch",
        ),
    )


class S3Store:
    """Objects in a bucket below a path."""

    def __init__(self, client: Any, address: Address) -> None:
        self._client = client
        self._bucket = address.place
        self._root = joined(address.path)
        self._conditional = True
        self.shown = address.shown

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Write an object unless it is there, in one step where the store knows the condition."""
        if self._conditional and (made := self._put(key, content, IfNoneMatch="*")) is not None:
            return made
        self._put(key, content)
        return True

    def _put(self, key: str, content: bytes, **condition: str) -> bool | None:
        """Write an object; none if the store does not know the condition, false if it does not hold."""
        from botocore.exceptions import ClientError  # noqa: PLC0415  as above

        with _failing(self.shown):
            try:
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=self._root + key,
                    Body=content,
                    ContentType="application/gzip" if key.endswith(".gz") else "text/plain",
                    **condition,
                )
            except ClientError as error:
                status, code = _status(error)
                if condition and status == _THERE:
                    return False
                if condition and status == _BUSY:  # another is writing it at this moment
                    raise TryAgainError(f"the store answers {status} {clean(code)}") from error
                if condition and status in _NOT_KNOWN and code != "NoSuchBucket" and _is_about_condition(status, error):
                    self._conditional = False
                    return None
                raise
        return True

    def list_keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """Give the keys, a thousand to a request."""

        def page(beginning: str, last: str) -> tuple[list[str], bool]:
            with _failing(self.shown):
                behind = {"StartAfter": last} if last else {}
                listed = self._client.list_objects_v2(Bucket=self._bucket, Prefix=beginning, **behind)
            return [entry["Key"] for entry in listed.get("Contents", ())], bool(listed.get("IsTruncated"))

        return paged(self._root, prefix, after, page)

    def get(self, key: str) -> bytes:
        """Give an object's bytes."""
        with _failing(self.shown, key):
            content: bytes = self._client.get_object(Bucket=self._bucket, Key=self._root + key)["Body"].read()
            return content


def _status(error: Any) -> tuple[int, str]:
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return status, str(error.response.get("Error", {}).get("Code", ""))


def _is_about_condition(status: int, error: Any) -> bool:
    """Tell whether a refusal may be meant for the condition: 400 says so, 404 and 501 do by their number."""
    said = str(error.response.get("Error", {}))
    return status != 400 or "if-none-match" in said.lower() or "NotImplemented" in said  # noqa: PLR2004  bad request


@contextlib.contextmanager
def _failing(shown: str, key: str = "") -> Iterator[None]:
    """Turn botocore's errors into ours; what a connection broke may be mended by another attempt."""
    with needing("s3", "a store in S3"):
        from botocore import exceptions as failures  # noqa: PLC0415  as above

    try:
        yield
    except failures.ClientError as error:
        status, code = _status(error)
        if key and (code in ("NoSuchKey", "404") or (status == 404 and code != "NoSuchBucket")):  # noqa: PLR2004
            raise MissingError(f"there is no object {key}", where=shown) from error
        headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        message = str(error.response.get("Error", {}).get("Message", ""))
        region = error.response.get("Error", {}).get("Region") or headers.get("x-amz-bucket-region")
        message += f"; its region is {region}" if region else ""
        raise refusal(shown, status, code, message, retry_after=headers.get("retry-after")) from error
    except failures.SSLError as error:
        if "certificate" not in str(error).lower():  # cut in the middle of the handshake
            raise TryAgainError(f"the store cannot be reached: {clean(str(error), limit=300)}") from error
        raise SharedError(
            f"the store's certificate is not accepted: {clean(str(error), limit=300)}",
            where=shown,
            advise="name the file of its authority in AWS_CA_BUNDLE, or behind the address, ?ca=FILE",
        ) from error
    except (failures.NoCredentialsError, failures.PartialCredentialsError, failures.CredentialRetrievalError) as error:
        raise SharedError(
            f"there are no whole credentials for the store: {clean(str(error), limit=300)}",
            where=shown,
            advise="give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role",
        ) from error
    except (failures.HTTPClientError, failures.ConnectionError, failures.IncompleteReadError) as error:
        raise TryAgainError(f"the store cannot be reached: {clean(str(error), limit=300)}") from error
    except (failures.BotoCoreError, ValueError) as error:
        raise SharedError(f"S3 cannot be used so: {clean(str(error), limit=300)}", where=shown) from error
