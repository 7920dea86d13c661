"""Findings through time."""

from __future__ import annotations

from collections.abc import Sequence

from nimble_watch.findings import Answers, Finding, Rule, Verdict
from nimble_watch.objects import Ref
from nimble_watch.observer import Observer, replay
from nimble_watch.obstacles import Change
from nimble_watch.signals import Clock, Seen, Signal
from nimble_watch.state import ClusterState
from tests.unit.made import T0, begin, ended, made, said, seen, stuck, waiting_rule, workload

IMAGE = waiting_rule("image-not-found", "ErrImagePull", Verdict.TERMINAL)
SECRET = waiting_rule("secret-missing", "NoSecret", Verdict.GRACE, grace=30)
LOADING = waiting_rule("readiness-failing", "Loading", Verdict.RECOVERS, grace=60, rank=60)
PULLING = waiting_rule("image-pull-slow", "Pulling", Verdict.INFO)
RULES = {rule.kind: rule for rule in (IMAGE, SECRET, LOADING, PULLING)}
PHASE = frozenset(("Phase",))
HELM = ("helm", "upgrade", "--install", "nim", "./chart", "-n", "nim")


def told(changes: list[Change]) -> list[tuple[str, str, float]]:
    """Give what was told of obstacles: what, kind, seconds into the phase."""
    return [(c.what, c.obstacle.kind, c.at - T0) for c in changes if c.obstacle is not None]


class Story:
    """A release `nim` with one pod, and what happens to it."""

    def __init__(self, *argv: str) -> None:
        self.signals: list[Signal] = [*begin(*(argv or HELM))]
        more, self.pod = workload("nim", release="nim")
        self.signals += more
        self.owner = Ref("ReplicaSet", "nim", "nim-1", "ReplicaSet/nim/nim-1")

    def becomes(self, at: float, reason: str, *, deleting: bool = False) -> Story:
        """Let the pod wait with a reason at so many seconds into the phase (without: run)."""
        thing = stuck(self.pod, reason, owner=self.owner, deleting=deleting)
        self.signals.append(seen("Pod", thing, at=T0 + at, change="modified"))
        return self

    def goes(self, at: float, reason: str = "") -> Story:
        """Let the pod be gone."""
        self.signals.append(seen("Pod", stuck(self.pod, reason, owner=self.owner), at=T0 + at, change="deleted"))
        return self

    def until(self, at: float) -> list[Change]:
        """Let time pass until then and give what was told."""
        return replay([*self.signals, Clock(T0 + at)], RULES)

    def exits(self, at: float, status: int = 1) -> list[Change]:
        """Let the phase end."""
        return replay([*self.signals, ended(T0 + at, status=status)], RULES)


def test_a_terminal_finding_opens_at_once_and_closes_as_fixed_when_the_pod_is_past_it() -> None:
    changes = Story().becomes(3, "ErrImagePull").becomes(9, "").until(20)
    assert told(changes) == [("opened", "image-not-found", 3), ("closed", "image-not-found", 9)]
    closed = changes[-1].obstacle
    assert closed is not None
    assert (closed.outcome, closed.intervals, closed.counts) == ("fixed", [(T0 + 1, T0 + 9)], True)


def test_an_obstacle_is_numbered_by_its_second_and_its_turn() -> None:
    changes = Story().becomes(3, "ErrImagePull").until(20)
    assert changes[0].obstacle is not None
    assert changes[0].obstacle.id == f"obs-{int(T0) + 1}-1"


def test_a_pod_that_is_being_deleted_keeps_its_trouble() -> None:
    changes = Story().becomes(3, "ErrImagePull").becomes(5, "", deleting=True).until(20)
    assert told(changes) == [("opened", "image-not-found", 3)]


def test_a_deleted_pod_does_not_fix_what_the_deployment_still_suffers_from() -> None:
    changes = Story().becomes(3, "ErrImagePull").goes(5, "ErrImagePull").until(30)
    assert told(changes) == [("opened", "image-not-found", 3)]


