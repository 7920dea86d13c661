"""Sessions on disk: whole or not there, merged with what others wrote, ended truthfully, and never a traceback."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from nimble_watch import claim, store
from nimble_watch import session as s
from nimble_watch.store.files import append_line


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder for sessions."""
    folder = tmp_path / "sessions"
    store.make_folders(folder)
    return folder


def begin(folder: Path, *, now: float | None = None, leave_open: bool = False) -> claim.Claim:
    """Begin a session as run does, or (left open) as a shell does."""
    at = time.time() if now is None else now
    held = claim.make(str(folder), now=at, leave_open=leave_open)
    assert held.session
    record = s.session_started(
        session_id=held.session,
        uid=s.new_uid(s.milliseconds(at), os.urandom(10)),
        operation="complete-workflow",
        environment="dev",
        start_time=at,
    )
    store.begin(folder, held.session, record, writer="observer")
    if leave_open:
        claim.release(held)
    return held


def name_of(held: claim.Claim) -> str:
    assert held.session
    return held.session


def let_go(held: claim.Claim) -> None:
    """Do to the lock what the death of its holder does."""
    assert held.lock is not None
    os.close(held.lock)


def document(folder: Path, session_id: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / f"{session_id}.json").read_text())
    return found


def history(folder: Path) -> list[str]:
    return (folder / "all-sessions.txt").read_text().splitlines()


def test_a_session_is_complete_from_its_beginning_and_current(folder: Path) -> None:
    session_id = name_of(begin(folder))
    assert document(folder, session_id)["state"] == "open"
    assert str((folder / "current.json").readlink()) == f"{session_id}.json"
    assert store.current_id(folder) == session_id


def test_nobody_else_may_read_it(folder: Path) -> None:
    held = begin(folder)
    store.end(folder, name_of(held), s.session_ended("success"))
    for path in [folder, *folder.rglob("*")]:
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert path.is_symlink() or mode == (0o700 if path.is_dir() else 0o600), path


def test_an_ended_session_leaves_the_guide_s_files_and_no_journal(folder: Path) -> None:
    now = time.time() - 1847
    held = begin(folder, now=now)
    session_id = name_of(held)
    with store.Journal(store.journal_folder(folder, session_id), "observer") as journal:
        logged = s.Obstacle(id="obs-1-1", time_delay_seconds=45, cost_impact_usd=Decimal("0.02"))
        journal.append(s.obstacle_logged(logged, time=now + 100))
        journal.append(s.costs_known({"session_total": Decimal("0.15")}, given=True, time=now + 100))
    session = store.end(folder, session_id, s.session_ended("success", time=now + 1847))
    assert history(folder) == [f"SESSION: {session_id} | complete-workflow | dev | 1847s | 97.6% | $0.15 | 1 obstacles"]
    assert (folder / f"summary-{session_id}.txt").read_text().startswith(f"=== SESSION SUMMARY: {session_id} ===\n")
    assert not store.is_open(folder, session_id)
    assert not store.journal_folder(folder, session_id).exists()
    loaded = store.load(store.session_path(folder, session_id))
    assert (loaded.session, loaded.problems) == (session, [])


def test_what_is_unknown_is_n_a_in_the_history(folder: Path) -> None:
    now = time.time()
    session_id = name_of(begin(folder, now=now))
    store.end(folder, session_id, s.session_ended("error", time=now))
    assert history(folder) == [f"SESSION: {session_id} | complete-workflow | dev | 0s | n/a | n/a | 0 obstacles"]


def test_ending_that_was_cut_off_is_finished_later_and_remembered_once(folder: Path) -> None:
    held = begin(folder)
    session_id = name_of(held)
    journals = store.journal_folder(folder, session_id)
    kept = {path.name: path.read_bytes() for path in journals.iterdir()}
    store.end(folder, session_id, s.session_ended("failure", exit=2))
    journals.mkdir()  # as if killed before the journals went away
    for name, content in kept.items():
        (journals / name).write_bytes(content)
    with store.Journal(journals, "end") as journal:
        journal.append(s.session_ended("failure", exit=2))
    let_go(held)
    (closed,) = store.close_abandoned(folder)
    assert (closed.result, closed.exit) == ("failure", 2)
    assert len(history(folder)) == 1


