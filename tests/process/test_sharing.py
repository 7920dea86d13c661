"""Sessions sent and pulled by real commands on several machines, each of them a sessions folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.process.sides import Outcome, nimble_watch, run


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


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", b"no shared store is chosen; name one with --store URL or NIMBLE_WATCH_STORE"),
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
