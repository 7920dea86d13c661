"""Lines of ours on a stderr that is the child's as well."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import termios
import time
import tty
from collections.abc import Iterator

import msgspec
import pyte
import pytest

from nimble_watch.console import PREFIX, Console, obstacle_block, one_line, span, waiting_line, wants_colour
from nimble_watch.findings import Finding, Verdict
from nimble_watch.objects import Ref
from nimble_watch.obstacles import Obstacle
from nimble_watch.scope import Belonging, Level

T0 = 1_800_000_000.0
HOPELESS = "does not help: somebody must change something"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Give a pipe: where to read, where to write."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def read(descriptor: int, size: int = 65536) -> str:
    """Read what comes within a limit."""
    ready, _, _ = select.select([descriptor], [], [], 10)
    return os.read(descriptor, size).decode() if ready else ""


def nothing(descriptor: int, seconds: float = 0.5) -> bool:
    """Tell whether nothing comes for a while."""
    return not select.select([descriptor], [], [], seconds)[0]


def test_every_line_begins_with_the_prefix(pipe: tuple[int, int]) -> None:
    console = Console(pipe[1])
    console.say(["one", "two"])
    assert console.close(10)
    assert read(pipe[0]) == f"{PREFIX}one\n{PREFIX}two\n"


def test_a_line_that_the_child_has_begun_is_not_cut_in_two(pipe: tuple[int, int]) -> None:
    console = Console(pipe[1])
    console.mid_line(begun=True)
    console.say(["ours"])
    assert nothing(pipe[0])
    console.mid_line(begun=False)
    assert read(pipe[0]) == f"{PREFIX}ours\n"
    assert console.close(10)


def test_a_line_that_the_child_never_ends_is_ended_for_it(pipe: tuple[int, int]) -> None:
    console = Console(pipe[1])
    console.mid_line(begun=True)
    console.say(["ours"])
    assert read(pipe[0]) == f"\n{PREFIX}ours\n"
    assert console.close(10)


def test_a_line_that_the_child_left_is_ended_for_it_once_and_at_once(pipe: tuple[int, int]) -> None:
    console = Console(pipe[1])
    console.mid_line(begun=True)
    console.child_ended()
    console.say(["one"])
    console.say(["two"])
    assert console.close(10)
    assert read(pipe[0]) == f"\n{PREFIX}one\n{PREFIX}two\n"


def test_a_full_pipe_holds_up_nobody_but_the_thread_that_writes(pipe: tuple[int, int]) -> None:
    fcntl.fcntl(pipe[1], 1031, 4096)  # F_SETPIPE_SZ
    console = Console(pipe[1])
    for _ in range(100):
        console.say(["x" * 200])
    assert console.close(0.2) is False
    received = ""
    while received.count("\n") < 100:
        received += read(pipe[0])
    assert set(received.splitlines()) == {PREFIX + "x" * 200}


def test_a_reader_that_went_away_is_nobodys_problem() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    console = Console(writer)
    console.say(["into the void"])
    assert console.close(10)
    os.close(writer)


@pytest.mark.terminal
def test_lines_wait_while_a_terminal_is_raw_or_without_echo() -> None:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    tty.setraw(theirs)
    console = Console(theirs)
    console.say(["ours"])
    assert nothing(ours)
    quiet = [*before]
    quiet[3] = int(before[3]) & ~termios.ECHO
    termios.tcsetattr(theirs, termios.TCSANOW, quiet)
    assert nothing(ours)
    termios.tcsetattr(theirs, termios.TCSANOW, before)
    assert read(ours) == f"{PREFIX}ours\r\n"
    assert console.close(10)
    os.close(ours)
    os.close(theirs)


@pytest.mark.terminal
@pytest.mark.parametrize(
    ("before", "screen"),
    [
        ("pulling 3/5", ["pulling 3/5", f"{PREFIX}ours"]),
        ("pulled\n", ["pulled", f"{PREFIX}ours"]),
        ("x" * 30, ["x" * 30, f"{PREFIX}ours"]),
        ("", [f"{PREFIX}ours"]),
    ],
)
def test_a_line_of_ours_begins_at_a_terminals_left_edge_wherever_the_child_left_the_cursor(
    before: str, screen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (10, 30))
    os.write(theirs, before.encode())
    console = Console(theirs)
    console.say(["ours"])
    assert console.close(10)
    shown = pyte.Screen(30, 10)
    written = ""
    while "ours\r\n" not in written:
        written += read(ours)
    pyte.Stream(shown).feed(written)
    assert [line.rstrip() for line in shown.display if line.strip()] == screen
    assert not any(line.strip() for line in shown.display[len(screen) :])
    os.close(ours)
    os.close(theirs)


@pytest.mark.terminal
def test_colour_is_put_on_the_first_line_only_and_the_prefix_stays_bare() -> None:
    ours, theirs = pty.openpty()
    console = Console(theirs, colour=True)
    console.say(["bad news", "details"], "bad")
    assert console.close(10)
    assert read(ours) == f"{PREFIX}\x1b[1;31mbad news\x1b[0m\r\n{PREFIX}details\r\n"
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize(
    ("environment", "flag", "wanted"),
    [
        ({}, "", False),
        ({}, "always", True),
        ({"NO_COLOR": "1"}, "always", True),
        ({"NIMBLE_WATCH_COLOR": "always", "NO_COLOR": "1"}, "", True),
        ({"NIMBLE_WATCH_COLOR": "never", "FORCE_COLOR": "1"}, "", False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, "", False),
        ({"FORCE_COLOR": "1"}, "", True),
        ({"FORCE_COLOR": "0"}, "", False),
        ({"NIMBLE_WATCH_COLOR": "auto", "FORCE_COLOR": "1"}, "", True),
    ],
)
def test_who_decides_about_colour(
    environment: dict[str, str], flag: str, *, wanted: bool, pipe: tuple[int, int]
) -> None:
    assert wants_colour(pipe[1], environment, flag) is wanted


def obstacle(verdict: Verdict, *, sure: bool = True, deadline: float | None = None, since: float = T0) -> Obstacle:
    """Make an obstacle of a pod that stands since T0."""
    pod = Ref("Pod", "nim", "nim-0", "u")
    finding = Finding(
        subject=pod,
        verdict=verdict,
        summary="image x does not exist",
        cause="The registry has no such tag.",
        evidence="Failed to pull image:\n  not found",
        fix="Correct the tag.",
        command="kubectl -n nim describe pod/nim-0",
        since=since,
        deadline=deadline,
    )
    return Obstacle(
        id="obs-1-1",
        kind="image-not-found",
        type="image-pull",
        rank=1,
        phase="install",
        finding=finding,
        verdict=verdict,
        belonging=Belonging(Level.NAMED, sure=sure),
        since=since,
        intervals=[(T0, None)],
    )


def test_an_obstacle_is_told_in_the_order_in_which_it_is_needed() -> None:
    lines = obstacle_block(obstacle(Verdict.TERMINAL), now=T0 + 1, cost="$2.00 per hour while it stands")
    assert lines == [
        "image-not-found: image x does not exist",
        "  cluster  Failed to pull image: not found",
        "  cause    The registry has no such tag.",
        "  do       Correct the tag.",
        "  type     kubectl -n nim describe pod/nim-0",
        "  waiting  does not help: somebody must change something",
        "  cost     $2.00 per hour while it stands",
    ]


def test_what_the_phase_itself_printed_is_not_put_into_the_cluster_s_mouth() -> None:
    told = obstacle(Verdict.TERMINAL)
    told.finding = msgspec.structs.replace(told.finding, subject=Ref("Phase", "", "install", "phase/install"))
    lines = obstacle_block(told, now=T0 + 1, cost="")
    assert lines[1] == "  output   Failed to pull image: not found"


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (obstacle(Verdict.GRACE, deadline=T0 + 61), "may help; if not within 1:00, it will not"),
        (obstacle(Verdict.GRACE), "may help"),
        (obstacle(Verdict.RECOVERS), "helps, but it is taking longer than it should"),
        (obstacle(Verdict.GRACE, sure=False), "may help; it may not be this phase's"),
        (
            obstacle(Verdict.TERMINAL, since=T0 - 86_400),
            f"{HOPELESS}; it has been so since 2027-01-14 08:00 UTC, before this phase",
        ),
    ],
)
def test_whether_waiting_helps_is_said_in_words(told: Obstacle, says: str) -> None:
    assert f"  waiting  {says}" in obstacle_block(told, now=T0 + 1, cost="")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1:00"), (860, "14:20"), (3723, "1:02:03"), (3 * 86_400, "3 days")],
)
def test_times_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_a_long_text_is_cut_in_its_middle_because_both_ends_matter() -> None:
    text = one_line("begin " + "x" * 1000 + " end", 100)
    assert len(text) <= 100
    assert text.startswith("begin")
    assert text.endswith("end")


def test_what_is_waited_for_is_one_line() -> None:
    line = waiting_line("pulling nim:1.0", T0, T0 + 300, others=2, cost="$1.00")
    assert line == "waiting for 5:00: pulling nim:1.0 and 2 more, $1.00 so far"


def test_a_console_that_waits_does_not_keep_the_process(pipe: tuple[int, int]) -> None:
    console = Console(pipe[1])
    console.mid_line(begun=True)
    console.say(["ours"])
    began = time.monotonic()
    assert console.close(10)
    assert time.monotonic() - began < 5
