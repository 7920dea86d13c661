"""At a terminal nothing tells a wrapped command from a bare one: every test runs both, with the same expectations."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from nimble_watch.session.times import moment
from tests.terminal.desk import PACKAGE, PROMPT, Desk, ours, until

pytestmark = pytest.mark.terminal

COUNTS = """\
import os, signal, sys
def got(number, frame):
    with open("log", "a") as log:
        log.write("got\\n")
    with open("log") as log:
        if len(log.readlines()) >= int(os.environ.get("ENOUGH", "1")):
            os._exit(3)
signal.signal(signal.SIGINT, got)
print("begun", flush=True)
sys.stdin.readline()
os._exit(4)
"""


def _got(log: Path, times: int) -> bool:
    return log.exists() and log.read_text().count("got") == times


@pytest.fixture
def counts(tmp_path: Path) -> Path:
    """Give a script that logs each interrupt, and ends with 3 after ENOUGH of them."""
    (tmp_path / "counts").write_text(COUNTS)
    return tmp_path / "log"


def test_ctrl_c_reaches_the_child_once(desk: Callable[[], Desk], before: str, counts: Path) -> None:
    """Case 6: counted when the child has ended for another reason; one that ends by the first never sees a second."""
    shell = desk()
    shell.line(f"ENOUGH=9 {before}{sys.executable} -S counts")
    shell.see("begun")
    shell.keys("\x03")
    until(partial(_got, counts, 1), "the interrupt")
    shell.keys("\n")
    shell.see(PROMPT)
    assert shell.status() == 4
    assert counts.read_text() == "got\n"


@pytest.mark.usefixtures("counts")
def test_what_a_child_makes_of_ctrl_c_is_its_status(desk: Callable[[], Desk], before: str) -> None:
    """More of case 8."""
    shell = desk()
    shell.line(f"{before}{sys.executable} -S counts")
    shell.see("begun")
    shell.keys("\x03")
    shell.see(PROMPT)
    assert shell.status() == 3


@pytest.mark.parametrize("often", [2, 3])
def test_each_ctrl_c_reaches_the_child_once_and_none_kills_it(
    often: int, desk: Callable[[], Desk], before: str, counts: Path
) -> None:
    """Case 7, and more of case 9: twice is two, not four, counted when the child has ended for another reason.

    A third one is no more than the two before: what a command makes of impatience is its own affair.
    """
    shell = desk()
    shell.line(f"ENOUGH=9 {before}{sys.executable} -S counts")
    shell.see("begun")
    for times in range(1, often + 1):
        shell.keys("\x03")
        until(partial(_got, counts, times), f"interrupt {times}")
    shell.keys("\n")
    shell.see(PROMPT)
    assert shell.status() == 4
    assert counts.read_text() == "got\n" * often


def test_ctrl_c_of_a_child_that_does_not_mind_ends_by_int(desk: Callable[[], Desk], before: str) -> None:
    """More of case 6."""
    shell = desk()
    shell.line(f"{before}sh -c 'echo begun; exec sleep 300'")
    shell.see("begun")
    shell.keys("\x03")
    shell.see(PROMPT)
    assert shell.status() == 130


def test_a_shell_loop_around_us_stops_at_ctrl_c(desk: Callable[[], Desk], before: str, tmp_path: Path) -> None:
    """Case 10."""
    (tmp_path / "loop").write_text(
        f"for i in 1 2 3; do {before}sh -c 'echo begun; exec sleep 300'; echo after $i; done\n"
    )
    shell = desk()
    shell.line("bash loop")
    shell.see("begun")
    shell.keys("\x03")
    assert "after" not in shell.see(PROMPT)
    assert shell.status() == 130


def test_ctrl_z_stops_the_job_and_fg_continues_it(desk: Callable[[], Desk], before: str) -> None:
    """Case 16."""
    shell = desk()
    shell.line(f"{before}bash -c 'echo begun; read answer; echo had $answer; exit 5'")
    shell.see("begun")
    shell.keys("\x1a")
    shell.see("Stopped")
    shell.see(PROMPT)
    shell.line("jobs")
    shell.see("Stopped")
    shell.line("fg")
    shell.keys("tea\n")
    shell.see("had tea")
    shell.see(PROMPT)
    assert shell.status() == 5


def test_the_time_in_which_a_person_had_stopped_the_job_is_kept_out_and_costs_nothing_of_its_limit(
    desk: Callable[[], Desk], tmp_path: Path
) -> None:
    """More of case 16: with a session, which notes the pause; stopped for longer than --timeout allows to run."""
    shell = desk()
    shell.line(f"{ours(PACKAGE, '--timeout 4')}bash -c 'echo begun; read answer; echo had $answer; exit 5'")
    shell.see("begun")
    shell.keys("\x1a")
    shell.see("Stopped")
    shell.see(PROMPT)
    stopped = time.monotonic()
    until(lambda: time.monotonic() - stopped > 4.5, "the passing of more than the limit")
    lasted = time.monotonic() - stopped
    shell.line("fg")
    shell.keys("tea\n")
    shell.see("had tea")
    shell.see(PROMPT)
    assert shell.status() == 5
    (path,) = (tmp_path / "sessions").glob("session-*.json")
    session = json.loads(path.read_text())
    (phase,) = session["phases"].values()
    assert phase["paused_ms"] >= lasted * 1000
    apart = (moment(phase["end_time"]) or 0) - (moment(phase["start_time"]) or 0)
    assert abs(apart - phase["paused_ms"] - phase["duration_ms"]) <= 2000  # both ends are kept in whole seconds
    assert "was stopped for" in (tmp_path / "sessions" / f"summary-{session['session_id']}.txt").read_text()


def test_ctrl_c_is_kept_as_a_cancellation(desk: Callable[[], Desk], tmp_path: Path) -> None:
    """More of case 6: with a session; we end by the signal only when that is saved."""
    shell = desk()
    shell.line(f"{ours(PACKAGE)}sh -c 'echo begun; exec sleep 300'")
    shell.see("begun")
    until(lambda: list((tmp_path / "sessions").glob("session-*.json")), "the observer's start")
    shell.keys("\x03")
    shell.see(PROMPT)
    assert shell.status() == 130
    (path,) = (tmp_path / "sessions").glob("session-*.json")
    session = json.loads(path.read_text())
    (phase,) = session["phases"].values()
    assert (session["state"], session["result"]) == ("ended", "cancellation")
    assert (phase["result"], phase["signal"]) == ("cancellation", "INT")


def test_ctrl_c_at_once_is_no_hurry_that_leaves_the_session_to_others(desk: Callable[[], Desk], tmp_path: Path) -> None:
    """More of case 6: we are still getting ready when it comes, and find the child's end and the interrupt together."""
    shell = desk()
    shell.line(f"{ours(PACKAGE).replace(' -q', '')}sh -c 'kill -INT 0; sleep 300'")
    assert "the watch was lost" not in shell.see(PROMPT)
    assert shell.status() == 130
    (path,) = (tmp_path / "sessions").glob("session-*.json")
    session = json.loads(path.read_text())
    assert (session["state"], session["result"]) == ("ended", "cancellation")


