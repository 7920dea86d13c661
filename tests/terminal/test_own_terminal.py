"""`--observe`: what is seen of a terminal run, what is not, and that nobody is left when one of us is killed."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.process.scribes import Scribe
from tests.process.sides import alive
from tests.terminal.desk import PACKAGE, PROMPT, Desk, ours, until

pytestmark = pytest.mark.terminal

LOGS = "bash -c 'trap \"echo hup >> log; exit 3\" HUP; echo $$ > pid; echo begun; while :; do sleep 0.05; done'"


@pytest.fixture
def observed(package: Path) -> str:
    """Give what is typed before a command, where the observer is missing: what is asked concerns the launcher alone."""
    return ours(package, "--observe")


def _above(child: int) -> tuple[psutil.Process, psutil.Process]:
    """Give the monitor and the launcher of a child."""
    monitor, launcher = psutil.Process(child).parents()[:2]
    return monitor, launcher


def _child(folder: Path) -> int:
    return int((folder / "pid").read_text())


def test_the_observer_sees_what_is_written_and_not_what_is_typed_without_echo(
    desk: Callable[[], Desk], scribe: Scribe, tmp_path: Path
) -> None:
    """Issue 4, point 2: lines become signals; a password is nobody's business."""
    (tmp_path / "ask").write_text(
        "echo out; echo err >&2; echo tty >/dev/tty\n"
        "stty -echo; printf 'Password: '; read -r word; stty echo; echo over\n"
    )
    shell = desk()
    shell.line(f"{ours(scribe.package, '--observe')}bash ask")
    shell.see("Password: ")
    shell.keys("geheim\n")
    shell.see(PROMPT)
    assert shell.status() == 0
    assert scribe.seen(1) == b"out\r\nerr\r\ntty\r\nPassword: over\r\n"
    assert b"geheim" not in b"".join(path.read_bytes() for path in scribe.folder.iterdir())


def test_all_output_is_there_before_the_prompt_and_reaches_the_observer_in_order(
    desk: Callable[[], Desk], scribe: Scribe
) -> None:
    """Issue 4, point 2: the child's last words are drained before we end."""
    shell = desk()
    patient = "sh -c 'while [ ! -e scribe/pid ]; do sleep 0.05; done; seq 20000'"  # the observer is there by then
    shell.line(f"{ours(scribe.package, '--observe')}{patient}")
    expected = "".join(f"{number}\r\n" for number in range(1, 20001))
    assert shell.see(PROMPT).endswith(expected)
    assert len(scribe.seen(1)) + scribe.dropped() == len(expected)
    assert expected.encode().endswith(scribe.seen(1)[-65536:])


def test_a_pipe_beside_the_terminal_stays_a_pipe_and_both_are_seen(
    desk: Callable[[], Desk], scribe: Scribe, tmp_path: Path
) -> None:
    """More of case 26: only what leads to the terminal leads to the child's terminal."""
    shell = desk()
    shell.line(f"{ours(scribe.package, '--observe')}sh -c 'echo piped; echo shown >&2' | cat >said")
    assert "shown" in shell.see(PROMPT)
    assert (tmp_path / "said").read_text() == "piped\n"
    until(lambda: scribe.seen(1) == b"piped\n" and scribe.seen(2) == b"shown\r\n", "both streams")


def test_where_nothing_goes_to_the_terminal_there_is_no_other_terminal(
    desk: Callable[[], Desk], observed: str, tmp_path: Path
) -> None:
    """The child is then left in our group, with the terminal that we have."""
    shell = desk()
    shell.line("tty")
    shell.see("/dev/")
    name = shell.see("\r\n")
    shell.see(PROMPT)
    shell.line(f"{observed}tty >said 2>&1")
    shell.see(PROMPT)
    assert (tmp_path / "said").read_text() == f"/dev/{name}\n"


def test_ctrl_c_cancels_the_phases_that_are_left(desk: Callable[[], Desk], scribe: Scribe, tmp_path: Path) -> None:
    """More of case 6: the key is typed into the child's terminal, and means what it means."""
    (tmp_path / "Makefile").write_text("one:\n\t@echo begun; exec sleep 300\ntwo:\n\t@echo not\n")
    shell = desk()
    start = ours(scribe.package, "--observe").replace("exec", "run").removesuffix("-- ")
    shell.line(f"{start}one two")
    shell.see("begun")
    shell.keys("\x03")
    shell.see(PROMPT)
    assert shell.status() in (2, 130)
    assert [ended["result"] for ended in scribe.messages("phase-ended")] == ["cancellation", "skip"]
    assert [(told["signal"], told["why"]) for told in scribe.messages("signalled")] == [("INT", "cancellation")]


