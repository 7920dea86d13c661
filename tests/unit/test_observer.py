"""The core of the loop: what is asked when, and what happens when a rule fails."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from nimble_watch.findings import Answers, Finding, LookAgain, Rule, Verdict
from nimble_watch.objects import Ref
from nimble_watch.observer import Observer, replay
from nimble_watch.observer.incoming import Lines
from nimble_watch.obstacles import Change
from nimble_watch.signals import Clock, Signal
from nimble_watch.state import ClusterState
from tests.unit.made import T0, begin, made, seen, stuck, waiting_rule, workload

HELM = ("helm", "install", "nim", "./c", "-n", "nim")


class Kept:
    """Keeps what the observer reports."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.warnings: list[str] = []

    def heard(self, signal: Signal, entered: Sequence[Ref], now: float) -> None:
        """Keep nothing: the test knows its signals."""

    def changed(self, changes: Sequence[Change], now: float) -> None:  # noqa: ARG002  the interface's
        """Keep what changed."""
        self.changes.extend(changes)

    def warn(self, sentence: str) -> None:
        """Keep a warning."""
        self.warnings.append(sentence)


def counting(asked: list[tuple[str, float]], *answers: Finding | LookAgain) -> Rule:
    """Make a rule about pods that notes when it is asked about which."""

    def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:  # noqa: ARG001  the interface's
        asked.append((subject.name, now - T0))
        yield from answers

    return Rule(kind="counted", type="performance", rank=1, subjects=frozenset(("Pod",)), recognise=recognise)


def test_a_rule_is_asked_once_about_what_changed_and_not_about_what_did_not() -> None:
    asked: list[tuple[str, float]] = []
    observer = Observer({"counted": counting(asked)}, Kept())
    ours, _ = workload("nim", release="nim")
    observer.take([*begin(*HELM), *ours], T0 + 1)
    assert asked == [("nim-1-a", 1)]
    observer.take([seen("Pod", made("Pod", "other", release="other"))], T0 + 2)
    assert asked[1:] == [("other", 2)]


def test_what_lies_elsewhere_is_not_judged_at_all() -> None:
    asked: list[tuple[str, float]] = []
    observer = Observer({"counted": counting(asked)}, Kept())
    theirs, _ = workload("app", namespace="team-x", release="theirs")
    observer.take([*begin(*HELM), *theirs], T0 + 1)
    assert asked == []


def test_a_rule_is_asked_again_when_it_wanted_to_be_and_only_then() -> None:
    asked: list[tuple[str, float]] = []
    ours, _ = workload("nim", release="nim")
    replay([*begin(*HELM), *ours, Clock(T0 + 100)], {"counted": counting(asked, LookAgain(T0 + 30))})
    assert asked == [("nim-1-a", 1), ("nim-1-a", 30)]


def test_an_answer_that_asks_for_the_past_is_not_asked_for_ever() -> None:
    asked: list[tuple[str, float]] = []
    ours, _ = workload("nim", release="nim")
    replay([*begin(*HELM), *ours, Clock(T0 + 100)], {"counted": counting(asked, LookAgain(T0 - 5))})
    assert len(asked) == 1


def test_a_pod_is_not_asked_about_once_it_is_gone() -> None:
    asked: list[tuple[str, float]] = []
    (deployment, replicas, pod), _ = workload("nim", release="nim")
    gone = seen("Pod", pod.object, at=T0 + 5, change="deleted")
    signals = [*begin(*HELM), deployment, replicas, pod, gone, Clock(T0 + 100)]
    replay(signals, {"counted": counting(asked, LookAgain(T0 + 30))})
    assert asked == [("nim-1-a", 1)]


def test_a_rule_that_fails_is_told_once_by_name_and_the_others_go_on() -> None:
    def broken(subject: Ref, state: ClusterState, now: float) -> Answers:  # noqa: ARG001  the interface's
        raise KeyError(subject.name)
        yield LookAgain(now)

    pods = frozenset(("Pod",))
    fails = Rule(kind="broken", type="performance", rank=1, subjects=pods, recognise=broken)
    image = waiting_rule("image-not-found", "ErrImagePull", Verdict.TERMINAL)
    kept = Kept()
    observer = Observer({"broken": fails, image.kind: image}, kept)
    ours, pod = workload("nim", release="nim")
    observer.take([*begin(*HELM), *ours], T0 + 1)
    owner = Ref("ReplicaSet", "nim", "nim-1", "ReplicaSet/nim/nim-1")
    observer.take([seen("Pod", stuck(pod, "ErrImagePull", owner=owner), change="modified")], T0 + 2)
    assert len(kept.warnings) == 1
    assert "broken" in kept.warnings[0]
    assert [change.what for change in kept.changes] == ["opened"]


def test_a_rule_that_fails_on_a_recording_is_an_error() -> None:
    def broken(subject: Ref, state: ClusterState, now: float) -> Answers:  # noqa: ARG001  the interface's
        raise KeyError(subject.name)
        yield LookAgain(now)

    pods = frozenset(("Pod",))
    fails = Rule(kind="broken", type="performance", rank=1, subjects=pods, recognise=broken)
    ours, _ = workload("nim", release="nim")
    with pytest.raises(RuntimeError, match="broken"):
        replay([*begin(*HELM), *ours], {"broken": fails})


def test_a_recording_gives_the_same_however_its_signals_are_batched() -> None:
    image = waiting_rule("image-not-found", "ErrImagePull", Verdict.TERMINAL)
    ours, pod = workload("nim", release="nim")
    owner = Ref("ReplicaSet", "nim", "nim-1", "ReplicaSet/nim/nim-1")
    last = seen("Pod", stuck(pod, "ErrImagePull", owner=owner), at=T0 + 3, change="modified")
    gone = seen("Pod", stuck(pod, "ErrImagePull", owner=owner), at=T0 + 3, change="deleted")
    signals = [*begin(*HELM), *ours, last, gone]
    kept = Kept()
    Observer({image.kind: image}, kept).take(signals, T0 + 3)
    alone = replay(signals, {image.kind: image})
    assert [change.what for change in kept.changes] == [change.what for change in alone] == ["opened"]


@pytest.mark.parametrize(
    ("parts", "lines"),
    [
        ([b"one\ntwo\n"], ["one", "two"]),
        ([b"on", b"e\r\ntw", b"o\n"], ["one", "two"]),
        ([b" 10%\r 50%\r100%\n"], ["100%"]),
        ([b"caf\xc3", b"\xa9\n"], ["caf\u00e9"]),
        ([b"\xff\n"], ["\ufffd"]),
        ([b"no newline"], ["no newline"]),
        ([b"\n\n"], ["", ""]),
        ([b"\x1b[1;31mError:\x1b[0m no\x1b[K\r\n"], ["Error: no"]),
        ([b"\x1b]0;title\x07a\x1b(Bb\x1b", b"[3", b"1mc\n"], ["abc"]),
        ([b"before \x1b[?10", b"49hold log\n", b"~\n\x1b[?1049lafter\n"], ["before after"]),
    ],
)
def test_output_is_cut_into_lines_wherever_the_pipe_cut_it(parts: list[bytes], lines: list[str]) -> None:
    cutter = Lines()
    found = [line for part in parts for line in cutter.feed(part)]
    assert found + cutter.end() == lines


def test_a_line_without_end_does_not_grow_without_end() -> None:
    cutter = Lines()
    for _ in range(64):
        cutter.feed(b"x" * 65536)
    assert len(cutter.end()[0]) <= 65536
