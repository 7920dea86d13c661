"""At a terminal nothing tells a wrapped command from a bare one: every test runs both, with the same expectations."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.terminal.desk import PROMPT, Desk, until

pytestmark = pytest.mark.terminal

COUNTS = """\
import os, signal
def got(number, frame):
    with open("log", "a") as log:
        log.write("got\\n")
    with open("log") as log:
        if len(log.readlines()) >= int(os.environ.get("ENOUGH", "1")):
            os._exit(3)
signal.signal(signal.SIGINT, got)
print("begun", flush=True)
while True:
    signal.pause()
"""


def _got(log: Path, times: int) -> bool:
    return log.exists() and log.read_text().count("got") == times


@pytest.fixture
def counts(tmp_path: Path) -> Path:
    """Give a script that logs each interrupt, and ends with 3 after ENOUGH of them."""
    (tmp_path / "counts").write_text(COUNTS)
    return tmp_path / "log"


def test_ctrl_c_reaches_the_child_once(desk: Callable[[], Desk], before: str, counts: Path) -> None:
    """Cases 6 and 8."""
    shell = desk()
    shell.line(f"{before}{sys.executable} -S counts")
    shell.see("begun")
    shell.keys("\x03")
    shell.see(PROMPT)
    assert shell.status() == 3
    assert counts.read_text() == "got\n"


def test_ctrl_c_twice_reaches_the_child_twice(desk: Callable[[], Desk], before: str, counts: Path) -> None:
    """Cases 7 and 9."""
    shell = desk()
    shell.line(f"ENOUGH=2 {before}{sys.executable} -S counts")
    shell.see("begun")
    for times in (1, 2):
        shell.keys("\x03")
        until(partial(_got, counts, times), f"interrupt {times}")
    shell.see(PROMPT)
    assert shell.status() == 3


def test_ctrl_c_of_a_child_that_does_not_mind_ends_by_int(desk: Callable[[], Desk], before: str) -> None:
    """Case 6."""
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


def test_bg_lets_a_stopped_job_run_on(desk: Callable[[], Desk], before: str, tmp_path: Path) -> None:
    """Case 16."""
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
    """Case 16: as vim does, which first restores the screen; the prompt must not come before."""
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
    """Case 28: ssh, sudo and oci open /dev/tty for passwords; only a terminal of its own has another name."""
    shell = desk()
    shell.line("tty")
    shell.see("/dev/")
    name = shell.see("\r\n")
    shell.line(f"{before}bash -c 'tty; exec 3<>/dev/tty && echo open'")
    shell.see("/dev/" if "--observe" in before else name)
    shell.see("open")


def test_closing_the_window_hangs_up_on_the_child(desk: Callable[[], Desk], before: str, tmp_path: Path) -> None:
    """Case 11, by the terminal itself."""
    log = tmp_path / "log"
    shell = desk()
    shell.line(f"{before}bash -c 'trap \"echo hup >> log; exit\" HUP; echo begun; while :; do sleep 0.05; done'")
    shell.see("begun")
    shell.close()
    until(lambda: log.exists() and "hup" in log.read_text(), "the hang-up")
