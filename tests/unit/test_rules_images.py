"""Images: each kind raised by its cause, and the near misses that must stay silent."""

from __future__ import annotations

from typing import Any

import pytest

from nimble_watch.findings import Verdict
from nimble_watch.objects import Ref
from nimble_watch.signals import Synced
from tests.unit.judging import World, container, owned, pending, running
from tests.unit.made import T0

IMAGE = "nvcr.io/nim/llm:1"
CONTAINERD = (
    f'Failed to pull image "{IMAGE}": rpc error: code = {{}} desc = failed to pull and unpack image "{IMAGE}": '
)
ABSENT = CONTAINERD.format("NotFound") + f'failed to resolve reference "{IMAGE}": {IMAGE}: not found'
ABSENT_CRIO = (
    f'Failed to pull image "{IMAGE}": unable to pull image or OCI artifact: pull image err: initializing source '
    f"docker://{IMAGE}: reading manifest 1 in nvcr.io/nim/llm: manifest unknown; artifact err: get manifest: build "
    f"image source: reading manifest 1 in nvcr.io/nim/llm: manifest unknown"
)
FORBIDDEN = CONTAINERD.format("Unknown") + (
    f'failed to resolve reference "{IMAGE}": failed to authorize: failed to fetch anonymous token: unexpected status '
    "from GET request to https://nvcr.io/proxy_auth?scope=repository%3Anim%2Fllm%3Apull: 403 Forbidden"
)
UNAUTHORIZED_CRIO = (
    f'Failed to pull image "{IMAGE}": initializing source docker://{IMAGE}: unable to retrieve auth token: invalid '
    "username/password: unauthorized: authentication required"
)
MISSING = "Unable to retrieve some image pull secrets (ngc-secret); attempting to pull the image may not succeed."
BOUND = {"nodeName": "10.0.10.4"}


def _pod(world: World, image: str = IMAGE, **spec: Any) -> Ref:
    return world.put("Pod", "nim", spec={**BOUND, "containers": [container(image=image)], **spec}, status=pending())


@pytest.mark.parametrize("text", [ABSENT, ABSENT_CRIO], ids=["containerd", "cri-o"])
def test_a_missing_image_is_told_at_the_first_attempt_and_terminal_at_the_second(text: str) -> None:
    world = World()
    pod = _pod(world)
    world.say(pod, "Failed", text, at=T0 + 1, container="nim")
    (first,) = world.ask("image-not-found", pod)
    assert (first.verdict, first.evidence, first.container) == (Verdict.GRACE, text, "nim")
    assert first.deadline == T0 + 61
    world.say(pod, "Failed", text, at=T0 + 15, first=T0 + 1, container="nim", count=2)
    (second,) = world.ask("image-not-found", pod)
    assert (second.verdict, second.since, second.deadline) == (Verdict.TERMINAL, T0 + 1, None)


def test_what_a_kubelet_says_of_a_pod_waits_for_the_pod_as_it_was_bound() -> None:
    """Events come by another watch, and may be quicker: told then, it would be without what the pod's node costs."""
    world = World()
    pod = _pod(world, nodeName="")
    world.say(pod, "Failed", ABSENT, container="nim")
    assert world.kinds(pod) == {}
    assert _pod(world) == pod
    assert world.kinds(pod) == {"image-not-found": Verdict.GRACE}


def test_a_digest_that_does_not_exist_is_terminal_at_once() -> None:
    world = World()
    pod = _pod(world, "nvcr.io/nim/llm@sha256:" + "0" * 64)
    world.say(pod, "Failed", ABSENT.replace(IMAGE, "nvcr.io/nim/llm@sha256:" + "0" * 64), container="nim")
    assert world.kinds(pod) == {"image-not-found": Verdict.TERMINAL}


def test_the_status_tells_a_missing_image_where_the_event_was_lost() -> None:
    world = World()
    text = f'Back-off pulling image "{IMAGE}": ErrImagePull: ' + ABSENT.partition(": ")[2]
    pod = world.put("Pod", "nim", spec={**BOUND, "containers": [container()]}, status=pending("ImagePullBackOff", text))
    assert world.kinds(pod) == {"image-not-found": Verdict.GRACE}


def test_an_image_that_the_phase_still_pushes_is_not_missing_for_good() -> None:
    world = World()
    world.printing("The push refers to repository [nvcr.io/nim/llm]", "5f70bf18a086: Pushing", at=T0 + 10)
    pod = _pod(world)
    world.say(pod, "Failed", ABSENT, at=T0 + 15, first=T0 + 1, container="nim", count=2)
    assert world.kinds(pod) == {"image-not-found": Verdict.GRACE}