def test_terminal_evidence_is_kept_though_the_pod_goes_in_the_same_moment() -> None:
    story = Story().becomes(3, "ErrImagePull").goes(3, "ErrImagePull")
    changes = story.exits(4)
    assert told(changes) == [("opened", "image-not-found", 3), ("closed", "image-not-found", 4)]


def test_removing_the_workload_removes_the_obstacle_without_calling_it_fixed() -> None:
    story = Story().becomes(3, "ErrImagePull").goes(5)
    replicas = made("ReplicaSet", "nim-1", owner=Ref("Deployment", "nim", "nim", "Deployment/nim/nim"))
    story.signals.append(seen("ReplicaSet", replicas, at=T0 + 6, change="deleted"))
    story.signals.append(seen("Deployment", made("Deployment", "nim"), at=T0 + 7, change="deleted"))
    changes = story.until(20)
    assert [c.obstacle.outcome for c in changes if c.obstacle] == ["standing", "removed"]


def test_a_new_pod_that_is_ready_fixes_what_the_old_one_died_of() -> None:
    story = Story().becomes(3, "ErrImagePull").goes(5)
    story.pod = Ref("Pod", "nim", "nim-1-b", "Pod/nim/nim-1-b")
    changes = story.becomes(8, "").until(20)
    assert told(changes) == [("opened", "image-not-found", 3), ("closed", "image-not-found", 8)]
    assert changes[-1].obstacle is not None
    assert changes[-1].obstacle.outcome == "fixed"


def test_replicas_with_one_cause_are_one_obstacle_with_a_count() -> None:
    story = Story().becomes(3, "ErrImagePull")
    story.pod = Ref("Pod", "nim", "nim-1-b", "Pod/nim/nim-1-b")
    changes = story.becomes(4, "ErrImagePull").until(20)
    assert told(changes) == [("opened", "image-not-found", 3), ("updated", "image-not-found", 4)]
    assert changes[-1].obstacle is not None
    assert changes[-1].obstacle.count == 2
    assert [str(subject) for subject in changes[-1].obstacle.subjects.values()] == ["pod/nim-1-a", "pod/nim-1-b"]


def test_grace_is_told_at_once_and_becomes_terminal_at_its_deadline() -> None:
    changes = Story().becomes(3, "NoSecret").until(60)
    verdicts = [(c.at - T0, c.obstacle.verdict, c.obstacle.counts) for c in changes if c.obstacle]
    assert verdicts == [
        (3, Verdict.GRACE, False),
        (11, Verdict.GRACE, True),
        (31, Verdict.TERMINAL, True),
    ]


def test_what_was_proven_once_stays_terminal_while_it_stands() -> None:
    proven = waiting_rule("image-not-found", "ErrImagePull", Verdict.TERMINAL)
    lagging = waiting_rule("image-not-found", "BackOff", Verdict.GRACE)

    def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
        yield from proven.recognise(subject, state, now)
        yield from lagging.recognise(subject, state, now)

    flapping = Rule(kind="image-not-found", type="image-pull", rank=20, subjects=proven.subjects, recognise=recognise)
    story = Story().becomes(3, "ErrImagePull").becomes(6, "BackOff").becomes(9, "ErrImagePull")
    changes = replay([*story.signals, Clock(T0 + 20)], {"image-not-found": flapping})
    assert {c.obstacle.verdict for c in changes if c.obstacle} == {Verdict.TERMINAL}
    assert [c.why for c in changes] == [""] * len(changes)


def test_grace_that_closes_within_ten_seconds_is_no_obstacle() -> None:
    changes = Story().becomes(3, "NoSecret").becomes(6, "").until(60)
    assert told(changes) == [("opened", "secret-missing", 3), ("dismissed", "secret-missing", 6)]


