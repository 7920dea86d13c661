"""The index: what it says is what the files say, and nothing depends on its being there, whole, or ours."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimble_watch import session as s
from nimble_watch import store
from nimble_watch.reports import View, report
from nimble_watch.session.baseline import newest
from nimble_watch.store import index
from nimble_watch.store.index import History
from tests.unit.test_session import RECORDS, START, begun, numbered

REPORTS = ("list", "wide", "csv", "compare")


@pytest.fixture(autouse=True)
def _eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write an index from one session on, and of files of this moment too."""
    monkeypatch.setattr(index, "_WORTH", 1)
    monkeypatch.setattr(index, "_SETTLED_NS", -1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder of three sessions, one of them broken."""
    for number in (1, 2):
        write(tmp_path, number, [s.session_ended("success", exit=0, time=START + 60 * number)])
    (tmp_path / "session-20241012-143003.json").write_text("{")
    return tmp_path


def write(folder: Path, number: int, records: list[s.Record]) -> Path:
    """Write a session that began `number` seconds into its minute."""
    session_id = f"session-20241012-1430{number:02}"
    path = folder / f"{session_id}.json"
    path.write_bytes(s.encode(s.fold(numbered(begun(), *records), session_id)))
    return path


def read(folder: Path) -> tuple[list[str], list[str]]:
    """Give what a command would show of a folder, and complain of."""
    history = History(folder)
    loaded = [history.load(session_id) for session_id in history.ids]
    stopped = history.stopped()
    history.save()
    sessions = [one.session for one in loaded if one.session is not None]
    shown = [report(name).render(sessions, View(history=stopped)) for name in REPORTS]
    return shown, [problem for one in loaded for problem in one.problems]


def by_files(folder: Path) -> tuple[list[str], list[str]]:
    """Give the same without an index."""
    loaded = list(store.load_all(folder))
    sessions = [one.session for one in loaded if one.session is not None]
    stopped = [session for session in sessions if session.stops]
    shown = [report(name).render(sessions, View(history=stopped)) for name in REPORTS]
    return shown, [problem for one in loaded for problem in one.problems]


def opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the names of the session files that a command opens."""
    names: list[str] = []

    def load(path: Path) -> store.Loaded:
        names.append(path.stem)
        return store.load(path)

    with monkeypatch.context() as watched:
        watched.setattr(index, "load", load)
        read(folder)
    return names


STOPS = st.builds(
    lambda at, wrong: s.stopped(
        s.Stop(phase="install", obstacle="obs-1-1", kind="image-auth", at_ms=s.milliseconds(START) + at, mistake=wrong)
    ),
    st.integers(0, 9999),
    st.booleans(),
)
TOLD = st.builds(
    lambda tags, ci, shapes: s.fields_set(tags=tags, ci=ci, comparable=shapes),
    st.lists(st.sampled_from(["demo", "nightly"]), max_size=2),
    st.sampled_from([None, {"name": "github", "run_id": "1"}]),
    st.sampled_from([None, {"shapes": ["BM.GPU.H100.8"], "image": "cold"}]),
)


@given(st.lists(st.lists(st.one_of(RECORDS, STOPS, TOLD), max_size=12), min_size=1, max_size=4))
def test_tables_and_comparisons_are_the_same_with_and_without_it(
    tmp_path_factory: pytest.TempPathFactory, sessions: list[list[s.Record]]
) -> None:
    folder = tmp_path_factory.mktemp("sessions")
    for number, records in enumerate(sessions):
        write(folder, number, records)
    assert read(folder) == read(folder) == by_files(folder)


def test_what_is_wrong_with_a_file_is_said_each_time_and_no_file_is_opened_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(opened(folder, monkeypatch)) == 3
    assert opened(folder, monkeypatch) == []
    assert read(folder) == by_files(folder)
    assert "session-20241012-143003.json is not whole JSON" in read(folder)[1][0]


def test_a_file_that_has_changed_is_read_again_also_if_its_times_and_size_say_it_has_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(folder)
    path = folder / "session-20241012-143001.json"
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b'"dev"', b'"qa2"'))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert "qa2" in read(folder)[0][0]
    path.rename(folder / "session-20241012-143009.json")
    assert opened(folder, monkeypatch) == ["session-20241012-143009"]