def test_an_image_that_was_pulled_after_all_is_not_missing() -> None:
    world = World()
    pod = _pod(world)
    world.say(pod, "Failed", ABSENT, at=T0 + 1, container="nim")
    world.say(pod, "Pulled", f'Successfully pulled image "{IMAGE}" in 2s', at=T0 + 1, container="nim")
    assert world.kinds(pod) == {}


def test_a_running_container_has_no_trouble_with_its_image() -> None:
    world = World()
    pod = world.put("Pod", "nim", spec={**BOUND, "containers": [container()]}, status=running())
    world.say(pod, "Failed", ABSENT, at=T0 + 1, container="nim", count=3)
    assert world.kinds(pod) == {}


def test_a_pod_that_is_being_deleted_is_not_judged() -> None:
    world = World()
    pod = world.put("Pod", "nim", spec={**BOUND, "containers": [container()]}, status=pending(), deleting=True)
    world.say(pod, "Failed", ABSENT, container="nim", count=3)
    assert world.kinds(pod) == {}


def test_a_pod_of_an_older_revision_is_left_to_the_roll_out() -> None:
    world = World()
    old, _ = owned(world, revisions=(1, 2))
    pod = world.put("Pod", "nim", owner=old, spec={**BOUND, "containers": [container()]}, status=pending())
    world.say(pod, "Failed", ABSENT, container="nim", count=3)
    assert world.kinds(pod) == {"image-not-found": Verdict.RECOVERS}


def test_one_pod_of_a_cron_job_proves_nothing() -> None:
    world = World()
    cron = Ref("CronJob", "nim", "nightly", "cron")
    job = world.put("Job", "nightly-1", owner=cron)
    pod = world.put("Pod", "nim", owner=job, spec={**BOUND, "containers": [container()]}, status=pending())
    world.say(pod, "Failed", ABSENT, container="nim", count=3)
    assert world.kinds(pod) == {"image-not-found": Verdict.GRACE}


def test_a_sibling_that_is_ready_keeps_the_verdict_open() -> None:
    world = World()
    (replicas,) = owned(world, ready=1)
    pod = world.put("Pod", "nim", owner=replicas, spec={**BOUND, "containers": [container()]}, status=pending())
    world.say(pod, "Failed", ABSENT, container="nim", count=3)
    assert world.kinds(pod) == {"image-not-found": Verdict.GRACE}


@pytest.mark.parametrize(
    "cause",
    [
        "dial tcp: lookup nvcr.io on 10.96.5.5:53: no such host",
        "failed to authorize: failed to fetch anonymous token: Get https://nvcr.io/token: dial tcp: i/o timeout",
        "unexpected status from GET request to https://nvcr.io/v2/: 402 Payment Required",
        "429 Too Many Requests - toomanyrequests: You have reached your pull rate limit",
        "failed to copy: httpReadSeeker: failed open: server message: insufficient_scope: authorization failed",
        "failed to extract layer sha256:00: write /x: no space left on device: unknown",
        "no match for platform in manifest: not found",
        "tls: failed to verify certificate: x509: certificate signed by unknown authority",
    ],
)
def test_a_pull_that_fails_for_another_cause_is_neither_missing_nor_refused(cause: str) -> None:
    world = World()
    pod = _pod(world)
    world.say(pod, "Failed", CONTAINERD.format("Unknown") + cause, container="nim", count=3)
    assert world.kinds(pod) == {}


@pytest.mark.parametrize("text", [FORBIDDEN, UNAUTHORIZED_CRIO], ids=["containerd", "cri-o"])
def test_a_refused_image_is_terminal_at_the_second_attempt(text: str) -> None:
    world = World()
    pod = _pod(world, imagePullSecrets=[{"name": "ngc-secret"}])
    world.say(pod, "Failed", text, container="nim")
    assert world.kinds(pod) == {"image-auth": Verdict.GRACE}
    world.say(pod, "Failed", text, container="nim", count=2)
    (finding,) = world.ask("image-auth", pod)
    assert finding.verdict is Verdict.TERMINAL
    assert finding.cause == (
        "The key in ngc-secret is wrong or has no right to the image, or there is none such; nvcr.io answers alike."
    )
    assert finding.command.startswith("kubectl -n nim create secret docker-registry ngc-secret --docker-server=nvcr.io")


def test_a_login_that_pulled_something_else_is_not_blamed() -> None:
    world = World()
    spec: Any = {"imagePullSecrets": [{"name": "ngc-secret"}]}
    world.put(
        "Pod", "other", spec={**BOUND, "containers": [container(image="nvcr.io/nim/other:1")], **spec}, status=running()
    )
    pod = _pod(world, **spec)
    world.say(pod, "Failed", FORBIDDEN, container="nim", count=2)
    (finding,) = world.ask("image-auth", pod)
    assert finding.cause == "Image or entitlement: the login in ngc-secret works, it pulled another image of nvcr.io."


