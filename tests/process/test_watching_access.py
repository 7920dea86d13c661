"""Kubeconfigs, credentials and unreachable servers: each trouble is one sentence, and none of it holds a secret."""

from __future__ import annotations

import json
import os
import socket
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nimble_watch.signals import ClusterFound
from tests.process.api_server import ApiServer, Request, kubeconfig
from tests.process.inbox import Inbox, eventually, watched, watching

SECRET = "secret-token-of-the-test"  # noqa: S105  opens nothing
NEW = "new"


def quiet(request: Request) -> None:
    request.picture()
    request.hold()


def lost(path: Path, *, context: str = "", plugin_timeout: float = 20.0) -> str:
    """Give the first thing said about a kubeconfig with which nothing can be watched."""
    with watching(path, context=context, plugin_timeout=plugin_timeout) as (inbox, _watcher):
        inbox.until(lambda _: inbox.lost())
        assert SECRET not in repr(inbox.signals)
        return inbox.lost()[0]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def plugin(folder: Path, *, token: str = SECRET, minutes: float = 4, body: str = "") -> tuple[dict[str, object], Path]:
    """Give a user with a credential plugin, and the file in which that notes each run."""
    notes, program = folder / "runs", folder / "plugin"
    stamp = (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()
    answer = {"kind": "ExecCredential", "status": {"token": token, "expirationTimestamp": stamp}}
    script = body or "cat <<'E'\n" + json.dumps(answer) + "\nE"
    program.write_text(f"#!/bin/sh\necho run >>{notes}\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(program)}}, notes


def runs(notes: Path) -> int:
    return len(notes.read_text().splitlines()) if notes.exists() else 0


def test_no_kubeconfig_is_told_with_where_it_was_looked_for(tmp_path: Path) -> None:
    said = lost(tmp_path / "nowhere")
    assert said.startswith(f"there is no kubeconfig ({tmp_path}/nowhere); set KUBECONFIG")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("users: [\ntoken: " + SECRET, "it is no YAML"),
        ("just a text " + SECRET, "cannot be used"),
        ("", "cannot be used"),
        ("{}", "no current context"),
        (json.dumps({"current-context": "x", "contexts": [{"name": "x", "context": {"cluster": "gone"}}]}), "gone"),
    ],
)
def test_a_broken_kubeconfig_is_told_without_quoting_it(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    assert said in lost(path)


def test_a_context_that_does_not_exist_is_told_with_the_one_that_was_meant(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(json.dumps(kubeconfig("http://127.0.0.1:1", context="production")))
    assert "has no context prodution" in lost(path, context="prodution")
    assert "did you mean production?" in lost(path, context="prodution")


def test_a_server_that_refuses_connections_is_told(tmp_path: Path) -> None:
    path = tmp_path / "config"
    port = closed_port()
    path.write_text(json.dumps(kubeconfig(f"http://user:{SECRET}@127.0.0.1:{port}")))
    assert lost(path).startswith(f"the API server refuses the connection (http://127.0.0.1:{port}, context ours)")


def test_a_server_that_speaks_no_tls_is_told(tmp_path: Path) -> None:
    with ApiServer(quiet) as api:
        path = tmp_path / "config"
        path.write_text(json.dumps(kubeconfig(api.url.replace("http:", "https:"))))
        assert "does not speak TLS as we do" in lost(path)


def test_something_else_at_the_address_is_told(tmp_path: Path) -> None:
    with ApiServer(quiet, others=lambda request: request.body(b"<html>welcome</html>")) as api:
        assert "is no API server" in lost(api.kubeconfig(tmp_path))


def test_an_expired_token_is_told(tmp_path: Path) -> None:
    with ApiServer(quiet, others=lambda request: request.status(401, "Unauthorized")) as api:
        said = lost(api.kubeconfig(tmp_path))
        assert "does not accept our credentials" in said
        assert "log in to the cluster again" in said


def test_the_token_is_sent_and_never_told(tmp_path: Path) -> None:
    with watched(tmp_path, quiet) as (api, inbox, _watcher):
        inbox.until(lambda _: inbox.synced())
        assert {request.token for request in api.requests} == {f"Bearer {SECRET}"}
        assert SECRET not in repr(inbox.signals)


@pytest.mark.parametrize("no_proxy", ["", "127.0.0.1"])
def test_the_proxy_that_the_kubeconfig_names_is_used_whatever_no_proxy_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    """Nobody listens at the server's address: only the proxy, which here answers itself, can have been asked."""
    server = f"http://127.0.0.1:{closed_port()}"
    monkeypatch.setenv("NO_PROXY", no_proxy)
    monkeypatch.setenv("no_proxy", no_proxy)
    with ApiServer(quiet) as proxy:
        config = kubeconfig(server)
        config["clusters"][0]["cluster"]["proxy-url"] = proxy.url
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(config))
        with watching(path) as (inbox, _watcher):
            inbox.until(lambda _: inbox.synced())
            (found,) = (one for one in inbox.signals if isinstance(one, ClusterFound))
    assert found.server == server


def test_the_proxy_of_the_environment_is_used_but_not_for_what_no_proxy_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(kubeconfig(f"http://127.0.0.1:{closed_port()}")))
    with ApiServer(quiet) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("no_proxy", "")
        with watching(path) as (inbox, _watcher):
            inbox.until(lambda _: inbox.synced())
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert "refuses the connection" in lost(path), "the proxy would have answered"


