"""We end as the child ended, whichever way that was."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.process.sides import PACKAGE, run, wrapped

CODES = (0, 1, 2, 3, 32, 64, 121, 124, 125, 126, 127, 128, 129, 130, 137, 143, 254, 255)


@pytest.mark.parametrize("code", CODES)
def test_every_exit_code_is_ours(code: int) -> None:
    """Case 1."""
    assert run(wrapped(["sh", "-c", f"exit {code}"])).status == code


@pytest.mark.parametrize("name", ["TERM", "HUP", "INT", "QUIT", "SEGV", "ABRT", "PIPE", "USR1", "ALRM"])
def test_a_child_ended_by_a_signal_ends_us_by_the_same(name: str, tmp_path: Path) -> None:
    """Case 2."""
    command = ["sh", "-c", f"ulimit -c 0; kill -{name} $$"]
    assert run(wrapped(command), cwd=tmp_path).status == run(command, cwd=tmp_path).status
    assert run(wrapped(command), cwd=tmp_path).status == -signal.Signals[f"SIG{name}"]
    assert not list(tmp_path.glob("core*"))


def test_a_killed_child_ends_us_with_137_so_that_nobody_thinks_that_we_were_killed() -> None:
    """Case 3."""
    assert run(wrapped(["sh", "-c", "kill -KILL $$"])).status == 137


def test_what_cannot_be_started_ends_as_in_a_shell(tmp_path: Path) -> None:
    """Case 4."""
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
        outcome = run(wrapped(command))
        assert (name, outcome.status) == (name, status)
        assert outcome.err.startswith(b"nimble-watch: cannot run"), name
        assert outcome.err.count(b"\n") == 1, name


def test_an_argument_list_too_long_for_the_system_is_126_and_no_traceback() -> None:
    """Case 4: nobody can hand us such a list, so the place that starts the child is asked itself."""
    program = (
        "from nimble_watch.errors import NotStartedError\n"
        "from nimble_watch.launcher.start import Signals, spawn\n"
        "try: spawn(['true', 'x' * 3_000_000], {}, Signals(), own_group=True, outputs={})\n"
        "except NotStartedError as error: raise SystemExit(error.exit_code)"
    )
    assert run([sys.executable, "-c", program], cwd=PACKAGE.parent).status == 126


def test_a_script_without_an_interpreter_line_runs_through_sh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Case 4."""
    script = tmp_path / "script with space"
    script.write_text('echo "$0|$1"; exit 5\n')
    script.chmod(0o755)
    bare = run(["sh", "-c", '"$0" "a b"', str(script)])
    assert run(wrapped([str(script), "a b"])) == bare
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert run(wrapped(["script with space", "a b"])) == bare


def test_nothing_is_left_in_the_sessions_folder_when_nothing_started(sessions: Path) -> None:
    """Case 4."""
    run(wrapped(["no-such-command-anywhere"]))
    assert [path.name for path in sessions.rglob("*")] == [".journal"]


def test_a_working_directory_that_is_gone_is_said_before_anything_starts(tmp_path: Path) -> None:
    """Case 5."""
    gone = tmp_path / "gone"
    gone.mkdir()
    outcome = run(["sh", "-c", 'rmdir "$0" && exec "$@"', str(gone), *wrapped(["true"])], cwd=gone)
    assert outcome.status == 125
    assert b"the working directory is gone" in outcome.err


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
    """Case 25."""
    command = wrapped(["sh", "-c", "sleep 0.3; exit 4"])
    assert run(["sh", "-c", 'sh -c "sleep 0.1; exit 1" & exec "$@"', "sh", *command]).status == 4


def test_arguments_arrive_as_they_were_typed() -> None:
    """Case 50."""
    program = "import os, sys; sys.stdout.buffer.write(b'|'.join(os.fsencode(word) for word in sys.argv[1:]))"
    words = ["two words", "it's", 'say "x"', "$HOME", "`id`", "new\nline", "-x", "--", "", "*", "\\"]
    command = [sys.executable, "-c", program, *words]
    assert run(wrapped(command)) == run(command)


def test_bytes_that_are_no_utf8_pass_through_arguments_and_environment() -> None:
    """Case 38."""
    program = "import os, sys; sys.stdout.buffer.write(os.fsencode(sys.argv[1]) + os.environb[b'ODD'])"
    command = [sys.executable, "-c", program, os.fsdecode(b"\xff\xfe")]
    environ = {**os.environb, b"ODD": b"\x80\x81"}
    assert run(wrapped(command), env=environ) == run(command, env=environ)


@pytest.mark.linux
def test_the_locale_and_the_environment_are_the_callers_own_but_for_our_few_variables() -> None:
    """Case 38."""
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
