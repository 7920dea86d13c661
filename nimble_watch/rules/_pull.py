"""Why an image could not be pulled, out of the texts of containerd, CRI-O and Docker.

`ErrImagePull` and `ImagePullBackOff` are states; what can be done depends on the cause, and only the text tells it.
Since Kubernetes 1.32 the back-off message carries the last error too (kubernetes/kubernetes#127918).  The event is
the freshest source: the container status lags behind it by up to 15 seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache

from msgspec import Struct

from nimble_watch.objects import Event, Pod, Ref
from nimble_watch.rules._pods import Part, born, events_about, live, parts
from nimble_watch.rules._said import Said
from nimble_watch.state import ClusterState


class Cause(StrEnum):
    """What keeps an image from being pulled."""

    NOT_FOUND = "not-found"
    AUTH = "auth"
    PAYMENT = "payment"
    EXPIRED = "expired"
    RATE_LIMIT = "rate-limit"
    DNS = "dns"
    CERTIFICATE = "certificate"
    UNREACHABLE = "unreachable"
    DISK_FULL = "disk-full"
    PLATFORM = "platform"
    NAME = "name"
    SIGNATURE = "signature"
    CORRUPT = "corrupt"
    UNKNOWN = "unknown"


_PATTERNS: tuple[tuple[Cause, re.Pattern[str]], ...] = tuple(
    (cause, re.compile(pattern, re.IGNORECASE | re.DOTALL))
    for cause, pattern in (
        # In this order: a text names its transport trouble inside "failed to authorize", and a layer's expired token
        # looks like missing rights.
        (Cause.PAYMENT, r"\b402\b.{0,3}Payment|payment required"),
        (Cause.RATE_LIMIT, r"\b429\b|toomanyrequests|pull rate limit"),
        (
            Cause.EXPIRED,
            (
                r"token has expired|token is expired|token expired"
                r"|(?:failed to copy|httpReadSeeker)\b.*insufficient_scope"
            ),
        ),
        (Cause.SIGNATURE, r"SignatureValidationFailed|Source image rejected|signature was required"),
        (
            Cause.NAME,
            (r"short name mode is enforcing|invalid reference format|couldn't parse image name|InvalidImageName"),
        ),
        (Cause.DISK_FULL, r"no space left on device|disk quota exceeded|failed to register layer.*input/output error"),
        (
            Cause.PLATFORM,
            (
                r"no match for platform|no matching manifest for|no image found in (?:manifest list|image index)"
                r"|does not match the specified platform|exec format error"
            ),
        ),
        (
            Cause.CORRUPT,
            (r"unexpected commit digest|failed precondition|filesystem layer verification failed"),
        ),
        (Cause.DNS, r"no such host|name resolution|server misbehaving|\blookup \S+(?: on \S+)?: "),
        (Cause.CERTIFICATE, r"\bx509:|certificate (?:signed by|has expired|is valid for)|tls: failed to verify"),
        (
            Cause.UNREACHABLE,
            (
                r"connection refused|i/o timeout|connection reset|handshake timeout|no route to host"
                r"|network is unreachable|RegistryUnavailable|Client\.Timeout|context deadline exceeded|: EOF\b"
                r"|server gave HTTP response to HTTPS"
                r"|\b50[0-9] (?:Internal|Bad|Service|Gateway)|unexpected HTTP status:? 5\d\d"
            ),
        ),
        (
            Cause.AUTH,
            (
                r"\b401\b.{0,3}Unauthorized|\b403\b.{0,3}Forbidden|unauthorized: |unauthorized$|\bdenied: "
                r"|access denied"
                r"|no basic auth credentials|authentication required|authorization failed|failed to authorize"
                r"|invalid username/password|incorrect username or password|insufficient_scope"
                r"|not authorized to access|access forbidden|requested access to the resource is denied"
            ),
        ),
        (
            Cause.NOT_FOUND,
            (
                r"manifest unknown|MANIFEST_UNKNOWN|name unknown|NAME_UNKNOWN|code = NotFound|manifest for .+ not found"
                r"|: not found|\b404\b.{0,3}Not Found|does not exist in the registry|image not found"
                r"|manifest tagged by .+ is not found|repository .+ not found|artifact .+ not found"
            ),
        ),
    )
)

_ABOUT_IMAGES = re.compile(
    r"pull(?:ing)? (?:and unpack )?image|PullImage|docker://|reading manifest|manifest unknown|manifest for "
    r"|failed to resolve reference|(?:pull|push) access denied|requested access to the resource is denied"
    r"|failed to copy: httpReadSeeker|response from daemon: (?:Get|Head) .?https?://\S+/v2/"
    r"|response from daemon: (?:unauthorized|denied|manifest|pull|repository)",
    re.IGNORECASE,
)

_IMAGE = re.compile(r'image "([^"]+)"')
_PULL_FAILED = "Failed to pull image"
_BACK_OFF = "Back-off pulling image"
_STATES = ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable")


@lru_cache(maxsize=512)  # each message is looked at by several rules, and comes again with every back-off
def cause_of(text: str) -> Cause:
    """Give the cause that a pull error names."""
    return next((cause for cause, pattern in _PATTERNS if pattern.search(text)), Cause.UNKNOWN)


def pull_cause(said: Said) -> Cause | None:
    """Give the cause if the message is about a pull that failed, else None."""
    if said.where == "event" and not (said.reason in ("Failed", "BackOff", "") and _failed_pull(said.message)):
        return None
    if said.where == "waiting" and said.reason not in _STATES:
        return None
    if said.where in ("output", "log", "other") and not _ABOUT_IMAGES.search(said.message):
        return None
    if said.where in ("terminated", "condition"):
        return None
    return cause_of(said.message)


def _failed_pull(message: str) -> bool:
    return message.startswith((_PULL_FAILED, _BACK_OFF))


class Trouble(Struct, frozen=True):
    """A pull that fails: of which image, why, in whose words, since when, after how many attempts.

    `since` and `last` are epoch seconds of the first and the newest failure of that cause; `attempts` is at least 1.
    """

    container: str
    image: str
    cause: Cause
    evidence: str
    since: float
    last: float
    attempts: int
    copying: bool


def troubles(state: ClusterState, subject: Ref) -> Iterator[tuple[Pod, Trouble]]:
    """Give the failing pulls of a pod, one per container at most; a pull under way again still counts as failing.

    A kubelet's event may come before the pod as it was bound, which then is on its way: till then nobody could say what
    it holds.
    """
    pod = live(state, subject)
    if pod is None or not pod.spec.node_name:
        return
    for part in parts(pod):
        if part.status is not None and (part.running_since is not None or part.death is not None):
            continue
        trouble = _trouble(state, subject, pod, part)
        if trouble is not None:
            yield pod, trouble


def _trouble(state: ClusterState, subject: Ref, pod: Pod, part: Part) -> Trouble | None:
    told = events_about(state, subject, part.name, "Failed", "Pulled", "BackOff")
    about = [event for event in told if _of_image(event, part.spec.image)]
    if about and about[0].reason == "Pulled":
        return None
    failures = [event for event in about if event.message.startswith(_PULL_FAILED)]
    text = failures[0].message if failures else part.waiting_message if part.waiting in _STATES else ""
    if not text:
        return None
    cause = cause_of(text)
    alike = [event for event in failures if cause_of(event.message) is cause]
    since = min((event.first_at for event in alike), default=born(pod))
    last = max((event.at for event in alike), default=since)
    return Trouble(
        container=part.name,
        image=part.spec.image,
        cause=cause,
        evidence=text,
        since=since,
        last=last,
        attempts=max(1, sum(event.times for event in alike)),
        copying="failed to copy" in text,
    )


def _of_image(event: Event, image: str) -> bool:
    """Tell whether an event is about that image; the kubelet may have added a tag or a registry to its name."""
    if event.reason == "Pulled" or _failed_pull(event.message):
        found = _IMAGE.search(event.message)
        return found is None or image in found.group(1) or found.group(1) in image
    return False


def pulling_since(state: ClusterState, subject: Ref, part: Part) -> float | None:
    """Give since when a container's image is being pulled (epoch seconds), None when no pull is under way."""
    if part.running_since is not None or part.death is not None:
        return None
    told = events_about(state, subject, part.name, "Pulling", "Pulled", "Failed", "BackOff")
    mine = [event for event in told if event.reason != "Failed" or "pull" in event.message.lower()]
    if not mine or mine[0].reason != "Pulling":
        return None
    return mine[0].at


def registry_of(image: str) -> str:
    """Give the host that an image comes from."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"


def repository_of(image: str) -> str:
    """Give an image's name without tag and digest."""
    bare = image.partition("@")[0]
    head, colon, tag = bare.rpartition(":")
    return head if colon and "/" not in tag else bare
