"""Output passes byte for byte, in order, at its reader's pace; what is a file or a terminal is not touched at all."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.process.scribes import Scribe
from tests.process.sides import end, nimble_watch, run, says, start, until, wrapped

INTERLEAVED = "for i in $(seq 5000); do echo o$i; echo e$i >&2; done"
MOST = 256 << 20
FILLS = f"""\
import os, select, signal, sys
signal.signal(signal.SIGTERM, lambda *_: os._exit(5))
os.set_blocking(1, False)
written = 0
while written < {MOST} and select.select([], [1], [], 0.3)[1]:
    written += os.write(1, bytes(65536))
with open(sys.argv[1], "w") as log:
    log.write("ready %d" % written)
signal.pause()
"""


def test_two_streams_into_one_pipe_keep_their_order(alone: Path) -> None:
    """More of case 30: into a pipe."""
    command = ["bash", "-c", INTERLEAVED]
    bare, ours = (
        subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
        for words in (command, wrapped(command, package=alone))
    )
    assert ours.stdout == bare.stdout


def test_two_streams_into_one_file_keep_their_order(tmp_path: Path, alone: Path) -> None:
    """Case 30."""
    program = [sys.executable, "-S", "-c", "import os\nfor i in range(10000): os.write(1 + i % 2, b'%d\\n' % i)"]
    for redirect in (">", ">>"):
        path = tmp_path / "file"
        path.write_text("before\n")
        outcome = run(["sh", "-c", f'"$@" {redirect} "$0" 2>&1', str(path), *wrapped(program, package=alone)])
        assert outcome == (0, b"", b"")
        before = ["before"] if redirect == ">>" else []
        assert path.read_text().splitlines() == before + [str(number) for number in range(10000)]


@pytest.mark.parametrize(
    "program",
    [
        "import os; os.write(1, bytes(range(256)) * 300)",
        "import os; os.write(1, b'no newline at the end')",
        "import os; os.write(1, b'\\xff\\xfe\\x80 not utf-8 \\xc3')",
        "import os, time\nfor i in range(30): os.write(1, b'\\r%d %%' % i); time.sleep(0.01)",
    ],
    ids=["every byte", "no final newline", "no utf-8", "a progress bar"],
)
def test_bytes_pass_unchanged(program: str, alone: Path) -> None:
    """Case 31; a line of 50 MiB stands in the next but one."""
    command = [sys.executable, "-S", "-c", program]
    assert run(wrapped(command, package=alone)) == run(command)


def test_a_progress_bar_is_not_broken_into_lines_by_us(tmp_path: Path) -> None:
    """Case 37: also where our own lines follow it, which then begin at a line of their own."""
    bar = b"".join(b"\rloading %3d %%" % done for done in range(101))
    paint = f"import os; os.write(1, {bar!r}); os.write(2, {bar!r}); os._exit(3)"
    ours = run([*nimble_watch(), "exec", "--phase", "x", "--", sys.executable, "-S", "-c", paint], cwd=tmp_path)
    assert (ours.status, ours.out) == (3, bar)
    assert ours.err.startswith(bar + b"\nnimble-watch: ")
    said = ours.err.removeprefix(bar + b"\n").splitlines()
    assert [line for line in said if not line.startswith(b"nimble-watch: ")] == []


def test_a_line_of_50_mebibytes_passes_unchanged_and_the_observer_gets_its_end(scribe: Scribe) -> None:
    """More of case 31."""
    program = "import os\nfor i in range(50): os.write(1, bytes([65 + i % 26]) * (1 << 20))\nos.write(1, b'the end')"
    ours = run(wrapped([sys.executable, "-S", "-c", program], package=scribe.package))
    expected = b"".join(bytes([65 + i % 26]) * (1 << 20) for i in range(50)) + b"the end"
    assert hashlib.sha256(ours.out).hexdigest() == hashlib.sha256(expected).hexdigest()
    assert scribe.seen(1)[-65536:] == expected[-65536:]
    assert len(scribe.seen(1)) + scribe.dropped() == len(expected)


def test_what_an_observer_does_not_read_is_dropped_and_counted_and_the_last_64_kib_are_kept(
    scribe: Scribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DESIGN section 5."""
    monkeypatch.setenv("NIMBLE_WATCH_SCRIBE_DOES", "slow")
    command = ["seq", "1000000"]
    ours = run(wrapped(command, package=scribe.package))
    assert ours == run(command)
    assert scribe.dropped() > 1_000_000
    assert scribe.seen(1)[-65536:] == ours.out[-65536:]
    assert len(scribe.seen(1)) + scribe.dropped() == len(ours.out)


