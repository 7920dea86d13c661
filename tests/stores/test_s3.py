"""S3 against real servers: signatures, accounts, conditions, a front with ideas of its own, and what is said then."""

from __future__ import annotations

import os
import threading
import uuid
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from botocore.session import Session

from nimble_watch.retry import TryAgainError
from nimble_watch.shared import SharedError, SharedStore, open_store, patience, read_address
from tests.process.sides import Outcome, nimble_watch, run, until
from tests.stores.conftest import become
from tests.stores.contract import lists_in_order, misses_what_is_not_there, writes_once
from tests.stores.front import Front
from tests.stores.gateway import ROOT, WRITER, Gateway

pytestmark = pytest.mark.timeout(1200)  # the first test may have to wait for the server's build


def at(endpoint: str, *, more: str = "", bucket: str = "history", seconds: float = 20.0) -> SharedStore:
    """Open a bucket at an endpoint, below a path that no other test uses."""
    path = uuid.uuid4().hex
    return open_store(read_address(f"s3://{bucket}/{path}?endpoint={endpoint}{more}"), seconds)


def test_a_bucket_does_what_every_store_does(gateway: Gateway) -> None:
    store = at(gateway.endpoint)
    writes_once(store)
    lists_in_order(store)
    misses_what_is_not_there(store)