def test_a_crashed_session_is_closed_as_error_and_a_living_one_is_left_alone(folder: Path) -> None:
    living, crashed = begin(folder), begin(folder)
    with store.Journal(store.journal_folder(folder, name_of(crashed)), "observer") as journal:
        journal.append(s.phase_started("install", ["make", "install"]))
    let_go(crashed)
    (closed,) = store.close_abandoned(folder)
    assert closed.session_id == name_of(crashed)
    assert (closed.state, closed.result) == ("ended", "error")
    assert closed.notes == ["its process was killed, or could not write any more; the end is the last sign of life"]
    assert closed.phases["install"].result == "error"
    assert store.is_open(folder, name_of(living))
    let_go(living)


def test_a_shell_s_session_lives_by_activity(folder: Path) -> None:
    session_id = name_of(begin(folder, leave_open=True))
    assert store.close_abandoned(folder) == []
    day_later = time.time() + 25 * 3600
    for path in [store.journal_folder(folder, session_id), *store.journal_folder(folder, session_id).iterdir()]:
        os.utime(path, (1.0, 1.0))
    (closed,) = store.close_abandoned(folder, now=day_later)
    assert (closed.session_id, closed.result) == (session_id, "success")


def test_a_session_that_its_launcher_had_to_begin_gets_its_uid_at_the_end(folder: Path) -> None:
    held = claim.make(str(folder), now=time.time(), leave_open=False)
    journals = store.journal_folder(folder, name_of(held))
    started = {
        "type": "session-started",
        "seq": 1,
        "time": time.time(),
        "start_time": time.time(),
        "operation": "install",
    }
    (journals / "launcher.jsonl").write_text(json.dumps(started) + "\n")
    let_go(held)
    (closed,) = store.close_abandoned(folder)
    assert closed.uid is not None


def test_what_another_program_added_is_merged(folder: Path) -> None:
    held = begin(folder)
    path = store.session_path(folder, name_of(held))
    theirs = json.loads(path.read_text())
    theirs["ticket"] = "OPS-1"
    theirs["obstacles"].append({"id": "theirs-1", "phase": "install", "time_delay_seconds": 3, "mine": True})
    path.write_text(json.dumps(theirs))
    with store.Journal(store.journal_folder(folder, name_of(held)), "observer") as journal:
        journal.append(s.phase_started("install"))
    store.refold(folder, name_of(held))
    store.end(folder, name_of(held), s.session_ended("success"))
    found = json.loads(path.read_text())
    assert found["ticket"] == "OPS-1"
    assert [(one["id"], one["mine"], one["source"]) for one in found["obstacles"]] == [("theirs-1", True, "foreign")]
    assert list(found["phases"]) == ["install"]


def test_a_file_that_another_program_broke_is_put_aside_and_written_again(folder: Path) -> None:
    held = begin(folder)
    path = store.session_path(folder, name_of(held))
    path.write_text('{"half": ')
    store.refold(folder, name_of(held))
    assert document(folder, name_of(held))["session_id"] == name_of(held)
    (aside,) = folder.glob("broken-*")
    assert aside.read_text() == '{"half": '


def test_a_record_cut_short_is_dropped_and_one_broken_in_the_middle_is_named(folder: Path) -> None:
    journals = store.journal_folder(folder, name_of(begin(folder)))
    path = journals / "observer.jsonl"
    with path.open("ab") as file:
        file.write(b'not json\n{"type": "set", "seq": 3, "time": 1, "fields": {}}\n{"type": "phase-')
    problems: list[str] = []
    assert [record["type"] for record in store.read_records(journals, problems)] == ["session-started", "set"]
    assert problems == ["observer.jsonl: line 2 is not a record"]


