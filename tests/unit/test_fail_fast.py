"""When --fail-fast ends a phase, or would have: on what proof, what that saves, and how its mistakes are found."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nimble_watch import recording
from nimble_watch.console import Console
from nimble_watch.findings import Rule, Verdict
from nimble_watch.metering import Meter
from nimble_watch.objects import Condition, Ref
from nimble_watch.observer import Observer
from nimble_watch.observer.scribe import Scribe
from nimble_watch.observer.telling import Telling
from nimble_watch.reports import View, report
from nimble_watch.rules import all_rules
from nimble_watch.session import Record, Session, Stop, fold, phase_ended, session_started, stopped
from nimble_watch.signals import PhaseEnded, PhaseStarted, Seen, Signal
from tests.unit.made import T0, begin, made, seen, stuck, waiting_rule, workload

STREAMS = Path(__file__).parents[1] / "streams"
HELM = ("helm", "upgrade", "--install", "nim", "./c", "-n", "nim")
MISSING = waiting_rule("image-not-found", "ErrImagePull", Verdict.TERMINAL)
MAYBE = waiting_rule("secret-missing", "ErrImagePull", Verdict.GRACE, grace=60)
GPU = {"node.kubernetes.io/instance-type": "VM.GPU.A10.1"}
METAL = {"node.kubernetes.io/instance-type": "BM.GPU.H100.8"}


class Notes(Scribe):
    """Keeps the records in memory."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def append(self, record: Record) -> None:
        """Keep a record."""
        self.records.append({"time": T0, "seq": len(self.records) + 2, "writer": "observer", **record})

    def recall(self, obstacle: str, kind: str) -> None:
        """Look for nothing: there is no folder."""

    def session(self) -> Session:
        """Give the session that the records make."""
        start = session_started(session_id="session-1", uid="u", operation="install", environment="dev", start_time=T0)
        return fold([{**start, "seq": 1, "writer": "observer"}, *self.records], "session-1")


class Desk:
    """An observer at work in virtual time: what it said, what it kept, which phases it asked to be ended."""

    def __init__(self, console: Console, rules: Iterable[Rule], *, fail_fast: bool) -> None:
        self.notes = Notes()
        self.asked: list[tuple[str, str]] = []
        self.telling = Telling(console, self.notes, stop=self._ask if fail_fast else None)
        self.observer = Observer({rule.kind: rule for rule in rules}, self.telling)
        self.telling.join(self.observer, Meter(self.observer.state, self.observer.scope, T0))

    def _ask(self, phase: str, kind: str) -> None:
        self.asked.append((phase, kind))

    def take(self, signals: Iterable[Signal], at: float) -> None:
        """Take signals in at a time, after all that is due before it."""
        self.until(at)
        self.observer.take(signals, at)

    def until(self, end: float) -> None:
        """Let time pass."""
        while (due := self._due()) is not None and due <= end:
            self.observer.tick(due)
            self.telling.tick(due)

    def _due(self) -> float | None:
        return min((at for at in (self.observer.due, self.telling.due) if at is not None), default=None)

    @property
    def stops(self) -> list[Stop]:
        """The stops that the session keeps."""
        return self.notes.session().stops


@contextmanager
def desk(said: list[str], *rules: Rule, fail_fast: bool = False) -> Iterator[Desk]:
    """Give a desk; the lines that it wrote are in `said` afterwards."""
    read, write = os.pipe()
    console = Console(write)
    try:
        yield Desk(console, rules, fail_fast=fail_fast)
        assert console.close(10)
    finally:
        os.close(write)
        with os.fdopen(read) as lines:
            said.extend(line.removeprefix("nimble-watch: ").rstrip() for line in lines)


def pod_is(pod: Ref, reason: str, *, at: float, owner: str = "nim-1", change: str = "modified", **more: Any) -> Seen:
    """Make the signal that a pod's container waits with a reason; without one the pod is ready."""
    thing = stuck(pod, reason, owner=Ref("ReplicaSet", "nim", owner, f"ReplicaSet/nim/{owner}"), **more)
    ready = msgspec.convert([] if reason else [{"type": "Ready", "status": "True"}], tuple[Condition, ...])
    status = msgspec.structs.replace(thing.status, conditions=ready)
    return seen("Pod", msgspec.structs.replace(thing, status=status), at=at, change=change)


