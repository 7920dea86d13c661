"""Controllers that cannot create their pods, roll-outs that do not progress, phases that end badly."""

from __future__ import annotations

from typing import Any

import pytest

from nimble_watch.findings import Verdict
from nimble_watch.objects import Ref
from nimble_watch.rules.quota_exceeded import overdrawn
from tests.unit.judging import World, container, limits, owned, pending, running
from tests.unit.made import T0, when

QUOTA = (
    'Error creating: pods "nim-1-a" is forbidden: exceeded quota: gpu-quota, requested: requests.nvidia.com/gpu=2, '
    "used: requests.nvidia.com/gpu=3, limited: requests.nvidia.com/gpu=4"
)
RESTRICTED = (
    'Error creating: pods "nim-1-a" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation '
    '!= false (container "nim" must set securityContext.allowPrivilegeEscalation=false), runAsNonRoot != true (pod or '
    'container "nim" must set securityContext.runAsNonRoot=true)'
)


def _replicas(world: World, *, have: int = 0, **more: Any) -> Ref:
    return world.put("ReplicaSet", "nim-1", spec={"replicas": 1}, status={"replicas": have}, **more)


def test_a_quota_that_is_used_up_is_told_by_the_newest_event() -> None:
    world = World()
    replicas = _replicas(world)
    world.say(replicas, "FailedCreate", QUOTA, at=T0 + 1)
    assert world.kinds(replicas) == {"quota-exceeded": Verdict.GRACE}
    (finding,) = world.ask("quota-exceeded", replicas)
    assert finding.cause == "3 of 4 requests.nvidia.com/gpu are used, the pod asks for 2 more."
    assert finding.evidence == QUOTA
    assert finding.command == "kubectl -n nim describe resourcequota gpu-quota"


def test_a_request_beyond_the_limit_itself_is_terminal() -> None:
    world = World()
    replicas = _replicas(world)
    world.say(replicas, "FailedCreate", QUOTA.replace("gpu=2", "gpu=8"))
    assert world.kinds(replicas) == {"quota-exceeded": Verdict.TERMINAL}


def test_of_several_resources_the_one_over_its_limit_is_named() -> None:
    found = overdrawn(
        "exceeded quota: hami, requested: requests.nvidia.com/gpu=2,requests.nvidia.com/gpucores=70, used: "
        "requests.nvidia.com/gpu=0,requests.nvidia.com/gpucores=0, limited: "
        "requests.nvidia.com/gpu=5,requests.nvidia.com/gpucores=50"
    )
    assert (found.resource, found.never) == ("requests.nvidia.com/gpucores", True)


def test_a_replica_set_that_has_its_pods_is_not_short_of_quota() -> None:
    world = World()
    replicas = _replicas(world, have=1)
    world.say(replicas, "FailedCreate", QUOTA)
    assert world.kinds(replicas) == {}


def test_a_pod_that_was_created_since_ends_the_refusal() -> None:
    world = World()
    job = world.put("Job", "migrate", spec={"completions": 1})
    world.say(job, "FailedCreate", QUOTA, at=T0 + 1)
    assert world.kinds(job) == {"quota-exceeded": Verdict.GRACE}
    world.say(job, "SuccessfulCreate", "Created pod: migrate-1", at=T0 + 30)
    assert world.kinds(job) == {}


def test_the_condition_tells_a_refusal_whose_event_was_lost() -> None:
    world = World()
    said = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": RESTRICTED}
    conditions = [{**said, "lastTransitionTime": when(T0)}]
    replicas = world.put("ReplicaSet", "nim-1", spec={"replicas": 1}, status={"conditions": conditions})
    assert world.kinds(replicas) == {"pod-security": Verdict.TERMINAL}


def test_the_fields_that_pod_security_asks_for_are_the_fix() -> None:
    world = World()
    replicas = _replicas(world)
    world.say(replicas, "FailedCreate", RESTRICTED)
    (finding,) = world.ask("pod-security", replicas)
    assert finding.verdict is Verdict.TERMINAL
    assert finding.fix == (
        "Set securityContext.allowPrivilegeEscalation, securityContext.runAsNonRoot in the pod's template."
    )


@pytest.mark.parametrize(
    "text",
    [
        'Error creating: pods "nim-1-a" is forbidden: failed quota: q: must specify requests.memory for: nim',
        'Error creating: pods "nim-1-a" is forbidden: maximum cpu usage per Container is 1, but limit is 2',
        'Error creating: admission webhook "w" denied the request: no',
    ],
)
def test_another_refusal_is_neither_quota_nor_pod_security(text: str) -> None:
    world = World()
    replicas = _replicas(world)
    world.say(replicas, "FailedCreate", text)
    assert world.kinds(replicas) == {}


