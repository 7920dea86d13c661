"""Containers that cannot start, crash, or do not become ready: each kind raised, and what only looks like it."""

from __future__ import annotations

from typing import Any

import pytest

from nimble_watch.findings import Verdict
from nimble_watch.objects import Ref
from tests.unit.judging import World, container, crashed, died, limits, owned, pending, running
from tests.unit.made import T0, when

ABSENT = 'secret "ngc-api" not found'
KEY = "couldn't find key NGC_API_KEY in Secret nim/ngc-api"
UNREADY = "Readiness probe failed: HTTP probe failed with statuscode: {}"


def _pod(world: World, status: object, *, owner: Ref | None = None, parts: Any = None, **more: Any) -> Ref:
    spec = {"containers": [parts or container()], **more}
    return world.put("Pod", "nim", owner=owner, spec=spec, status=status)


def _init(world: World, status: object, **more: Any) -> Ref:
    spec = {"containers": [container("app")], "initContainers": [container()], **more}
    return world.put("Pod", "nim", spec=spec, status=status)


@pytest.mark.parametrize(("text", "kind"), [(ABSENT, "secret-missing"), (KEY, "key-missing")])
def test_what_a_container_is_configured_from_is_missing(text: str, kind: str) -> None:
    world = World()
    pod = _pod(world, pending("CreateContainerConfigError", text))
    assert world.kinds(pod, T0 + 1) == {}
    assert world.again(kind, pod, T0 + 1) == [2.0]
    assert world.kinds(pod, T0 + 3) == {kind: Verdict.GRACE}
    (finding,) = world.ask(kind, pod, T0 + 3)
    assert (finding.evidence, finding.container) == (text, "nim")


@pytest.mark.parametrize(("text", "kind"), [(ABSENT, "secret-missing"), (KEY, "key-missing")])
def test_the_event_tells_it_before_the_status_does(text: str, kind: str) -> None:
    world = World()
    pod = _pod(world, pending())
    world.say(pod, "Failed", f"Error: {text}", at=T0, container="nim")
    assert world.kinds(pod, T0 + 3) == {kind: Verdict.GRACE}


def test_a_secret_that_came_leaves_nothing_behind() -> None:
    world = World()
    pod = _pod(world, running())
    world.say(pod, "Failed", f"Error: {ABSENT}", at=T0, container="nim")
    assert world.kinds(pod, T0 + 3) == {}


@pytest.mark.parametrize(
    "text",
    [
        "failed to sync secret cache: timed out waiting for the condition",
        "container has runAsNonRoot and image will run as root",
    ],
)
def test_another_fault_of_the_configuration_is_not_a_missing_secret(text: str) -> None:
    world = World()
    pod = _pod(world, pending("CreateContainerConfigError", text))
    assert world.kinds(pod, T0 + 30) == {}


def test_a_volume_without_its_secret_is_another_kind() -> None:
    world = World()
    pod = _pod(world, pending())
    world.say(pod, "FailedMount", 'MountVolume.SetUp failed for volume "v" : secret "ngc-api" not found')
    assert world.kinds(pod, T0 + 30) == {}


def test_a_missing_configmap_is_told_as_one() -> None:
    world = World()
    pod = _pod(world, pending("CreateContainerConfigError", 'configmap "nim" not found'))
    (finding,) = world.ask("secret-missing", pod, T0 + 3)
    assert finding.summary == "ConfigMap nim does not exist in namespace nim"


def test_a_crash_is_told_at_the_first_and_terminal_at_the_third() -> None:
    world = World()
    pod = _pod(world, crashed(1, restarts=1))
    assert world.kinds(pod) == {"crash-loop": Verdict.GRACE}
    pod = _pod(world, crashed(1, restarts=3))
    assert world.kinds(pod) == {"crash-loop": Verdict.TERMINAL}
    (finding,) = world.ask("crash-loop", pod)
    assert finding.evidence == "back-off 10s restarting failed container=nim (Error: exit code 1)"
    assert finding.wants_log


def test_a_program_that_does_not_exist_is_terminal_at_once() -> None:
    world = World()
    assert world.kinds(_pod(world, crashed(127, restarts=1))) == {"crash-loop": Verdict.TERMINAL}


def test_a_second_crash_after_a_long_load_is_terminal() -> None:
    world = World()
    assert world.kinds(_pod(world, crashed(1, restarts=2, ran=1500.0))) == {"crash-loop": Verdict.TERMINAL}


def test_a_container_between_two_crashes_has_not_recovered() -> None:
    world = World()
    entry = running(T0 + 20, restartCount=1, lastState=died(1, at=T0 + 10))
    pod = _pod(world, entry)
    assert world.kinds(pod, T0 + 25) == {"crash-loop": Verdict.GRACE}
    assert world.again("crash-loop", pod, T0 + 25) == [31.0]
    assert world.kinds(pod, T0 + 31) == {}