def test_bg_lets_a_stopped_job_run_on(desk: Callable[[], Desk], before: str, tmp_path: Path) -> None:
    """More of case 16."""
    shell = desk()
    shell.line(f"{before}bash -c 'echo begun; while [ ! -e go ]; do sleep 0.05; done; echo went > done; exit 4'")
    shell.see("begun")
    shell.keys("\x1a")
    shell.see("Stopped")
    shell.see(PROMPT)
    shell.line("bg")
    (tmp_path / "go").touch()
    until((tmp_path / "done").exists, "the job's end")
    shell.line("wait %1; echo job $?.")
    shell.see("job 4.")


def test_a_child_that_tidies_up_before_it_stops_is_given_the_time(
    desk: Callable[[], Desk], before: str, tmp_path: Path
) -> None:
    """More of case 16: as vim does, which first restores the screen; the prompt must not come before."""
    (tmp_path / "tidy").write_text(
        "import os, signal, sys, time\n"
        "def tidy(number, frame):\n"
        "    time.sleep(0.5)\n"
        "    print('tidied', flush=True)\n"
        "    signal.signal(signal.SIGTSTP, signal.SIG_DFL)\n"
        "    os.kill(os.getpid(), signal.SIGTSTP)\n"
        "signal.signal(signal.SIGTSTP, tidy)\n"
        "print('begun', flush=True)\n"
        "while not os.path.exists('go'): time.sleep(0.05)\n"
        "print('went on')\n"
        "sys.exit(6)\n"
    )
    shell = desk()
    shell.line(f"{before}{sys.executable} -S tidy")
    shell.see("begun")
    shell.keys("\x1a")
    assert "tidied" in shell.see(PROMPT)
    (tmp_path / "go").touch()
    shell.line("fg")
    shell.see("went on")
    shell.see(PROMPT)
    assert shell.status() == 6