def test_the_observer_sees_which_stream_said_what(scribe: Scribe) -> None:
    """DESIGN section 5."""
    run(wrapped(["sh", "-c", "echo to stdout; echo to stderr >&2"], package=scribe.package))
    assert (scribe.seen(1), scribe.seen(2)) == (b"to stdout\n", b"to stderr\n")


def test_a_reader_that_leaves_ends_the_child_as_without_us(alone: Path) -> None:
    """Case 33."""
    line = " ".join([*nimble_watch(alone), "exec", "-q", "--", "yes"])
    for command in ("yes", line):
        outcome = run(["bash", "-c", f"{command} | head -1; echo ${{PIPESTATUS[0]}}"])
        assert outcome == (0, b"y\n141\n", b"")


def test_a_full_device_is_the_childs_to_notice_and_nobody_elses(alone: Path) -> None:
    """Case 34."""
    command = ["sh", "-c", "echo hello >&2; exit 6"]
    for redirect in ("2>/dev/full", "2>&-"):
        for words in (command, wrapped(command, package=alone), [*nimble_watch(alone), "exec", "--", *command]):
            outcome = run(["sh", "-c", f'"$@" {redirect}', "sh", *words])
            bare = run(["sh", "-c", f'"$@" {redirect}', "sh", *command])
            assert outcome == bare


def test_closed_descriptors_stay_closed_for_the_child_and_are_not_ours(tmp_path: Path, alone: Path) -> None:
    """Case 35."""
    look = 'for n in 0 1 2 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$n ] && found="$found $n"; done'
    show = ["bash", "-c", f'{look}; echo "$found" > {tmp_path}/fds; exit 4']
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        status = run(["sh", "-c", f'"$@" {closed}', "sh", *show]).status
        bare = (tmp_path / "fds").read_text()
        assert run(["sh", "-c", f'"$@" {closed}', "sh", *wrapped(show, package=alone)]).status == status == 4
        assert (tmp_path / "fds").read_text() == bare


def test_no_descriptor_of_ours_leaks_into_the_child_and_all_of_the_callers_do(tmp_path: Path, alone: Path) -> None:
    """More of cases 35 and 39."""
    show = ["sh", "-c", "for fd in /proc/self/fd/*; do echo ${fd##*/}; done; cat <&7"]
    path = tmp_path / "seven"
    path.write_text("seven\n")
    bare = run(["bash", "-c", '"$@" 7<"$0"', str(path), *show])
    assert run(["bash", "-c", '"$@" 7<"$0"', str(path), *wrapped(show, package=alone)]) == bare
    assert b"seven" in bare.out


@pytest.mark.parametrize("files", range(8))
def test_the_child_finds_the_same_kinds_of_descriptors(files: int, tmp_path: Path, alone: Path) -> None:
    """More of case 26: without a terminal: of each descriptor, whether it is a pipe, a file or a device."""
    kinds = 'for fd in 0 1 2; do for kind in p f c; do [ -$kind /dev/fd/$fd ] && printf "$fd$kind " >> "$0"; done; done'
    redirects = " ".join(
        f"{arrow} {tmp_path / f'file{number}' if files >> number & 1 else os.devnull}"
        for number, arrow in enumerate(("0<", "1>", "2>"))
    )
    (tmp_path / "file0").touch()
    found = []
    for name, before in (("bare", []), ("ours", [*nimble_watch(alone), "exec", "-q", "--"])):
        log = tmp_path / name
        run(["bash", "-c", f'"$@" {redirects}', "bash", *before, "bash", "-c", kinds, str(log)])
        found.append(log.read_text())
    assert found[0] == found[1] != ""


