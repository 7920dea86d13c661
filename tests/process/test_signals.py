"""Each signal reaches the child exactly once, and nothing of the child's stays behind."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.permissions import Permission, allowed
from tests.process.scribes import Scribe
from tests.process.sides import (
    alive,
    end,
    kill,
    nimble_watch,
    ready,
    recorder,
    run,
    says,
    signals,
    start,
    state,
    until,
    wrapped,
)


def _gone(pid: int) -> bool:
    return not alive(pid)


def _interrupted(log: Path, times: int) -> bool:
    return signals(log).count("INT") == times


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2", "ALRM"])
def test_a_signal_to_us_reaches_the_child_once(name: str, tmp_path: Path, alone: Path) -> None:
    """Case 11."""
    log = tmp_path / "log"
    process = start(wrapped(recorder(log, ends=name), package=alone))
    ready(log)
    kill(process.pid, signal.Signals[f"SIG{name}"])
    assert end(process) == 3
    assert signals(log) == [name]


def test_a_signal_to_our_whole_group_reaches_the_child_once(tmp_path: Path, alone: Path) -> None:
    """Case 12."""
    log = tmp_path / "log"
    process = start(wrapped(recorder(log, ends="TERM"), package=alone))
    ready(log)
    for name in ("USR1", "USR2", "TERM"):
        kill(-process.pid, signal.Signals[f"SIG{name}"])
        until(says(log, name), name)
    assert end(process) == 3
    assert signals(log) == ["USR1", "USR2", "TERM"]


@pytest.mark.parametrize("name", ["TERM", "HUP", "INT"])
def test_grandchildren_are_reached_too_and_we_end_by_the_signal(name: str, tmp_path: Path, alone: Path) -> None:
    """Case 11."""
    grandchild = tmp_path / "grandchild"
    program = f"trap - INT; sleep 300 & echo $! > {grandchild}; wait"
    if name == "INT":  # a background job of a script ignores INT, so this one stands in the foreground
        says_pid = (
            f"import os, time; print(os.getpid(), file=open({str(grandchild)!r}, 'w'), flush=True); time.sleep(300)"
        )
        program = f'{sys.executable} -c "{says_pid}"; exit 1'
    process = start(wrapped(["bash", "-c", program], package=alone))
    until(says(grandchild, "\n"), "the grandchild's start")
    pid = int(grandchild.read_text())
    kill(process.pid, signal.Signals[f"SIG{name}"])
    assert end(process) == -signal.Signals[f"SIG{name}"]
    until(lambda: not alive(pid), "the grandchild's end")


def test_a_child_that_cleans_up_on_int_is_waited_for(tmp_path: Path, alone: Path) -> None:
    """Case 8."""
    log = tmp_path / "log"
    program = f"trap 'sleep 1; echo cleaned > {log}; exit 3' INT; echo ready > {log}; while :; do sleep 0.1; done"
    process = start(wrapped(["bash", "-c", program], package=alone))
    until(says(tmp_path / "log", "ready"), "the child's start")
    kill(process.pid, signal.SIGINT)
    assert end(process) == 3
    assert (tmp_path / "log").read_text() == "cleaned\n"


def test_a_child_that_ignores_int_is_waited_for(tmp_path: Path, alone: Path) -> None:
    """Case 9."""
    log = tmp_path / "log"
    process = start(wrapped(recorder(log, ends="USR1"), package=alone))
    ready(log)
    for count in (1, 2, 3):
        kill(process.pid, signal.SIGINT)
        until(partial(_interrupted, log, count), f"interrupt {count}")
    assert process.poll() is None
    kill(process.pid, signal.SIGUSR1)
    assert end(process) == 3


def test_quit_is_the_childs_business(tmp_path: Path, alone: Path) -> None:
    """Case 15."""
    command = ["sh", "-c", f"ulimit -c 0; echo ready > {tmp_path}/log; exec sleep 300"]
    process = start(wrapped(command, package=alone), cwd=tmp_path)
    until(says(tmp_path / "log", "ready"), "the child's start")
    kill(process.pid, signal.SIGQUIT)
    assert end(process) == -signal.SIGQUIT
    assert not list(tmp_path.glob("core*"))


def test_when_our_parent_is_killed_the_child_is_told_to_stop(tmp_path: Path, scribe: Scribe) -> None:
    """Case 14."""
    log = tmp_path / "log"
    parent = start(
        ["bash", "-c", '"$@"; echo not reached', "bash", *wrapped(recorder(log, ends="INT"), package=scribe.package)]
    )
    child = ready(log)
    kill(parent.pid, signal.SIGKILL)
    end(parent)
    until(lambda: not alive(child), "the child's end")
    assert signals(log) == ["INT"]
    until(lambda: scribe.messages("finish"), "the finish")
    assert scribe.messages("phase-ended")[0]["result"] == "cancellation"


def test_a_child_that_cleans_up_after_a_hang_up_is_not_told_again_because_our_parent_went_too(
    tmp_path: Path, alone: Path
) -> None:
    """Cases 11 and 14: a window that closes takes the shell with it, and INT would cut the child's clean-up short."""
    log = tmp_path / "log"
    waits = "while kill -0 $(cat parent); do sleep 0.05; done 2>&-; sleep 0.5; echo cleaned >> log; exit 3"
    program = f"trap '{waits}' HUP; echo ready > log; while :; do sleep 0.05; done"
    command = wrapped(["bash", "-c", program], "--kill-after", "30", package=alone)
    parent = start(["bash", "-c", 'echo $$ > parent; "$@"; echo not reached', "bash", *command], cwd=tmp_path)
    until(says(log, "ready"), "the child's start")
    (ours,) = (child.pid for child in psutil.Process(parent.pid).children())
    kill(ours, signal.SIGHUP)
    kill(parent.pid, signal.SIGKILL)
    end(parent)
    until(lambda: not alive(ours), "our end")
    assert log.read_text() == "ready\ncleaned\n"


