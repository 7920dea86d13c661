"""Our own death, at whatever moment: the child never notices, nothing is left running, and the session says so."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import resource
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.process.deaths import (
    child_of,
    ended,
    mounting,
    observer_of,
    open_in,
    phase,
    recorded,
    sessions_in,
    waiting,
)
from tests.process.sides import alive, end, kill, nimble_watch, run, says, start, until, wrapped


def session_command(*words: str) -> list[str]:
    return [*nimble_watch(), "session", *words]


def both_killed(sessions: Path, folder: Path, *, after: str = "phase-started") -> Path:
    """Kill launcher and observer (and the child, for which nobody is left); gives the journals that they leave."""
    launcher = start(phase(*waiting(folder), options=("-q",)))
    child = child_of(folder)
    observer = observer_of(launcher.pid)
    until(lambda: recorded(sessions, after) and sessions_in(sessions), f"the record {after}")
    observer.kill()
    launcher.kill()
    end(launcher)
    kill(child, signal.SIGKILL)
    until(lambda: not observer.is_running() or observer.status() == psutil.STATUS_ZOMBIE, "the observer's end")
    (journals,) = open_in(sessions)
    return journals


# -- the launcher is killed ------------------------------------------------------------------------------------------


def test_a_child_that_survives_us_is_watched_to_its_end_and_told_as_such(sessions: Path, tmp_path: Path) -> None:
    """More of case 13: `--survive`: nobody can know how it ended, and the record says just that."""
    err = tmp_path / "err"
    with err.open("w") as file:
        launcher = start(phase(*waiting(tmp_path), options=("--survive",)), stderr=file)
    child = child_of(tmp_path)
    until(lambda: recorded(sessions, "phase-started"), "the record of the phase")
    launcher.kill()
    end(launcher)
    until(says(err, "the phase goes on, and is watched until it ends"), "the observer's word")
    assert alive(child)
    assert [one["state"] for one in sessions_in(sessions)] == ["open"]
    assert run(wrapped(["true"])).status == 0  # the next command leaves it alone
    assert len(open_in(sessions)) == 1
    (tmp_path / "go").touch()
    until(lambda: not open_in(sessions), "the session's end")
    session = next(one for one in sessions_in(sessions) if "install" in one["phases"])
    assert "gone" in (tmp_path / "child").read_text()
    assert (session["result"], session["notes"]) == ("error", ["nimble-watch itself was killed"])
    ran = session["phases"]["install"]
    assert (ran["result"], ran["exit"], ran["end_time"] is not None) == ("error", None, True)
    assert ran["cause"]["text"] == "nimble-watch was killed; the phase ran on, and how it ended is not known"
    assert session["obstacles"] == []


def test_all_below_a_killed_launcher_is_stopped_also_what_has_a_group_of_its_own(
    sessions: Path, tmp_path: Path
) -> None:
    """More of case 13: nested: the inner child leads a group of its own, and ignores what can be ignored."""
    deaf = f"import signal; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]\n{waiting(tmp_path)[-1]}"
    inner = phase(sys.executable, "-S", "-c", deaf, name="inner")
    err = tmp_path / "err"
    with err.open("w") as file:
        launcher = start(phase(*inner, options=("--kill-after", "0.3")), stderr=file)
    child = child_of(tmp_path)
    until(lambda: recorded(sessions, "phase-started"), "the record of the phase")
    launcher.kill()
    end(launcher)
    until(lambda: not alive(child), "the end of the innermost")
    session = next(one for one in (ended(sessions),))
    assert (session["result"], session["phases"]["install"]["result"]) == ("error", "error")
    cause = session["phases"]["install"]["cause"]["text"]
    assert cause == "nimble-watch was killed, and so the phase was stopped"
    until(says(err, f"nimble-watch: {cause}\n"), "the same on stderr, where somebody may look first")


def test_a_launcher_killed_before_anything_was_written_leaves_a_session_that_the_next_command_tells_of(
    sessions: Path, tmp_path: Path, alone: Path
) -> None:
    """More of case 13: only the claim is there, so the beginning is the one that the session's name tells."""
    launcher = start(wrapped(waiting(tmp_path), package=alone))
    child = child_of(tmp_path)
    (claimed,) = open_in(sessions)
    launcher.kill()
    end(launcher)
    kill(child, signal.SIGKILL)  # there is no observer here that would
    listed = run(session_command("list"))
    assert listed.err.decode().count(f"closed {claimed.name}, error: its process was killed") == 1
    assert f"{claimed.name}" in listed.out.decode()
    assert " error " in listed.out.decode()
    session = ended(sessions)
    assert session["start_time"].replace("-", "").replace(":", "")[:15] == claimed.name[8:23].replace("-", "T")
    assert run(session_command("list")).err == b""