def test_a_stop_is_told_as_a_pause(desk: Callable[[], Desk], scribe: Scribe) -> None:
    """More of case 16: paused time is kept apart."""
    shell = desk()
    shell.line(f"{ours(scribe.package, '--observe')}bash -c 'echo begun; read line'")
    shell.see("begun")
    shell.keys("\x1a")
    shell.see("Stopped")
    shell.see(PROMPT)
    shell.line("fg")
    shell.keys("\n")
    shell.see(PROMPT)
    kinds = [message["type"] for message in scribe.messages()]
    assert kinds[2:4] == ["paused", "resumed"]
    assert scribe.messages("phase-ended")[0]["paused"] > 0


def test_a_child_that_leaves_its_terminal_in_pieces_does_not_leave_ours_so(
    desk: Callable[[], Desk], observed: str
) -> None:
    """More of case 28."""
    shell = desk()
    modes = shell.modes()
    shell.line(f"{observed}sh -c 'stty raw -echo; kill -KILL $$'")
    shell.see(PROMPT)
    assert shell.status() == 137
    assert shell.modes() == modes


def test_a_time_limit_ends_the_child_and_all_below_it(desk: Callable[[], Desk], package: Path, tmp_path: Path) -> None:
    """Issue 4, point 4, in a terminal of the child's own."""
    shell = desk()
    modes = shell.modes()
    command = "bash -c 'trap \"\" INT; setsid sleep 300 & echo $! > pid; stty raw; wait'"
    shell.line(f"{ours(package, '--observe', '--timeout', '2', '--kill-after', '0.2')}{command}")
    shell.see(PROMPT)
    assert shell.status() == 124
    assert not alive(_child(tmp_path))
    assert shell.modes() == modes


def test_a_command_that_cannot_be_run_is_told_as_a_shell_tells_it(
    desk: Callable[[], Desk], observed: str, tmp_path: Path
) -> None:
    """More of case 4."""
    (tmp_path / "no-line").write_text("echo ran $1\n")
    (tmp_path / "no-line").chmod(0o755)
    (tmp_path / "denied").write_text("")
    shell = desk()
    modes = shell.modes()
    for command, says, status in (
        ("no-such-command", "command not found", 127),
        ("./denied", "Permission denied", 126),
        ("./no-line well", "ran well", 0),
    ):
        shell.line(f"{observed}{command}")
        shell.see(says)
        shell.see(PROMPT)
        assert shell.status() == status
    assert shell.modes() == modes


def test_a_kill_of_the_launcher_hangs_up_on_the_child_and_leaves_nobody(
    desk: Callable[[], Desk], observed: str, tmp_path: Path
) -> None:
    """More of case 13: in a terminal of the child's own: as if its window had been closed."""
    shell = desk()
    shell.line(observed + LOGS)
    shell.see("begun")
    child = _child(tmp_path)
    monitor, launcher = _above(child)
    launcher.send_signal(signal.SIGKILL)
    shell.see("Killed")
    until(lambda: not alive(child) and not alive(monitor.pid), "the end of child and monitor")
    assert (tmp_path / "log").read_text() == "hup\n"
    shell.line("stty sane; echo well")
    shell.see("\r\nwell")


@pytest.mark.parametrize("survive", [False, True])
def test_who_writes_into_a_pipe_outlives_a_killed_launcher_only_where_the_pipe_is_the_callers_own(
    survive: bool, desk: Callable[[], Desk], package: Path, tmp_path: Path
) -> None:
    """More of case 13: README says so; at a terminal nobody stops the phase, but a pipe of ours dies with us."""
    shell = desk()
    phase = "sh -c 'echo $$ > pid; while [ ! -e go ]; do sleep 0.05; done; echo late; echo wrote > done'"
    shell.line(f"{ours(package, *(['--survive'] if survive else []))}{phase} | cat > said")
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "the phase's start")
    child = _child(tmp_path)
    launcher = psutil.Process(child).parent()
    assert launcher is not None
    launcher.kill()
    until(lambda: not alive(launcher.pid), "our end")
    assert alive(child)
    (tmp_path / "go").touch()
    until(lambda: not alive(child), "the phase's end")
    shell.see(PROMPT)
    assert (tmp_path / "done").exists() == survive
    assert (tmp_path / "said").read_text() == ("late\n" if survive else "")


