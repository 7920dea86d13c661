"""What the launcher sends by two descriptors comes out in the order in which it happened."""

from __future__ import annotations

import json
import os
import queue
import socket
import struct

import pytest

from nimble_watch.observer.incoming import Heard, Incoming, Item, Message


class _Followed:
    """A cursor that takes note of where it was said to be."""

    def __init__(self) -> None:
        self.begun: list[bool] = []

    def mid_line(self, *, begun: bool) -> None:
        """Take note whether it is in the middle of a line."""
        self.begun.append(begun)

    def child_ended(self) -> None:
        """Take note of nothing."""


def frame(stream: int, payload: bytes) -> bytes:
    return struct.pack("<BxxxI", stream, len(payload)) + payload


def message(kind: str, **fields: object) -> bytes:
    return json.dumps({"type": kind, **fields}).encode() + b"\n"


def in_order(control: list[bytes], output: list[bytes], count: int, cursor: _Followed | None = None) -> list[str]:
    """Send all of it before anything is read; gives what comes out: lines as they are, messages by their kind."""
    ours, theirs = socket.socketpair()
    read, write = os.pipe()
    items: queue.SimpleQueue[Item] = queue.SimpleQueue()
    os.write(write, b"".join(output))
    ours.sendall(b"".join(control))
    with ours, theirs:
        Incoming(theirs.fileno(), read, items.put, cursor or _Followed()).start()
        found: list[str] = []
        while len(found) < count:
            item = items.get(timeout=10)
            found.append(item.line if isinstance(item, Heard) else str((item.fields or {}).get("type")))
        ours.shutdown(socket.SHUT_RDWR)
        last = items.get(timeout=10)
        assert isinstance(last, Message)
        assert last.fields is None
    os.close(write)
    return found


@pytest.mark.parametrize("finished", [False, True])
def test_phases_that_are_over_before_anything_is_read_have_their_own_words(*, finished: bool) -> None:
    """A quick `run`: its first phases are over before its observer is up."""
    first, second = b"all well\n", b"make: helm: No such file or directory\n"
    control = [
        message("begin"),
        message("phase-started", phase="prereqs"),
        message("phase-ended", phase="prereqs", seen=len(first)),
        message("phase-started", phase="install"),
        *([message("phase-ended", phase="install", seen=len(first) + len(second)), message("finish")] * finished),
    ]
    words = ["begin", "phase-started", "all well", "phase-ended", "phase-started", second.decode().strip()]
    words += ["phase-ended", "finish"] * finished
    assert in_order(control, [frame(1, first), frame(2, second)], len(words)) == words


def test_a_phase_s_words_go_before_its_end_and_a_line_in_the_middle_of_which_it_ended_is_one() -> None:
    control = [message("phase-started"), message("phase-ended", seen=9), message("phase-started")]
    found = in_order(control, [frame(1, b"one\n"), frame(1, b"two\n"), frame(1, b"3"), frame(2, b"four\n")], 7)
    assert found == ["phase-started", "one", "two", "3", "phase-ended", "phase-started", "four"]


def test_where_no_phase_begins_or_ends_the_output_goes_first() -> None:
    assert in_order([message("stopping")], [frame(1, b"one\n"), frame(2, b"two\n")], 3) == ["one", "two", "stopping"]


@pytest.mark.parametrize(
    ("shown", "begun"),
    [
        ([b"\x1b[31mError\n\x1b[0m"], [False]),
        ([b"Password: ", b"\x1b[?25h"], [True]),
        ([b"one\n", b"\x1b[?1049h~ 1,1 All", b"2,1 All\x1b[?1049l\x1b[?25h"], [False]),
        ([b"\r 10 %", b"\r 20 %\r"], [True, True]),
        ([b"whole\n", b"\r\x1b[K"], [False, False]),
    ],
    ids=["colour after the line", "a sequence within a line", "an editor came and went", "a bar", "a cleared line"],
)
def test_only_what_is_seen_moves_the_place_where_our_lines_may_stand(shown: list[bytes], begun: list[bool]) -> None:
    """An empty line before ours, behind each editor or coloured line, would come of bytes that show nothing."""
    cursor = _Followed()
    sent = [*shown, b"end\n"]
    in_order([message("stopping")], [frame(1, data) for data in sent], b"".join(sent).count(b"\n") + 1, cursor)
    assert cursor.begun == [*begun, False]