def test_both_killed_leave_a_session_that_ends_with_its_last_sign_of_life(sessions: Path, tmp_path: Path) -> None:
    """More of case 13: not with the closing, which may come hours later."""
    journal = both_killed(sessions, tmp_path, after="alive")
    last = max(json.loads(line)["time"] for path in journal.glob("*.jsonl") for line in path.read_text().splitlines())
    shown = run(session_command("show", "-o", "text"))
    assert "its process was killed" in shown.err.decode()
    assert "its process was killed" in shown.out.decode()
    session = ended(sessions)
    assert session["result"] == "error"
    assert session["end_ms"] == round(last * 1000)
    assert session["phases"]["install"]["result"] == "error"
    assert session["phases"]["install"]["unknown"]["end_time"] == "its end was not seen"


def test_a_dead_session_that_may_only_be_read_is_shown_as_it_ended(sessions: Path, tmp_path: Path) -> None:
    """More of case 13: an archive on a read-only disk is not `still open`."""
    both_killed(sessions, tmp_path)
    command = (
        f"mount --bind {sessions} {sessions} && mount -o remount,ro,bind {sessions} && "
        f"exec {' '.join(session_command('list'))}"
    )
    done = run([*mounting(), "sh", "-c", command])
    assert (done.status, done.err) == (0, b"")
    assert " error " in done.out.decode()
    assert " open " not in done.out.decode()
    assert len(open_in(sessions)) == 1


@pytest.mark.linux
def test_a_machine_that_went_down_is_told_from_a_process_that_was_killed(sessions: Path, tmp_path: Path) -> None:
    """The boot's name is kept at the beginning."""
    journal = both_killed(sessions, tmp_path)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    path = journal / "observer.jsonl"
    assert boot in path.read_text()
    path.write_text(path.read_text().replace(boot, "an-earlier-boot"))
    told = run(session_command("list")).err.decode()
    assert "its machine went down" in told
    assert ended(sessions)["result"] == "error"


def test_the_next_command_names_what_it_closes(sessions: Path, tmp_path: Path) -> None:
    """More of case 13."""
    dead = both_killed(sessions, tmp_path)
    done = run(phase("true"))
    assert done.status == 0
    assert done.err.decode().count(f"nimble-watch: closing {dead.name}: ") == 1
    until(lambda: not open_in(sessions), "the closing")


# -- the observer is killed ------------------------------------------------------------------------------------------


@pytest.mark.linux
def test_the_kernel_rather_kills_the_observer_than_the_child_or_us(sessions: Path, tmp_path: Path) -> None:
    """Out of memory: the child's own figure is what it would be without us."""
    launcher = start(phase(*waiting(tmp_path)))
    child = child_of(tmp_path)
    observer = observer_of(launcher.pid)
    until(lambda: recorded(sessions, "phase-started"), "the observer's work")
    scores = {pid: int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in (launcher.pid, child, observer.pid)}
    here = int(Path("/proc/self/oom_score_adj").read_text())
    (tmp_path / "go").touch()
    assert end(launcher) == 0
    assert scores == {launcher.pid: here, child: here, observer.pid: min(1000, here + 500)}


def test_an_observer_that_runs_out_of_memory_costs_neither_status_nor_session(sessions: Path, tmp_path: Path) -> None:
    """OOM of the observer, by a limit on its address space."""
    command = f'{" ".join(map(repr, waiting(tmp_path, ends=4)[:3]))} "$0"; status=$?; seq 1 300000; exit $status'
    launcher = start(phase("sh", "-c", command, waiting(tmp_path, ends=4)[-1], options=("-q",)), stdout=-1)
    child_of(tmp_path)
    observer = observer_of(launcher.pid)
    until(lambda: recorded(sessions, "phase-started"), "the record of the phase")
    resource.prlimit(observer.pid, resource.RLIMIT_AS, (1 << 20, 1 << 20))
    (tmp_path / "go").touch()
    assert launcher.communicate()[0].count(b"\n") == 300000
    assert end(launcher) == 4
    session = ended(sessions)
    assert (session["result"], session["phases"]["install"]["exit"]) == ("failure", 4)


