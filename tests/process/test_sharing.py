"""Sessions sent and pulled by real commands on several machines, each of them a sessions folder."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.process.conftest import ours
from tests.process.sides import Outcome, end, nimble_watch, run, start, until

NOWHERE = "T0ken_of-a-request-that-nobody-may-see"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder that all machines see, and make it the store of the project `nim`."""
    folder = tmp_path / "store"
    folder.mkdir()
    monkeypatch.setenv("NIMBLE_WATCH_STORE", str(folder))
    monkeypatch.setenv("NIMBLE_WATCH_PROJECT", "nim")
    return folder


def session(folder: Path, *words: str, **environ: str) -> Outcome:
    """Run `nimble-watch session ...` on the machine of a folder."""
    return run(
        [*nimble_watch(), "session", *words], env={**os.environ, "NIMBLE_WATCH_SESSIONS": str(folder), **environ}
    )


@pytest.mark.usefixtures("store")
def test_a_team_lists_summarises_and_compares_what_the_other_machine_pushed(sessions: Path) -> None:
    ci, desk = sessions / "ci", sessions / "desk"
    quiet = {"NIMBLE_WATCH_STORE": ""}
    for _ in range(2):
        session(ci, "init", "nightly", **quiet)
        session(ci, "end", **quiet)
    pushed = session(ci, "push", "--all")
    assert pushed.status == 0, pushed.err
    assert pushed.out.count(b" r1 sent") == 2
    assert session(ci, "push", "--all").out.count(b" r1 was there") == 2
    pulled = session(desk, "pull")
    assert b"2 new or newer sessions" in pulled.err
    listed = session(desk, "list", "-o", "name").out.decode().split()
    assert len(listed) == 2
    assert b"nightly" in session(desk, "summary", listed[0]).out
    assert b"nightly" in session(desk, "compare").out
    assert json.loads(session(desk, "show", listed[1]).out)["operation"] == "nightly"
    assert list(desk.glob("session-*.json")) == [], "nothing of others among the own files"


@pytest.mark.usefixtures("store")
def test_push_without_a_word_sends_the_newest_and_names_what_cannot_be_sent(sessions: Path) -> None:
    session(sessions, "init", NIMBLE_WATCH_STORE="")
    name = os.fsdecode((sessions / "current.json").readlink()).removesuffix(".json")
    refused = session(sessions, "push", name)
    assert (refused.status, refused.err.count(b"is still open")) == (1, 1)
    session(sessions, "end", NIMBLE_WATCH_STORE="")
    assert session(sessions, "push").out.decode().startswith(f"{name} r1 sent")


@pytest.mark.usefixtures("store")
def test_what_another_tracker_left_is_counted_and_left_out(sessions: Path) -> None:
    sessions.mkdir()
    (sessions / "session-20241012-143022.json").write_text('{"session_id": "session-20241012-143022"}')
    (sessions / "session-20241012-143023.json").write_text("half")
    session(sessions, "init", NIMBLE_WATCH_STORE="")
    session(sessions, "end", NIMBLE_WATCH_STORE="")
    done = session(sessions, "push", "--all")
    assert (done.status, done.out.count(b" r1 sent")) == (0, 1)
    assert b"2 left out, unreadable or of another tracker" in done.err
    assert b"it has no uid" in session(sessions, "push", "session-20241012-143022").err


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", b"no shared store is chosen; name one with --store URL or NIMBLE_WATCH_STORE, or as `store`"),
        ("fiel:///tmp", b"did you mean file://?"),
        ("/no/such/folder", b"is it mounted?"),
        ("file://otherhost/tmp", b"names another machine"),
        ("file:///tmp?a=b", b"has no option a"),
        ("s3://KEY:topsecret@bucket/x", b"credentials do not belong into the address"),
        ("s3://bucket/x?secret_key=topsecret", b"credentials do not belong into the address"),
    ],
)
def test_an_address_that_cannot_be_used_is_told_in_a_sentence(
    sessions: Path, monkeypatch: pytest.MonkeyPatch, url: str, said: bytes
) -> None:
    monkeypatch.setenv("NIMBLE_WATCH_PROJECT", "nim")
    done = session(sessions, "pull", NIMBLE_WATCH_STORE=url)
    assert done.status != 0
    assert said in done.err
    assert done.err.count(b"\n") == 1
    assert b"topsecret" not in done.err + done.out


