"""We end as the child ended, whichever way that was."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.permissions import Permission, forbidden
from tests.process.sides import PACKAGE, end, run, start, until, wrapped

CODES = (0, 1, 2, 3, 32, 64, 121, 124, 125, 126, 127, 128, 129, 130, 137, 143, 254, 255)


@pytest.mark.parametrize("code", CODES)
def test_every_exit_code_is_ours(code: int) -> None:
    """Case 1."""
    command = ["sh", "-c", f"echo out; echo err >&2; exit {code}"]
    assert run(wrapped(command)) == run(command) == (code, b"out\n", b"err\n")


@pytest.mark.parametrize("name", ["SEGV", "QUIT", "ABRT"])
def test_a_child_that_may_leave_a_core_leaves_it_and_we_leave_none_of_our_own(name: str, tmp_path: Path) -> None:
    """More of case 2: whether one was written stands in the wait status, wherever the system puts it."""
    command = ["sh", "-c", f"kill -{name} $$"]
    may_dump = ["sh", "-c", 'mkdir "$0" && cd "$0" && ulimit -c unlimited && exec "$@"']
    dumped, left = [], []
    for folder, words in ((tmp_path / "bare", command), (tmp_path / "ours", wrapped(command))):
        pid = os.posix_spawn("/bin/sh", [*may_dump, str(folder), *words], os.environ)
        status = os.waitpid(pid, 0)[1]
        assert os.WTERMSIG(status) == signal.Signals[f"SIG{name}"]
        dumped.append(os.WCOREDUMP(status))
        left.append(len(list(folder.glob("*core*"))))
    if not dumped[0]:
        limit = resource.getrlimit(resource.RLIMIT_CORE)[1]
        forbidden(Permission.CORE_FILE, f"the command alone left none (hard limit {limit})")
    assert dumped == [True, False]
    assert left[0] == left[1]


@pytest.mark.parametrize("name", ["TERM", "HUP", "INT", "QUIT", "SEGV", "ABRT", "PIPE", "USR1", "ALRM"])
def test_a_child_ended_by_a_signal_ends_us_by_the_same(name: str, tmp_path: Path) -> None:
    """Case 2."""
    command = ["sh", "-c", f"ulimit -c 0; kill -{name} $$"]
    assert run(wrapped(command), cwd=tmp_path).status == run(command, cwd=tmp_path).status
    assert run(wrapped(command), cwd=tmp_path).status == -signal.Signals[f"SIG{name}"]
    assert not list(tmp_path.glob("core*"))


def test_a_killed_child_ends_us_with_137_so_that_nobody_thinks_that_we_were_killed(sessions: Path) -> None:
    """Case 3: for a shell around us that is what it always was."""
    command = ["sh", "-c", "echo out; echo err >&2; kill -KILL $$"]
    bare, ours = run(command), run(wrapped(command, "--phase", "install"))
    assert (bare.status, ours.status) == (-signal.SIGKILL, 137)
    assert (ours.out, ours.err) == (bare.out, bare.err)
    (path,) = sessions.glob("session-*.json")
    session = json.loads(path.read_text())
    assert (session["result"], session["phases"]["install"]["signal"]) == ("failure", "KILL")
    for_a_shell = ["bash", "-c", '"$@"; echo "status $?"', "bash"]
    assert run([*for_a_shell, *wrapped(command)]).out == run([*for_a_shell, *command]).out == b"out\nstatus 137\n"


@pytest.fixture
def small_memory() -> Iterator[Path]:
    """Make a memory cgroup of 256 MiB below our own, of version 1 or 2, where the machine lets us."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    ours = {controllers: path for _, controllers, path in lines}
    which, place, name = ("memory", "memory", "memory.limit_in_bytes") if "memory" in ours else ("", "", "memory.max")
    group = Path("/sys/fs/cgroup") / place / ours[which].lstrip("/") / f"nimble-watch-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        forbidden(Permission.MEMORY_CGROUP, str(error))
    try:
        try:
            (group / name).write_text(str(256 << 20))
        except OSError as error:  # version 2 may not have handed the controller down
            forbidden(Permission.MEMORY_CGROUP, str(error))
        yield group
        until(lambda: not (group / "cgroup.procs").read_text(), "the end of all in the cgroup")
    finally:
        group.rmdir()


