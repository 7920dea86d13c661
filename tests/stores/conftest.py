"""Servers for the tests of stores, started once and only where they are asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer

from tests.stores.front import Front
from tests.stores.gateway import ROOT, Gateway, client


@pytest.fixture(autouse=True)
def _nobody_s_own_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    become(monkeypatch, ROOT)


def become(monkeypatch: pytest.MonkeyPatch, account: tuple[str, str]) -> None:
    """Be an S3 account from now on."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", account[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", account[1])


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Give a running versitygw; building it the first time takes minutes and says so."""
    running = Gateway(tmp_path_factory.mktemp("gateway"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """Give the address of another S3 server, which checks no signatures; it has a bucket `history`."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client(f"http://{host}:{port}", ROOT).create_bucket(Bucket="history")
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def front(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Give a TLS front before the gateway."""
    running = Front(tmp_path_factory.mktemp("front"), gateway.endpoint)
    yield running
    running.stop()