def test_a_journal_opened_again_counts_on_and_starts_a_line_of_its_own(folder: Path) -> None:
    journals = store.journal_folder(folder, name_of(begin(folder)))
    with (journals / "observer.jsonl").open("ab") as file:
        file.write(b'{"torn')
    with store.Journal(journals, "observer") as journal:
        assert journal.append(s.phase_started("install"))["seq"] == 2
    problems: list[str] = []
    assert [record["type"] for record in store.read_records(journals, problems)] == ["session-started", "phase-started"]


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """Let the system refuse what would make any file longer, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_cannot_be_written_is_one_sentence_and_leaves_the_old_file_and_no_stray_one(folder: Path) -> None:
    session_id = name_of(begin(folder))
    before = store.session_path(folder, session_id).read_bytes()
    journal = store.Journal(store.journal_folder(folder, session_id), "observer")
    with no_file_longer_than(600):
        with pytest.raises(store.StoreError, match=r"cannot write .*observer\.jsonl: File too large"):
            journal.append(s.fields_set(notes=["x" * 2000]))
        with pytest.raises(store.StoreError, match="cannot write"):
            store.refold(folder, session_id)
    journal.append(s.fields_set(notes=["y"]))
    journal.close()
    assert store.session_path(folder, session_id).read_bytes() == before
    assert not list(folder.rglob("*.tmp"))
    assert store.refold(folder, session_id).notes == ["y"]


def test_what_a_killed_command_left_half_written_is_taken_away_later_and_nothing_else(folder: Path) -> None:
    """As of an annotation of a session that has ended: nobody ends that again, who would take it away."""
    session_id = name_of(begin(folder))
    ended, hexes = "session-20260101-000000", "0123456789ab"
    halves = [f".{ended}.json.{hexes}.tmp", f".summary-{ended}.txt.{hexes}.tmp", f".current.json.{hexes}.tmp"]
    others = [f".{session_id}.json.{hexes}.tmp", ".mine.tmp"]
    for name in (*halves, *others):
        (folder / name).write_text("half")
    store.close_abandoned(folder)
    assert all((folder / name).exists() for name in halves), "it may be at work"
    for name in (*halves, *others):
        os.utime(folder / name, (0, 0))
    store.close_abandoned(folder)
    assert [name for name in (*halves, *others) if (folder / name).exists()] == others


def test_a_folder_that_cannot_be_made_says_what_to_try(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(store.StoreError, match=r"cannot make .*Not a directory; .*--sessions"):
        store.make_folders(tmp_path / "file" / "sessions")


def test_a_folder_in_which_everybody_may_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(store.StoreError, match="everybody may write there; chmod o-w"):
        store.make_folders(tmp_path / "open")


def test_a_planted_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    session_id = name_of(begin(folder))
    target = tmp_path / "precious"
    target.write_text("precious")
    (store.journal_folder(folder, session_id) / "evil.jsonl").symlink_to(target)
    with pytest.raises(store.StoreError, match="symbolic link"):
        store.Journal(store.journal_folder(folder, session_id), "evil")
    path = store.session_path(folder, session_id)
    path.unlink()
    path.symlink_to(target)
    (store.journal_folder(folder, session_id) / "evil.jsonl").unlink()
    store.refold(folder, session_id)
    assert target.read_text() == "precious"
    assert not path.is_symlink()


def test_no_lock_is_written_through_a_planted_link(folder: Path, tmp_path: Path) -> None:
    """The name of the one that is being made can be foreseen, and a lock holds zeros until its session ends."""
    target = tmp_path / "precious"
    target.write_text("precious")
    ready = folder / claim.JOURNALS / f".lock-{os.getpid()}"
    ready.symlink_to(target)
    with pytest.raises(OSError, match="symbolic link"):
        claim.make(str(folder), now=time.time())
    ready.unlink()
    session_id = name_of(begin(folder))
    lock = store.journal_folder(folder, session_id) / "lock"
    lock.unlink()
    lock.symlink_to(target)
    assert claim.abandoned(str(folder), now=time.time()) == []
    store.use_reserve(folder, session_id)
    assert target.read_text() == "precious"


def test_a_planted_pipe_keeps_nobody_waiting(folder: Path) -> None:
    session_id = name_of(begin(folder))
    journals = store.journal_folder(folder, session_id)
    os.mkfifo(journals / "evil.jsonl")
    with pytest.raises(store.StoreError, match=r"evil\.jsonl: it is no file; move it out of the way"):
        store.read_records(journals, [])
    (journals / "evil.jsonl").unlink()
    store.session_path(folder, session_id).unlink()
    os.mkfifo(store.session_path(folder, session_id))
    os.mkfifo(folder / "all-sessions.txt")
    with pytest.raises(store.StoreError, match=r"all-sessions\.txt: it is no file"):
        store.end(folder, session_id, {"type": "session-ended", "time": time.time(), "result": "success"})
    assert document(folder, session_id)["result"] == "success"


@pytest.mark.parametrize("session_id", ["session-../../etc/passwd", "../x", "", "session-a\nb", "/etc/passwd"])
def test_an_id_that_is_none_never_becomes_a_path(folder: Path, session_id: str) -> None:
    with pytest.raises(store.StoreError, match="is no session id"):
        store.session_path(folder, session_id)
    assert not store.is_open(folder, session_id)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "session-20200101-000000.json is empty"),
        ("hello", "session-20200101-000000.json is not whole JSON (JSON is malformed: invalid character (byte 0))"),
        ('{"session_id": "x', "session-20200101-000000.json is not whole JSON (Input data was truncated)"),
        ("[1]", "session-20200101-000000.json holds no JSON object"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_the_others_are_shown(folder: Path, content: str, problem: str) -> None:
    good = name_of(begin(folder))
    (folder / "session-20200101-000000.json").write_text(content)
    first, second = store.load_all(folder)
    assert first.session is not None
    assert first.session.session_id == good
    assert (second.session, second.problems) == (None, [problem])
    assert (folder / "session-20200101-000000.json").read_text() == content


def test_what_cannot_be_true_is_named_by_file_and_field(folder: Path) -> None:
    old = {
        "session_id": "session-20200101-000000",
        "start_time": "yesterday",
        "phases": {"install": {"duration": -3, "obstacles": []}},
        "obstacles": [],
        "costs": {"session_total": 0},
        "performance": {"total_duration": 100, "efficiency_score": -12.5},
        "schema": 7,
        "extra field": 1,
    }
    (folder / "session-20200101-000000.json").write_text(json.dumps(old))
    (loaded,) = store.load_all(folder)
    assert loaded.problems == [
        f"session-20200101-000000.json: {problem}"
        for problem in (
            "schema: version 7 is newer than 1; some fields may not be shown",
            "start_time: 'yesterday' is not a time",
            "phases.install.duration: -3 is negative",
            "performance.efficiency_score: -12.5 is not within 0 to 100; computed anew",
        )
    ]
    assert loaded.session is not None
    assert loaded.session.performance.efficiency_score == Decimal("100.0")


def test_the_newest_session_comes_first_also_within_a_second(folder: Path) -> None:
    for name in (
        "session-20250101-000000-2",
        "session-20250101-000000",
        "session-20250101-000000-10",
        "session-20240101-000000",
    ):
        (folder / f"{name}.json").write_text("{}")
    assert store.session_ids(folder) == [
        "session-20250101-000000-10",
        "session-20250101-000000-2",
        "session-20250101-000000",
        "session-20240101-000000",
    ]


def _ended(folder: Path, *days: str) -> None:
    for day in days:
        (folder / f"session-{day}-120000.json").write_text("{}")
        (folder / f"summary-session-{day}-120000.txt").write_text("")


@pytest.mark.parametrize(
    ("keep", "days", "old"),
    [
        (2, None, ["20260101", "20260201"]),
        (None, 60, ["20260101"]),
        (3, 20, ["20260101"]),
        (0, 20, ["20260101", "20260201"]),
        (9, 1, []),
    ],
)
def test_old_sessions_are_those_beyond_the_newest_and_older_than_was_said(
    folder: Path, keep: int | None, days: int | None, old: list[str]
) -> None:
    _ended(folder, "20260101", "20260201", "20260301", "20260310")
    now = 1773144000.0  # 2026-03-10 12:00 UTC
    older_than = None if days is None else days * 86400.0
    assert store.old_sessions(folder, keep=keep, older_than=older_than, now=now) == [
        f"session-{day}-120000" for day in old
    ]


def test_what_is_open_or_current_is_never_old(folder: Path) -> None:
    _ended(folder, "20260101")
    session_id = name_of(begin(folder, now=1767000000.0))
    ended = name_of(begin(folder, now=1767100000.0))
    store.end(folder, ended, s.session_ended("success"))
    assert store.current_id(folder) == ended
    old = store.old_sessions(folder, keep=0, older_than=None, now=time.time())
    assert old == ["session-20260101-120000"]
    assert store.is_open(folder, session_id)


def test_what_is_told_before_the_session_s_own_beginning_is_there_and_current(folder: Path) -> None:
    session_id = name_of(claim.make(str(folder), now=time.time(), leave_open=False))
    with store.Journal(store.journal_folder(folder, session_id), "exec-1") as journal:
        journal.append(s.obstacle_logged(s.Obstacle(id="obs-1", description="by the script")))
    store.catch_up(folder, session_id)
    assert store.current_id(folder) == session_id
    assert [one["id"] for one in json.loads((folder / "current.json").read_text())["obstacles"]] == ["obs-1"]


def test_removed_sessions_are_gone_and_archived_ones_are_a_history_of_their_own(folder: Path) -> None:
    _ended(folder, "20260101", "20260201", "20260301")
    store.remove(folder, ["session-20260101-120000"])
    store.archive(folder, ["session-20260201-120000"], folder / "archive")
    assert store.session_ids(folder) == ["session-20260301-120000"]
    assert store.session_ids(folder / "archive") == ["session-20260201-120000"]
    assert sorted(path.name for path in folder.glob("summary-*")) == ["summary-session-20260301-120000.txt"]


def in_a_child(work: Callable[[], None]) -> int:
    """Fork a process that does the work and nothing else."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    finally:
        os._exit(0)