def test_a_listing_of_more_than_one_page_is_whole_and_in_order(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = at(gateway.endpoint)
    keys = [f"v1/{number:03}" for number in range(25)]
    for key in keys:
        store.put_if_absent(key, b"")
    client = store._client  # type: ignore[attr-defined]
    real = client.list_objects_v2
    monkeypatch.setattr(client, "list_objects_v2", lambda **asked: real(MaxKeys=7, **asked))
    assert list(store.list_keys("v1/")) == keys


def test_of_many_who_write_at_once_one_wins(gateway: Gateway) -> None:
    store = at(gateway.endpoint)
    won: list[bool] = []

    def write() -> None:
        with patience(30.0) as patient:
            won.append(patient.persist(lambda: store.put_if_absent("v1/one", b"x"), store))

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won.count(True) == 1
    assert len(won) == 8


def test_an_account_that_may_only_put_objects_suffices_to_send(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    become(monkeypatch, WRITER)
    store = at(gateway.endpoint)
    assert store.put_if_absent("v1/a", b"x")
    store.put_if_absent("v1/a", b"x")
    with pytest.raises(SharedError, match=r"403 AccessDenied.*ask for the right"):
        list(store.list_keys("v1/"))


@pytest.mark.parametrize(
    ("account", "bucket", "more", "said"),
    [
        (("nobody", "x" * 20), "history", "", "InvalidAccessKeyId.*is it of this store"),
        ((WRITER[0], "wrong" * 5), "history", "", "SignatureDoesNotMatch.*secret key is not"),
        (None, "nowhere", "", "NoSuchBucket.*make the bucket"),
        (None, "His_Tory!", "", "S3 cannot be used so|InvalidBucketName"),
        (None, "history", "&colour=red", "has no option colour"),
        (None, "history", "&style=round", "say path or virtual"),
        (None, "history", "&profile=nobody", "profile"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_try_and_never_with_the_secret(
    gateway: Gateway,
    monkeypatch: pytest.MonkeyPatch,
    *,
    account: tuple[str, str] | None,
    bucket: str,
    more: str,
    said: str,
) -> None:
    if account is not None:
        become(monkeypatch, account)
    with pytest.raises(SharedError, match=said) as caught:
        at(gateway.endpoint, bucket=bucket, more=more).put_if_absent("v1/a", b"x")
    assert account is None or account[1] not in str(caught.value)


def test_a_region_that_the_bucket_is_not_in_is_corrected_by_what_the_store_says(gateway: Gateway) -> None:
    writes_once(at(gateway.endpoint, more="&region=mars-north-1"))


def test_without_credentials_it_says_where_they_may_stand(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(SharedError, match="AWS_PROFILE"):
        at(gateway.endpoint).put_if_absent("v1/a", b"x")


def test_a_server_that_is_not_there_is_tried_again_until_time_is_up() -> None:
    store = at("http://127.0.0.1:9", seconds=2.0)
    with pytest.raises(TryAgainError, match="cannot be reached"):
        store.put_if_absent("v1/a", b"x")
    with patience(0.5) as patient, pytest.raises(SharedError, match=r"cannot be reached.*is it up"):
        patient.persist(lambda: store.put_if_absent("v1/a", b"x"), store)


def test_a_front_that_refuses_aws_chunked_takes_what_we_send(front: Front) -> None:
    store = at(front.url, more=f"&ca={front.trusted}")
    writes_once(store)
    lists_in_order(store)
    misses_what_is_not_there(store)


def test_what_botocore_sends_by_default_is_what_that_front_refuses(front: Front) -> None:
    plain = Session().create_client("s3", endpoint_url=front.url, region_name="us-east-1", verify=str(front.trusted))
    with pytest.raises(ClientError, match="NotImplemented"):
        plain.put_object(Bucket="history", Key="x", Body=b"x")


def test_an_authority_that_nobody_knows_is_said_and_may_be_named(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SharedError, match=r"certificate is not accepted.*AWS_CA_BUNDLE"):
        at(front.url).put_if_absent("v1/a", b"x")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(front.trusted))
    assert at(front.url).put_if_absent("v1/a", b"x")


@pytest.mark.parametrize("fault", ["cut", "cut-after", "503", "twice"])
def test_whatever_a_front_does_to_a_request_the_object_is_there_once_and_whole(front: Front, fault: str) -> None:
    store = at(front.url, more=f"&ca={front.trusted}")
    front.faults.extend([fault, fault])
    with patience(30.0) as patient:
        patient.persist(lambda: store.put_if_absent("v1/a", b"content"), store)
        assert patient.persist(lambda: store.get("v1/a"), store) == b"content"
        assert patient.list_all(store, "v1/", "") == ["v1/a"]
    assert not front.faults


def test_a_front_that_is_slow_is_not_waited_for_and_what_it_delivers_late_changes_nothing(front: Front) -> None:
    store = at(front.url, more=f"&ca={front.trusted}", seconds=1.0)
    front.faults.append("slow")
    with patience(30.0) as patient:
        assert patient.persist(lambda: store.put_if_absent("v1/a", b"content"), store)
        front.release.set()
        until(lambda: len(front.answered) > 1, "the late delivery")
        assert patient.persist(lambda: store.get("v1/a"), store) == b"content"


def test_a_listing_that_is_cut_goes_on_where_it_was(front: Front) -> None:
    store = at(front.url, more=f"&ca={front.trusted}")
    for number in range(4):
        store.put_if_absent(f"v1/{number}", b"")
    front.faults.extend(["cut", "503"])
    with patience(30.0) as patient:
        assert patient.list_all(store, "v1/", "v1/0") == ["v1/1", "v1/2", "v1/3"]


def test_a_store_without_conditions_is_written_without_them(front: Front) -> None:
    store = at(front.url, more=f"&ca={front.trusted}")
    refusal = b"<Error><Code>NotImplemented</Code><Message>A header you provided is not implemented</Message></Error>"
    front.faults.append((501, refusal))
    assert store.put_if_absent("v1/a", b"x")
    assert store.put_if_absent("v1/a", b"x"), "it cannot tell any more, which harms nothing"
    assert len(front.requests) == 3
    assert store.get("v1/a") == b"x"


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "RequestTimeTooSkewed", "clock of this machine is wrong"),
        (403, "ExpiredToken", "have expired"),
    ],
)
def test_what_only_real_clouds_answer_is_understood_too(front: Front, status: int, code: str, said: str) -> None:
    store = at(front.url, more=f"&ca={front.trusted}")
    front.faults.extend([(status, f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode())] * 8)
    with pytest.raises(SharedError, match=said):
        store.put_if_absent("v1/a", b"x")


def test_the_other_server_does_it_too(moto: str) -> None:
    store = at(moto)
    writes_once(store)
    lists_in_order(store)
    misses_what_is_not_there(store)


def test_what_a_ci_job_s_account_may_only_write_is_pulled_by_another(
    front: Front, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NIMBLE_WATCH_STORE", f"s3://history/{uuid.uuid4().hex}?endpoint={front.url}")
    monkeypatch.setenv("NIMBLE_WATCH_PROJECT", "nim")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(front.trusted))
    monkeypatch.setenv("KUBECONFIG", os.devnull)
    ci, desk = tmp_path / "ci", tmp_path / "desk"
    monkeypatch.setenv("NIMBLE_WATCH_SESSIONS", str(ci))
    with monkeypatch.context() as job:
        become(job, WRITER)
        front.faults.extend(["503", "cut"])
        ended = run([*nimble_watch(), "exec", "--phase", "install", "--", "true"])
        assert ended == Outcome(0, b"", b""), "nothing is said of what went well in the end"
        refused = run([*nimble_watch(), "session", "pull"])
        assert b"AccessDenied" in refused.err
    monkeypatch.setenv("NIMBLE_WATCH_SESSIONS", str(desk))
    assert b"1 new or newer session" in run([*nimble_watch(), "session", "pull"]).err
    assert b"install" in run([*nimble_watch(), "session", "list"]).out
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert not any(secret.encode() in kept for secret in (WRITER[1], ROOT[1]))