def test_grace_that_lasted_ten_seconds_counts_though_it_closed() -> None:
    changes = Story().becomes(3, "NoSecret").becomes(12, "").until(60)
    assert told(changes)[-1] == ("closed", "secret-missing", 12)


def test_information_is_never_an_obstacle_but_a_wait_with_its_exact_duration() -> None:
    changes = Story().becomes(3, "Pulling").becomes(400, "").until(500)
    assert [c.what for c in changes] == ["waiting", "waited"]
    wait = changes[-1].wait
    assert wait is not None
    assert (wait.since, wait.ended) == (T0 + 1, T0 + 400)


def test_what_recovers_is_an_obstacle_only_beyond_its_budget() -> None:
    patient = Story().becomes(3, "Loading").becomes(50, "").until(100)
    assert [c.what for c in patient] == ["waiting", "waited"]
    late = Story().becomes(3, "Loading").becomes(90, "").until(100)
    assert [(c.what, c.at - T0) for c in late if c.obstacle] == [("opened", 61), ("closed", 90)]
    assert [c.obstacle.verdict for c in late if c.obstacle] == [Verdict.RECOVERS] * 2


def test_a_phase_that_ends_ends_what_stood_in_its_way() -> None:
    changes = Story().becomes(3, "ErrImagePull").exits(8)
    assert told(changes) == [("opened", "image-not-found", 3), ("closed", "image-not-found", 8)]
    assert changes[-1].obstacle is not None
    assert changes[-1].obstacle.outcome == "phase-ended"


def test_a_grace_of_two_seconds_counts_when_the_phase_fails_of_it() -> None:
    changes = Story().becomes(3, "NoSecret").exits(5)
    assert [c.what for c in changes] == ["opened", "closed"]


def test_trouble_from_before_the_phase_counts_from_the_phase_on() -> None:
    signals: list[Signal] = [*begin(*HELM)]
    more, pod = workload("nim", at=T0 - 86_400, release="nim")
    broken = stuck(pod, "ErrImagePull", owner=Ref("ReplicaSet", "nim", "nim-1", "ReplicaSet/nim/nim-1"), at=T0 - 86_400)
    signals += [*more[:2], seen("Pod", broken, at=T0 + 1, listed=True)]
    (change,) = replay([*signals, Clock(T0 + 20)], RULES)
    assert change.obstacle is not None
    assert change.obstacle.since == T0 - 86_400
    assert change.obstacle.intervals == [(T0, None)]


def seen_on(subject: Ref, summary: str, *, since: float, evidence: str = "") -> Finding:
    """Make a terminal finding without advice."""
    return Finding(
        subject=subject, verdict=Verdict.TERMINAL, summary=summary, cause="", evidence=evidence, fix="", since=since
    )


def deadline_rule(kind: str = "progress-deadline", rank: int = 80) -> Rule:
    """Make a rule that sees every Deployment past its deadline."""

    def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:  # noqa: ARG001  the interface's
        workload = state.workload(subject)
        for condition in (workload.status.conditions if workload else None) or ():
            if condition.reason == "ProgressDeadlineExceeded":
                yield seen_on(subject, "late", since=T0 + 2, evidence=condition.message or "")

    return Rule(kind=kind, type="timeout", rank=rank, subjects=frozenset(("Deployment",)), recognise=recognise)


def late_deployment(at: float) -> Seen:
    """Make a Deployment that is past its deadline."""
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
    deployment = made("Deployment", "nim", release="nim", status={"conditions": [late]})
    return seen("Deployment", deployment, at=at, change="modified")


def test_a_symptom_of_the_owner_is_attached_to_the_cause_below_it() -> None:
    story = Story().becomes(3, "ErrImagePull")
    story.signals.append(late_deployment(T0 + 10))
    changes = replay([*story.signals, Clock(T0 + 20)], {**RULES, "progress-deadline": deadline_rule()})
    assert told(changes) == [("opened", "image-not-found", 3), ("updated", "image-not-found", 10)]
    assert changes[-1].obstacle is not None
    assert [symptom.kind for symptom in changes[-1].obstacle.symptoms] == ["progress-deadline"]


