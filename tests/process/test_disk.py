"""A disk that is full, may not be written to, or loses our folder: the child is unaffected, one warning, no loss."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

import pytest

from tests.process.conftest import ours
from tests.process.deaths import (
    child_of,
    ended,
    fill,
    mounting,
    open_in,
    phase,
    recorded,
    sessions_in,
    small_disk,
    waiting,
)
from tests.process.sides import Outcome, end, run, says, start, until

FAILS = ("sh", "-c", "echo out; exit 3")


def warnings(done: Outcome) -> list[str]:
    """Give our lines about where the session goes; that there is no cluster is no concern here."""
    lines = done.err.decode().splitlines()
    return [line for line in lines if line.startswith("nimble-watch: cannot ") or " goes to /" in line]


def test_a_disk_that_fills_up_during_a_phase_costs_one_warning_and_no_record(tmp_path: Path) -> None:
    """Case 47: for the end a part of the disk was put by, and what could not be written is written then."""
    with small_disk(tmp_path / "disk") as disk:
        sessions, err = disk / "sessions", tmp_path / "err"
        with err.open("w") as file:
            launcher = start(phase(*waiting(tmp_path, ends=3), options=("--sessions", str(sessions))), stderr=file)
        child_of(tmp_path)
        until(lambda: list(sessions.glob(".journal/*/reserve")), "what is put by")
        until(lambda: sessions_in(sessions), "the session's file")
        fill(disk)
        until(says(err, "No space left on device; "), "a sign of life that could not be written")
        (tmp_path / "go").touch()
        assert end(launcher) == 3
        session = ended(sessions)
        assert (session["result"], session["phases"]["install"]["exit"]) == ("failure", 3)
        assert err.read_text().count("No space left on device") == 1
        assert "; the phase goes on" in err.read_text()


def test_a_disk_that_is_full_before_the_start_sends_the_session_elsewhere_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of case 47."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with small_disk(tmp_path / "disk", "nr_inodes=4") as disk:
        fill(disk)
        (disk / "last").touch()
        done = run(phase(*FAILS, options=("--sessions", str(disk / "sessions"))))
    assert (done.status, done.out) == (3, b"out\n")
    (warning,) = warnings(done)
    elsewhere = tmp_path / f"nimble-watch-{os.geteuid()}" / "sessions"
    assert warning.endswith(f"No space left on device; this one goes to {elsewhere}")
    assert ended(elsewhere)["result"] == "failure"


def test_a_disk_on_which_only_empty_files_can_be_made_sends_the_session_elsewhere_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of case 47: as a full disk is, as a rule: the folder was made, and not one record was kept."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with small_disk(tmp_path / "disk") as disk:
        sessions = disk / "sessions"
        monkeypatch.setenv("NIMBLE_WATCH_SESSIONS", str(sessions))
        assert run(phase("true", options=("-q",))).status == 0
        until(lambda: not ours(sessions), "the end of who still holds files of the first session")
        fill(disk)
        done = run(phase(*FAILS))
        left = [path.name for path in (sessions / ".journal").iterdir() if path.name.startswith((".lock", "session"))]
    assert (done.status, done.out, left) == (3, b"out\n", [])
    (warning,) = warnings(done)
    elsewhere = tmp_path / f"nimble-watch-{os.geteuid()}" / "sessions"
    assert warning.endswith(f"No space left on device; this one goes to {elsewhere}")
    session = ended(elsewhere)
    assert session["result"] == "failure"
    assert f"nimble-watch: recorded as {session['session_id']} in {elsewhere}\n" in done.err.decode()


def test_a_disk_with_room_for_the_beginning_only_keeps_the_session_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of case 47: what the beginning had taken to see that there is room is enough for the end."""
    with small_disk(tmp_path / "disk") as disk:
        sessions, last = disk / "sessions", disk / "last"
        monkeypatch.setenv("NIMBLE_WATCH_SESSIONS", str(sessions))
        assert run(phase("true", options=("-q",))).status == 0
        until(lambda: not ours(sessions), "the end of who still holds files of the first session")
        last.write_bytes(bytes(65_536))
        fill(disk)
        last.unlink()
        done = run(phase(*FAILS))
        until(lambda: not open_in(sessions), "the session's end")
        results = {one["result"] for one in sessions_in(sessions)}
    assert (done.status, done.out, results) == (3, b"out\n", {"success", "failure"})