def test_in_the_background_of_a_script_and_under_nohup_we_outlive_our_parent_as_the_child_would(
    tmp_path: Path, alone: Path
) -> None:
    """Cases 19 and 20."""
    for name, before in (("background", '"$@" & echo'), ("nohup", 'nohup "$@"; echo')):
        log = tmp_path / name
        parent = start(["bash", "-c", before, "bash", *wrapped(recorder(log, ends="USR1"), package=alone)])
        child = ready(log)
        if name == "nohup":
            kill(parent.pid, signal.SIGKILL)
        end(parent)

        ours = psutil.Process(child).parent()
        assert ours is not None
        for ignored in (signal.SIGINT,) if name == "background" else (signal.SIGHUP,):
            kill(ours.pid, ignored)
        kill(ours.pid, signal.SIGUSR2)
        until(says(log, "USR2"), "the second signal")
        assert signals(log) == ["USR2"], name
        kill(ours.pid, signal.SIGUSR1)
        until(partial(_gone, child), "the child's end")


def test_a_child_stopped_and_continued_from_outside_is_waited_for_and_the_pause_is_told(
    tmp_path: Path, scribe: Scribe
) -> None:
    """Case 17."""
    log = tmp_path / "log"
    process = start(wrapped(recorder(log, ends="TERM"), package=scribe.package))
    child = ready(log)
    kill(child, signal.SIGSTOP)
    until(lambda: scribe.messages("paused"), "the pause")
    assert state(process.pid) != "stopped"
    kill(child, signal.SIGCONT)
    until(lambda: scribe.messages("resumed"), "the end of the pause")
    kill(process.pid, signal.SIGTERM)
    assert end(process) == 3
    assert scribe.messages("phase-ended")[0]["paused"] > 0


def test_tstp_without_a_terminal_stops_the_child_and_us_and_cont_continues_both(tmp_path: Path, alone: Path) -> None:
    """Case 16, without a terminal."""
    log = tmp_path / "log"
    keeper = start(["bash", "-c", '"$@" & wait', "bash", *wrapped(recorder(log, ends="TERM"), package=alone)])
    child = ready(log)

    ours = psutil.Process(child).parent()
    assert ours is not None
    kill(ours.pid, signal.SIGTSTP)
    until(lambda: state(child) == "stopped", "the child's stop")
    kill(ours.pid, signal.SIGCONT)
    until(lambda: state(child) != "stopped", "the child's going on")
    kill(ours.pid, signal.SIGTERM)
    assert end(keeper) == 0
    assert signals(log)[-1] == "TERM"


def test_a_timeout_is_124_even_for_a_child_that_then_ends_well_and_137_where_only_kill_helps() -> None:
    """Case 44."""
    gives_in = "trap 'exit 0' INT; while :; do sleep 0.05; done"
    stubborn = "trap '' INT TERM; while :; do sleep 0.05; done"
    assert run(wrapped(["bash", "-c", gives_in], "--timeout", "0.5")).status == 124
    assert run(wrapped(["bash", "-c", stubborn], "--timeout", "0.5", "--kill-after", "0.3")).status == 137
    assert run(wrapped(["sh", "-c", "exit 3"], "--timeout", "1h")).status == 3


def test_a_stopped_child_and_grandchildren_in_other_groups_are_ended_by_a_timeout_too(
    tmp_path: Path, alone: Path
) -> None:
    """Cases 43 and 45."""
    log = tmp_path / "log"
    program = f"setsid sleep 300 & echo $! >> {log}; sh -c 'kill -STOP $$; sleep 300' & echo $! >> {log}; wait"
    process = start(wrapped(["bash", "-c", program], "--timeout", "1", "--kill-after", "0.5", package=alone))
    until(lambda: log.exists() and len(log.read_text().split()) == 2, "the grandchildren's start")
    assert end(process) in (124, 137)
    for pid in map(int, log.read_text().split()):
        until(partial(_gone, pid), f"the end of {pid}")