def test_sessions_begun_and_ended_at_once_by_many_processes_are_all_there(folder: Path) -> None:
    def one() -> None:
        held = begin(folder)
        store.end(folder, name_of(held), s.session_ended("success"))

    children = [in_a_child(one) for _ in range(50)]
    for child in children:
        os.waitpid(child, 0)
    assert len(history(folder)) == len(set(history(folder))) == 50
    assert len(store.session_ids(folder)) == 50
    assert all(loaded.problems == [] for loaded in store.load_all(folder))


def test_a_session_that_begins_and_ends_while_another_looks_for_a_name_keeps_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = 1_760_000_000.0
    others: list[int] = []
    mkdir = os.mkdir

    def other() -> None:
        store.end(folder, name_of(begin(folder, now=at)), s.session_ended("success"))

    def slow(path: str, mode: int = 0o777) -> None:
        if not others:
            others.append(0)
            others[0] = in_a_child(other)
            os.waitpid(others[0], 0)
        mkdir(path, mode)

    monkeypatch.setattr(os, "mkdir", slow)
    assert name_of(begin(folder, now=at)) == "session-20251009-085320-2"
    assert not store.is_open(folder, "session-20251009-085320")


def test_a_line_that_somebody_appended_without_the_lock_stays(folder: Path) -> None:
    """Fifty commands that end at once may wait for the lock in vain; what they append then is nobody's to cut."""
    path = folder / "all-sessions.txt"
    path.write_bytes(b"SESSION: a | x\nSESSION: b | ")
    append_line(path, b"SESSION: b | y\n", seen=28, kept=15)
    assert path.read_bytes() == b"SESSION: a | x\nSESSION: b | y\n"
    path.write_bytes(b"SESSION: a | x\nSESSION: b | SESSION: c | z\n")
    append_line(path, b"SESSION: b | y\n", seen=28, kept=15)
    assert b"SESSION: c | z\n" in path.read_bytes()