def test_a_credential_plugin_runs_once_for_all_watches(tmp_path: Path) -> None:
    user, notes = plugin(tmp_path)
    with ApiServer(quiet) as api, watching(api.kubeconfig(tmp_path, user)) as (inbox, _watcher):
        inbox.until(lambda _: len([one for one in inbox.signals if type(one).__name__ == "Synced"]) == 10)
        assert {request.token for request in api.requests} == {f"Bearer {SECRET}"}
        assert runs(notes) == 1


def test_a_refused_credential_is_replaced_once_for_all_watches(tmp_path: Path) -> None:
    user, notes = plugin(
        tmp_path,
        body=f"""n=$(wc -l <{tmp_path}/runs)
echo "{{\\"status\\":{{\\"token\\":\\"number-$n\\"}}}}\"""",
    )
    box: list[ApiServer] = []

    def others(request: Request) -> None:
        if request.token != f"Bearer number-{2}" and request.watching:
            request.status(401, "Unauthorized")
        else:
            box[0].quiet(request)

    with ApiServer(others, others=others) as api:
        box.append(api)
        with watching(api.kubeconfig(tmp_path, user)) as (inbox, _watcher):
            inbox.until(lambda _: len([one for one in inbox.signals if type(one).__name__ == "Synced"]) == 10)
            assert runs(notes) == 2
            assert inbox.lost() == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("echo 'not logged in' >&2; exit 3", "ended with 3: not logged in"),
        ("echo hello", "printed something that is no ExecCredential"),
        ("echo '{\"status\":{}}'", "gave neither a token nor a certificate"),
        ("cat; echo read-the-end >&2; exit 1", "read-the-end"),  # its stdin is empty, not ours
        ("sleep 60", "gave no answer within 0.5 s"),
    ],
)
def test_a_credential_plugin_that_fails_is_told_in_its_own_words(tmp_path: Path, body: str, said: str) -> None:
    user, _notes = plugin(tmp_path, body=body)
    path = tmp_path / "config"
    path.write_text(json.dumps(kubeconfig("http://127.0.0.1:1", user)))
    assert said in lost(path, plugin_timeout=0.5)