def test_a_kill_of_the_monitor_hangs_up_on_the_child_and_we_end_as_hung_up(
    desk: Callable[[], Desk], observed: str, tmp_path: Path
) -> None:
    """Our own second process may be killed too: nobody waits for ever."""
    shell = desk()
    modes = shell.modes()
    shell.line(observed + LOGS)
    shell.see("begun")
    child = _child(tmp_path)
    monitor, _ = _above(child)
    monitor.send_signal(signal.SIGKILL)
    shell.see(PROMPT)
    assert shell.status() == 129
    until(lambda: not alive(child), "the child's end")
    assert (tmp_path / "log").read_text() == "hup\n"
    assert shell.modes() == modes


def test_a_failure_of_ours_behind_the_start_still_carries_keys_and_output(
    desk: Callable[[], Desk], package: Path, tmp_path: Path
) -> None:
    """Our failure is never the child's: here the part that follows the child cannot even be imported."""
    copy = _broken(package, tmp_path)
    shell = desk()
    shell.line(f"{ours(copy, '--observe')}bash -c 'echo begun; read line; echo had $line; exit 5'")
    shell.see("begun")
    shell.keys("\x1a")
    shell.see("Stopped")
    shell.see(PROMPT)
    shell.line("fg")
    shell.keys("tea\n")
    shell.see("had tea")
    shell.see(PROMPT)
    assert shell.status() == 5


def _broken(package: Path, folder: Path) -> Path:
    copy = folder / "broken" / "nimble_watch"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "launcher" / "session.py").write_text("raise RuntimeError('as the test asked')\n")
    return copy


def test_a_background_job_that_nobody_could_continue_is_hung_up_on_when_it_reads(
    desk: Callable[[], Desk], observed: str, tmp_path: Path
) -> None:
    """More of case 21: in an orphaned group: without us the read would fail; it must not wait for ever."""
    shell = desk()
    shell.line(f"(bash -c '{observed}sh -c \"read line </dev/tty\"; echo $? > status' &)")
    until(lambda: (tmp_path / "status").exists() and (tmp_path / "status").read_text(), "the job's end")
    assert (tmp_path / "status").read_text() == "129\n"


@pytest.fixture
def real(desk: Callable[[], Desk], tmp_path: Path) -> Iterator[tuple[Desk, Path]]:
    """Give a desk for the whole program, observer included, and the folder of its sessions."""
    shell = desk()
    yield shell, tmp_path / "sessions"
    shell.close()


def test_our_lines_wait_while_a_program_owns_the_screen(real: tuple[Desk, Path], tmp_path: Path) -> None:
    """DESIGN, section 5: with `--observe` it is the child's terminal whose modes decide."""
    shell, _ = real
    (tmp_path / "own").write_text(
        "import os, sys, tty\n"
        "tty.setraw(0)\n"
        "os.write(1, b'owned\\r\\n')\n"
        "os.read(0, 1)\n"
        "os.write(1, b'released\\r\\n')\n"
        "os.system('stty sane')\n"
        "os.read(0, 1)\n"
    )
    start = ours(PACKAGE, "--observe").replace(" -q", "")
    shell.line(f"{start}{sys.executable} own")
    shell.see("owned")
    until(lambda: _told_of_the_cluster(tmp_path / "sessions"), "that there is something to say")
    shell.keys("x")
    assert "nimble-watch: " not in shell.see("released")
    shell.see("nimble-watch: ")
    shell.keys("\n")
    shell.see(PROMPT)
    assert shell.status() == 0


def _told_of_the_cluster(sessions: Path) -> bool:
    """Tell whether the journal says that no cluster is watched, which is said to the person in the same breath."""
    return any("kubeconfig" in path.read_text() for path in sessions.glob(".journal/*/*.jsonl"))


def test_what_a_coloured_line_says_is_kept_as_evidence(real: tuple[Desk, Path], tmp_path: Path) -> None:
    """The rules read words, not how they were painted; an old log in a pager is not read at all."""
    shell, sessions = real
    (tmp_path / "phase").write_text(
        "printf '\\033[?1049hError: an old failure\\n\\033[?1049l'\n"
        "printf '\\033[31mError: INSTALLATION FAILED:\\033[0m timed out waiting for the condition\\n'; exit 1\n"
    )
    shell.line(f"{ours(PACKAGE, '--observe')}bash phase")
    shell.see(PROMPT)
    assert shell.status() == 1
    (path,) = sessions.glob("session-*.json")
    text = json.dumps(json.loads(path.read_text()))
    assert "Error: INSTALLATION FAILED: timed out waiting" in text
    assert "old failure" not in text