def test_an_older_revision_that_is_refused_does_not_matter() -> None:
    world = World()
    above = world.put("Deployment", "nim", spec={"replicas": 1})
    old = _replicas(world, owner=above, revision="1")
    world.put("ReplicaSet", "nim-2", owner=above, spec={"replicas": 1}, status={"replicas": 1}, revision="2")
    world.say(old, "FailedCreate", QUOTA)
    assert world.kinds(old) == {}


def test_a_pod_that_kubectl_was_refused_is_told_at_the_end_of_the_phase() -> None:
    world = World()
    line = QUOTA.replace("Error creating: ", 'Error from server (Forbidden): error when creating "pod.yaml": ')
    assert world.kinds(world.phase(line))["quota-exceeded"] is Verdict.TERMINAL


def test_a_warning_of_pod_security_is_no_refusal() -> None:
    world = World()
    line = 'Warning: would violate PodSecurity "restricted:latest": runAsNonRoot != true'
    assert "pod-security" not in world.kinds(world.phase(line))


def _late(world: World) -> tuple[Ref, Ref]:
    said = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    text = 'ReplicaSet "nim-1" has timed out progressing.'
    conditions = [{**said, "message": text, "lastTransitionTime": when(T0)}]
    (replicas,) = owned(world, conditions=conditions, observedGeneration=1)
    above = world.state.owner(replicas)
    assert above is not None
    return above, replicas


def test_a_roll_out_that_does_not_move_has_exceeded_its_deadline() -> None:
    world = World()
    above, replicas = _late(world)
    world.put("Pod", "nim-1-a", owner=replicas, spec={"containers": [container()]}, status=running(ready=False))
    assert world.kinds(above) == {"progress-deadline": Verdict.GRACE}
    (finding,) = world.ask("progress-deadline", above)
    assert (finding.evidence, finding.deadline) == ('ReplicaSet "nim-1" has timed out progressing.', T0 + 60)


def test_a_roll_out_whose_image_is_being_pulled_goes_on() -> None:
    world = World()
    above, replicas = _late(world)
    pod = world.put("Pod", "nim-1-a", owner=replicas, spec={"containers": [container()]}, status=pending())
    world.say(pod, "Pulling", 'Pulling image "nvcr.io/nim/llm:1"', container="nim")
    assert world.kinds(above) == {}
    assert world.again("progress-deadline", above, T0 + 60) == [90.0]


def test_a_pod_of_which_its_kubelet_has_said_nothing_yet_may_be_pulling() -> None:
    world = World()
    above, replicas = _late(world)
    spec = {"containers": [container()], "nodeName": "10.0.10.2"}
    pod = world.put("Pod", "nim-1-a", owner=replicas, spec=spec, status=pending())
    world.say(pod, "Scheduled", "Successfully assigned nim/nim-1-a to 10.0.10.2")
    assert world.kinds(above, T0 + 59) == {}
    assert world.again("progress-deadline", above, T0 + 59) == [60.0]
    (finding,) = world.ask("progress-deadline", above, T0 + 61)
    assert (finding.verdict, finding.deadline) == (Verdict.GRACE, None)
    world.say(pod, "Pulled", 'Successfully pulled image "nvcr.io/nim/llm:1"', container="nim")
    (finding,) = world.ask("progress-deadline", above, T0 + 61)
    assert finding.deadline == T0 + 60


def test_a_roll_out_whose_model_is_loading_goes_on() -> None:
    world = World()
    above, replicas = _late(world)
    probe = {"periodSeconds": 10, "failureThreshold": 180}
    parts = container(startupProbe=probe)
    status = running(T0, ready=False, started=False)
    world.put("Pod", "nim-1-a", owner=replicas, spec={"containers": [parts]}, status=status)
    assert world.kinds(above, T0 + 1799) == {}
    assert world.kinds(above, T0 + 1801) == {"progress-deadline": Verdict.GRACE}


def test_a_model_that_crashed_while_loading_does_not_count_as_loading() -> None:
    world = World()
    above, replicas = _late(world)
    status = running(T0, ready=False, restartCount=1)
    world.put("Pod", "nim-1-a", owner=replicas, spec={"containers": [limits(gpu="1")]}, status=status)
    assert world.kinds(above) == {"progress-deadline": Verdict.GRACE}