def test_a_stopped_child_is_continued_at_its_time_limit_so_that_it_can_act_on_the_signal(
    tmp_path: Path, alone: Path
) -> None:
    """Case 45: it says itself that the signal reached it, which a stopped one cannot."""
    log = tmp_path / "log"
    process = start(wrapped(recorder(log, ends="INT"), "--timeout", "1.5", package=alone))
    kill(ready(log), signal.SIGSTOP)
    assert end(process) == 124
    assert signals(log) == ["INT"]


_OF_THE_C_LIBRARY = 1 << 31 | 1 << 32  # glibc keeps signals 32 and 33 for itself, and its posix_spawn ignores them


@pytest.mark.parametrize("how", ["nohup", "in the background"])
def test_what_was_ignored_when_we_were_started_is_ignored_by_the_child(how: str, alone: Path) -> None:
    """Cases 19 and 20: HUP under nohup, INT and QUIT behind `&` in a script, as without us."""
    ask = ["grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status"]
    before = ["nohup"] if how == "nohup" else ["sh", "-c", '"$@" & wait $!', "sh"]
    bare, ours = (
        [int(mask, 16) & ~_OF_THE_C_LIBRARY for mask in run([*before, *words]).out.split()[1::2]]
        for words in (ask, wrapped(ask, package=alone))
    )
    assert ours == bare
    ignored = bare[1]
    expected = (signal.SIGHUP,) if how == "nohup" else (signal.SIGINT, signal.SIGQUIT)
    assert all(ignored >> (number - 1) & 1 for number in expected)


def test_one_within_another_passes_a_signal_on_once(tmp_path: Path, alone: Path) -> None:
    """Case 22, without a terminal: two of us, each child leads a group of its own."""
    log = tmp_path / "log"
    inner = [*nimble_watch(alone), "exec", "-q", "--", *recorder(log, ends="USR1")]
    process = start(wrapped(inner, package=alone))
    ready(log)
    for name in ("INT", "TERM", "USR2", "USR1"):
        kill(-process.pid, signal.Signals[f"SIG{name}"])
        until(says(log, name), name)
    assert end(process) == 3
    assert signals(log) == ["INT", "TERM", "USR2", "USR1"]


def test_the_observer_may_ask_for_the_phase_to_be_stopped(scribe: Scribe, monkeypatch: pytest.MonkeyPatch) -> None:
    """DESIGN section 3: one of the two things that flow back."""
    monkeypatch.setenv("NIMBLE_WATCH_SCRIBE_DOES", "stop")
    assert run(wrapped(["sleep", "300"], package=scribe.package)).status == 121
    assert scribe.messages("phase-ended")[0]["stopped"] == "fail-fast"


@pytest.mark.linux
def test_as_the_first_process_of_a_container_we_forward_reap_and_end_with_the_status(
    tmp_path: Path, alone: Path
) -> None:
    """Case 23."""
    namespace = ("--pid", "--fork", "--kill-child", "--mount-proc", "--")
    ways = (("unshare", *namespace), ("unshare", "--map-root-user", *namespace))
    inside = allowed(Permission.PID_NAMESPACE, *ways)
    assert run([*inside, *wrapped(["sh", "-c", "exit 7"], package=alone)]).status == 7
    assert run([*inside, *wrapped(["sh", "-c", "kill -TERM $$"], package=alone)]).status == 128 + signal.SIGTERM
    orphans = "for i in 1 2 3; do sh -c 'sleep 0.1 &'; done; sleep 0.5; grep -l '^State:.Z' /proc/[0-9]*/status; exit 0"
    assert run([*inside, *wrapped(["sh", "-c", orphans], package=alone)]).out == b""
    log = tmp_path / "log"
    process = start([*inside, *wrapped(recorder(log, ends="TERM"), package=alone)])
    until(says(log, "\n"), "the child's start")

    first = psutil.Process(process.pid).children()[0]
    kill(first.pid, signal.SIGTERM)
    assert end(process) == 3
    assert signals(log) == ["TERM"]


def test_a_pipeline_without_a_terminal_ends_when_its_group_is_told_to(tmp_path: Path, alone: Path) -> None:
    """Case 12, in a pipeline as CI runs it."""
    log = tmp_path / "log"
    line = " ".join([*nimble_watch(alone), "exec", "-q", "--", "sh", "-c", f"'echo ready > {log}; exec sleep 300'"])
    process = start(["bash", "-c", f"{line} | cat"])
    until(says(log, "ready"), "the child's start")
    os.killpg(process.pid, signal.SIGTERM)
    assert end(process) == -signal.SIGTERM
