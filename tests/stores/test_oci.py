"""OCI Object Storage as every principal, and as nobody but the holder of a URL, against an endpoint that verifies."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from nimble_watch.errors import NimbleWatchError
from nimble_watch.retry import TryAgainError
from nimble_watch.shared import SharedError, SharedStore, WriteOnlyError, open_store, patience, read_address
from tests.process.sides import Outcome, nimble_watch, run, until
from tests.process.test_readme import BIN, blocks
from tests.stores.cloud import BUCKET, NAMESPACE, PAR, TENANCY, USER, Cloud, new_key, pem, token
from tests.stores.contract import lists_in_order, misses_what_is_not_there, writes_once
from tests.stores.front import make_authority

FINGERPRINT = "11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00"


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """Give a region."""
    running = Cloud()
    yield running
    running.stop()


@pytest.fixture
def home(tmp_path: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder of a user's configuration, whose key the region knows."""
    for name in [name for name in os.environ if name.startswith(("OCI_", "KUBERNETES_"))]:
        monkeypatch.delenv(name)
    key = new_key()
    (tmp_path / "key.pem").write_bytes(pem(key))
    (tmp_path / "key.pem").chmod(0o600)
    (tmp_path / "config").write_text(
        f"[DEFAULT]\nuser={USER}\nfingerprint={FINGERPRINT}\ntenancy={TENANCY}\nregion=us-phoenix-1\n"
        f"key_file={tmp_path / 'key.pem'}\n"
    )
    (tmp_path / "config").chmod(0o600)
    monkeypatch.setenv("OCI_CLI_CONFIG_FILE", str(tmp_path / "config"))
    cloud.keys[f"{TENANCY}/{USER}/{FINGERPRINT}"] = key.public_key()
    return tmp_path


def at(cloud: Cloud, more: str = "") -> SharedStore:
    """Open the region's bucket."""
    return open_store(read_address(f"oci://{BUCKET}/team?endpoint={cloud.url}{more}"), 10.0)


def everything(store: SharedStore) -> None:
    """Do what every store does."""
    writes_once(store)
    lists_in_order(store)
    misses_what_is_not_there(store)


@pytest.mark.usefixtures("home")
def test_a_user_s_key_does_it(cloud: Cloud) -> None:
    everything(at(cloud))
    assert all(name.startswith("team/v1/") for name in cloud.objects)


@pytest.mark.usefixtures("home")
def test_the_namespace_is_asked_for_once_where_it_is_not_said(cloud: Cloud) -> None:
    everything(at(cloud, f"&namespace={NAMESPACE}"))
    assert "GET /n" not in cloud.asked
    lists_in_order(at(cloud))
    assert cloud.asked.count("GET /n") == 1


def test_a_session_token_does_it(cloud: Cloud, home: Path) -> None:
    key, given = new_key(), token()
    (home / "session.pem").write_bytes(pem(key))
    (home / "token").write_text(given)
    with (home / "config").open("a") as config:
        config.write(
            f"[SHORT]\nfingerprint={FINGERPRINT}\ntenancy={TENANCY}\nregion=us-phoenix-1\n"
            f"key_file={home / 'session.pem'}\nsecurity_token_file={home / 'token'}\n"
        )
    cloud.keys[f"ST${given}"] = key.public_key()
    everything(at(cloud, "&profile=SHORT"))
    lists_in_order(at(cloud, "&profile=SHORT&principal=token"))