def test_a_roll_out_that_progressed_is_in_order() -> None:
    world = World()
    said = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
    above = world.put("Deployment", "nim", status={"conditions": [said]})
    assert world.kinds(above) == {}


@pytest.mark.parametrize(
    "line",
    [
        "Error: INSTALLATION FAILED: context deadline exceeded",
        "Error: UPGRADE FAILED: timed out waiting for the condition",
        "error: timed out waiting for the condition on deployments/nim",
        "Error: UPGRADE FAILED: release nim failed, and has been rolled back: timed out waiting for the condition",
    ],
)
def test_a_command_that_gave_up_waiting_is_a_timeout(line: str) -> None:
    world = World()
    phase = world.phase(line)
    assert world.ask("helm-timeout", phase)[0].evidence == line


@pytest.mark.parametrize(
    "line",
    [
        'Error: failed calling webhook "w": Post "https://w.svc:443/": context deadline exceeded',
        "MountVolume.SetUp failed: failed to sync secret cache: timed out waiting for the condition",
        "Error: client rate limiter Wait returned an error: context deadline exceeded",
        'Error: INSTALLATION FAILED: Get "https://10.0.0.1:6443/version": context deadline exceeded',
    ],
)
def test_other_deadlines_are_not_helm_giving_up(line: str) -> None:
    world = World()
    assert world.ask("helm-timeout", world.phase(line, at=T0 + 30)) == []


def test_the_object_that_helm_names_is_the_cause() -> None:
    world = World()
    named = "resource Deployment/nim/nim not ready. status: InProgress, message: Available: 0/1"
    phase = world.phase(named, "Error: UPGRADE FAILED: context deadline exceeded")
    (finding,) = world.ask("helm-timeout", phase)
    assert named in finding.cause


def test_a_phase_that_failed_is_told_with_the_line_above_makes_echo() -> None:
    world = World()
    phase = world.phase("deploying", "Error: chart nim not found", "make: *** [Makefile:47: install] Error 1")
    (finding,) = world.ask("phase-failed", phase)
    assert (finding.verdict, finding.evidence) == (Verdict.TERMINAL, "Error: chart nim not found")
    assert finding.summary == "phase install failed (exit status 1)"
    assert finding.cause.endswith("nothing seen in the cluster explains it.")
    assert finding.said_by == "output"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (("install: nothing was done, as ENVIRONMENT is production", "  try: CONFIRM_COST=yes"), 0),
        (("verify: there is no release nim in nim to verify", "  try: make install"), 0),
        (("prereqs: it cannot be said", "prereqs: nothing was installed, as there is missing: a key"), 1),
        (("deploying", "  | denied: no such right"), 1),
        (("Traceback (most recent call last):", '  File "x.py", line 1', "ValueError: no"), 2),
    ],
)
def test_of_what_a_failed_phase_printed_the_sentence_counts_and_not_what_is_set_in_below_it(
    lines: tuple[str, ...], told: int
) -> None:
    world = World()
    (finding,) = world.ask("phase-failed", world.phase(*lines))
    assert finding.evidence == lines[told].strip()


def test_a_phase_of_whose_output_nothing_is_known_is_given_no_words() -> None:
    world = World()
    (finding,) = world.ask("phase-failed", world.phase())
    assert (finding.evidence, finding.summary) == ("", "phase install failed (exit status 1)")


def test_a_cluster_that_was_never_seen_is_not_said_to_explain_nothing() -> None:
    world = World()
    world.state.cluster = None
    (finding,) = world.ask("phase-failed", world.phase("Error: chart nim not found"))
    assert finding.cause.endswith("no cluster was watched that could explain it.")


def test_a_phase_that_succeeded_has_no_obstacle_whatever_it_printed() -> None:
    world = World()
    phase = world.phase("Error: timed out waiting for the condition", "make: *** [x] Error 1 (ignored)", status=0)
    assert world.kinds(phase) == {}


def test_a_phase_that_still_runs_has_not_failed() -> None:
    world = World()
    world.printing("Error: UPGRADE FAILED: timed out waiting for the condition")
    assert world.kinds(world.state.phases["install"].ref) == {}


def test_a_roll_out_whose_pod_has_just_started_is_given_a_moment() -> None:
    world = World()
    above, replicas = _late(world)
    world.put("Pod", "nim-1-a", owner=replicas, spec={"containers": [container()]}, status=running(T0 + 55))
    assert world.kinds(above, T0 + 60) == {}
    assert world.again("progress-deadline", above, T0 + 60) == [65.0]