@pytest.mark.usefixtures("store")
def test_a_project_is_called_after_the_repository_it_was_cloned_from(sessions: Path, tmp_path: Path) -> None:
    git = tmp_path / "checkout" / ".git"
    git.mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "config").write_text('[core]\n\tbare = false\n[remote "origin"]\n\turl = git@host:team/my-nim.git\n')
    done = run(
        [*nimble_watch(), "session", "pull"],
        cwd=git.parent,
        env={**os.environ, "NIMBLE_WATCH_SESSIONS": str(sessions), "NIMBLE_WATCH_PROJECT": ""},
    )
    assert b"project my-nim" in done.err


def keys(store: Path) -> list[str]:
    """Give the keys of all objects that are whole."""
    return sorted(str(path.relative_to(store)) for path in store.rglob("*.json.gz"))


@pytest.mark.parametrize("command", ["true", "false"])
def test_a_session_is_in_the_store_when_its_command_has_ended_with_its_own_status(
    store: Path, sessions: Path, command: str
) -> None:
    done = run([*nimble_watch(), "exec", "--phase", "install", "--", command])
    assert done.status == run([command]).status
    marker, ended = keys(store)
    assert (marker.count(".r0-"), ended.count(".r1-")) == (1, 1)
    desk = sessions / "desk"
    assert b"1 new or newer session from" in session(desk, "pull").err
    assert len(session(desk, "list", "-o", "name").out.split()) == 1


def test_a_store_that_is_away_costs_a_line_and_is_caught_up_with_by_the_next_session(
    store: Path, sessions: Path
) -> None:
    store.rename(store.with_name("away"))
    failed = run([*nimble_watch(), "exec", "--phase", "install", "--", "sh", "-c", "exit 3"])
    assert failed.status == 3
    assert failed.err.count(b"is not shared yet") == 1
    assert b"`nimble-watch session push`" in failed.err
    store.with_name("away").rename(store)
    assert run([*nimble_watch(), "exec", "--phase", "install", "--", "true"]).status == 0
    assert sum(".r1-" in key for key in keys(store)) == 2
    assert not list((sessions / "shared" / ".unsent").rglob("session-*"))


