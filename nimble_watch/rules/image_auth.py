"""The registry refuses to hand out the image.

Signal: a `Failed` event of the pod whose cause is 401, 403, `unauthorized:`, `denied:`, `pull access denied`,
containerd's `failed to authorize`, CRI-O's `unable to retrieve auth token: invalid username/password`; else the same
text in the status (ErrImagePull, ImagePullBackOff).

Near misses: `402 Payment Required` (no entitlement); a token that expired while layers were copied
(`insufficient_scope` after `failed to copy`); `failed to authorize` because the registry cannot be reached or
resolved; 401 from a probe or from the kube API; a pull secret that does not exist (pull-secret-missing, its cause).

Verdict: grace at the first attempt (registries refuse at random under load), terminal at the second; while layers are
being copied only at the third.

Fix: create the pull secret anew with a valid key and name it in the pod or its service account; for nvcr.io also
accept the image's terms with the key's organisation.

Source: nvcr.io, Docker Hub, quay.io and OCIR answer 401 or 403 for a wrong key, a missing entitlement and a missing
image alike (nim-anywhere#4, k8s-nim-operator#343), so the sentence says what was proven and no more.
"""

from __future__ import annotations

from nimble_watch.findings import Answers, Finding, LookAgain, Rule, Verdict
from nimble_watch.objects import Pod, Ref
from nimble_watch.rules._pods import capped, parts
from nimble_watch.rules._pull import Cause, Trouble, pull_cause, registry_of, troubles
from nimble_watch.rules._said import Said
from nimble_watch.state import ClusterState

_GRACE = 60.0


def says(said: Said) -> bool:
    """Tell whether a message says that a registry refused an image."""
    return pull_cause(said) is Cause.AUTH


def recognise(subject: Ref, state: ClusterState, now: float) -> Answers:
    """Give one finding per container whose image is refused."""
    listed_by = state.awaited("Event", subject.namespace)
    for pod, trouble in troubles(state, subject):
        if trouble.cause is not Cause.AUTH:
            continue
        if now < listed_by:  # only the pod's events tell whether its secret is there at all
            yield LookAgain(listed_by)
        else:
            yield _finding(subject, state, pod, trouble)


def _finding(subject: Ref, state: ClusterState, pod: Pod, trouble: Trouble) -> Finding:
    enough = 3 if trouble.copying else 2
    verdict = capped(state, subject, Verdict.TERMINAL) if trouble.attempts >= enough else Verdict.GRACE
    registry = registry_of(trouble.image)
    secrets = [entry.name for entry in pod.spec.image_pull_secrets or ()]
    return Finding(
        subject=subject,
        verdict=verdict,
        summary=f"{registry} refuses {trouble.image}",
        cause=_cause(state, subject, registry, secrets, trouble),
        evidence=trouble.evidence,
        fix=_fix(registry, secrets),
        command=_command(subject.namespace, registry, secrets),
        since=trouble.since,
        deadline=trouble.since + _GRACE if verdict is Verdict.GRACE else None,
        container=trouble.container,
        count=trouble.attempts,
        signature=trouble.image,
    )


def _cause(state: ClusterState, subject: Ref, registry: str, secrets: list[str], trouble: Trouble) -> str:
    if trouble.copying:
        return f"{registry} refused in the middle of the copying; the login may have run out."
    if not secrets:
        return (
            f"The pod names no pull secret, and {registry} gives the image to nobody without a login, or has none such."
        )
    named = " and ".join(secrets)
    if any(_pulled_from(pod, registry) for name in secrets for _, pod in state.pulling_with(subject.namespace, name)):
        return f"Image or entitlement: the login in {named} works, it pulled another image of {registry}."
    return f"The key in {named} is wrong or has no right to the image, or there is none such; {registry} answers alike."


def _pulled_from(pod: Pod, registry: str) -> bool:
    """Tell whether a container of the pod runs an image of that registry, so that it was handed out."""
    return any(registry_of(part.spec.image) == registry and part.running_since is not None for part in parts(pod))


def _fix(registry: str, secrets: list[str]) -> str:
    what = f"Create {secrets[0]} anew with a valid key" if secrets else "Create a pull secret and name it in the pod"
    terms = ", and check that the key's organisation is entitled to the image" if registry == "nvcr.io" else ""
    return f"{what}{terms}; the pod retries by itself."


def _command(namespace: str, registry: str, secrets: list[str]) -> str:
    name = secrets[0] if secrets else "ngc-secret"
    login = "'$oauthtoken'" if registry == "nvcr.io" else "USER"
    password = '"$NGC_API_KEY"' if registry == "nvcr.io" else "PASSWORD"
    return (
        f"kubectl -n {namespace} create secret docker-registry {name} --docker-server={registry} "
        f"--docker-username={login} --docker-password={password} --dry-run=client -o yaml | kubectl apply -f -"
    )


RULE = Rule(
    kind="image-auth",
    type="image-pull",
    rank=20,
    subjects=frozenset({"Pod"}),
    recognise=recognise,
)