def test_a_container_that_became_ready_again_has_recovered() -> None:
    world = World()
    probed = container(readinessProbe={"periodSeconds": 5})
    pod = _pod(world, running(T0 + 20, restartCount=1, lastState=died(1, at=T0 + 10)), parts=probed)
    assert world.kinds(pod, T0 + 21) == {}


@pytest.mark.parametrize(
    "status",
    [
        crashed(0, restarts=3, reason="Completed"),
        crashed(128, restarts=3, reason="StartError"),
        {**crashed(137, restarts=1), "phase": "Failed", "reason": "Evicted"},
    ],
    ids=["it ended with 0", "it never started", "it was evicted"],
)
def test_an_end_that_is_no_crash_is_not_told_as_one(status: object) -> None:
    world = World()
    assert world.kinds(_pod(world, status)) == {}


def test_a_pod_that_is_never_restarted_does_not_loop() -> None:
    world = World()
    status = {**crashed(1, restarts=0, waiting=False), "phase": "Failed"}
    assert world.kinds(_pod(world, status, restartPolicy="Never")) == {}


def test_a_kill_by_the_liveness_probe_is_another_kind() -> None:
    world = World()
    pod = _pod(world, crashed(137, restarts=3, at=T0 + 40, ran=30.0))
    world.say(pod, "Killing", "Container nim failed liveness probe, will be restarted", at=T0 + 38, container="nim")
    assert world.kinds(pod) == {}


def test_a_job_with_retries_left_may_still_come_through() -> None:
    world = World()
    job = world.put("Job", "migrate", spec={"backoffLimit": 6}, status={"failed": 1})
    pod = _pod(world, crashed(1, restarts=3), owner=job, restartPolicy="OnFailure")
    assert world.kinds(pod) == {"crash-loop": Verdict.GRACE}


def test_memory_that_ran_out_is_terminal_the_second_time() -> None:
    world = World()
    parts = limits(memory="16Gi")
    pod = _pod(world, crashed(137, restarts=1, reason="OOMKilled"), parts=parts)
    assert world.kinds(pod) == {"oom-killed": Verdict.GRACE}
    pod = _pod(world, crashed(137, restarts=2, reason="OOMKilled"), parts=parts)
    assert world.kinds(pod) == {"oom-killed": Verdict.TERMINAL}
    (finding,) = world.ask("oom-killed", pod)
    assert finding.cause == "Container nim used more memory than its limit of 16Gi."


def test_exit_code_137_alone_does_not_prove_that_memory_ran_out() -> None:
    world = World()
    assert world.kinds(_pod(world, crashed(137, restarts=1))) == {"crash-loop": Verdict.GRACE}


def test_an_init_container_that_fails_is_told_as_one() -> None:
    world = World()
    assert world.kinds(_init(world, crashed(1, restarts=1, init=True))) == {"init-failed": Verdict.GRACE}
    assert world.kinds(_init(world, crashed(1, restarts=3, init=True))) == {"init-failed": Verdict.TERMINAL}


def test_an_init_container_that_came_through_at_last_is_in_order() -> None:
    world = World()
    entry = {"name": "nim", "restartCount": 2, "state": died(0, at=T0), "lastState": died(1, at=T0 - 9)}
    assert world.kinds(_init(world, {"phase": "Pending", "initContainerStatuses": [entry]})) == {}


def test_a_sidecar_that_crashes_is_no_init_container() -> None:
    world = World()
    spec = {"containers": [container("app")], "initContainers": [container(restartPolicy="Always")]}
    pod = world.put("Pod", "nim", spec=spec, status=crashed(1, restarts=1, init=True))
    assert world.kinds(pod) == {"crash-loop": Verdict.GRACE}


def _probed(world: World, since: float, *, gpu: bool = False, startup: bool = False, **more: Any) -> Ref:
    parts = dict(limits(gpu="1")) if gpu else dict(container())
    probe = {"periodSeconds": 10, "failureThreshold": 3}
    parts |= {"startupProbe": {**probe, "failureThreshold": 180}} if startup else {"readinessProbe": probe}
    return _pod(world, running(since, ready=False, **more), parts=parts)


def test_a_probe_that_fails_for_a_minute_is_still_waited_for() -> None:
    world = World()
    pod = _probed(world, T0)
    world.say(pod, "Unhealthy", UNREADY.format(503), at=T0 + 20, container="nim")
    (finding,) = world.ask("readiness-failing", pod, T0 + 20)
    assert (finding.verdict, finding.deadline) == (Verdict.RECOVERS, T0 + 60)


def test_a_model_that_loads_is_waited_for_as_long_as_nims_take() -> None:
    world = World()
    pod = _probed(world, T0, gpu=True)
    world.say(pod, "Unhealthy", UNREADY.format(503), at=T0 + 1500, container="nim")
    (finding,) = world.ask("readiness-failing", pod, T0 + 1500)
    assert (finding.verdict, finding.deadline) == (Verdict.RECOVERS, T0 + 1860)
    assert finding.cause == ("Container nim is still loading its model: HTTP probe failed with statuscode: 503.")