def test_quiet_says_nothing_of_a_store_that_fails(sessions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIMBLE_WATCH_STORE", "nonsense://x")
    assert run([*nimble_watch(), "exec", "-q", "--", "true"]) == Outcome(0, b"", b"")
    said = run([*nimble_watch(), "exec", "--", "true"])
    assert said.status == 0
    assert said.err.count(b"there is no kind of store called nonsense") == 1
    assert list(sessions.glob("session-*.json")), "and it is kept here"


def test_a_ci_machine_that_was_killed_is_known_by_the_marker_of_its_beginning(store: Path, sessions: Path) -> None:
    ci = start([*nimble_watch(), "exec", "--", "sleep", "60"])
    until(lambda: keys(store), "the marker's arrival")
    for process in [*psutil.Process(ci.pid).children(recursive=True), psutil.Process(ci.pid), *ours(sessions)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    end(ci)
    (marker,) = keys(store)
    assert ".r0-" in marker
    desk = sessions / "desk"
    session(desk, "pull")
    (listed,) = json.loads(session(desk, "list", "-o", "json").out)
    assert (listed["state"], listed["operation"]) == ("open", "sleep")


def test_a_session_whose_observer_was_killed_is_sent_by_whoever_closes_it(store: Path, sessions: Path) -> None:
    ci = start([*nimble_watch(), "exec", "--", "sleep", "60"])
    until(lambda: keys(store), "the marker's arrival")
    (observer,) = [process for process in ours(sessions) if "observe" in process.cmdline()]
    observer.kill()
    ci.terminate()
    end(ci)
    until(lambda: [key for key in keys(store) if ".r1-" in key], "the session's arrival")


def test_what_a_later_command_ends_for_a_killed_one_is_sent_with_the_next_push(store: Path, sessions: Path) -> None:
    session(sessions, "init")
    session(sessions, "init")
    assert keys(store) == []
    assert session(sessions, "push").out.count(b" r1 sent") == 1
    assert session(sessions, "end").status == 0
    assert sum(".r1-" in key for key in keys(store)) == 2


@pytest.fixture
def silent() -> Iterator[str]:
    """Give a URL of a store that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/p/{NOWHERE}/n/ns/b/history/o/"


def test_a_store_that_never_answers_holds_up_no_status_and_shows_no_token(
    silent: str, sessions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIMBLE_WATCH_STORE", silent)
    monkeypatch.setenv("DEBUG", "1")
    done = run([*nimble_watch(), "exec", "--phase", "install", "--", "sh", "-c", "exit 7"])
    assert done.status == 7
    assert done.err.count(b"is not shared yet") == 1
    assert NOWHERE.encode() not in done.err + done.out
    files = [path for path in sessions.rglob("*") if path.is_file()]
    assert [path.name for path in files if ".unsent" in path.parts and path.name.startswith("session-")]
    assert not [path for path in files if NOWHERE in str(path) or NOWHERE.encode() in path.read_bytes()]


def test_whoever_is_in_a_hurry_does_not_wait_for_the_store(
    silent: str, sessions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIMBLE_WATCH_STORE", silent)
    waiting = start([*nimble_watch(), "exec", "--", "true"])
    until(lambda: list((sessions / "shared").rglob("session-*")), "the beginning of the sending")
    waiting.terminate()
    end(waiting)
    assert ours(sessions), "the sending goes on without it"


def test_what_one_says_of_another_s_session_goes_back_to_the_store(store: Path, sessions: Path) -> None:
    run([*nimble_watch(), "exec", "--phase", "install", "--", "true"])
    desk = sessions / "desk"
    session(desk, "pull")
    (name,) = session(desk, "list", "-o", "name").out.decode().split()
    assert session(desk, "annotate", name, "--tag", "seen").status == 0
    assert sum(".r2-" in key for key in keys(store)) == 1
    assert session(desk, "pull").status == 0
    (shown,) = json.loads(session(desk, "list", "-o", "json").out)
    assert (shown["revision"], shown["tags"]) == (2, ["seen"])
    session(sessions, "pull")
    (newer,) = json.loads(session(sessions, "list", "-o", "json").out)
    assert newer["tags"] == ["seen"]


def test_a_repository_may_name_its_store_but_nothing_goes_there_unasked(sessions: Path, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "nimble-watch.toml").write_text(f'store = "{tmp_path / "shared"}"\nproject = "nim"\n')
    assert run([*nimble_watch(), "exec", "--", "true"], cwd=tmp_path).status == 0
    assert keys(tmp_path / "shared") == []
    assert run([*nimble_watch(), "session", "push"], cwd=tmp_path).status == 0
    assert len(keys(tmp_path / "shared")) == 1
    (tmp_path / "nimble-watch.toml").write_text(f'store = "https://host/p/{NOWHERE}/n/ns/b/b/o/"\n')
    refused = run([*nimble_watch(), "session", "push"], cwd=tmp_path)
    assert b"line 1: store holds a secret; put it into NIMBLE_WATCH_STORE" in refused.err
    assert NOWHERE.encode() not in refused.err
    assert sessions.exists()