def test_a_symptom_that_came_first_is_superseded_by_its_cause_which_takes_over_its_time() -> None:
    story = Story()
    story.signals.append(late_deployment(T0 + 2))
    story.becomes(5, "ErrImagePull")
    changes = replay([*story.signals, Clock(T0 + 20)], {**RULES, "progress-deadline": deadline_rule()})
    kinds = [(c.what, c.obstacle.kind, c.obstacle.outcome) for c in changes if c.obstacle]
    assert ("dismissed", "progress-deadline", "superseded") in kinds
    last = [c.obstacle for c in changes if c.obstacle and c.obstacle.kind == "image-not-found"][-1]
    assert last.intervals[-1][1] is None


def phase_rule() -> Rule:
    """Make the rule that sees a phase which failed."""

    def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
        phase = state.phases[subject.name]
        if phase.ended is not None and phase.ended.exit:
            yield seen_on(subject, "failed", since=now)

    return Rule(kind="phase-failed", type="execution-error", rank=99, subjects=PHASE, recognise=recognise)


def test_a_phase_that_failed_of_a_known_cause_has_only_that() -> None:
    story = Story().becomes(3, "ErrImagePull")
    changes = replay([*story.signals, ended(T0 + 9)], {**RULES, "phase-failed": phase_rule()})
    assert {c.obstacle.kind for c in changes if c.obstacle} == {"image-not-found"}
    assert changes[-1].obstacle is not None
    assert changes[-1].obstacle.symptoms[0].kind == "phase-failed"


def test_a_phase_that_failed_for_no_known_cause_is_an_obstacle_itself() -> None:
    changes = replay([*Story().signals, ended(T0 + 9)], {**RULES, "phase-failed": phase_rule()})
    assert told(changes) == [("opened", "phase-failed", 9), ("closed", "phase-failed", 9)]


def test_what_turns_out_not_to_be_ours_is_withdrawn_and_counted_as_nearby() -> None:
    observer = Observer(RULES, _Silent())
    theirs, pod = workload("app", manager="colleague")
    broken = stuck(pod, "ErrImagePull", owner=Ref("ReplicaSet", "nim", "app-1", "ReplicaSet/nim/app-1"))
    observer.take([*begin("kubectl", "apply", "-n", "nim", "-f", "nim.yaml"), *theirs[:2], seen("Pod", broken)], T0 + 1)
    (obstacle,) = observer.tracker.obstacles.values()
    assert obstacle.stands
    observer.take([said("deployment.apps/nim created", at=T0 + 20)], T0 + 20)
    assert (obstacle.outcome, obstacle.stands) == ("withdrawn", False)
    assert [near.name for near in observer.tracker.nearby] == ["app"]


def test_what_turns_out_to_be_ours_is_not_nearby_any_more() -> None:
    observer = Observer(RULES, _Silent())
    more, pod = workload("nim", release="nim")
    broken = stuck(pod, "ErrImagePull", owner=Ref("ReplicaSet", "nim", "nim-1", "ReplicaSet/nim/nim-1"))
    observer.take([*begin(*HELM), seen("Pod", broken)], T0 + 1)
    assert [near.name for near in observer.tracker.nearby] == ["nim-1"]
    observer.take(more[:2], T0 + 1)
    assert observer.tracker.nearby == []
    assert [one.kind for one in observer.tracker.obstacles.values() if one.stands] == ["image-not-found"]


class _Silent:
    """Nobody to report to."""

    def heard(self, signal: Signal, entered: Sequence[Ref], now: float) -> None:
        """Do nothing."""

    def changed(self, changes: Sequence[Change], now: float) -> None:
        """Do nothing."""

    def warn(self, sentence: str) -> None:
        """Fail: nothing may go wrong here."""
        raise AssertionError(sentence)
