"""GNU make above us and below us, the system's and a newer one: what passes between makes passes through us."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.process.sides import (
    PACKAGE,
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
    until,
    wrapped,
)

BOTH_WAIT = """\
both: a b
a:
\t@touch a.here; while [ ! -e b.here ]; do sleep 0.02; done
b:
\t@touch b.here; while [ ! -e a.here ]; do sleep 0.02; done
"""


def line(package: Path, *words: str) -> str:
    """Give a recipe's words with us in front of them."""
    return " ".join([*nimble_watch(package), *words])


def by_exec(package: Path) -> str:
    """Give a recipe's line that makes `both` of inner.mk by `exec`."""
    return line(package, "exec", "-q", "--phase", "x", "--", "$(MAKE)", "-f", "inner.mk", "both")


def by_run(package: Path) -> str:
    """Give a recipe's line that makes it by `run`, which must find the caller's make: PATH may hold an older one."""
    return line(package, "run", "-q", "-f", "inner.mk", "both")


@pytest.mark.parametrize("way", [by_exec, by_run])
def test_the_jobserver_is_passed_on(way: Any, make: str, tmp_path: Path, alone: Path) -> None:
    """Case 39: both jobs run at once, each waiting for the other, and make says nothing of an unavailable jobserver."""
    (tmp_path / "inner.mk").write_text(BOTH_WAIT)
    (tmp_path / "Makefile").write_text(f"all:\n\t+@echo '$(MAKEFLAGS)' > flags; {way(alone)}\n")
    outcome = run([make, "-j2", "--no-print-directory"], cwd=tmp_path)
    assert (outcome.status, outcome.err) == (0, b"")
    newer = b"GNU Make 4.3" not in run([make, "--version"]).out
    assert ("--jobserver-auth=fifo:" in (tmp_path / "flags").read_text()) == newer


def test_the_jobserver_of_a_newer_make_in_the_older_style_is_passed_on(
    newer_make: str, tmp_path: Path, alone: Path
) -> None:
    """More of case 39."""
    (tmp_path / "inner.mk").write_text(BOTH_WAIT)
    (tmp_path / "Makefile").write_text(f"all:\n\t+@{by_exec(alone)}\n")
    outcome = run([newer_make, "-j2", "--jobserver-style=pipe", "--no-print-directory"], cwd=tmp_path)
    assert (outcome.status, outcome.err) == (0, b"")


@pytest.mark.parametrize("flag", ["--jobserver-fds=7,8 -j", "--jobserver-auth=7,8", "--jobserver-auth=fifo:tokens"])
def test_tokens_of_every_style_of_jobserver_are_taken_and_given_back_through_us(
    flag: str, tmp_path: Path, alone: Path
) -> None:
    """More of case 39: make 3.81, as on macOS, names two descriptors in words of its own; here the test plays it."""
    os.mkfifo(tmp_path / "tokens")
    server = (
        'exec 7<>tokens 8>&7; printf + >&8; export MAKEFLAGS="$0"; "$@"; read -n 1 -t 9 token <&7; echo "back $token"'
    )
    take = 'read -r -n 1 -t 9 token <&7; echo "took $token of $MAKEFLAGS"; printf %s "$token" >&8'
    if "fifo:" in flag:
        take = take.replace("<&7", "<tokens").replace(">&8", ">tokens")
        server = server.replace("exec 7<>tokens 8>&7", "exec 9<>tokens").replace("&7", "&9").replace("&8", "&9")
    command = ["bash", "-c", take]
    bare = run(["bash", "-c", server, f" {flag}", *command], cwd=tmp_path)
    assert run(["bash", "-c", server, f" {flag}", *wrapped(command, package=alone)], cwd=tmp_path) == bare
    assert bare.out.decode() == f"took + of  {flag}\nback +\n"


def test_without_a_plus_make_itself_warns_as_without_us(make: str, tmp_path: Path, alone: Path) -> None:
    """Case 40."""
    (tmp_path / "inner.mk").write_text("both:\n\t@true\n")
    results = []
    for before in ("", line(alone, "exec", "-q", "--phase", "x", "--")):
        (tmp_path / "Makefile").write_text(f"M = {make}\nall:\n\t@{before} $(M) -f inner.mk both\n")
        results.append(run([make, "-j2", "--no-print-directory"], cwd=tmp_path))
    assert results[0] == results[1]


