"""Signals: single things observed, each with its time, its source and exactly what was said.

Everything that can change a verdict arrives as one of these, in one inbox, in order.  So a run can be recorded and
replayed, and nothing else in the house needs to know whether a cluster, a file or a test speaks.
All times are seconds since the epoch (UTC) on the API server's clock, once its `Date` header was seen.
"""

from __future__ import annotations

from typing import Literal, Protocol

from msgspec import Struct

from nimble_watch.objects import KubeObject

Change = Literal["added", "modified", "deleted"]


class Seen(Struct, frozen=True, gc=False):
    """An object as the API server now has it (`deleted`: as it was last).

    `listed` is true while the first listing is being read: the object may be older than the watch.
    """

    at: float
    kind: str
    change: Change
    object: KubeObject
    listed: bool = False


class Synced(Struct, frozen=True, gc=False):
    """The listing of a kind is complete: what was known and is not among `uids` is gone (`namespace` "": all)."""

    at: float
    kind: str
    namespace: str
    uids: frozenset[str]


class Unseen(Struct, frozen=True, gc=False):
    """A kind cannot be seen, and why; until a `Synced` of it arrives nothing may be concluded from its absence."""

    at: float
    kind: str
    namespace: str
    reason: str


class ClusterFound(Struct, frozen=True, gc=False):
    """The cluster that is being watched: who and where; `server` carries no credentials."""

    at: float
    server: str
    context: str
    version: str
    namespace: str


class ClusterLost(Struct, frozen=True, gc=False):
    """The cluster cannot be watched (any more), in one sentence; the phase goes on."""

    at: float
    reason: str


class Output(Struct, frozen=True, gc=False):
    """One line that the phase printed, cleaned, without its newline."""

    at: float
    phase: str
    stream: Literal["stdout", "stderr"]
    line: str


class OutputLost(Struct, frozen=True, gc=False):
    """So many bytes of output were not looked at, because the observer could not keep up."""

    at: float
    phase: str
    bytes: int


class PhaseStarted(Struct, frozen=True, gc=False):
    """A phase's command was started; argv is cleaned; `observed` unless some of what it prints does not come by us."""

    at: float
    phase: str
    argv: tuple[str, ...]
    pid: int = 0
    kubeconfig: str = ""
    observed: bool = False


class Command(Struct, frozen=True, gc=False):
    """A command that a phase's own processes run meanwhile; argv is cleaned, `kubeconfig` is its own or empty."""

    at: float
    phase: str
    argv: tuple[str, ...]
    kubeconfig: str = ""


class PhaseEnded(Struct, frozen=True, gc=False):
    """A phase's command has ended; `duration` is seconds of the monotonic clock without pauses.

    `stopped` says why we ended it (timeout, fail-fast, budget, cancellation); empty where it ended by itself.
    """

    at: float
    phase: str
    result: str
    exit: int | None
    signal: str | None
    duration: float
    stopped: str = ""


class LogTail(Struct, frozen=True, gc=False):
    """The last lines of a container's log, fetched because a finding asked for them, cleaned."""

    at: float
    namespace: str
    pod: str
    container: str
    previous: bool
    lines: tuple[str, ...]
    reason: str = ""


class Clock(Struct, frozen=True, gc=False):
    """Nothing happened but time; only recordings carry it, to make a replay wait as long as the original did."""

    at: float


Signal = (
    Seen
    | Synced
    | Unseen
    | ClusterFound
    | ClusterLost
    | Output
    | OutputLost
    | PhaseStarted
    | Command
    | PhaseEnded
    | LogTail
    | Clock
)


class Put(Protocol):
    """Takes signals, those that came together at once; called from several threads, may block, must not raise."""

    def __call__(self, *signals: Signal) -> None:
        """Take them, in this order."""