def test_a_background_job_that_reads_the_terminal_stops_and_fg_lets_it_read(
    desk: Callable[[], Desk], before: str
) -> None:
    """Case 21."""
    shell = desk()
    shell.line(f"{before}bash -c 'read line; echo had $line; exit 4' &")
    shell.see(PROMPT)
    until(lambda: _stopped(shell), "the job's stop")
    shell.line("fg")
    shell.keys("milk\n")
    shell.see("had milk")
    shell.see(PROMPT)
    assert shell.status() == 4


def _stopped(shell: Desk) -> bool:
    shell.line("jobs; echo end-of-jobs")
    return "Stopped" in shell.see("end-of-jobs\r\n")


def test_the_child_sees_the_windows_size_change(desk: Callable[[], Desk], before: str) -> None:
    """Case 18."""
    shell = desk()
    shell.line(f"{before}bash -c 'trap \"stty size; exit\" WINCH; stty size; while :; do sleep 0.05; done'")
    shell.see("24 100")
    shell.resize(40, 132)
    shell.see("40 132")
    shell.see(PROMPT)


def test_a_prompt_is_seen_before_its_answer(desk: Callable[[], Desk], before: str, tmp_path: Path) -> None:
    """Case 27."""
    (tmp_path / "ask").write_text('read -p "Continue? " answer; echo said=$answer\n')
    shell = desk()
    shell.line(f"{before}bash ask")
    shell.see("Continue? ")
    shell.keys("yes\n")
    shell.see("said=yes")


def test_a_password_is_not_echoed_and_ctrl_c_in_it_leaves_the_terminal_as_it_was(
    desk: Callable[[], Desk], before: str, tmp_path: Path
) -> None:
    """Case 28."""
    (tmp_path / "ask").write_text('read -s -p "Password: " word; echo; echo length ${#word}\n')
    shell = desk()
    modes = shell.modes()
    shell.line(f"{before}bash ask")
    shell.see("Password: ")
    shell.keys("geheim\n")
    assert "geheim" not in shell.see("length 6")
    shell.see(PROMPT)
    shell.line(f"{before}bash ask")
    shell.see("Password: ")
    shell.keys("\x03")
    shell.see(PROMPT)
    assert shell.status() == 130
    assert shell.modes() == modes


@pytest.mark.parametrize("redirects", range(8))
def test_what_is_a_terminal_for_the_child_is_what_was_one(
    redirects: int, desk: Callable[[], Desk], before: str, tmp_path: Path
) -> None:
    """Case 26."""
    away = " ".join(f"{arrow}/dev/null" for bit, arrow in enumerate(("<", ">", "2>")) if redirects >> bit & 1)
    shell = desk()
    shell.line(f"{before}bash -c 'for n in 0 1 2; do test -t $n; echo $? >> answers; done' {away}; echo over")
    shell.see("over\r\n")
    expected = [str(redirects >> bit & 1) for bit in range(3)]
    assert (tmp_path / "answers").read_text().split() == expected


def test_the_terminals_name_is_the_same_and_dev_tty_can_be_opened(desk: Callable[[], Desk], before: str) -> None:
    """More of case 28: ssh, sudo and oci open /dev/tty for passwords; only a terminal of its own has another name."""
    shell = desk()
    shell.line("tty")
    shell.see("/dev/")
    name = shell.see("\r\n")
    shell.line(f"{before}bash -c 'tty; exec 3<>/dev/tty && echo open'")
    shell.see("/dev/" if "--observe" in before else name)
    shell.see("open")


def test_closing_the_window_hangs_up_on_the_child(desk: Callable[[], Desk], before: str, tmp_path: Path) -> None:
    """More of case 11: by the terminal itself; a shell then continues its jobs, and whoever cleans up has the time."""
    log = tmp_path / "log"
    shell = desk()
    cleanup = "sleep 0.3; echo hup >> log; exit"
    shell.line(f"{before}bash -c 'trap \"{cleanup}\" HUP; echo begun; while :; do sleep 0.05; done'")
    shell.see("begun")
    shell.close()
    until(lambda: log.exists() and "hup" in log.read_text(), "the hang-up")
