"""Each signal reaches the child exactly once, and nothing of the child's stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.permissions import Permission, allowed
from tests.process.scribes import Scribe
from tests.process.sides import (
    alive,
    beside,
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
    bare, ours = beside(
        lambda log: recorder(log, ends=name, aloud=True),
        lambda pid, _: kill(pid, signal.Signals[f"SIG{name}"]),
        tmp_path,
        package=alone,
    )
    said = f"{name}\n".encode()
    assert ours == bare == (3, said, said, [name])


def test_a_signal_to_our_whole_group_reaches_the_child_once(tmp_path: Path, alone: Path) -> None:
    """Case 12."""
    names = ["USR1", "INT", "USR2", "HUP", "TERM"]

    def each_to_the_group(pid: int, log: Path) -> None:
        for name in names:
            kill(-pid, signal.Signals[f"SIG{name}"])
            until(says(log, name), name)

    bare, ours = beside(lambda log: recorder(log, ends="TERM", aloud=True), each_to_the_group, tmp_path, package=alone)
    said = "".join(f"{name}\n" for name in names).encode()
    assert ours == bare == (3, said, said, names)


@pytest.mark.parametrize("name", ["TERM", "HUP", "INT"])
def test_grandchildren_are_reached_too_and_we_end_by_the_signal(name: str, tmp_path: Path, alone: Path) -> None:
    """More of case 11: as when the group of the command alone is signalled."""
    number = signal.Signals[f"SIG{name}"]

    def with_a_grandchild(log: Path) -> list[str]:
        # A background job of a script ignores INT, so this one stands in the foreground.
        program = (
            f"import os, time; print('ready', os.getpid(), file=open({str(log)!r}, 'w'), flush=True); time.sleep(300)"
        )
        return ["bash", "-c", f'{sys.executable} -S -c "{program}"; exit 1']

    grandchildren = []

    def tell(pid: int, log: Path) -> None:
        grandchildren.append(ready(log))
        kill(-pid if log.name == "bare" else pid, number)

    bare, ours = beside(with_a_grandchild, tell, tmp_path, package=alone)
    assert ours == bare
    assert ours.status == -number
    for pid in grandchildren:
        until(partial(_gone, pid), "the grandchild's end")


def test_a_child_that_cleans_up_on_int_is_waited_for(tmp_path: Path, alone: Path) -> None:
    """Case 8: it takes the five seconds that it takes."""

    def cleaning(log: Path) -> list[str]:
        clean = f"echo cleaning; sleep 5; echo cleaned; echo INT >> {log}; exit 3"
        return ["bash", "-c", f"trap '{clean}' INT; echo ready $$ > {log}; while :; do sleep 0.1; done"]

    bare, ours = beside(cleaning, lambda pid, _: kill(pid, signal.SIGINT), tmp_path, package=alone)
    assert ours == bare == (3, b"cleaning\ncleaned\n", b"", ["INT"])


def test_a_child_that_ignores_int_is_waited_for(tmp_path: Path, alone: Path) -> None:
    """Case 9; what is said of it meanwhile is tested where our lines are."""

    def insist(pid: int, log: Path) -> None:
        for count in (1, 2, 3):
            kill(pid, signal.SIGINT)
            until(partial(_interrupted, log, count), f"interrupt {count}")
        assert alive(pid)
        kill(pid, signal.SIGUSR1)

    bare, ours = beside(lambda log: recorder(log, ends="USR1", aloud=True), insist, tmp_path, package=alone)
    said = b"INT\nINT\nINT\nUSR1\n"
    assert ours == bare == (3, said, said, ["INT", "INT", "INT", "USR1"])


def test_quit_is_the_childs_business(tmp_path: Path) -> None:
    """Case 15, with our observer and its threads: they hang on nothing."""

    def sleeping(log: Path) -> list[str]:
        folder = log.with_suffix(".folder")
        folder.mkdir()
        return ["sh", "-c", f"cd {folder}; ulimit -c 0; echo out; echo ready $$ > {log}; exec sleep 300"]

    def after_the_start(pid: int, log: Path) -> None:
        if log.name == "ours":
            until(lambda: list((tmp_path / "sessions").glob("session-*.json")), "the observer's start")
        kill(pid, signal.SIGQUIT)

    bare, ours = beside(sleeping, after_the_start, tmp_path)
    assert ours == bare == (-signal.SIGQUIT, b"out\n", b"", [])
    assert not list(tmp_path.rglob("core*"))


def test_when_our_parent_is_killed_the_child_is_told_to_stop(tmp_path: Path, scribe: Scribe) -> None:
    """Case 14: alone it would run on, and nobody would be left who knows of it."""
    children = {}
    for name, before in (("bare", []), ("ours", wrapped([], package=scribe.package))):
        log = tmp_path / name
        parent = start(["bash", "-c", '"$@"; echo not reached', "bash", *before, *recorder(log, ends="INT USR1")])
        children[name] = ready(log)
        kill(parent.pid, signal.SIGKILL)
        assert end(parent) == -signal.SIGKILL
    until(partial(_gone, children["ours"]), "the child's end")
    assert signals(tmp_path / "ours") == ["INT"]
    assert alive(children["bare"])
    kill(children["bare"], signal.SIGUSR1)
    until(partial(_gone, children["bare"]), "its end")
    assert signals(tmp_path / "bare") == ["USR1"]
    until(lambda: scribe.messages("finish"), "the finish")
    assert scribe.messages("phase-ended")[0]["result"] == "cancellation"


def test_a_child_that_cleans_up_after_a_hang_up_is_not_told_again_because_our_parent_went_too(
    tmp_path: Path, alone: Path
) -> None:
    """More of cases 11 and 14: a window that closes takes the shell along, and INT would cut the clean-up short."""
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


def _outlives_its_parent(before: str, ignored: signal.Signals, folder: Path, scribe: Scribe) -> None:
    """Have a script start us so, kill it, and see that we and the child ignore the one signal and no other.

    That the end of the child is its own, and no cancellation, shows that we took neither for one.
    """
    log = folder / "log"
    parent = start(["bash", "-c", before, "bash", *wrapped(recorder(log, ends="USR1"), package=scribe.package)])
    child = ready(log)
    until(lambda: scribe.messages("phase-started"), "the scribe's beginning")
    ours = psutil.Process(child).parent()
    assert ours is not None
    kill(parent.pid, signal.SIGKILL)
    end(parent)
    for pid in (ours.pid, child):
        kill(pid, ignored)
    kill(ours.pid, signal.SIGUSR2)
    until(says(log, "USR2"), "the second signal")
    assert signals(log) == ["USR2"]
    kill(ours.pid, signal.SIGUSR1)
    until(partial(_gone, child), "the child's end")
    until(lambda: scribe.messages("finish"), "the finish")
    assert scribe.messages("phase-ended")[0]["result"] == "failure"


def test_under_nohup_we_and_the_child_outlive_the_parent_and_ignore_a_hang_up(tmp_path: Path, scribe: Scribe) -> None:
    """Case 19."""
    _outlives_its_parent('nohup "$@"; echo', signal.SIGHUP, tmp_path, scribe)


def test_in_the_background_of_a_script_we_and_the_child_outlive_it_and_ignore_an_interrupt(
    tmp_path: Path, scribe: Scribe
) -> None:
    """Case 20."""
    _outlives_its_parent('"$@" & wait', signal.SIGINT, tmp_path, scribe)


def test_a_child_stopped_and_continued_from_outside_is_waited_for_and_the_pause_is_told(
    tmp_path: Path, scribe: Scribe
) -> None:
    """Case 17: what is written to it and by it meanwhile is there afterwards."""

    def stop_and_continue(pid: int, log: Path) -> None:
        child = ready(log)
        kill(child, signal.SIGSTOP)
        until(lambda: state(child) == "stopped", "the stop")
        kill(child, signal.SIGUSR1)
        if log.name == "ours":
            until(lambda: scribe.messages("paused"), "the pause")
            assert state(pid) != "stopped"
            assert signals(log) == []
        kill(child, signal.SIGCONT)
        until(says(log, "USR1"), "what was sent meanwhile")
        kill(pid, signal.SIGTERM)

    bare, ours = beside(
        lambda log: recorder(log, ends="TERM", aloud=True), stop_and_continue, tmp_path, package=scribe.package
    )
    assert ours == bare == (3, b"USR1\nTERM\n", b"USR1\nTERM\n", ["USR1", "TERM"])
    assert len(scribe.messages("resumed")) == 1
    assert scribe.messages("phase-ended")[0]["paused"] > 0


def test_tstp_without_a_terminal_stops_the_child_and_us_and_cont_continues_both(tmp_path: Path, alone: Path) -> None:
    """More of case 16: without a terminal."""
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


_WAIT = "exec 3<> <(:); while :; do read -rt 0.05 <&3; done"
"""For bash: wait without a child, of whose end it might have to tell."""


@pytest.mark.parametrize(
    ("program", "status"),
    [
        (f"trap 'echo told; exit 0' INT; {_WAIT}", 124),
        (f"trap 'echo told' INT; trap 'echo again; exit 0' TERM; {_WAIT}", 124),
        (f"trap '' INT TERM; {_WAIT}", 137),
        ("echo in time; exit 3", 3),
    ],
    ids=["gives in", "gives in to TERM", "stubborn", "in time"],
)
def test_a_timeout_is_124_even_for_a_child_that_then_ends_well_and_137_where_only_kill_helps(
    program: str, status: int
) -> None:
    """Case 44: the statuses are those of coreutils' timeout, which waits once where we get louder twice."""
    command = ["bash", "-c", program]
    limit = "1h" if status == 3 else "1"
    ours = run(wrapped(command, "--timeout", limit, "--kill-after", "0.5"))
    first = "TERM" if "TERM;" in program else "INT"
    bare = run(["timeout", "-s", first, "-k", "0.5", limit, *command])
    # GNU timeout that had to kill ends by KILL itself, which a shell shows as 137, too.
    assert (ours.status, ours.err) == (128 - bare.status if bare.status < 0 else bare.status, bare.err)
    assert ours.status == status
    assert ours.out.splitlines()[-1:] == bare.out.splitlines()[-1:]


