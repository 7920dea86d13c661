"""A session's whole life on a disk that fails at every step in turn, and on one that loses its power there."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from nimble_watch import claim, store
from nimble_watch import session as s
from tests.unit.disk import Failing, Forgetful, PowerCutError

_PHASES = ("discover", "install")
_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ENOLCK)


class _Life:
    """One session from its beginning to its end, as launcher and observer live it; trouble is told and not raised.

    `known` holds the phases that the store has taken without complaint: they may never be lost again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.session = ""
        self.known: set[str] = set()
        self.ended = False
        self.told: list[str] = []

    def live(self) -> None:
        """Live it, going on after each trouble as the observer does."""
        held = claim.claim(str(self.folder), {}, now=time.time(), fresh=True)
        if held.session is None or Path(held.directory) != self.folder:
            self.told.append(held.warning)
            return
        self.session = held.session
        with self._trouble():
            self._begin()
        for phase in _PHASES:
            self._phase(phase)
        with self._trouble():
            store.end(self.folder, self.session, s.session_ended("success", time=time.time()))
            self.ended = True
        if held.lock is not None:
            with suppress(OSError):
                os.close(held.lock)

    def _begin(self) -> None:
        now = time.time()
        uid = s.new_uid(s.milliseconds(now), os.urandom(10))
        record = s.session_started(
            session_id=self.session, uid=uid, operation="install", environment="dev", start_time=now
        )
        store.begin(self.folder, self.session, record, writer="observer")

    def _phase(self, phase: str) -> None:
        with self._trouble(), store.Journal(store.journal_folder(self.folder, self.session), "observer") as journal:
            journal.append(s.phase_started(phase))
            self.known.add(phase)
            with self._trouble():
                journal.append(s.phase_ended(phase, result="success", duration=1.0))
        with self._trouble():
            store.refold(self.folder, self.session)

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            yield
        except store.StoreError as error:
            self.told.append(str(error))


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder in memory where the system has one: these tests force things to disk some ten thousand times."""
    memory = Path("/dev/shm")
    fast = memory if os.access(memory, os.W_OK) else tmp_path
    with tempfile.TemporaryDirectory(dir=fast, prefix="nimble-watch-") as folder:
        (Path(folder) / "tmp").mkdir()
        monkeypatch.setenv("TMPDIR", str(Path(folder) / "tmp"))  # where a claim falls back to
        yield Path(folder)


@pytest.fixture
def calls(disk: Path) -> int:
    """Give the number of calls in a life that nothing disturbs."""
    counted = Failing(_sessions(disk, "counted"))
    with counted.working():
        _Life(disk / "counted").live()
    return len(counted.calls)


def _sessions(disk: Path, name: str) -> Path:
    store.make_folders(disk / name)
    return disk / name


def _check(life: _Life, folder: Path) -> None:
    """See that all is whole, that what was taken is there, and that the next command ends the session truthfully."""
    for loaded in store.load_all(folder):
        assert loaded.problems == []
    for stray in folder.rglob("*.tmp"):
        os.utime(stray, (0, 0), follow_symlinks=False)  # an hour later, that is
    store.close_abandoned(folder)
    if not life.session:
        return
    store.close(folder, life.session)
    path = store.session_path(folder, life.session)
    if not path.exists():
        assert not life.known
        return
    loaded = store.load(path)
    assert loaded.session is not None
    assert loaded.problems == []
    assert loaded.session.state == "ended"
    assert loaded.session.result == "success" if life.ended else loaded.session.result in ("success", "error")
    assert set(loaded.session.phases) >= life.known
    lines = (folder / "all-sessions.txt").read_text().splitlines()
    assert [line for line in lines if f" {life.session} |" in line] == lines
    assert [line.count("|") for line in lines] == [6]
    assert "Efficiency" in (folder / f"summary-{life.session}.txt").read_text()
    assert not store.is_open(folder, life.session)
    assert not list(folder.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("error", "lasting"),
    [
        pytest.param(
            error,
            lasting,
            id=f"{errno.errorcode[error]} {'from then on' if lasting else 'once'}",
            marks=() if error == errno.ENOSPC and lasting else pytest.mark.slow,
        )
        for error in _ERRORS
        for lasting in (False, True)
    ],
)
def test_a_disk_that_fails_at_any_step_costs_a_sentence_and_nothing_that_was_taken(
    disk: Path, calls: int, error: int, *, lasting: bool
) -> None:
    struck = 0
    for at in range(calls):
        place = _sessions(disk, f"sessions-{at}")
        life, failing = _Life(place), Failing(place, at=at, error=error, lasting=lasting)
        with failing.working():
            life.live()
        struck += bool(failing.failed)
        assert all(str(place) in sentence for sentence in life.told), (failing.failed, life.told)
        _check(life, place)
    assert struck > 0


def test_a_power_cut_at_any_step_takes_nothing_that_was_told_to_be_on_disk(disk: Path, calls: int) -> None:
    for at in range(calls + 1):
        place = _sessions(disk, f"sessions-{at}")
        life, forgetful = _Life(place), Forgetful(place, at=at)
        with forgetful.working():
            try:
                life.live()
            except PowerCutError:
                assert at < calls
        after = forgetful.after_power_loss(disk / f"after-{at}")
        forgetful.close()
        store.make_folders(after)
        _check(life, after)


def _told(place: Path, *, is_open: bool) -> str:
    """Live a session undisturbed, but for its end if it is to be open; gives its id."""
    held = claim.make(str(place), now=time.time(), leave_open=True)
    assert held.session is not None
    claim.release(held)
    first = s.session_started(
        session_id=held.session, uid="u", operation="install", environment="dev", start_time=time.time()
    )
    store.begin(place, held.session, first, writer="shell")
    if not is_open:
        store.end(place, held.session, s.session_ended("success", time=time.time()))
    return held.session


def _say(place: Path, session_id: str) -> bool:
    """Tag a session; tells whether the store took it."""
    with suppress(store.StoreError):
        store.keep_annotation(place, session_id, s.annotated(tags=["x"], time=time.time()), writer="command")
        return True
    return False


def _tags(place: Path, session_id: str) -> list[str]:
    """End a session if it is open, see that it is whole, and give its tags."""
    if store.is_open(place, session_id):
        store.end(place, session_id, s.session_ended("success", time=time.time()))
    loaded = store.load(store.session_path(place, session_id))
    assert loaded.session is not None
    assert loaded.problems == []
    assert loaded.session.uid == "u"
    return loaded.session.tags


@pytest.fixture(params=[True, False], ids=["open", "ended"])
def saying(request: pytest.FixtureRequest, disk: Path) -> tuple[bool, int]:
    """Give whether the session is open, and the number of calls that it takes to say something of it undisturbed."""
    place = _sessions(disk, "counted")
    name = _told(place, is_open=request.param)
    counted = Failing(place)
    with counted.working():
        assert _say(place, name)
    return request.param, len(counted.calls)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS], ids=errno.errorcode.get)
def test_what_is_said_of_a_session_is_kept_or_refused_by_a_disk_that_fails(
    disk: Path, saying: tuple[bool, int], error: int
) -> None:
    is_open, calls = saying
    struck = 0
    for at in range(calls):
        place = _sessions(disk, f"sessions-{at}")
        name = _told(place, is_open=is_open)
        failing = Failing(place, at=at, error=error)
        with failing.working():
            taken = _say(place, name)
        struck += bool(failing.failed)
        assert taken or _tags(place, name) in ([], ["x"])
        assert _say(place, name)
        assert _tags(place, name) == ["x"]
    assert struck > 0


def test_what_was_said_of_a_session_outlives_a_power_cut(disk: Path, saying: tuple[bool, int]) -> None:
    is_open, calls = saying
    for at in range(calls + 1):
        place = _sessions(disk, f"sessions-{at}")
        name = _told(place, is_open=is_open)
        forgetful = Forgetful(place, at=at, kept=True)
        taken = False
        with forgetful.working():
            try:
                taken = _say(place, name)
            except PowerCutError:
                assert at < calls
        after = forgetful.after_power_loss(disk / f"after-{at}")
        forgetful.close()
        store.make_folders(after)
        assert _tags(after, name) in ([["x"]] if taken else [[], ["x"]])