def test_a_read_only_disk_sends_the_session_elsewhere_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of case 47."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with small_disk(tmp_path / "disk", "ro") as disk:
        done = run(phase(*FAILS, options=("--sessions", str(disk / "sessions"))))
    assert (done.status, done.out) == (3, b"out\n")
    (warning,) = warnings(done)
    elsewhere = tmp_path / f"nimble-watch-{os.geteuid()}" / "sessions"
    assert warning.endswith(f"Read-only file system; this one goes to {elsewhere}")
    assert ended(elsewhere)["result"] == "failure"


def test_a_limit_on_the_size_of_files_is_no_signal_for_us_and_stays_one_for_the_child(sessions: Path) -> None:
    """More of case 47: beyond RLIMIT_FSIZE a write is refused to us, and SIGXFSZ meets the child as ever."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))

    bare = run(["sh", "-c", "dd if=/dev/zero of=big bs=1000 count=1 2>/dev/null; echo $?"], preexec_fn=limited,
               cwd=sessions.parent)  # fmt: skip
    done = run(phase("sh", "-c", "dd if=/dev/zero of=big bs=1000 count=1 2>/dev/null; echo $?"), preexec_fn=limited,
               cwd=sessions.parent)  # fmt: skip
    assert (done.status, done.out) == (bare.status, bare.out)
    assert done.err.decode().count("File too large") == 1


def test_a_home_that_may_not_be_written_sends_the_session_elsewhere_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of case 47."""
    monkeypatch.delenv("NIMBLE_WATCH_SESSIONS")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    done = run(phase(*FAILS))
    assert (done.status, done.out) == (3, b"out\n")
    (warning,) = warnings(done)
    elsewhere = tmp_path / f"nimble-watch-{os.geteuid()}" / "sessions"
    assert warning.endswith(f"this one goes to {elsewhere}")
    assert ended(elsewhere)["result"] == "failure"


def test_without_a_home_the_stand_in_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More of case 47: as in a container that runs as a number which its password database does not know."""
    monkeypatch.delenv("NIMBLE_WATCH_SESSIONS")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("HOME", "nowhere")  # what is no path is no home; without HOME the database would be asked
    done = run(phase(*FAILS), cwd=tmp_path)
    assert (done.status, done.out) == (3, b"out\n")
    elsewhere = tmp_path / f"nimble-watch-{os.geteuid()}" / "sessions"
    assert warnings(done) == [f"nimble-watch: there is no home folder: this session goes to {elsewhere}"]
    assert ended(elsewhere)["result"] == "failure"


def test_without_the_variable_the_password_database_knows_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of case 47: HOME unset."""
    for name in ("NIMBLE_WATCH_SESSIONS", "HOME"):
        monkeypatch.delenv(name)
    users = tmp_path / "passwd"
    users.write_text(f"somebody:x:{os.geteuid()}:0::{tmp_path}/home:/bin/sh\n")
    command = f'mount --bind {users} /etc/passwd && exec "$@"'
    done = run([*mounting(), "sh", "-c", command, "sh", *phase(*FAILS)])
    assert (done.status, done.out, warnings(done)) == (3, b"out\n", [])
    assert ended(tmp_path / "home" / ".nimble-oke" / "sessions")["result"] == "failure"


def test_a_folder_removed_during_a_phase_is_written_once_more(sessions: Path, tmp_path: Path) -> None:
    """More of case 47: all that was written is in the file that the observer still holds."""
    err = tmp_path / "err"
    with err.open("w") as file:
        launcher = start(phase(*waiting(tmp_path, ends=3)), stderr=file)
    child_of(tmp_path)
    until(lambda: recorded(sessions, "phase-started") and sessions_in(sessions), "the session's file")
    shutil.rmtree(sessions)
    (tmp_path / "go").touch()
    assert end(launcher) == 3
    session = ended(sessions)
    assert (session["operation"], session["result"]) == ("install", "failure")
    assert session["phases"]["install"]["exit"] == 3
    assert not open_in(sessions)
    assert err.read_text().count("cannot ") <= 1


def test_a_full_log_file_is_nobodys_concern(sessions: Path) -> None:
    """More of case 34: our own lines have no room either."""
    done = run(phase(*FAILS, options=("--log-file", "/dev/full")))
    assert (done.status, done.out, done.err) == (3, b"out\n", b"")
    assert ended(sessions)["result"] == "failure"