def test_an_obstacle_that_stood_when_its_observer_died_is_closed_with_its_phase(sessions: Path, tmp_path: Path) -> None:
    """What was written is not lost, and does not stand for ever."""
    launcher = start(phase(*waiting(tmp_path, ends=3), options=("-q",)))
    child_of(tmp_path)
    observer = observer_of(launcher.pid)
    until(lambda: recorded(sessions, "phase-started"), "the record of the phase")
    observer.suspend()
    (journal,) = open_in(sessions)
    now = round(time.time() * 1000)
    obstacle = {"id": "obs-1-1", "phase": "install", "kind": "image-auth", "source": "watched", "outcome": "standing"}
    record = {"type": "obstacle-opened", "seq": 100, "time": now / 1000,
              "obstacle": {**obstacle, "intervals": [[now, None]]}}  # fmt: skip
    with (journal / "observer.jsonl").open("a") as file:
        file.write(json.dumps(record) + "\n")
    observer.kill()
    (tmp_path / "go").touch()
    assert end(launcher) == 3
    session = ended(sessions)
    kept = next(one for one in session["obstacles"] if one["kind"] == "image-auth")
    assert kept["outcome"] == "phase-ended"
    assert kept["intervals"] == [[now, session["phases"]["install"]["end_ms"]]]
    assert session["result"] == "failure"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_an_observer_lost_in_the_middle_of_the_end_leaves_a_whole_session(
    number: signal.Signals, sessions: Path, tmp_path: Path
) -> None:
    """More of case 46: whatever it had reached, the launcher's word or the closer's completes it."""
    launcher = start(phase(*waiting(tmp_path, ends=5), options=("-q",)))
    child_of(tmp_path)
    observer = observer_of(launcher.pid)
    until(lambda: recorded(sessions, "phase-started"), "the record of the phase")
    (tmp_path / "go").touch()
    until(lambda: recorded(sessions, "phase-ended") or not open_in(sessions), "the record of the phase's end")
    with contextlib.suppress(psutil.NoSuchProcess):  # it was quicker
        observer.send_signal(number)
    assert end(launcher) == 5
    session = ended(sessions)
    assert (session["result"], session["phases"]["install"]["exit"]) == ("failure", 5)


# -- anybody, at any moment ------------------------------------------------------------------------------------------


def _round(chance: random.Random, sessions: Path, folder: Path) -> None:
    """Run two phases, kill somebody at some moment, and look at what is left."""
    folder.mkdir()
    before = {one["session_id"] for one in sessions_in(sessions)}
    makefile = folder / "Makefile"
    program = folder / "phase.py"
    program.write_text("import os, sys, time\nopen(sys.argv[1], 'w').write(str(os.getpid()))\ntime.sleep(0.4)\n")
    step = f"@{sys.executable} -S {program} {folder}/$@.pid && echo $@ >>{folder}/done"
    makefile.write_text(f"one two:\n\t{step}\n")
    launcher = start([*nimble_watch(), "run", "-q", "--kill-after", "0.5", "one", "two"], cwd=folder)
    victims = chance.choice(("launcher", "observer", "both"))
    until(lambda: (folder / "one.pid").exists() or launcher.poll() is not None, "the first phase")
    observer = observer_of(launcher.pid)
    time.sleep(chance.random() * 1.6)  # the moment is what is tried
    if victims != "launcher":
        with contextlib.suppress(psutil.NoSuchProcess):  # it was quicker
            observer.kill()
    if victims != "observer":
        launcher.kill()
    status = end(launcher)
    if victims == "observer":
        assert status == 0
    for name in ("one", "two"):
        mark = folder / f"{name}.pid"
        if victims == "launcher" and mark.exists() and mark.read_text():
            pid = int(mark.read_text())
            until(lambda pid=pid: not alive(pid), f"the end of phase {name}")  # type: ignore[misc]
    until(lambda: not [one for one in open_in(sessions) if _held(one)], "the end of all work")
    assert run(session_command("list")).status == 0
    until(lambda: not open_in(sessions), "the closing")
    (session,) = (one for one in sessions_in(sessions) if one["session_id"] not in before)
    assert session["state"] == "ended"
    done = (folder / "done").read_text().split() if (folder / "done").exists() else []
    if status == 0 or session["result"] != "error":  # killed only once it had said that all was done
        assert (session["result"], done) == ("success", ["one", "two"])
        assert [session["phases"][name]["result"] for name in ("one", "two")] == ["success", "success"]
    assert {name for name, one in session["phases"].items() if one["result"] == "success"} <= set(done)
    until(lambda: all(not alive(pid) for pid in _pids(folder)), "the end of what the test left to itself")


def _held(journals: Path) -> bool:
    try:
        with (journals / "lock").open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _pids(folder: Path) -> list[int]:
    return [int(text) for path in folder.glob("*.pid") if (text := path.read_text())]


def test_whoever_is_killed_at_any_moment_leaves_a_whole_session_and_nobody_running(
    sessions: Path, tmp_path: Path
) -> None:
    """More of case 13: a few moments."""
    chance = random.Random(11)  # noqa: S311  moments, not secrets
    for number in range(4):
        _round(chance, sessions, tmp_path / str(number))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_whoever_is_killed_at_many_moments_leaves_a_whole_session_and_nobody_running(
    sessions: Path, tmp_path: Path
) -> None:
    """More of case 13: many moments."""
    seed = os.environ.get("NIMBLE_WATCH_TEST_SEED", "5")
    chance = random.Random(seed)  # noqa: S311  moments, not secrets
    for number in range(60):
        _round(chance, sessions, tmp_path / str(number))