def finished(at: float, *, phase: str = "install", status: int = 1, why: str = "") -> PhaseEnded:
    """Make the signal that a phase ended."""
    result = "success" if status == 0 else "failure"
    return PhaseEnded(at, phase, result, status, None, at - T0, why)


def deployed(desk: Desk, *, at: float = T0 + 2) -> Ref:
    """Let the phase begin and deploy; give the pod."""
    ours, pod = workload("nim", at=at, release="nim")
    desk.take(begin(*HELM), T0)
    desk.take(ours, at)
    return pod


def test_the_default_only_says_when_it_would_have_stopped_and_keeps_what_that_had_saved() -> None:
    said: list[str] = []
    with desk(said, MISSING) as at_desk:
        pod = deployed(at_desk)
        at_desk.take([pod_is(pod, "ErrImagePull", at=T0 + 14)], T0 + 14)
        (open_,) = at_desk.stops
        assert open_.unknown["saved_seconds"] == "the phase has not ended"
        at_desk.take([finished(T0 + 874)], T0 + 874)
        assert at_desk.asked == []
        (stop,) = at_desk.stops
    assert (stop.kind, stop.subject, stop.after_ms, stop.real, stop.mistake) == (
        "image-not-found", "pod nim/nim-1-a", 14_000, False, False
    )  # fmt: skip
    assert (stop.saved_seconds, stop.at) == (860, "2027-01-15T08:00:14Z")
    assert stop.obstacle in {obstacle.id for obstacle in at_desk.notes.session().obstacles}
    line = next(line for line in said if "--fail-fast" in line)
    assert line.startswith("  --fail-fast would have stopped it after 14 s (image-not-found), saved 14:20 and ")


def test_with_fail_fast_the_phase_is_asked_to_end_once_and_what_was_saved_is_unknown() -> None:
    with desk([], MISSING, fail_fast=True) as at_desk:
        pod = deployed(at_desk)
        at_desk.take([pod_is(pod, "ErrImagePull", at=T0 + 14)], T0 + 14)
        at_desk.take([pod_is(pod, "ErrImagePull", at=T0 + 15)], T0 + 15)
        at_desk.take([finished(T0 + 16, why="fail-fast")], T0 + 16)
        assert at_desk.asked == [("install", "image-not-found")]
        (stop,) = at_desk.stops
    assert stop.real
    assert (stop.saved_seconds, stop.saved_usd) == (None, None)
    assert stop.unknown["saved_usd"] == "how long the phase would have gone on is not known"


def test_what_stood_there_broken_before_the_phase_may_be_just_what_it_is_about_to_mend() -> None:
    with desk([], MISSING, fail_fast=True) as at_desk:
        ours, pod = workload("nim", at=T0 - 30, release="nim")
        listed = [msgspec.structs.replace(one, listed=True) for one in ours]
        at_desk.take(begin(*HELM), T0)
        at_desk.take([*listed, pod_is(pod, "ErrImagePull", at=T0 + 1)], T0 + 1)
        at_desk.until(T0 + 600)
        assert [one.verdict for one in at_desk.observer.tracker.obstacles.values()] == [Verdict.TERMINAL]
        assert (at_desk.asked, at_desk.stops) == ([], [])


@pytest.mark.parametrize("made_at", [T0 + 1, T0 + 0.9])
def test_what_was_listed_late_but_made_in_the_phase_is_proof(made_at: float) -> None:
    """Creation is told in whole seconds, rounded down: it may seem to lie before the phase."""
    with desk([], MISSING, fail_fast=True) as at_desk:
        ours, pod = workload("nim", at=made_at, release="nim")
        listed = [msgspec.structs.replace(one, listed=True) for one in ours]
        at_desk.take(begin(*HELM, at=T0 + 0.7), T0 + 0.7)
        at_desk.take([*listed, pod_is(pod, "ErrImagePull", at=T0 + 2)], T0 + 2)
        assert at_desk.asked == [("install", "image-not-found")]


def test_a_replica_set_that_is_seen_after_its_pods_trouble_completes_the_proof() -> None:
    """Each kind is watched by itself: which is seen first is chance."""
    with desk([], MISSING, fail_fast=True) as at_desk:
        (deployment, replicas, pod_added), pod = workload("nim", at=T0 + 2, release="nim")
        at_desk.take(begin(*HELM), T0)
        at_desk.take([deployment, pod_added], T0 + 2)
        at_desk.take([pod_is(pod, "ErrImagePull", at=T0 + 3)], T0 + 3)
        assert at_desk.asked == []
        at_desk.take([replicas], T0 + 4)
        assert at_desk.asked == [("install", "image-not-found")]