def test_a_file_that_has_just_changed_is_not_entered_since_its_next_change_might_not_show(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_SETTLED_NS", 2_000_000_000)
    read(folder)
    assert len(opened(folder, monkeypatch)) == 3


def test_a_session_that_is_open_is_always_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, 4, [s.phase_started("install", time=START)])  # open, and its journals are elsewhere
    store.make_folders(folder)
    store.journal_folder(folder, "session-20241012-143001").mkdir()
    read(folder)
    assert set(opened(folder, monkeypatch)) == {"session-20241012-143004", "session-20241012-143001"}


def test_what_was_removed_leaves_the_index_with_what_is_written_next(folder: Path) -> None:
    read(folder)
    (folder / "session-20241012-143001.json").unlink()
    write(folder, 5, [])
    write(folder, 6, [s.session_ended("success", time=START + 9)])
    read(folder)
    assert b"session-20241012-143001" not in (folder / ".index").read_bytes()
    assert b"session-20241012-143006" in (folder / ".index").read_bytes()


def damaged(index_file: Path) -> None:
    raw = bytearray(index_file.read_bytes())
    raw[len(raw) // 2] ^= 1
    index_file.write_bytes(raw)


def a_link(index_file: Path) -> None:
    real = index_file.with_name("elsewhere")
    index_file.rename(real)
    index_file.symlink_to(real)


def a_fifo(index_file: Path) -> None:
    index_file.unlink()
    os.mkfifo(index_file)


def a_folder(index_file: Path) -> None:
    index_file.unlink()
    index_file.mkdir()


def too_large(index_file: Path) -> None:
    os.truncate(index_file, 1 << 40)


def nobody_s(index_file: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give a file away")
    os.chown(index_file, 65534, 65534)


@pytest.mark.parametrize(
    "spoil",
    [
        Path.unlink,
        damaged,
        a_link,
        a_fifo,
        a_folder,
        too_large,
        nobody_s,
        lambda path: path.write_bytes(path.read_bytes()[:-7]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(100)),
        lambda path: path.write_bytes(path.read_bytes().replace(b"index 1\n", b"index 9\n")),
    ],
)
def test_an_index_that_cannot_be_used_is_not_used_and_no_error(folder: Path, spoil: Callable[[Path], object]) -> None:
    before = read(folder)
    spoil(folder / ".index")
    assert read(folder) == before == by_files(folder)
    assert not list(folder.glob("*.tmp"))


def test_an_index_of_another_version_is_made_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read(folder)
    monkeypatch.setattr(index, "_fingerprint", lambda: "another")
    assert len(opened(folder, monkeypatch)) == 3
    assert opened(folder, monkeypatch) == []


def test_where_it_cannot_be_written_it_is_done_without(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise store.StoreError("cannot write: No space left on device")

    monkeypatch.setattr(index, "write_whole", full)
    assert read(folder) == by_files(folder)
    assert not (folder / ".index").exists()


def test_a_few_sessions_are_not_worth_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_WORTH", 4)
    read(folder)
    assert not (folder / ".index").exists()


def test_nobody_else_may_read_it(folder: Path) -> None:
    read(folder)
    assert (folder / ".index").stat().st_mode & 0o777 == 0o600


def test_sessions_that_were_pulled_are_there_once_as_without_it(folder: Path) -> None:
    shared = folder / "shared"
    shared.mkdir()
    for number, revision in ((1, 2), (2, 1), (7, 1)):
        path = folder / f"session-20241012-1430{number:02}.json"
        ours = s.fold(numbered(begun(), s.session_ended("success", time=START + 9)), path.stem)
        ours.revision = revision
        (shared / f"{path.stem}.000000.json").write_bytes(s.encode(ours))
    for _ in range(2):
        history = History(folder)
        assert history.ids == store.session_ids(folder)
        history.save()
    assert read(folder) == by_files(folder)


def test_sessions_like_one_are_found_among_all(folder: Path) -> None:
    write(folder, 8, [s.fields_set(environment="prod"), s.session_ended("success", time=START + 9)])
    history = History(folder)
    last = newest([one for name in history.ids if (one := history.load(name).session) is not None])
    assert list(history.like(last)) == ["session-20241012-143008"]