def test_stdin_arrives_whole_and_is_not_read_by_us(alone: Path) -> None:
    """Case 29."""
    script = 'head -c 1073741824 /dev/zero | { "$@"; echo "status $?"; cat | wc -c; }'
    count = ["sh", "-c", "head -c 400000000 | wc -c; exit 3"]
    bare = run(["bash", "-c", 'head -c 1073741824 /dev/zero | { "$@"; echo "status $?"; }', "bash", "wc", "-c"])
    assert (
        run(["bash", "-c", script.replace("; cat | wc -c", ""), "bash", *wrapped(["wc", "-c"], package=alone)]) == bare
    )
    assert run(["bash", "-c", script, "bash", *wrapped(count, package=alone)]).out.startswith(b"400000000\nstatus 3\n")
    for closed in ("<&-", "</dev/null"):
        ask = ["sh", "-c", "read line; echo $?"]
        assert (
            run(["sh", "-c", f'"$@" {closed}', "sh", *wrapped(ask, package=alone)]).out
            == run(["sh", "-c", f'"$@" {closed}', "sh", *ask]).out
        )


def test_a_daemon_that_outlives_the_child_goes_on_writing(tmp_path: Path, alone: Path) -> None:
    """Case 36."""
    told = []
    for name, before in (("bare", []), ("ours", wrapped([], package=alone))):
        go, done = tmp_path / f"go-{name}", tmp_path / f"done-{name}"
        late = f"for i in 1 2 3; do echo late$i || exit 1; done; echo ok > {done}"
        daemon = f"(while [ ! -e {go} ]; do sleep 0.05; done; {late}) &"
        process = start([*before, "bash", "-c", f"{daemon} echo early; exit 2"], stdout=subprocess.PIPE)
        status = end(process)
        go.touch()
        until(says(done, "ok"), "the daemon's end")
        told.append((status, process.communicate()[0]))
    assert told[1] == told[0] == (2, b"early\nlate1\nlate2\nlate3\n")


def test_a_slow_reader_slows_the_child_and_not_the_signals(tmp_path: Path, alone: Path) -> None:
    """Back-pressure comes from the real sink, and only that: while nobody reads, what can be written has an end."""
    log = tmp_path / "log"
    process = start(wrapped([sys.executable, "-S", "-c", FILLS, str(log)], package=alone), stdout=subprocess.PIPE)
    until(says(log, "ready"), "that there is no room any more")
    process.terminate()
    assert process.stdout is not None
    read = 0
    while got := len(process.stdout.read(1 << 20)):
        read += got
    assert end(process) == 5
    process.stdout.close()
    assert read == int(log.read_text().split()[1]) < MOST


def test_a_file_that_the_child_writes_to_is_named_to_the_observer_with_its_offset(
    tmp_path: Path, scribe: Scribe
) -> None:
    """DESIGN section 5: a file is read back beside the child."""
    path = tmp_path / "file"
    path.write_text("before\n")
    run(["sh", "-c", '"$@" >> "$0"', str(path), *wrapped(["echo", "after"], package=scribe.package)])
    (named,) = scribe.messages("phase-started")[0]["files"]
    assert (named["stream"], named["path"], named["offset"]) == (1, str(path), 7)
    assert path.read_text() == "before\nafter\n"


@pytest.mark.slow
def test_five_gibibytes_pass_in_flat_memory(scribe: Scribe) -> None:
    """Case 32: the peak is the launcher's own, as the kernel counted it."""
    process = start(wrapped(["head", "-c", "5368709120", "/dev/zero"], package=scribe.package), stdout=subprocess.PIPE)
    assert process.stdout is not None
    watched = psutil.Process(process.pid)
    total = peak = 0
    while data := process.stdout.read(1 << 22):
        total += len(data)
        if total % (1 << 29) < 1 << 22:
            peak = max(peak, watched.memory_info().rss)
    assert end(process) == 0
    assert total == 5368709120
    assert peak < 64 << 20
    process.stdout.close()