@pytest.mark.parametrize("way", ["deleting", "scaled to nothing", "of somebody else", "perhaps"])
def test_what_goes_away_is_another_s_or_may_pass_stops_nothing(way: str) -> None:
    with desk([], MAYBE if way == "perhaps" else MISSING, fail_fast=True) as at_desk:
        ours, pod = workload("nim", at=T0 + 2, release="theirs" if way == "of somebody else" else "nim")
        at_desk.take(begin(*HELM), T0)
        at_desk.take(ours, T0 + 2)
        if way == "scaled to nothing":
            above = Ref("Deployment", "nim", "nim", "Deployment/nim/nim")
            scaled = made("ReplicaSet", "nim-1", at=T0 + 2, owner=above, spec={"replicas": 0})
            at_desk.take([seen("ReplicaSet", scaled, at=T0 + 3, change="modified")], T0 + 3)
        trouble = pod_is(pod, "ErrImagePull", at=T0 + 14, deleting=way == "deleting")
        at_desk.take([trouble], T0 + 14)
        at_desk.until(T0 + 30)
        assert (at_desk.asked, at_desk.stops) == ([], [])


def test_each_phase_may_be_stopped_once_and_the_cleanup_after_it_is_not() -> None:
    with desk([], MISSING, fail_fast=True) as at_desk:
        pod = deployed(at_desk)
        at_desk.take([pod_is(pod, "ErrImagePull", at=T0 + 3)], T0 + 3)
        at_desk.take([finished(T0 + 3.1, why="fail-fast")], T0 + 3.1)
        at_desk.take([PhaseStarted(T0 + 3.2, "cleanup", ("helm", "uninstall", "nim", "-n", "nim"))], T0 + 3.2)
        at_desk.until(T0 + 60)
        at_desk.take([finished(T0 + 60, phase="cleanup", status=0)], T0 + 60)
        assert at_desk.asked == [("install", "image-not-found")]
        at_desk.take([PhaseStarted(T0 + 61, "again", HELM)], T0 + 61)
        above = Ref("Deployment", "nim", "nim", "Deployment/nim/nim")
        second = made("ReplicaSet", "nim-2", at=T0 + 62, owner=above)
        other = Ref("Pod", "nim", "nim-2-a", "Pod/nim/nim-2-a")
        at_desk.take([seen("ReplicaSet", second, at=T0 + 62)], T0 + 62)
        at_desk.take([pod_is(other, "ErrImagePull", at=T0 + 63, owner="nim-2", change="added")], T0 + 63)
        assert at_desk.asked == [("install", "image-not-found"), ("again", "image-not-found")]
        assert [stop.phase for stop in at_desk.stops] == ["install", "again"]


def test_what_becomes_ready_after_all_and_stays_so_is_our_mistake() -> None:
    said: list[str] = []
    with desk(said, MISSING) as at_desk:
        pod = deployed(at_desk)
        at_desk.take([pod_is(pod, "ErrImagePull", at=T0 + 14)], T0 + 14)
        at_desk.take([pod_is(pod, "", at=T0 + 100)], T0 + 100)
        at_desk.until(T0 + 109)
        assert not at_desk.stops[0].mistake
        at_desk.until(T0 + 111)
        assert at_desk.stops[0].mistake
        at_desk.take([finished(T0 + 200)], T0 + 200)
        (stop,) = at_desk.stops
    assert (stop.mistake, stop.saved_seconds, stop.ready_ms) == (True, None, int((T0 + 100) * 1000))
    assert any(line.endswith("but pod nim/nim-1-a became ready 1:26 later: our mistake") for line in said)
    assert not any("saved" in line for line in said)


def test_what_is_ready_for_a_moment_between_two_crashes_is_no_mistake() -> None:
    with desk([], MISSING) as at_desk:
        pod = deployed(at_desk)
        for at in (14, 30, 46):
            at_desk.take([pod_is(pod, "ErrImagePull", at=T0 + at)], T0 + at)
            at_desk.take([pod_is(pod, "", at=T0 + at + 8)], T0 + at + 8)
        at_desk.take([pod_is(pod, "ErrImagePull", at=T0 + 60)], T0 + 60)
        at_desk.take([finished(T0 + 90)], T0 + 90)
        assert [stop.mistake for stop in at_desk.stops] == [False]