@pytest.mark.parametrize("rounds", [25, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])])
def test_killed_at_any_instant_a_session_is_whole_and_no_phase_that_was_on_disk_is_lost(
    tmp_path: Path, rounds: int
) -> None:
    chance = random.Random(7)  # noqa: S311  moments, not secrets
    for number in range(0, rounds, 25):
        folder = tmp_path / f"sessions-{number}"
        store.make_folders(folder)
        for _ in range(25):
            _kill_one(folder, chance)
        for stray in (folder / ".journal").iterdir():
            os.utime(stray, (0, 0))  # a minute later, that is
        assert store.close_abandoned(folder) == []
        assert [path.name for path in (folder / ".journal").iterdir()] in ([], ["history.lock"])
        assert len(history(folder)) == len(set(history(folder)))
        assert not list(folder.glob(".session-*.tmp"))


def _kill_one(folder: Path, chance: random.Random) -> None:
    marks = folder.parent / "marks"
    marks.write_text("")

    def work() -> None:
        held = begin(folder)
        with store.Journal(store.journal_folder(folder, name_of(held)), "observer") as journal:
            for number in range(20):
                journal.append(s.phase_started(f"phase-{number}"))
                marks.write_text(f"{name_of(held)} {number}")
                store.refold(folder, name_of(held))
        store.end(folder, name_of(held), s.session_ended("success"))

    child = in_a_child(work)
    until = time.monotonic() + chance.random() * 0.06
    while time.monotonic() < until and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        for loaded in store.load_all(folder):
            assert loaded.session is not None, loaded.problems
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    store.close_abandoned(folder)
    session_id, _, reached = marks.read_text().partition(" ")
    if reached:
        loaded = store.load(store.session_path(folder, session_id))
        assert loaded.session is not None, loaded.problems
        assert loaded.session.state == "ended"
        assert set(loaded.session.phases) >= {f"phase-{number}" for number in range(int(reached) + 1)}