@pytest.mark.linux
def test_a_child_killed_for_want_of_memory_is_told_as_such(small_memory: Path, tmp_path: Path, sessions: Path) -> None:
    """More of case 3: the exit status is 137 all the same; the hint stands in the session."""
    eats = "import os, sys\nwhile not os.path.exists(sys.argv[1]): pass\nall_of_it = bytearray(1 << 30)"
    be_chosen = ["sh", "-c", 'echo 1000 > /proc/self/oom_score_adj; exec "$@"', "sh"]
    command = [*be_chosen, sys.executable, "-S", "-c", eats, str(tmp_path / "go")]
    inside = ["sh", "-c", f'echo $$ > {small_memory}/cgroup.procs; exec "$@"', "sh"]
    launcher = start([*inside, *wrapped(command, "--phase", "install")])
    until(lambda: list(sessions.glob("session-*.json")), "the observer's start")
    (tmp_path / "go").touch()
    assert end(launcher) == 137
    (path,) = sessions.glob("session-*.json")
    session = json.loads(path.read_text())
    assert (session["result"], session["phases"]["install"]["signal"]) == ("failure", "KILL")
    assert "because its memory ran out" in session["phases"]["install"]["cause"]["text"]


def test_what_cannot_be_started_ends_as_in_a_shell(tmp_path: Path) -> None:
    """Case 4: what a shell says of it in its words, we say in ours, and in one line."""
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\nexit 0\n")
    orphan = tmp_path / "orphan"
    orphan.write_text("#!/nowhere/interpreter\n")
    orphan.chmod(0o755)
    commands = {
        "missing": (["no-such-command-anywhere"], 127),
        "empty": ([""], 127),
        "directory": ([str(tmp_path)], 126),
        "not executable": ([str(plain)], 126),
        "interpreter missing": ([str(orphan)], 127),
    }
    for name, (command, status) in commands.items():
        bare, ours = run(["sh", "-c", '"$@"', "sh", *command]), run(wrapped(command))
        assert (name, ours.status, ours.out) == (name, bare.status, bare.out) == (name, status, b"")
        assert ours.err.startswith(b"nimble-watch: cannot run"), name
        assert ours.err.count(b"\n") == bare.err.count(b"\n") == 1, name


def test_an_argument_list_too_long_for_the_system_is_126_and_no_traceback() -> None:
    """More of case 4: nobody can hand us such a list, so the place that starts the child is asked itself."""
    program = (
        "from nimble_watch.errors import NotStartedError\n"
        "from nimble_watch.launcher.start import Signals, spawn\n"
        "try: spawn(['true', 'x' * 3_000_000], {}, Signals(), own_group=True, outputs={})\n"
        "except NotStartedError as error: raise SystemExit(error.exit_code)"
    )
    bare = run(["sh", "-c", 'word=$(head -c 3000000 /dev/zero | tr "\\0" x); env "$word"'])
    assert run([sys.executable, "-c", program], cwd=PACKAGE.parent).status == bare.status == 126