def test_a_refusal_while_layers_are_copied_is_terminal_only_at_the_third() -> None:
    world = World()
    pod = _pod(world)
    cause = "failed to copy: httpReadSeeker: failed open: failed to authorize: 401 Unauthorized"
    text = f'Failed to pull image "{IMAGE}": {cause}'
    world.say(pod, "Failed", text, container="nim", count=2)
    assert world.kinds(pod) == {"image-auth": Verdict.GRACE}
    world.say(pod, "Failed", text, container="nim", count=3)
    assert world.kinds(pod)["image-auth"] is Verdict.TERMINAL


def test_a_missing_pull_secret_is_the_cause_of_the_refusal() -> None:
    world = World()
    pod = _pod(world, imagePullSecrets=[{"name": "ngc-secret"}])
    world.say(pod, "FailedToRetrieveImagePullSecret", MISSING, at=T0 + 1)
    world.say(pod, "Failed", FORBIDDEN, at=T0 + 2, container="nim")
    (finding,) = world.ask("pull-secret-missing", pod)
    assert (finding.verdict, finding.evidence, finding.signature) == (Verdict.GRACE, MISSING, "ngc-secret")
    assert finding.deadline == T0 + 61


def test_a_refusal_is_not_told_before_the_events_are_listed_that_may_tell_of_a_missing_secret() -> None:
    world = World(but="Event")
    spec = {**BOUND, "containers": [container(image=IMAGE)]}
    pod = world.put("Pod", "nim", spec=spec, status=pending("ErrImagePull", FORBIDDEN))
    assert world.kinds(pod, T0 + 50) == {}
    assert world.again("image-auth", pod, T0 + 50) == [60.0]
    world.say(pod, "FailedToRetrieveImagePullSecret", MISSING)
    world.say(pod, "Failed", FORBIDDEN, container="nim")
    world.state.apply(Synced(T0, "Event", "", frozenset({"Event/nim/e1", "Event/nim/e2"})))
    assert "pull-secret-missing" in world.kinds(pod, T0 + 50)


def test_a_missing_pull_secret_of_a_public_image_is_no_trouble() -> None:
    world = World()
    pod = world.put("Pod", "nim", spec={**BOUND, "containers": [container()]}, status=running())
    world.say(pod, "FailedToRetrieveImagePullSecret", MISSING)
    assert world.kinds(pod) == {}


def test_a_missing_pull_secret_is_not_told_before_a_pull_fails() -> None:
    world = World()
    pod = _pod(world)
    world.say(pod, "FailedToRetrieveImagePullSecret", MISSING, at=T0 + 1)
    world.say(pod, "Pulling", f'Pulling image "{IMAGE}"', at=T0 + 1, container="nim")
    assert world.kinds(pod, T0 + 2) == {}


def test_a_pull_secret_that_exists_by_the_next_attempt_leaves_a_wrong_key() -> None:
    world = World()
    pod = _pod(world, imagePullSecrets=[{"name": "ngc-secret"}])
    world.say(pod, "FailedToRetrieveImagePullSecret", MISSING, at=T0 + 1)
    world.say(pod, "Failed", FORBIDDEN, at=T0 + 15, first=T0 + 1, container="nim", count=2)
    assert world.kinds(pod) == {"image-auth": Verdict.TERMINAL}


def test_a_long_pull_is_information_after_half_a_minute() -> None:
    world = World()
    pod = _pod(world)
    world.say(pod, "Pulling", f'Pulling image "{IMAGE}"', at=T0 + 1, container="nim")
    assert world.kinds(pod, T0 + 10) == {}
    assert world.again("image-pull-slow", pod, T0 + 10) == [31.0]
    (finding,) = world.ask("image-pull-slow", pod, T0 + 31)
    assert (finding.verdict, finding.since) == (Verdict.INFO, T0 + 1)


def test_a_pull_that_ended_is_not_slow_any_more() -> None:
    world = World()
    pod = _pod(world)
    world.say(pod, "Pulling", f'Pulling image "{IMAGE}"', at=T0 + 1, container="nim")
    world.say(pod, "Pulled", f'Successfully pulled image "{IMAGE}" in 40s', at=T0 + 41, container="nim")
    assert world.kinds(pod, T0 + 50) == {}


def test_a_pull_whose_end_was_lost_is_over_once_the_container_runs() -> None:
    world = World()
    pod = world.put("Pod", "nim", spec={**BOUND, "containers": [container()]}, status=running())
    world.say(pod, "Pulling", f'Pulling image "{IMAGE}"', at=T0 + 1, container="nim")
    assert world.kinds(pod, T0 + 50) == {}