@pytest.mark.usefixtures("home")
def test_an_instance_does_it(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCI_METADATA_BASE_URL", f"{cloud.url}/opc/v2")
    monkeypatch.setenv("NIMBLE_WATCH_OCI_AUTH_ENDPOINT", f"{cloud.url}/v1/x509")
    cloud.keys[cloud.key_of_machine()] = cloud.machine.public_key()
    everything(at(cloud, "&principal=instance"))


@pytest.mark.usefixtures("home")
def test_a_resource_does_it_without_being_asked_to(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key, given = new_key(), token()
    (tmp_path / "rpst").write_text(given)
    (tmp_path / "rp.pem").write_bytes(pem(key))
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_VERSION", "2.2")
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_RPST", str(tmp_path / "rpst"))
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM", str(tmp_path / "rp.pem"))
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_REGION", "us-phoenix-1")
    cloud.keys[f"ST${given}"] = key.public_key()
    everything(at(cloud))


@pytest.mark.usefixtures("home")
def test_a_pod_of_an_enhanced_cluster_does_it(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trusted = make_authority(tmp_path)
    node = Cloud("127.0.0.1", 12250, tls=tmp_path / "server.pem")
    (tmp_path / "sa-token").write_text(node.pod)
    node.keys = cloud.keys
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("OCI_KUBERNETES_SERVICE_ACCOUNT_CERT_PATH", str(trusted))
    monkeypatch.setenv("OCI_KUBERNETES_SERVICE_ACCOUNT_TOKEN_PATH", str(tmp_path / "sa-token"))
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_REGION", "us-phoenix-1")
    try:
        everything(at(cloud, "&principal=workload"))
        (tmp_path / "sa-token").write_text(token() + "other")
        with pytest.raises(NimbleWatchError, match=r"enhanced.*service account's token"):
            at(cloud, "&principal=workload")
    finally:
        node.stop()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("&principal=instanc", r"did you mean instance\?"),
        ("&principal=resource", r"OCI_RESOURCE_PRINCIPAL_VERSION is not defined"),
        ("&principal=workload", r"Kubernetes service host was not provided.*enhanced OKE cluster"),
        ("&principal=token", r"security_token_file' is missing.*oci session authenticate"),
        ("&profile=NOBODY", r"NOBODY.*oci setup config"),
        ("&config=/no/such/file", r"/no/such/file.*oci setup config"),
        ("&colour=red", r"has no option colour"),
    ],
)
@pytest.mark.usefixtures("home")
def test_a_principal_that_is_not_there_is_said_with_what_to_try(cloud: Cloud, more: str, said: str) -> None:
    with pytest.raises(NimbleWatchError, match=said):
        at(cloud, more)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ((404, "BucketNotFound", "Either the bucket does not exist"), r"make the bucket, correct its name"),
        ((404, "NamespaceNotFound", "unknown"), r"correct the namespace"),
        ((401, "NotAuthenticated", "The required information is missing"), r"off by over five minutes"),
        ((401, "NotAuthenticated", "Date is not within allowed clock skew"), r"clock of this machine is wrong"),
        ((404, "NotAuthorizedOrNotFound", "Authorization failed"), r"ask for a policy"),
    ],
)
@pytest.mark.usefixtures("home")
def test_what_oci_refuses_is_said_with_what_to_try(cloud: Cloud, fault: tuple[int, str, str], said: str) -> None:
    cloud.faults.append(fault)
    with pytest.raises(SharedError, match=said):
        at(cloud).put_if_absent("v1/a", b"x")


@pytest.mark.usefixtures("home")
def test_a_key_that_oci_does_not_know_is_said(cloud: Cloud) -> None:
    cloud.keys.clear()
    with pytest.raises(SharedError, match="does not know this key"):
        at(cloud).put_if_absent("v1/a", b"x")


@pytest.mark.usefixtures("home")
def test_what_passes_is_tried_again(cloud: Cloud) -> None:
    store = at(cloud)
    cloud.faults.extend([(503, "ServiceUnavailable", "busy"), (429, "TooManyRequests", "slow down")])
    with patience(30.0) as patient:
        assert patient.persist(lambda: store.put_if_absent("v1/a", b"x"), store)


@pytest.mark.usefixtures("home")
def test_a_region_that_is_not_there_is_tried_again_until_time_is_up(cloud: Cloud) -> None:
    cloud.url = "http://127.0.0.1:9"
    with pytest.raises(TryAgainError, match=r"^the store cannot be reached: .{0,20}Connection refused$"):
        at(cloud, f"&namespace={NAMESPACE}").put_if_absent("v1/b", b"x")