def test_a_phase_that_waited_for_it_and_succeeded_at_once_proves_the_mistake() -> None:
    with desk([], MISSING) as at_desk:
        pod = deployed(at_desk)
        at_desk.take([pod_is(pod, "ErrImagePull", at=T0 + 14)], T0 + 14)
        at_desk.take([pod_is(pod, "", at=T0 + 40), finished(T0 + 40.1, status=0)], T0 + 40.1)
        assert [stop.mistake for stop in at_desk.stops] == [True]


def test_another_revision_that_becomes_ready_is_the_change_that_was_needed_and_no_mistake() -> None:
    with desk([], MISSING) as at_desk:
        pod = deployed(at_desk)
        at_desk.take([pod_is(pod, "ErrImagePull", at=T0 + 14)], T0 + 14)
        above = Ref("Deployment", "nim", "nim", "Deployment/nim/nim")
        status = {"replicas": 1, "readyReplicas": 1, "observedGeneration": 1}
        second = made("ReplicaSet", "nim-2", at=T0 + 30, owner=above, spec={"replicas": 1}, status=status)
        at_desk.take([seen("ReplicaSet", second, at=T0 + 30)], T0 + 30)
        at_desk.until(T0 + 90)
        at_desk.take([finished(T0 + 90, status=0)], T0 + 90)
        (stop,) = at_desk.stops
    assert not stop.mistake
    assert stop.unknown["saved_seconds"] == "the phase succeeded all the same"


def test_a_later_command_of_the_same_session_goes_on_looking() -> None:
    """Install and verify may be two commands, each with an observer of its own."""
    with desk([], MISSING, fail_fast=True) as first:
        pod = deployed(first)
        first.take([pod_is(pod, "ErrImagePull", at=T0 + 14)], T0 + 14)
        first.take([finished(T0 + 15, why="fail-fast")], T0 + 15)
        kept = first.stops
    with desk([], MISSING) as second:
        second.telling.remember(kept)
        second.take(begin("kubectl", "-n", "nim", "get", "pods", at=T0 + 100), T0 + 100)
        ready = pod_is(pod, "", at=T0 + 101, change="added")
        second.take([msgspec.structs.replace(ready, listed=True)], T0 + 101)
        second.until(T0 + 120)
        (stop,) = second.stops
    assert (stop.mistake, stop.real, stop.phase, stop.at_ms) == (True, True, "install", kept[0].at_ms)


@pytest.mark.parametrize(
    ("labels", "created", "usd", "why"),
    [
        (GPU, T0 - 9000, "0", ""),  # stood before, and stays
        (GPU, T0 + 3, "0.45", ""),  # 2.00 an hour for 871 s instead of the minute that is billed at least
        (METAL, T0 + 3, "0", ""),  # an hour is billed either way
        ({"node.kubernetes.io/instance-type": "VM.GPU.Unheard.1"}, T0 + 3, None, "no price: "),
    ],
)
def test_money_is_saved_only_where_something_would_have_stopped_billing(
    labels: dict[str, str], created: float, usd: str | None, why: str
) -> None:
    said: list[str] = []
    with desk(said, MISSING) as at_desk:
        ours, pod = workload("nim", at=T0 + 4, release="nim")
        node = made("Node", "n", at=created, labels=labels, status={"capacity": {"cpu": "30", "memory": "240Gi"}})
        at_desk.take(begin(*HELM), T0)
        at_desk.take([seen("Node", node, at=T0 + 3), *ours], T0 + 4)
        trouble = pod_is(pod, "ErrImagePull", at=T0 + 14)
        bound = msgspec.to_builtins(trouble.object)
        bound["spec"] = {
            "nodeName": "n",
            "containers": [{"name": "nim", "resources": {"limits": {"nvidia.com/gpu": "1"}}}],
        }
        placed = msgspec.convert(bound, type(trouble.object))
        at_desk.take([msgspec.structs.replace(trouble, object=placed)], T0 + 14)
        at_desk.take([finished(T0 + 874)], T0 + 874)
        (stop,) = at_desk.stops
    assert stop.saved_seconds == 860
    assert stop.saved_usd == (None if usd is None else Decimal(usd))
    assert stop.unknown.get("saved_usd", "").startswith(why)
    line = next(line for line in said if "--fail-fast" in line)
    expected = {"0": "no money by itself", "0.45": "and $0.45", None: "an unknown amount (no price: "}[usd]
    assert expected in line
    if labels is GPU:
        assert any(line.startswith("still billing: node n (VM.GPU.A10.1, 1 GPU), $2.00 per hour") for line in said)