def test_a_wrong_path_does_not_come_right_by_waiting() -> None:
    world = World()
    pod = _probed(world, T0, gpu=True)
    world.say(pod, "Unhealthy", UNREADY.format(404), at=T0 + 20, container="nim")
    assert world.kinds(pod, T0 + 20) == {"readiness-failing": Verdict.RECOVERS}
    assert world.again("readiness-failing", pod, T0 + 20) == [60.0]
    (finding,) = world.ask("readiness-failing", pod, T0 + 60)
    assert (finding.verdict, finding.deadline) == (Verdict.GRACE, T0 + 120)
    assert finding.fix == "Correct the path or port of the readiness probe of container nim."


def test_a_container_that_is_ready_has_no_failing_probe() -> None:
    world = World()
    probe = {"periodSeconds": 10, "failureThreshold": 3}
    pod = _pod(world, running(), parts=container(readinessProbe=probe))
    world.say(pod, "Unhealthy", UNREADY.format(503), at=T0 + 5, container="nim")
    assert world.kinds(pod, T0 + 90) == {}


def test_an_answer_to_an_earlier_run_does_not_count() -> None:
    world = World()
    pod = _probed(world, T0 + 100)
    world.say(pod, "Unhealthy", UNREADY.format(503), at=T0 + 5, container="nim")
    assert world.kinds(pod, T0 + 200) == {}


def test_a_failing_liveness_probe_is_not_a_failing_readiness_probe() -> None:
    world = World()
    pod = _probed(world, T0)
    text = "Liveness probe failed: HTTP probe failed with statuscode: 503"
    world.say(pod, "Unhealthy", text, at=T0 + 90, container="nim")
    assert world.kinds(pod, T0 + 90) == {}


def test_a_server_that_was_ready_and_is_no_longer_is_told_as_that() -> None:
    world = World()
    lost = [{"type": "Ready", "status": "False", "lastTransitionTime": when(T0 + 500)}]
    probe = {"periodSeconds": 10, "failureThreshold": 3}
    parts = {**limits(gpu="1"), "readinessProbe": probe}
    pod = _pod(world, {**running(T0, ready=False), "conditions": lost}, parts=parts)
    world.say(pod, "Unhealthy", UNREADY.format(503), at=T0 + 505, container="nim")
    (finding,) = world.ask("readiness-failing", pod, T0 + 505)
    assert (finding.since, finding.deadline) == (T0 + 500, T0 + 560)


def test_a_startup_probe_within_its_budget_is_information() -> None:
    world = World()
    pod = _probed(world, T0, startup=True, started=False)
    text = "Startup probe failed: HTTP probe failed with statuscode: 503"
    world.say(pod, "Unhealthy", text, at=T0 + 700, container="nim", count=70)
    assert world.kinds(pod, T0 + 700) == {"startup-probe": Verdict.INFO}
    (finding,) = world.ask("startup-probe", pod, T0 + 700)
    assert finding.cause == "The startup probe allows container nim 30m00s to load."


def test_a_startup_probe_that_gave_up_is_terminal_the_second_time() -> None:
    world = World()
    killed = "Container nim failed startup probe, will be restarted"
    pod = _probed(world, T0 + 1801, startup=True, started=False, restartCount=1)
    world.say(pod, "Killing", killed, at=T0 + 1800, container="nim")
    assert world.kinds(pod, T0 + 1802) == {"startup-probe": Verdict.GRACE}
    world.say(pod, "Killing", killed, at=T0 + 3600, first=T0 + 1800, container="nim", count=2)
    assert world.kinds(pod, T0 + 3602) == {"startup-probe": Verdict.TERMINAL}


def test_a_container_that_started_after_a_kill_is_in_order() -> None:
    world = World()
    probe = {"periodSeconds": 10, "failureThreshold": 180}
    pod = _pod(world, running(started=True, restartCount=1), parts=container(startupProbe=probe))
    world.say(pod, "Killing", "Container nim failed startup probe, will be restarted", at=T0, container="nim")
    assert world.kinds(pod, T0 + 90) == {}


def test_a_kill_by_the_startup_probe_is_not_told_as_a_crash() -> None:
    world = World()
    probe = {"periodSeconds": 10, "failureThreshold": 3}
    pod = _pod(world, crashed(143, restarts=1, at=T0 + 31, ran=31.0), parts=container(startupProbe=probe))
    world.say(pod, "Killing", "Container nim failed startup probe, will be restarted", at=T0 + 30, container="nim")
    assert world.kinds(pod, T0 + 32) == {"startup-probe": Verdict.GRACE}


def test_a_pod_of_a_deployment_whose_sibling_is_ready_is_not_doomed() -> None:
    world = World()
    (replicas,) = owned(world, ready=1)
    assert world.kinds(_pod(world, crashed(1, restarts=5), owner=replicas)) == {"crash-loop": Verdict.GRACE}