def test_a_stopped_child_and_grandchildren_in_other_groups_are_ended_by_a_timeout_too(
    tmp_path: Path, alone: Path
) -> None:
    """More of cases 43 and 45."""
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
    """More of cases 19 and 20: HUP under nohup, INT and QUIT behind `&` in a script, as without us."""
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
    """More of case 22: without a terminal; two of us, each child leads a group of its own."""
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
    """Case 23: the same as when the command itself is the first process, but that orphans are collected."""
    namespace = ("--pid", "--fork", "--kill-child", "--mount-proc", "--")
    ways = (("unshare", *namespace), ("unshare", "--map-root-user", *namespace))
    inside = allowed(Permission.PID_NAMESPACE, *ways)
    told = {}
    for name, before in (("bare", []), ("ours", wrapped([], package=alone))):
        said = run([*inside, *before, "sh", "-c", "echo out; echo err >&2; exit 7"])
        log = tmp_path / name
        process = start([*inside, *before, *recorder(log, ends="TERM", aloud=True)], stdout=subprocess.PIPE)
        until(says(log, "\n"), "the child's start")
        first = psutil.Process(process.pid).children()[0]
        for signalled in ("INT", "USR1", "TERM"):
            kill(first.pid, signal.Signals[f"SIG{signalled}"])
            until(says(log, signalled), signalled)
        told[name] = (said, process.communicate(timeout=30)[0], process.returncode, signals(log))
    assert told["ours"] == told["bare"]
    assert told["ours"] == ((7, b"out\n", b"err\n"), b"INT\nUSR1\nTERM\n", 3, ["INT", "USR1", "TERM"])
    assert run([*inside, *wrapped(["sh", "-c", "kill -TERM $$"], package=alone)]).status == 128 + signal.SIGTERM
    orphans = "for i in 1 2 3; do sh -c 'sleep 0.1 &'; done; sleep 0.5; grep -l '^State:.Z' /proc/[0-9]*/status; exit 0"
    assert run([*inside, *wrapped(["sh", "-c", orphans], package=alone)]).out == b""


def test_a_pipeline_without_a_terminal_ends_when_its_group_is_told_to(tmp_path: Path, alone: Path) -> None:
    """More of case 12: in a pipeline, as CI runs it."""
    log = tmp_path / "log"
    line = " ".join([*nimble_watch(alone), "exec", "-q", "--", "sh", "-c", f"'echo ready > {log}; exec sleep 300'"])
    process = start(["bash", "-c", f"{line} | cat"])
    until(says(log, "ready"), "the child's start")
    os.killpg(process.pid, signal.SIGTERM)
    assert end(process) == -signal.SIGTERM
