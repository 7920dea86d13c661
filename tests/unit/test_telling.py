"""What a person is told while a phase runs, and when, in virtual time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from nimble_watch.console import Console
from nimble_watch.findings import Rule, Verdict
from nimble_watch.metering import Meter
from nimble_watch.objects import Ref
from nimble_watch.observer import Observer
from nimble_watch.observer.telling import Telling
from nimble_watch.scope import Evidence, Named, Selected, from_options
from nimble_watch.signals import ClusterLost, PhaseStarted, Seen, Signal
from tests.unit.made import T0, begin, ended, said, seen, stuck, waiting_rule, workload

HELM = ("helm", "install", "nim", "./c", "-n", "nim")
PULL = waiting_rule("image-pull-slow", "Pulling", Verdict.RECOVERS)
MISSING = waiting_rule("image-not-found", "ErrImagePull", Verdict.TERMINAL)


class Story:
    """An observer whose lines are kept; time passes as it is told."""

    def __init__(self, console: Console, *rules: Rule) -> None:
        self.telling = Telling(console, None)
        self.observer = Observer({rule.kind: rule for rule in rules}, self.telling)
        meter = Meter(self.observer.state, self.observer.scope, T0)
        self.telling.join(self.observer, meter)
        self.moments: list[float] = []

    def take(self, signals: Iterable[Signal], at: float) -> None:
        """Take signals in at a time."""
        self.observer.take(signals, at)

    def until(self, end: float) -> None:
        """Let time pass as the loop does: from one moment at which something is due to the next."""
        while (due := self.due()) is not None and due <= end:
            self.moments.append(due - T0)
            self.observer.tick(due)
            self.telling.tick(due)

    def due(self) -> float | None:
        """Give when something is due next."""
        return min((at for at in (self.observer.due, self.telling.due) if at is not None), default=None)


@contextmanager
def story(said: list[str], *rules: Rule) -> Iterator[Story]:
    """Give a story; its lines are in `said` afterwards."""
    read, write = os.pipe()
    console = Console(write)
    try:
        yield Story(console, *rules)
        assert console.close(10)
    finally:
        os.close(write)
        with os.fdopen(read) as lines:
            said.extend(line.removeprefix("nimble-watch: ").rstrip() for line in lines)


def waits(pod: Ref, reason: str, name: str = "nim") -> Seen:
    """Make the signal that a pod's container waits."""
    owner = Ref("ReplicaSet", "nim", f"{name}-1", f"ReplicaSet/nim/{name}-1")
    return seen("Pod", stuck(pod, reason, owner=owner), change="modified")


def test_what_is_waited_for_is_told_after_one_two_and_five_minutes_and_then_every_five() -> None:
    said: list[str] = []
    ours, pod = workload("nim", release="nim")
    with story(said, PULL) as told:
        told.take([*begin(*HELM), *ours, waits(pod, "Pulling")], T0 + 1)
        told.until(T0 + 1210)
    waiting = [line for line in said if line.startswith("waiting for")]
    assert waiting == [
        f"waiting for {span}: Pulling of nim-1-a" for span in ("1:00", "2:00", "5:00", "10:00", "15:00", "20:00")
    ]


def test_a_phase_of_which_nothing_is_known_is_asked_about_once_when_trouble_is_near() -> None:
    said: list[str] = []
    older, pod = workload("older", at=T0 - 9000)
    with story(said, MISSING) as told:
        phase = begin("sh", "-c", "kubectl -n nim version; kubectl get nodes -n nim; sleep 60")
        told.take([*phase, *older, waits(pod, "ErrImagePull", "older")], T0 + 1)
        assert told.observer.scope.empty
        told.until(T0 + 29)
        told.until(T0 + 31)
        told.take([ended(T0 + 60)], T0 + 60)
    asked = [line for line in said if line.startswith("nothing tells what this phase works on")]
    assert len(asked) == 1
    assert "--for deployment/NAME, -l LABELS or -n NAMESPACE" in asked[0]


def test_trouble_that_was_told_on_a_guess_is_taken_back_once_the_phase_names_its_own() -> None:
    lines: list[str] = []
    theirs, pod = workload("app", manager="colleague")
    with story(lines, MISSING) as told:
        told.take([*begin("make", "install"), *theirs[:2], waits(pod, "ErrImagePull", "app")], T0 + 1)
        told.take([said("deployment.apps/nim created", at=T0 + 20)], T0 + 20)
    assert lines[0].startswith("image-not-found: ErrImagePull of app-1-a")
    assert any("it may not be this phase's" in line for line in lines)
    assert lines[-1] == "image-not-found: not this phase's after all: ErrImagePull of app-1-a"


def test_a_phase_with_nothing_wrong_around_it_is_not_asked_about() -> None:
    said: list[str] = []
    with story(said, MISSING) as told:
        told.take(begin("sleep", "60"), T0 + 1)
        told.until(T0 + 45)
        told.take([ended(T0 + 60, status=0)], T0 + 60)
    assert said == []


@pytest.mark.parametrize(
    ("length", "status", "said_so"), [(2.0, 0, True), (0.1, 1, True), (0.1, 0, False)]
)  # fmt: skip
def test_a_phase_that_was_over_before_a_cluster_could_be_looked_at_is_told_where_it_matters(
    length: float, status: int, said_so: bool
) -> None:
    said: list[str] = []
    with story(said) as told:
        told.take([PhaseStarted(T0, "install", ("make",))], T0)
        told.take([ended(T0 + length, status=status)], T0 + length)
    sentence = "not watching a cluster: install was over before one could be looked at"
    assert (sentence in said) is said_so


def test_why_no_cluster_is_watched_is_said_once_and_by_nothing_else() -> None:
    said: list[str] = []
    with story(said) as told:
        told.take([PhaseStarted(T0, "install", ("make",)), ClusterLost(T0, "there is no kubeconfig")], T0)
        told.take([ended(T0 + 5, status=1)], T0 + 5)
    blind = [line for line in said if line.startswith("not watching a cluster")]
    assert blind == ["not watching a cluster: there is no kubeconfig; the phase goes on"]


@pytest.mark.parametrize(
    ("options", "evidence"),
    [
        (("nim", "", []), [Selected((), "", "nim")]),
        (("nim", "app=nim", []), [Selected((("app", "nim"),), "", "nim")]),
        (("", "", ["deployment/nim", "job/seed"]), [Named("Deployment", "nim"), Named("Job", "seed")]),
        (("x", "", ["pod/a"]), [Named("Pod", "a", "x")]),
        (("", "", []), []),
    ],
)
def test_what_a_person_says_of_the_phase_s_work_is_evidence(
    options: tuple[str, str, list[str]], evidence: list[Evidence]
) -> None:
    assert list(from_options(*options)) == evidence


@pytest.mark.parametrize("options", [("", "a in (b)", []), ("", "", ["nim"]), ("", "", ["widget/nim"])])
def test_what_cannot_be_read_is_refused_in_words(options: tuple[str, str, list[str]]) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        list(from_options(*options))


def test_all_of_a_namespace_that_a_person_gave_is_surely_the_phase_s() -> None:
    said: list[str] = []
    ours, pod = workload("nim")
    with story(said, MISSING) as told:
        assert list(told.observer.scope.learn(from_options("nim", "", []))) == []
        told.take([*begin("./deploy"), *ours, waits(pod, "ErrImagePull")], T0 + 1)
        assert told.observer.scope.of(pod).sure