def test_a_script_without_an_interpreter_line_runs_through_sh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More of case 4."""
    script = tmp_path / "script with space"
    script.write_text('echo "$0|$1"; exit 5\n')
    script.chmod(0o755)
    bare = run(["sh", "-c", '"$0" "a b"', str(script)])
    assert run(wrapped([str(script), "a b"])) == bare
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert run(wrapped(["script with space", "a b"])) == bare


def test_nothing_is_left_in_the_sessions_folder_when_nothing_started(sessions: Path) -> None:
    """More of case 4."""
    run(wrapped(["no-such-command-anywhere"]))
    assert [path.name for path in sessions.rglob("*")] == [".journal"]


def test_a_working_directory_that_is_gone_is_said_before_anything_starts(tmp_path: Path) -> None:
    """Case 5: the command alone would begin, and fail at whatever it does first; that is worth a sentence."""
    gone = tmp_path / "gone"
    command = ["sh", "-c", "echo begun; touch here"]
    outcomes = []
    for words in (command, wrapped(command)):
        gone.mkdir()
        outcomes.append(run(["sh", "-c", 'rmdir "$0" && exec "$@"', str(gone), *words], cwd=gone))
    bare, ours = outcomes
    assert (bare.status, bare.out) == (1, b"begun\n")
    assert (ours.status, ours.out) == (125, b"")
    assert ours.err == b"nimble-watch: the working directory is gone; change to one that exists\n"


def test_a_child_is_seen_to_end_although_sigchld_was_ignored_and_sigalrm_blocked() -> None:
    """Case 24."""
    program = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN);"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM]); os.execvp(sys.argv[1], sys.argv[1:])"
    )
    mask = ["sh", "-c", "grep -E '^Sig(Blk|Ign)' /proc/self/status; exit 9"]
    ours = run([sys.executable, "-c", program, *wrapped(mask)])
    bare = run([sys.executable, "-c", program, *mask])
    assert ours.status == bare.status == 9
    assert ours.out.splitlines()[0] == bare.out.splitlines()[0]  # what was blocked stays blocked


def test_a_strangers_end_is_not_taken_for_the_childs() -> None:
    """Case 25: the stranger is a child of ours from before we became what we are, and ends before ours does."""
    wait = 'while ps -o stat= -p "$1" | grep -q "^[^Z]"; do :; done; echo out; echo err >&2; exit 4'
    script = 'sh -c "exit 1" & stranger=$!; exec "$@" "$stranger"'
    command = ["sh", "-c", wait, "sh"]
    bare, ours = (run(["sh", "-c", script, "sh", *words]) for words in (command, wrapped(command)))
    assert ours == bare == (4, b"out\n", b"err\n")


@pytest.mark.parametrize("name", ["two words", "it's", 'say "x"', "$HOME", "`id`", "new\nline", "-n", "--", "*"])
def test_a_program_of_any_name_is_run(name: str, tmp_path: Path) -> None:
    """More of case 50: by its path, and as the word that PATH leads to it by."""
    folder = tmp_path / f"in {name}"
    folder.mkdir()
    program = folder / name
    program.write_text('#!/bin/sh\nprintf "%s|" "$0" "$@"; exit 6\n')
    program.chmod(0o755)
    environ = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    for command in ([str(program), "a b"], [name, "a b"], [f"./{name}"]):
        bare = subprocess.run(command, capture_output=True, cwd=folder, env=environ, check=False)
        assert run(wrapped(command), cwd=folder, env=environ) == (6, bare.stdout, b"")


def test_arguments_arrive_as_they_were_typed() -> None:
    """Case 50."""
    program = "import os, sys; sys.stdout.buffer.write(b'|'.join(os.fsencode(word) for word in sys.argv[1:]))"
    words = ["two words", "it's", 'say "x"', "$HOME", "`id`", "new\nline", "-x", "--", "", "*", "\\"]
    command = [sys.executable, "-c", program, *words]
    assert run(wrapped(command)) == run(command)


def test_bytes_that_are_no_utf8_pass_through_arguments_and_environment() -> None:
    """Case 38, in the C locale, where UTF-8 is no text either."""
    program = (
        "import os, sys; sys.stdout.buffer.write(os.fsencode(sys.argv[1]) + os.environb[b'ODD'] + 'ünï'.encode());"
        "print(sys.getfilesystemencoding(), os.environ.get('LC_CTYPE'))"
    )
    command = [sys.executable, "-c", program, os.fsdecode(b"\xff\xfe")]
    for locale in ({b"LC_ALL": b"C"}, {b"LC_ALL": b"", b"LANG": b"C.UTF-8"}):
        environ = {**os.environb, b"ODD": b"\x80\x81", **locale}
        bare = run(command, env=environ)
        assert run(wrapped(command), env=environ) == bare
        assert bare.out.startswith(b"\xff\xfe\x80\x81" + "ünï".encode())


@pytest.mark.linux
def test_the_locale_and_the_environment_are_the_callers_own_but_for_our_few_variables() -> None:
    """More of case 38."""
    environ = {name: value for name, value in os.environ.items() if name not in ("LANG", "LC_ALL", "LC_CTYPE")}
    for locale in ({}, {"LC_ALL": "C"}, {"LANG": "C"}, {"LC_CTYPE": "C.UTF-8"}):
        both = {
            name: {line for line in run(command, env={**environ, **locale}).out.split(b"\0") if line}
            for name, command in (("bare", ["env", "-0"]), ("ours", wrapped(["env", "-0"], "--phase", "x")))
        }
        added = both["ours"] - both["bare"]
        assert {line.split(b"=")[0] for line in added} == {
            b"NIMBLE_WATCH_PHASE",
            b"NIMBLE_WATCH_SESSION",
            b"NIMBLE_WATCH_DEPTH",
        }
        assert both["bare"] <= both["ours"]


def test_a_usage_error_is_one_sentence_and_125_before_anything_starts() -> None:
    """Section 1.4."""
    for words, meant in (
        (["exec", "--phaze", "x", "--", "true"], b"did you mean --phase?"),
        (["exec"], b"exec needs a command"),
        (["exec", "--timeout", "soon", "--", "true"], b"write it as 90, 90s, 15m or 1h30m"),
        (["run", "--keep-goin"], b"did you mean --keep-going?"),
    ):
        outcome = run([*wrapped([])[:3], *words])
        assert (words, outcome.status) == (words, 125)
        assert meant in outcome.err
        assert outcome.err.count(b"\n") == 1
    outcome = run([*wrapped([])[:3], "exce"])
    assert (outcome.status, b"did you mean `nimble-watch exec`?" in outcome.err) == (2, True)
