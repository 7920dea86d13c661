"""One history of many machines: nothing is missed, nothing told twice, nothing of a machine's own overwritten."""

from __future__ import annotations

import random
import stat
import threading
import time
from pathlib import Path

import pytest

from nimble_watch.retry import TryAgainError
from nimble_watch.session import new_uid
from nimble_watch.shared import (
    MissingError,
    SharedError,
    key_of,
    open_store,
    pack,
    patience,
    pulling,
    read_key,
    sending,
)
from nimble_watch.shared.layout import revision_of
from nimble_watch.shared.stores.folder import FolderStore
from nimble_watch.store import load, session_ids, session_path
from tests.unit.sharing import NOON, Machine, write

DAY = 86400.0


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Give the folder that all machines see."""
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


@pytest.fixture
def ci(tmp_path: Path, store: Path) -> Machine:
    """Give a machine that sends."""
    return Machine(tmp_path / "ci", store)


@pytest.fixture
def desk(tmp_path: Path, store: Path) -> Machine:
    """Give a machine that pulls."""
    return Machine(tmp_path / "desk", store)


@pytest.fixture(autouse=True)
def _on_that_day(monkeypatch: pytest.MonkeyPatch) -> None:
    set_clock(monkeypatch, NOON)


def set_clock(monkeypatch: pytest.MonkeyPatch, now: float) -> None:
    """Let it be this moment for all who send and pull."""
    monkeypatch.setattr(time, "time", lambda: now)


def objects(store: Path) -> list[str]:
    """Give the keys in the store."""
    return sorted(str(path.relative_to(store)) for path in store.rglob("*") if path.is_file())


def test_what_one_machine_sends_the_other_lists(ci: Machine, desk: Machine) -> None:
    uid = write(ci.folder, "session-20251125-120000")
    assert ci.push("session-20251125-120000") == [True]
    assert desk.pull().sessions == 1
    assert desk.shown() == {f"session-20251125-120000.{uid[-6:]}": "success"}


def test_sending_and_pulling_again_changes_nothing(ci: Machine, desk: Machine, store: Path) -> None:
    write(ci.folder, "session-20251125-120000")
    ci.push("session-20251125-120000")
    desk.pull()
    before = objects(store), desk.shown()
    assert ci.push("session-20251125-120000") == [False]
    assert desk.pull().sessions == 0
    assert desk.pull(again=True).sessions == 0
    assert (objects(store), desk.shown()) == before


def test_two_machines_may_begin_a_session_in_the_same_second(tmp_path: Path, store: Path, desk: Machine) -> None:
    for name in ("a", "b"):
        machine = Machine(tmp_path / name, store)
        write(machine.folder, "session-20251125-120000")
        machine.push("session-20251125-120000")
    own = write(desk.folder, "session-20251125-120000")
    assert desk.pull().sessions == 2
    assert len(desk.shown()) == 3
    shown = load(session_path(desk.folder, "session-20251125-120000")).session
    assert shown is not None
    assert shown.uid == own


def test_an_own_session_that_comes_back_is_shown_once_and_left_as_it_is(ci: Machine, desk: Machine) -> None:
    uid = write(ci.folder, "session-20251125-120000")
    ci.push("session-20251125-120000")
    assert ci.pull().sessions == 0
    write(desk.folder, "session-20251125-120000", uid=uid, revision=2, tags=["looked at"])
    desk.push("session-20251125-120000")
    own = (ci.folder / "session-20251125-120000.json").read_bytes()
    assert ci.pull().sessions == 1
    (name,) = session_ids(ci.folder)
    newer = load(session_path(ci.folder, name)).session
    assert newer is not None
    assert (newer.revision, newer.tags) == (2, ["looked at"])
    assert (ci.folder / "session-20251125-120000.json").read_bytes() == own
    write(ci.folder, "session-20251125-120000", uid=uid, revision=3)
    assert list(ci.shown()) == ["session-20251125-120000"], "the own one is newer again"


def test_the_highest_revision_wins_in_whatever_order_they_come(ci: Machine, desk: Machine) -> None:
    uid = write(ci.folder, "session-20251125-120000", revision=3, result="failure")
    ci.push("session-20251125-120000")
    desk.pull()
    write(ci.folder, "session-20251125-120000", uid=uid, revision=2)
    ci.push("session-20251125-120000")
    desk.pull()
    assert list(desk.shown().values()) == ["failure"]


def test_one_revision_with_two_contents_is_reported_and_both_are_kept(
    tmp_path: Path, store: Path, ci: Machine, desk: Machine
) -> None:
    uid = write(ci.folder, "session-20251125-120000")
    ci.push("session-20251125-120000")
    write(ci.folder, "session-20251125-120000", uid=uid, tags=["changed by hand"])
    ci.push("session-20251125-120000")
    assert len(objects(store)) == 2
    other = Machine(tmp_path / "other", store)
    for machine in (desk, other):
        assert any(uid in problem and "twice" in problem for problem in machine.pull().problems)
    files = [next((machine.folder / "shared").glob("session-*.json")).read_bytes() for machine in (desk, other)]
    assert files[0] == files[1], "every reader takes the same"


def test_what_was_pulled_is_read_only_and_for_nobody_else(ci: Machine, desk: Machine) -> None:
    write(ci.folder, "session-20251125-120000")
    ci.push("session-20251125-120000")
    desk.pull()
    (path,) = (desk.folder / "shared").glob("session-*.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_session_that_ends_after_a_later_one_was_pulled_is_not_missed(ci: Machine, desk: Machine) -> None:
    write(ci.folder, "session-20251125-110000", at=NOON)
    ci.push("session-20251125-110000")
    desk.pull()
    write(ci.folder, "session-20251125-100000", at=NOON - 3600)
    ci.push("session-20251125-100000")
    assert desk.pull().sessions == 1


def test_a_session_sent_days_after_it_began_is_announced_and_not_missed(
    ci: Machine, desk: Machine, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ci.folder, "session-20251115-120000", at=NOON - 10 * DAY)
    write(ci.folder, "session-20251125-120000")
    ci.push("session-20251125-120000")
    desk.pull()
    set_clock(monkeypatch, NOON + DAY)
    ci.push("session-20251115-120000")
    (late,) = [key for key in objects(store) if "/late/" in key]
    assert late.startswith("v1/p=p/late/d=2025-11-26/2025-11-15.")
    assert desk.pull().sessions == 1
    assert desk.pull().sessions == 0


def test_whoever_pulls_at_any_times_has_in_the_end_what_was_sent_at_any_times(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(4711)  # noqa: S311  the same sequence each time, for no secret
    readers = [Machine(tmp_path / f"reader{number}", store) for number in range(3)]
    now = NOON
    sent = set()
    for number in range(60):
        now += dice.choice([60.0, 3600.0, DAY / 2, 2 * DAY])
        began = now - dice.choice([0.0, 600.0, DAY / 3, DAY, 9 * DAY, 40 * DAY])
        set_clock(monkeypatch, now + dice.choice([0.0, -3600.0, 3600.0]))  # no two clocks are the same
        machine = Machine(tmp_path / f"ci{number}", store)
        sent.add(write(machine.folder, "session-20251125-120000", at=began))
        machine.push("session-20251125-120000")
        set_clock(monkeypatch, now)
        dice.choice(readers).pull()
    for reader in readers:
        reader.pull()
        shown = [load(session_path(reader.folder, name)).session for name in session_ids(reader.folder)]
        assert {session.uid for session in shown if session is not None} == sent


def test_a_later_pull_gets_only_what_is_new(ci: Machine, desk: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        write(ci.folder, f"session-20251125-12000{number}")
        ci.push(f"session-20251125-12000{number}")
    desk.pull()
    asked: list[str] = []
    real = FolderStore.get

    def counted(self: FolderStore, key: str) -> bytes:
        asked.append(key)
        return real(self, key)

    monkeypatch.setattr(FolderStore, "get", counted)
    write(ci.folder, "session-20251125-120009")
    ci.push("session-20251125-120009")
    assert desk.pull().sessions == 1
    assert len(asked) == 1


def test_what_was_announced_before_the_first_pull_is_not_fetched_twice(
    ci: Machine, desk: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ci.folder, "session-20251105-120000", at=NOON - 20 * DAY)
    ci.push("session-20251105-120000")
    assert desk.pull().sessions == 1
    monkeypatch.setattr(FolderStore, "get", None)
    assert desk.pull().sessions == 0


def test_an_announcement_whose_object_is_still_to_come_is_looked_at_again(
    ci: Machine, desk: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ci.folder, "session-20251125-120000")
    ci.push("session-20251125-120000")
    desk.pull()
    write(ci.folder, "session-20251105-120000", at=NOON - 20 * DAY)
    real = FolderStore.put_if_absent

    def killed_between(self: FolderStore, key: str, content: bytes) -> bool:
        if "/late/" in key:
            return real(self, key, content)
        raise SharedError("killed", where="here")

    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "put_if_absent", killed_between)
        with pytest.raises(SharedError):
            ci.push("session-20251105-120000")
    assert desk.pull().sessions == 0
    set_clock(monkeypatch, NOON + DAY / 4)
    ci.push("session-20251105-120000")
    assert desk.pull().sessions == 1


def test_a_pull_that_breaks_off_goes_on_where_it_was(
    ci: Machine, desk: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        write(ci.folder, f"session-20251125-12000{number}")
        ci.push(f"session-20251125-12000{number}")
    monkeypatch.setattr(pulling, "_AT_ONCE", 1)
    got: list[str] = []
    real = FolderStore.get

    def unsteady(self: FolderStore, key: str) -> bytes:
        if len(got) == 3:
            raise SharedError("gone", where="there")
        got.append(key)
        return real(self, key)

    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "get", unsteady)
        with pytest.raises(SharedError, match="gone"):
            desk.pull()
    assert 0 < len(desk.shown()) < 6
    assert desk.pull().sessions == 6 - len(got)
    assert len(desk.shown()) == 6


_OTHER = new_uid(round(NOON * 1000), bytes(range(10)))


@pytest.mark.parametrize(
    ("said", "there", "why"),
    [
        (b"{}", b"<html>", "not gzip"),
        (b"{}", pack(b"{ }"), "its hash is another"),
        (b"[]", pack(b"[]"), "another session than its name says"),
        (b'{"uid": "other", "revision": 1}', b"", "another session than its name says"),
        (b'{"session_id": "../../evil", "uid": "%s", "revision": 1}' % _OTHER.encode(), b"", "no session id"),
    ],
)
def test_an_object_that_is_wrong_is_named_and_the_others_are_brought(
    ci: Machine, desk: Machine, said: bytes, there: bytes, why: str
) -> None:
    write(ci.folder, "session-20251125-120000")
    ci.push("session-20251125-120000")
    store = open_store(ci.found.address, 5.0)
    store.put_if_absent(key_of("p", revision_of(_OTHER, 1, said)), there or pack(said))
    pulled = desk.pull()
    assert pulled.sessions == 1
    assert [problem for problem in pulled.problems if why in problem]
    assert not list(desk.folder.parent.rglob("evil*"))


def test_what_others_wrote_is_cleaned_before_it_is_kept(ci: Machine, desk: Machine) -> None:
    write(ci.folder, "session-20251125-120000", notes=["\x1b[31mred ##[add-path]x"])
    ci.push("session-20251125-120000")
    desk.pull()
    (path,) = (desk.folder / "shared").glob("session-*.json")
    shown = load(path).session
    assert shown is not None
    assert "\x1b" not in shown.notes[0]
    assert "##[" not in shown.notes[0]


def test_an_open_marker_shows_as_open_and_a_day_later_as_lost(
    ci: Machine, desk: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = write(ci.folder, "session-20251125-120000", revision=0)
    ci.push("session-20251125-120000")
    desk.pull()
    (path,) = (desk.folder / "shared").glob("session-*.json")
    now = load(path).session
    assert now is not None
    assert now.state == "open"
    assert (now.performance.total_duration, now.performance.efficiency_score) == (None, None)
    assert now.performance.unknown["total_duration"] == "only its beginning is known here"
    set_clock(monkeypatch, NOON + DAY + 60)
    assert list(desk.shown().values()) == ["lost"]
    write(ci.folder, "session-20251125-120000", uid=uid)
    ci.push("session-20251125-120000")
    desk.pull()
    assert list(desk.shown().values()) == ["success"], "it had only been slow"


def test_a_session_without_a_uid_is_not_sent_and_said_to_be_another_tracker_s(ci: Machine) -> None:
    ci.folder.mkdir()
    (ci.folder / "session-20251125-120000.json").write_text('{"session_id": "session-20251125-120000"}')
    with pytest.raises(SharedError, match="another tracker"):
        ci.push("session-20251125-120000")


def test_what_could_not_be_sent_is_spooled_and_sent_with_the_next(ci: Machine, desk: Machine, store: Path) -> None:
    write(ci.folder, "session-20251125-120000")
    store.rename(store.with_name("unplugged"))
    said = sending.share_end(ci.folder, "session-20251125-120000", ci.found, seconds=2.0)
    assert "session-20251125-120000 is not shared yet" in said
    assert "is it mounted?" in said
    assert sending.spooled(ci.folder, ci.found) == ["session-20251125-120000"]
    store.with_name("unplugged").rename(store)
    write(ci.folder, "session-20251125-120001")
    assert sending.share_end(ci.folder, "session-20251125-120001", ci.found) == ""
    assert sending.spooled(ci.folder, ci.found) == []
    assert desk.pull().sessions == 2


def test_a_store_that_hangs_is_left_to_itself_when_time_is_up(ci: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    write(ci.folder, "session-20251125-120000")
    held = threading.Event()

    def hangs(_self: FolderStore, _key: str, _content: bytes) -> bool:
        held.wait(60)
        raise MissingError("never")

    monkeypatch.setattr(FolderStore, "put_if_absent", hangs)
    said = sending.share_end(ci.folder, "session-20251125-120000", ci.found, seconds=0.2)
    held.set()
    assert "no answer within" in said
    assert sending.spooled(ci.folder, ci.found) == ["session-20251125-120000"]


def test_what_was_tried_until_time_was_up_is_said_with_its_reason(ci: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    write(ci.folder, "session-20251125-120000")

    def refuses(_self: FolderStore, _key: str, _content: bytes) -> bool:
        raise TryAgainError("the store answers 503")

    monkeypatch.setattr(FolderStore, "put_if_absent", refuses)
    said = sending.share_end(ci.folder, "session-20251125-120000", ci.found, seconds=0.5)
    assert "is not shared yet: the store answers 503" in said
    assert said.count(ci.found.address.shown) == 1
    assert said.count("session-20251125-120000") == 1


def test_time_is_renewed_by_each_success_where_a_person_waits_and_not_where_a_job_does(ci: Machine) -> None:
    store = open_store(ci.found.address, 5.0)
    for renewed in (False, True):
        with patience(0.5, renewed=renewed) as patient:
            before = patient._until
            patient.persist(lambda: None, store)
            assert (patient._until > before) is renewed


def test_a_session_that_was_removed_before_it_could_be_sent_is_no_longer_waited_for(ci: Machine) -> None:
    sending.spool(ci.folder, ci.found, ["session-20251125-120000"])
    assert ci.push(*sending.spooled(ci.folder, ci.found)) == []
    assert sending.spooled(ci.folder, ci.found) == []


def test_only_keys_of_the_project_are_read(store: Path, ci: Machine, desk: Machine) -> None:
    write(ci.folder, "session-20251125-120000")
    ci.push("session-20251125-120000")
    (key,) = objects(store)
    assert read_key("q", key) is None
    other = Machine(desk.folder, store)
    other.found = other.found._replace(project="q")
    assert other.pull().sessions == 0


def test_sessions_of_several_repositories_go_each_to_its_own_project_unless_one_is_named(
    ci: Machine, store: Path
) -> None:
    names = [f"session-20251125-12000{number}" for number in range(3)]
    for name, vcs in zip(names, ({"repository": "nim"}, {"repository": "other one"}, None), strict=True):
        write(ci.folder, name, vcs=vcs)
    ci.found = ci.found._replace(project="here", named=False)
    ci.push(*names)
    assert sorted(key.split("/")[1] for key in objects(store)) == ["p=here", "p=nim", "p=other-one"]
    ci.found = ci.found._replace(project="named", named=True)
    ci.push(*names)
    assert sum("/p=named/" in key for key in objects(store)) == 3