def streams() -> list[Path]:
    """Give the recorded streams."""
    return sorted(STREAMS.glob("*/*.jsonl"))


@pytest.mark.parametrize("path", streams(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_no_recorded_phase_that_went_well_would_have_been_stopped(path: Path) -> None:
    with desk([], *all_rules().values(), fail_fast=True) as at_desk:
        signals = list(recording.read(path))
        for signal in signals:
            at_desk.take([signal], signal.at)
    went_well = any(isinstance(one, PhaseEnded) and one.result == "success" for one in signals)
    assert len(at_desk.asked) <= 1
    assert not (went_well and at_desk.asked)


def test_a_recorded_image_that_does_not_exist_would_have_been_given_up_with_its_second_attempt() -> None:
    with desk([], *all_rules().values()) as at_desk:
        for signal in recording.read(STREAMS / "image-not-found" / "raises.jsonl"):
            at_desk.take([signal], signal.at)
        (stop,) = at_desk.stops
    assert (stop.kind, stop.mistake) == ("image-not-found", False)
    assert stop.saved_ms is not None
    assert stop.saved_ms > 0


# -- the history -------------------------------------------------------------------------------------------------------


def one(session_id: str, *stops: Stop) -> Session:
    """Make a session with stops."""
    start = session_started(session_id=session_id, uid="u", operation="install", environment="dev", start_time=T0)
    records = [start, *(stopped(stop, time=T0 + at) for at, stop in enumerate(stops, 1))]
    return fold([{**record, "seq": at, "writer": "w"} for at, record in enumerate(records)], session_id)


def a_stop(at: int = 14, **more: Any) -> Stop:
    """Make a stop."""
    base: dict[str, Any] = {"phase": "install", "obstacle": "obs-1", "kind": "image-not-found"}
    return Stop(**base, at_ms=int((T0 + at) * 1000), after_ms=at * 1000, **more)


def test_fail_fast_is_recommended_only_to_those_whose_history_shows_stops_and_no_mistake() -> None:
    good, real, bad = (
        one("session-1", a_stop(), a_stop(20)),
        one("session-2", a_stop(real=True)),
        one("session-3", a_stop(mistake=True)),
    )
    for name in ("list", "compare"):
        last = [
            report(name).render([good], View(history=history)).splitlines()[-1]
            for history in ([], [good], [good, real], [good, real, bad])
        ]
        assert "fail-fast" not in last[0]
        assert last[1:] == [
            "fail-fast: 2 would-be stops, 0 mistakes: recommended",
            "fail-fast: 2 would-be stops and 1 real one, 0 mistakes: recommended",
            "fail-fast: 3 would-be stops and 1 real one: not recommended: 1 of 4 later became ready (session-3)",
        ]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"saved_ms": 860_000, "saved_usd": Decimal("26.00")}, "certain, saved 14:20 and $26.00"),
        ({"saved_ms": 860_000, "saved_usd": Decimal(0)}, "certain, saved 14:20 and no money by itself"),
        ({"mistake": True, "ready_ms": int((T0 + 100) * 1000)}, "certain, wrongly: it became ready 1:26 later"),
        ({"real": True}, "--fail-fast stopped it after 14 s: image-not-found of"),
    ],
)
def test_the_summary_tells_of_a_stop_under_its_phase(more: dict[str, Any], sentence: str) -> None:
    session = one("session-1", a_stop(**more))
    ended_phase = phase_ended("install", result="failure", duration=900, exit=1, time=T0 + 900)
    again = fold(
        [
            {**session_started(session_id="s", uid="u", operation="o", environment="dev", start_time=T0), "seq": 1},
            {**stopped(session.stops[0], time=T0 + 20), "seq": 2},
            {**ended_phase, "seq": 3},
        ],
        "s",
    )
    text = " ".join(report("summary").render([again], View()).split())
    assert sentence in text
