"""Programs that own the screen, and people who stop, resize and hurry them: bare, with us, and with `--observe`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.terminal.desk import PROMPT, Desk, until

pytestmark = pytest.mark.terminal

# With a time limit for each key: curses itself may miss a resize that comes just before it begins to wait for one.
CURSES = """\
import curses
def main(screen):
    screen.timeout(100)
    while True:
        screen.erase()
        screen.addstr(0, 0, "size %dx%d" % screen.getmaxyx())
        screen.refresh()
        key = screen.getch()
        if key == curses.KEY_UP:
            screen.addstr(1, 0, "went up")
            screen.refresh()
        if key == ord("q"):
            return
curses.wrapper(main)
"""


def _needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"NOT TESTED: there is no {program} here")


@_needs("vim")
def test_an_editor_can_be_stopped_and_goes_on_and_leaves_the_terminal_as_it_was(
    desk: Callable[[], Desk], before: str, tmp_path: Path
) -> None:
    """More of cases 16 and 28: with vim."""
    shell = desk()
    modes = shell.modes()
    shell.line(f"{before}vim -u NONE -n note")
    shell.see("[New")
    shell.keys("ihello")
    shell.see("hello")
    shell.keys("\x1b\x1a")
    shell.see("Stopped")
    shell.see(PROMPT)
    assert shell.modes() == modes
    shell.line("fg")
    shell.see("hello")
    shell.keys("A there\x1b:wq\r")
    shell.see(PROMPT)
    assert shell.status() == 0
    assert (tmp_path / "note").read_text() == "hello there\n"
    assert shell.modes() == modes


@_needs("less")
@pytest.mark.parametrize("piped", [False, True], ids=["a file", "a pipe"])
def test_a_pager_obeys_its_keys(piped: bool, desk: Callable[[], Desk], before: str, tmp_path: Path) -> None:
    """More of cases 18 and 26: from a pipe, less reads its keys from /dev/tty."""
    (tmp_path / "long").write_text("".join(f"row {number}.\n" for number in range(1, 301)))
    shell = desk()
    modes = shell.modes()
    shell.line(f"cat long | {before}less" if piped else f"{before}less long")
    shell.see("row 23.")
    shell.keys(" ")
    shell.see("row 46.")
    shell.keys("G")
    shell.see("row 300.")
    shell.keys("q")
    shell.see(PROMPT)
    assert shell.status() == 0
    assert shell.modes() == modes


@_needs("less")
def test_a_pager_behind_us_has_the_keys(desk: Callable[[], Desk], before: str) -> None:
    """More of case 21: what else is in the pipeline may read the terminal, and we must not take its keys."""
    shell = desk()
    shell.line(f"{before}seq --format='row %g.' 300 | less")
    shell.see("row 23.")
    shell.keys(" ")
    shell.see("row 46.")
    shell.keys("q")
    shell.see(PROMPT)


def test_a_curses_program_gets_its_keys_and_its_windows_size(
    desk: Callable[[], Desk], before: str, tmp_path: Path
) -> None:
    """More of case 18."""
    (tmp_path / "screen.py").write_text(CURSES)
    shell = desk()
    modes = shell.modes()
    shell.line(f"{before}{sys.executable} screen.py")
    shell.see("size 24x100")
    shell.keys("\x1bOA")
    shell.see("went up")
    shell.resize(30, 90)
    shell.see("30x90")
    shell.keys("q")
    shell.see(PROMPT)
    assert shell.status() == 0
    assert shell.modes() == modes


def test_a_window_that_changed_while_the_job_was_stopped_has_its_new_size(
    desk: Callable[[], Desk], before: str
) -> None:
    """More of case 18."""
    shell = desk()
    shell.line(f"{before}bash -c 'echo begun; read line; stty size'")
    shell.see("begun")
    shell.keys("\x1a")
    shell.see("Stopped")
    shell.see(PROMPT)
    shell.resize(31, 81)
    shell.line("fg")
    shell.keys("\n")
    shell.see("31 81")
    shell.see(PROMPT)


def test_a_question_on_the_terminal_is_answered_though_stdin_and_stdout_lead_elsewhere(
    desk: Callable[[], Desk], before: str, tmp_path: Path
) -> None:
    """More of cases 26 and 28: as ssh asks for a password."""
    (tmp_path / "ask").write_text(
        "exec 3<>/dev/tty; stty -echo <&3; printf 'Word: ' >&3; read -r word <&3; stty echo <&3; echo length ${#word}\n"
    )
    shell = desk()
    shell.line(f"{before}bash ask </dev/null >said")
    shell.see("Word: ")
    shell.keys("geheim\n")
    assert "geheim" not in shell.see(PROMPT)
    assert "length 6" in (tmp_path / "said").read_text()


def test_a_script_around_us_stops_and_goes_on_with_us(desk: Callable[[], Desk], before: str, tmp_path: Path) -> None:
    """More of case 16: the terminal stops the whole job, so must whoever stands in its place."""
    (tmp_path / "script").write_text(f"{before}bash -c 'echo begun; read line; echo had $line'\necho after\n")
    shell = desk()
    shell.line("bash script")
    shell.see("begun")
    shell.keys("\x1a")
    shell.see("Stopped")
    shell.see(PROMPT)
    shell.line("fg")
    shell.keys("tea\n")
    shell.see("had tea")
    shell.see("after")
    shell.see(PROMPT)


def test_ctrl_backslash_ends_by_quit(desk: Callable[[], Desk], before: str) -> None:
    """More of case 15."""
    shell = desk()
    shell.line("ulimit -c 0")
    shell.see(PROMPT)
    shell.line(f"{before}sh -c 'echo begun; exec sleep 300'")
    shell.see("begun")
    shell.keys("\x1c")
    shell.see(PROMPT)
    assert shell.status() == 131


def test_a_kill_of_the_job_reaches_the_child_once(desk: Callable[[], Desk], before: str, tmp_path: Path) -> None:
    """More of case 11: at a terminal."""
    log = tmp_path / "log"
    shell = desk()
    shell.line(f"{before}bash -c 'trap \"echo got >> log; exit 3\" USR1; echo begun; while :; do sleep 0.05; done' &")
    shell.see("begun")
    shell.line("kill -USR1 %1; wait %1; echo ended $?.")
    shell.see("ended 3.")
    assert log.read_text() == "got\n"


def test_a_background_job_that_may_not_write_to_the_terminal_stops(desk: Callable[[], Desk], before: str) -> None:
    """More of case 21: with `stty tostop`."""
    shell = desk()
    shell.line("stty tostop")
    shell.see(PROMPT)
    shell.line(f"{before}sh -c 'echo secretly' &")
    shell.see(PROMPT)
    until(lambda: _stopped(shell), "the job's stop")
    shell.line("stty -tostop; fg")
    shell.see("\r\nsecretly")
    shell.see(PROMPT)
    assert shell.status() == 0


def _stopped(shell: Desk) -> bool:
    shell.line("jobs; echo end-of-jobs")
    return "Stopped" in shell.see("end-of-jobs\r\n")


def test_who_is_left_behind_can_go_on_writing_to_the_terminal(
    desk: Callable[[], Desk], before: str, tmp_path: Path
) -> None:
    """More of case 36: at a terminal."""
    shell = desk()
    shell.line(f"{before}sh -c '(while [ ! -e go ]; do sleep 0.05; done; echo late; touch done) & exit 4'")
    shell.see(PROMPT)
    assert shell.status() == 4
    (tmp_path / "go").touch()
    shell.see("late")
    until((tmp_path / "done").exists, "the end of who was left behind")


def test_one_within_another_stops_goes_on_and_ends_as_the_child(desk: Callable[[], Desk], before: str) -> None:
    """More of case 22: with a terminal in a terminal."""
    shell = desk()
    modes = shell.modes()
    shell.line(f"{before}{before}bash -c 'echo begun; read line; echo had $line; exit 7'")
    shell.see("begun")
    shell.keys("\x1a")
    shell.see("Stopped")
    shell.see(PROMPT)
    assert shell.modes() == modes
    shell.line("fg")
    shell.keys("tea\n")
    shell.see("had tea")
    shell.see(PROMPT)
    assert shell.status() == 7


@pytest.mark.linux
def test_a_shell_that_suspends_itself_gives_the_terminal_back_and_gets_it_again(
    desk: Callable[[], Desk], before: str, tmp_path: Path
) -> None:
    """More of case 16: it ignores Ctrl-Z, has jobs and a group of its own, and stops by SIGSTOP."""
    shell = desk()
    (tmp_path / "rc").write_text("PS1='within> '\n")
    shell.line(f"{before}bash --rcfile rc -i")
    shell.see("within> ")
    shell.line("suspend")
    shell.see("Stopped")
    shell.see(PROMPT)
    shell.line("fg")
    shell.see("within> ")
    shell.line("sh -c 'echo begun; read -r word; echo $word > said'")
    shell.see("begun")
    shell.keys("\x1a")
    shell.see("Stopped")
    shell.see("within> ")
    shell.line("fg")
    shell.see("> said'")
    shell.keys("milk\n")
    shell.see("within> ")
    shell.line("exit 9")
    shell.see(PROMPT)
    assert shell.status() == 9
    assert (tmp_path / "said").read_text() == "milk\n"