def test_a_credential_plugin_that_is_not_installed_is_told_with_its_hint(tmp_path: Path) -> None:
    spec = {"apiVersion": "v1", "command": "no-such-oci", "installHint": "install the OCI CLI"}
    path = tmp_path / "config"
    path.write_text(json.dumps(kubeconfig("http://127.0.0.1:1", {"exec": spec})))
    said = lost(path)
    assert "no-such-oci cannot be started" in said
    assert said.endswith("install the OCI CLI")


def test_a_token_file_is_read_anew_when_the_server_refuses(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old\n")
    box: list[ApiServer] = []

    def others(request: Request) -> None:
        if request.token == f"Bearer {NEW}":
            box[0].quiet(request)
        else:
            token.write_text(f"{NEW}\n")
            request.status(401, "Unauthorized")

    with ApiServer(quiet, others=others) as api:
        box.append(api)
        with watching(api.kubeconfig(tmp_path, {"tokenFile": "token"})) as (inbox, _watcher):
            inbox.until(lambda _: inbox.synced())


def test_a_kubeconfig_that_appears_starts_the_watch(tmp_path: Path) -> None:
    with ApiServer(quiet) as api, watching(tmp_path / "kubeconfig") as (inbox, _watcher):
        inbox.until(lambda _: inbox.lost())
        api.kubeconfig(tmp_path)
        inbox.until(lambda _: inbox.synced())


def test_a_kubeconfig_that_names_another_cluster_moves_the_watch(tmp_path: Path) -> None:
    with ApiServer(quiet) as one, ApiServer(quiet) as two, watching(one.kubeconfig(tmp_path)) as (inbox, watcher):
        inbox.until(lambda _: inbox.synced())
        two.kubeconfig(tmp_path)
        watcher.look_again()
        inbox.until(lambda _: len(inbox.synced()) == 2)
        assert found(inbox) == [one.url, two.url]


def test_a_kubeconfig_that_is_written_again_without_a_change_changes_nothing(tmp_path: Path) -> None:
    with ApiServer(quiet) as one, ApiServer(quiet) as two, watching(one.kubeconfig(tmp_path)) as (inbox, watcher):
        inbox.until(lambda _: inbox.synced())
        before = len(one.of_pods())
        path = one.kubeconfig(tmp_path)
        os.utime(path, (1, 1))
        watcher.look_again()
        path.write_text("")  # and one that is just being written
        watcher.look_again()
        two.kubeconfig(tmp_path)
        watcher.look_again()
        inbox.until(lambda _: len(inbox.synced()) == 2)
        assert (len(one.of_pods()), inbox.lost()) == (before, [])


def test_of_several_kubeconfigs_the_first_to_name_a_thing_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ApiServer(quiet) as api:
        first, second = tmp_path / "first", tmp_path / "second"
        first.write_text(json.dumps({"current-context": "ours"}))
        whole = kubeconfig(api.url)
        second.write_text(json.dumps({key: whole[key] for key in ("contexts", "clusters", "users")}))
        monkeypatch.setenv("KUBECONFIG", f"{first}:{tmp_path}/none:{second}")
        with watching(None) as (inbox, _watcher):
            inbox.until(lambda _: inbox.synced())


def test_an_api_server_that_goes_away_is_told_once_and_found_again(tmp_path: Path) -> None:
    down = [False]
    box: list[ApiServer] = []

    def ending(request: Request) -> None:
        if down[0]:
            request.cut()
            return
        request.picture()
        eventually(lambda: down[0])
        request.cut()

    with ApiServer(
        ending, others=lambda request: ending(request) if request.watching else box[0].quiet(request)
    ) as api:
        box.append(api)
        with watching(api.kubeconfig(tmp_path)) as (inbox, _watcher):
            inbox.until(lambda _: len(found(inbox)) == 1 and inbox.synced())
            down[0] = True
            inbox.until(lambda _: inbox.lost())
            box[0]._pods = quiet
            inbox.until(lambda _: len(found(inbox)) == 2)


def found(inbox: Inbox) -> list[str]:
    return [one.server for one in inbox.signals if isinstance(one, ClusterFound)]