@pytest.mark.parametrize("way", ["key", "url"])
def test_an_authority_that_nobody_knows_is_said_and_may_be_named(
    home: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    trusted = make_authority(home)
    behind = Cloud(tls=home / "server.pem")
    behind.keys = cloud.keys
    variable = {"key": "REQUESTS_CA_BUNDLE", "url": "SSL_CERT_FILE"}[way]

    def store() -> SharedStore:
        return at(behind, f"&namespace={NAMESPACE}") if way == "key" else by_url(behind)

    try:
        with pytest.raises(SharedError, match=f"certificate is not accepted.*{variable}"):
            store().put_if_absent("v1/a", b"x")
        monkeypatch.setenv(variable, str(trusted))
        assert store().put_if_absent("v1/a", b"x")
    finally:
        behind.stop()


def test_away_from_oci_an_instance_is_said_not_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCI_METADATA_BASE_URL", "http://127.0.0.1:9/opc/v2")
    with pytest.raises(NimbleWatchError, match=r"\(instance\): .{0,20}Connection refused; it needs a compute instance"):
        open_store(read_address(f"oci://{BUCKET}/team?principal=instance"), 5.0)


@pytest.mark.usefixtures("home")
def test_a_command_s_session_goes_there_and_comes_back_to_another_machine(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NIMBLE_WATCH_STORE", f"oci://{BUCKET}/team?endpoint={cloud.url}")
    monkeypatch.setenv("NIMBLE_WATCH_PROJECT", "nim")
    monkeypatch.setenv("KUBECONFIG", os.devnull)
    monkeypatch.setenv("NIMBLE_WATCH_SESSIONS", str(tmp_path / "ci"))
    assert run([*nimble_watch(), "exec", "--phase", "install", "--", "true"]) == Outcome(0, b"", b"")
    monkeypatch.setenv("NIMBLE_WATCH_SESSIONS", str(tmp_path / "desk"))
    assert b"1 new or newer session" in run([*nimble_watch(), "session", "pull"]).err
    assert b"install" in run([*nimble_watch(), "session", "list"]).out


# -- pre-authenticated requests ----------------------------------------------------------------------------------------


def by_url(cloud: Cloud, given: str = PAR, *, bucket: str = BUCKET) -> SharedStore:
    """Open what a pre-authenticated request allows."""
    return open_store(read_address(f"{cloud.url}/p/{given}/n/{NAMESPACE}/b/{bucket}/o/team/"), 5.0)


def test_whoever_has_the_url_can_write_without_any_key(cloud: Cloud) -> None:
    store = by_url(cloud)
    assert store.put_if_absent("v1/p=a/d=1/x y.gz", b"x")
    assert not store.put_if_absent("v1/p=a/d=1/x y.gz", b"x")
    assert cloud.objects == {"team/v1/p=a/d=1/x y.gz": b"x"}


def test_and_nothing_else_which_is_said(cloud: Cloud) -> None:
    for act in (lambda: by_url(cloud).get("v1/a"), lambda: by_url(cloud).list_keys("v1/")):
        with pytest.raises(WriteOnlyError, match=r"can only write.*to pull name the bucket itself"):
            act()


@pytest.mark.parametrize("fault", [(501, "NotImplemented", "no such header"), (400, "InvalidHeader", "If-None-Match")])
def test_where_the_condition_is_not_known_it_is_written_without(cloud: Cloud, fault: tuple[int, str, str]) -> None:
    store = by_url(cloud)
    cloud.faults.append(fault)
    assert store.put_if_absent("v1/a", b"x")
    assert store.put_if_absent("v1/a", b"x")
    assert len(cloud.asked) == 3


def test_no_error_ever_shows_the_token(cloud: Cloud) -> None:
    said = []
    other = "an0ther-Token-that-has-expired"
    for act in (
        lambda: by_url(cloud, other).put_if_absent("v1/a", b"x"),  # the endpoint repeats the path in its message
        lambda: by_url(cloud, other).get("v1/a"),
        lambda: open_store(read_address(f"https://example.test/p/{other}/n/ns"), 5.0),
        lambda: open_store(read_address(f"http://example.test/p/{other}/n/ns/b/b/o/"), 5.0),
        lambda: open_store(read_address(f"{cloud.url}/p/{other}/n/{NAMESPACE}/b/b/o/?colour={PAR}"), 5.0).get("x"),
    ):
        with pytest.raises(SharedError) as caught:
            act()
        said.append(str(caught.value))
    assert not any(other in sentence or other in repr(sentence) for sentence in said)
    assert "make a new one" in said[0]
    assert "no pre-authenticated request" in said[2]
    assert "without TLS" in said[3]


def test_two_urls_to_the_same_place_are_one_store(cloud: Cloud) -> None:
    one, other = (read_address(f"{cloud.url}/p/{given}/n/ns/b/b/o/team") for given in (PAR, "another-Token"))
    assert one.fingerprint == other.fingerprint
    assert one.fingerprint != read_address(f"{cloud.url}/p/{PAR}/n/ns/b/b/o/others").fingerprint


def test_the_step_for_ci_that_the_readme_shows_sends_its_session(cloud: Cloud, tmp_path: Path) -> None:
    _, (step,) = (yaml.safe_load(block) for block in blocks("yaml"))
    url = f"{cloud.url}/p/{PAR}/n/{NAMESPACE}/b/{BUCKET}/o/nimble/"
    secret = {"${{ secrets.NIMBLE_WATCH_STORE }}": url}
    waits = "until [ -e arrived ]; do sleep 0.02; done"
    (tmp_path / "Makefile").write_text(f"all:\n\t+nimble-watch run install\ninstall:\n\t@{waits}\n")
    running = subprocess.Popen(
        ["bash", "-e", "-c", step["run"]],
        cwd=tmp_path,
        env={
            **os.environ,
            **{name: secret.get(value, value) for name, value in step["env"].items()},
            "NIMBLE_WATCH_SESSIONS": str(tmp_path / "sessions"),
            "KUBECONFIG": os.devnull,
            "PATH": f"{BIN}:{os.environ['PATH']}",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: cloud.objects, "the marker, which a command that is quicker does not wait for")
    (tmp_path / "arrived").touch()
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    marker, session = sorted(cloud.objects)
    assert marker.startswith("nimble/v1/p=nim/d=")
    assert (".r0-" in marker, ".r1-" in session) == (True, True)
    assert PAR not in out + err
    kept = b"".join(path.read_bytes() for path in (tmp_path / "sessions").rglob("*") if path.is_file())
    assert PAR.encode() not in kept