@pytest.mark.parametrize("flags", ["-n", "-q", "-t", "-kn", "--just-print"])
def test_under_a_make_that_pretends_nothing_is_recorded_and_nothing_runs(
    flags: str, make: str, tmp_path: Path, alone: Path, sessions: Path
) -> None:
    """Case 41: make executes lines with a plus even then, so it is we who do not."""
    (tmp_path / "Makefile").write_text(
        f"all:\n\t+@{line(alone, 'run', '-q')}\n"
        "discover prereqs install verify:\n"
        f"\t+@{line(alone, 'exec', '-q', '--phase', 'x', '--')} sh -c 'echo $@ >> ran'\n"
    )
    for goal in ("all", "install"):
        assert run([make, flags, goal], cwd=tmp_path).status == 0
    assert not (tmp_path / "ran").exists()
    assert not sessions.exists()
    assert run([make, "all"], cwd=tmp_path).status == 0  # else the above would prove nothing
    assert (tmp_path / "ran").read_text().split() == ["discover", "prereqs", "install", "verify"]


def test_make_that_pretends_reaches_a_make_inside(make: str, tmp_path: Path, alone: Path, sessions: Path) -> None:
    """More of case 41."""
    (tmp_path / "inner.mk").write_text("show:\n\techo would run\n")
    words = line(alone, "exec", "-q", "--phase", "x", "--", "$(MAKE)", "-f", "inner.mk", "show")
    (tmp_path / "Makefile").write_text(f"all:\n\t+@{words}\n")
    outcome = run([make, "-n", "--no-print-directory"], cwd=tmp_path)
    assert b"\necho would run\n" in b"\n" + outcome.out
    assert not sessions.exists()


MIXED = """\
.DELETE_ON_ERROR:
VPATH = src
all: one two copy half
one:
\t@echo one
\tfalse
\techo not reached
two:
\t@echo two; exit 3
copy: source
\t@cp $< $@; echo copied
half:
\t@echo half > $@; exit 4
"""


@pytest.mark.parametrize("flags", ["-k", "-k -O -j4", "-s -i", "-k -C sub -f other.mk", "-k --eval=.ONESHELL:"])
def test_what_makes_flags_do_is_left_alone_and_the_failure_is_kept(
    flags: str, make: str, tmp_path: Path, alone: Path, sessions: Path
) -> None:
    """Case 42: the same words, the same status and the same files left, those deleted on error not among them."""
    seen: list[tuple[int, list[bytes], list[bytes], list[str]]] = []
    for before in ([], wrapped([], package=alone)):
        folder = tmp_path / f"side{len(seen)}"
        for place in (folder, folder / "sub"):
            (place / "src").mkdir(parents=True)
            (place / "src" / "source").write_text("here\n")
            for name in ("Makefile", "other.mk"):
                (place / name).write_text(MIXED)
        outcome = run([*before, make, *flags.split()], cwd=folder)
        out, err = (sorted(text.replace(bytes(folder), b".").splitlines()) for text in (outcome.out, outcome.err))
        left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
        seen.append((outcome.status, out, err, left))
    assert seen[1] == seen[0]
    assert any(name.endswith("half") for name in seen[0][3]) == ("-i" in flags)
    (record,) = (
        record
        for journal in sessions.glob(".journal/*/launcher.jsonl")
        for record in map(json.loads, journal.read_text().splitlines())
        if record["type"] == "phase-ended"
    )
    assert (record["exit"], record["result"]) == ((0, "success") if "-i" in flags else (2, "failure"))


INTERRUPTED = """\
half:
\t@echo begun > $@; sh -c 'echo $$$$ > sleeper; exec sleep 300'; echo after > survived
"""


@pytest.mark.parametrize("name", ["INT", "TERM"])
def test_a_make_that_is_stopped_takes_its_shell_and_their_sleep_with_it(
    name: str, make: str, tmp_path: Path, alone: Path
) -> None:
    """Case 43, as CI does it, without a terminal.

    Bare make races with itself when its group is signalled: it ends by the signal or, up to 5 times in 25, with 2.
    """
    (tmp_path / "Makefile").write_text(INTERRUPTED)
    number = signal.Signals[f"SIG{name}"]
    process = start(wrapped([make, "half"], package=alone), cwd=tmp_path)
    until(says(tmp_path / "sleeper", "\n"), "the recipe's start")
    sleeper = int((tmp_path / "sleeper").read_text())
    kill(process.pid, number)
    assert end(process) in (-number, 2)
    until(lambda: not alive(sleeper), "the end of the recipe's sleep")
    assert not (tmp_path / "survived").exists()
    assert not (tmp_path / "half").exists()  # make itself had the time to delete it


@pytest.mark.linux
@pytest.mark.parametrize(
    "recipe", ["+@$(MAKE) -s deep", "@{ours}; exit $$?", "@{ours}"], ids=["make", "shell", "direct"]
)
def test_a_stop_tells_each_process_once_also_one_to_whom_another_of_us_passes_it_on(
    recipe: str, tmp_path: Path, sessions: Path
) -> None:
    """Issue 4, point 3: of a nested run, make and exec; helm takes a second INT for `give up cleaning up`."""
    log = tmp_path / "log"
    (tmp_path / "child").write_text(recorder(log, ends="TERM")[-1])
    ours = line(PACKAGE, "exec", "-q", "--phase", "migrate", "--", sys.executable, "-S", "child")
    (tmp_path / "Makefile").write_text(f"install:\n\t{recipe.format(ours=ours)}\ndeep:\n\t@{ours}; exit $$?\n")
    command = [*nimble_watch(), "run", "-q", "--kill-after", "1", "install"]
    parent = start(["bash", "-c", '"$@"; echo not reached', "bash", *command], cwd=tmp_path)
    child = ready(log)
    kill(parent.pid, signal.SIGKILL)  # so we stop the whole tree, as at a time limit
    end(parent)
    until(lambda: not alive(child), "the child's end")
    assert signals(log) == ["INT", "TERM"]
    until(lambda: not list((sessions / ".journal").glob("session-*")), "the session's end")


def phase(sessions: Path) -> dict[str, Any]:
    """Give the only phase of the only session."""
    (path,) = sessions.glob("session-*.json")
    (found,) = json.loads(path.read_text())["phases"].values()
    return dict(found)


@pytest.mark.parametrize(
    ("recipe", "cause"),
    [
        ("@exit 7", {"exit": 7}),
        ("@kill -KILL $$$$", {"signal": "KILL"}),
        ("+@$(MAKE) --no-print-directory -f deep.mk", {"exit": 9}),
    ],
)
def test_the_real_end_behind_makes_2_is_read_from_its_own_words(
    recipe: str, cause: dict[str, Any], make: str, tmp_path: Path, sessions: Path
) -> None:
    """Section 1.5: where no `exec` inside has seen it; of a make below, the recipe that failed and not the echo."""
    (tmp_path / "Makefile").write_text(f"install:\n\t{recipe}\n")
    (tmp_path / "deep.mk").write_text("deep:\n\t@exit 9\n")
    assert run([*nimble_watch(), "exec", "-q", "--phase", "install", "--", make], cwd=tmp_path).status == 2
    found = phase(sessions)
    assert (found["exit"], found["result"]) == (2, "failure")
    assert {name: value for name, value in found["cause"].items() if name != "text"} == cause
    assert found["cause"]["text"].startswith("make")


def test_what_an_exec_inside_has_seen_counts_more_than_what_make_says(tmp_path: Path, sessions: Path) -> None:
    """Section 1.5."""
    inner = line(Path(nimble_watch()[2]).parent, "exec", "--phase", "install", "--", "sh", "-c", "'exit 7'")
    (tmp_path / "Makefile").write_text(f"install:\n\t+@{inner} || exit 1\n")
    assert run([*nimble_watch(), "exec", "-q", "--phase", "install", "--", "make"], cwd=tmp_path).status == 2
    assert phase(sessions)["cause"] == {"command": ["sh"], "exit": 7}


def test_where_makes_words_are_not_seen_the_cause_is_called_unknown(tmp_path: Path, sessions: Path) -> None:
    """Section 1.5: 2 says nothing, and nothing is made of it."""
    (tmp_path / "Makefile").write_text("install:\n\t@exit 7\n")
    command = [*nimble_watch(), "exec", "-q", "--phase", "install", "--", "make"]
    outcome = subprocess.run(
        command, cwd=tmp_path, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30, check=False
    )
    assert outcome.returncode == 2
    assert phase(sessions)["cause"] is None
    assert "was not seen" in phase(sessions)["unknown"]["cause"]


def test_the_callers_make_is_found_below_a_script_too(newer_make: str, tmp_path: Path, alone: Path) -> None:
    """More of case 39: make hands its own name down in no variable."""
    (tmp_path / "inner.mk").write_text("show:\n\t@echo $(MAKE_VERSION)\n")
    (tmp_path / "script").write_text(f"{line(alone, 'run', '-q', '-f', 'inner.mk', 'show')}; exit $?\n")
    (tmp_path / "Makefile").write_text("all:\n\t+@bash script; true\n")
    assert run([newer_make, "--no-print-directory"], cwd=tmp_path).out.startswith(b"4.4")
    assert (
        run([*nimble_watch(alone), "run", "-q", "-f", "inner.mk", "show"], cwd=tmp_path).out
        == run(["make", "-f", "inner.mk"], cwd=tmp_path).out
    )
