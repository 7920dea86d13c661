"""Who is told: the person at the terminal, the session's journal, the launcher, the cluster's watch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

from nimble_watch.console import (
    Console,
    ended,
    in_hindsight,
    obstacle_block,
    one_line,
    span,
    still_billing,
    stopping,
    updated,
    waited,
    waiting_line,
)
from nimble_watch.findings import Verdict
from nimble_watch.metering import Meter
from nimble_watch.objects import Ref, ref
from nimble_watch.observer.blind import Blind
from nimble_watch.observer.core import Observer
from nimble_watch.observer.entries import kept, wait
from nimble_watch.observer.scribe import Scribe
from nimble_watch.observer.shadow import Shadow
from nimble_watch.obstacles import Change, Obstacle
from nimble_watch.session import (
    Stop,
    costs_known,
    fields_set,
    obstacle_closed,
    obstacle_opened,
    obstacle_updated,
    stopped,
)
from nimble_watch.session import (
    waited as waited_,
)
from nimble_watch.signals import (
    ClusterFound,
    ClusterLost,
    LogTail,
    PhaseEnded,
    PhaseStarted,
    Seen,
    Signal,
    Synced,
    Unseen,
)

_FIRST = (60.0, 120.0, 300.0)
_THEN = 300.0
_LOG_LINES = 20
_UNSEEN = 1.0
"""Seconds after which even a phase that went well should have been seen with its cluster."""
_GOES_ON = 3.0
"""Seconds that a phase has to end once it was asked to, before it is said that it goes on."""
_SCOPELESS = 30.0
"""Seconds that a phase has to let its work be known before trouble nearby is asked about."""


class FetchLog(Protocol):
    """Who can fetch the last lines of a container's log."""

    def __call__(self, namespace: str, pod: str, container: str, *, previous: bool) -> None:
        """Ask for them; they come as a signal."""


class Telling:
    """Turns changes into lines, records and requests."""

    def __init__(
        self,
        console: Console,
        scribe: Scribe | None,
        *,
        stop: Callable[[str, str], None] | None = None,
        fetch_log: FetchLog | None = None,
    ) -> None:
        """`stop` asks the launcher to end a phase (only with --fail-fast); without a scribe nothing is kept."""
        self._console = console
        self._scribe = scribe
        self._stop = stop
        self._fetch_log = fetch_log
        self._observer: Observer | None = None
        self._meter: Meter | None = None
        self._recorded: set[str] = set()
        self._told: set[str] = set()
        self._asked: set[tuple[str, str]] = set()
        self._shadow: Shadow | None = None
        self._phase = ""
        self._began = 0.0
        self._lines_said = 0
        self._lost = ""
        self._looked = False
        self._blind = Blind()
        self._kubeconfig = ""
        self._scopeless_due: float | None = None
        self._goes_on_due: float | None = None
        self._told_to_end = ""
        self._offset = 0.0
        self.billing: list[str] = []
        """What was said last of what still bills."""

    def join(self, observer: Observer, meter: Meter, *, kubeconfig: str = "") -> None:
        """Know whom to ask: the core that tells us, and the meter; and which kubeconfig is watched by option."""
        self._observer, self._meter = observer, meter
        self._kubeconfig = kubeconfig
        self._shadow = Shadow(
            observer,
            meter,
            keep=lambda stop: self._record(stopped(stop, time=None)),
            say=lambda lines: self._console.say(lines, "warn"),
            ask=self._stop,
        )

    def remember(self, stops: Sequence[Stop]) -> None:
        """Know what earlier commands of the same session gave up."""
        if self._shadow is not None:
            self._shadow.remember(stops)

    @property
    def offset(self) -> float:
        """By how much the API server's clock is ahead of ours (seconds)."""
        return self._offset

    @offset.setter
    def offset(self, seconds: float) -> None:
        """Take what is known of it by now."""
        self._offset = seconds
        if self._shadow is not None:
            self._shadow.offset = seconds

    # -- Report --------------------------------------------------------------------------------------------------------

    def heard(self, signal: Signal, entered: Sequence[Ref], now: float) -> None:
        """Take a signal that was taken in."""
        meter, shadow = self._meter, self._shadow
        if meter is None or shadow is None:
            return
        for reference in entered:
            meter.look(reference, now)
        if isinstance(signal, Seen):
            shadow.heard(signal, now)
        match signal:
            case Seen(kind="Pod" | "Node"):
                meter.look(ref(signal.kind, signal.object), now)
            case PhaseStarted():
                self._phase, self._began, self._lines_said = signal.phase, signal.at, 0
                shadow.phase_started(signal)
                self._scopeless_due = signal.at + _SCOPELESS
                self._goes_on_due, self._told_to_end = None, ""
            case PhaseEnded():
                self._phase_ended(signal, shadow.phase_ended(signal))
            case ClusterFound() | ClusterLost() | Unseen() | Synced():
                self._sight(signal, now)
            case LogTail():
                self._log(signal)
            case _:
                pass

    def _sight(self, signal: ClusterFound | ClusterLost | Unseen | Synced, now: float) -> None:
        """Take what can, or cannot, be seen of the cluster."""
        self._looked = True
        if isinstance(signal, ClusterFound):
            self._lost = ""
            about = {"server": signal.server, "context": signal.context, "version": signal.version}
            self._record(fields_set(cluster=about, time=None))
        elif not isinstance(signal, ClusterLost):
            self._blind.heard(signal, now)
        elif signal.reason != self._lost:
            self._lost = signal.reason
            self._record(fields_set(unknown={"cluster": signal.reason}, time=None))
            self._console.say([f"not watching a cluster: {one_line(signal.reason)}; the phase goes on"], "dim")

    def changed(self, changes: Sequence[Change], now: float) -> None:
        """Take what became of obstacles and waits."""
        for change in changes:
            if change.obstacle is not None:
                self._obstacle(change, change.obstacle, now)
            elif change.wait is not None and change.what == "waited":
                self._record(waited_(wait(change.wait, self.offset), time=None))
                self._console.say(waited(change.wait), "dim")
        if self._shadow is not None:
            self._shadow.look(now)

    def warn(self, sentence: str) -> None:
        """Say trouble of our own, once."""
        if sentence not in self._told:
            self._told.add(sentence)
            self._console.say([one_line(sentence, 1000)], "warn")

    def other_cluster(self, kubeconfig: str) -> None:
        """Say, once, that a command of the phase uses another kubeconfig than the one that is watched."""
        ours = self._kubeconfig or os.environ.get("KUBECONFIG", "")
        if kubeconfig and ours != kubeconfig:
            self.warn(
                f"not watching the cluster that this phase uses: it has KUBECONFIG={kubeconfig}, we have {ours!r}"
            )

    # -- obstacles -----------------------------------------------------------------------------------------------------

    def _obstacle(self, change: Change, obstacle: Obstacle, now: float) -> None:
        meter = self._meter
        if meter is None:
            return
        cost = meter.per_hour(obstacle.subjects.values()) if obstacle.belonging.sure else ""
        if change.what == "opened":
            self._console.say(obstacle_block(obstacle, now=now, cost=cost), "bad" if _bad(obstacle) else "warn")
            if self._scribe is not None:
                self._scribe.recall(obstacle.id, obstacle.kind)
        elif change.what == "updated":
            self._console.say(updated(obstacle, change.why, now), "bad" if _bad(obstacle) else "warn")
        elif change.what in ("closed", "dismissed") and (lines := ended(obstacle, now, "")):
            self._console.say(lines, {"fixed": "good", "removed": "warn"}.get(obstacle.outcome, "dim"))
        self._keep(change, obstacle, meter)
        if change.what in ("opened", "updated"):
            self._act(obstacle)

    def _keep(self, change: Change, obstacle: Obstacle, meter: Meter) -> None:
        if not obstacle.counts:
            return
        entry = kept(obstacle, meter, self.offset)
        if obstacle.id not in self._recorded:
            if obstacle.outcome in ("superseded", "withdrawn"):
                return
            self._recorded.add(obstacle.id)
            self._record(obstacle_opened(entry))
        if not obstacle.stands:
            self._record(obstacle_closed(entry))
        elif change.what == "updated":
            self._record(obstacle_updated(entry))

    def _act(self, obstacle: Obstacle) -> None:
        finding = obstacle.finding
        if finding.wants_log and self._fetch_log is not None and finding.subject.kind == "Pod":
            key = (finding.subject.uid, finding.container)
            if key not in self._asked:
                self._asked.add(key)
                self._fetch_log(finding.subject.namespace, finding.subject.name, finding.container, previous=True)

    def _log(self, tail: LogTail) -> None:
        if tail.lines:
            head = f"the last lines of container {tail.container} in pod {tail.namespace}/{tail.pod}:"
            self._console.say([head, *(f"  | {line}" for line in tail.lines[-_LOG_LINES:])], "dim")

    # -- phases and the session ----------------------------------------------------------------------------------------

    def stopping(self, fields: Mapping[str, Any]) -> None:
        """Take the launcher's word that it ends the phase: say why, and what comes next."""
        stop = self._shadow.stop if self._shadow is not None else None
        certain = stop.kind if stop is not None else ""
        after, grace = float(fields["after"]), float(fields["grace"])
        why, number = str(fields["why"]), str(fields["signal"])
        self._console.say(stopping(self._phase, why, number, after=after, grace=grace, certain=certain), "bad")

    def _phase_ended(self, phase: PhaseEnded, stop: Stop | None) -> None:
        observer, meter = self._observer, self._meter
        if observer is None or meter is None:
            return
        if not self._looked and (phase.result != "success" or phase.duration >= _UNSEEN):
            why = f"{phase.phase} was over before one could be looked at"
            self._record(fields_set(unknown={"cluster": why}, time=None))
            self.warn(f"not watching a cluster: {why}")
        if self._blind.due is not None:
            self._say_blind()
        self._scopeless_due = self._goes_on_due = None
        self._say_scopeless(observer)
        self._record(costs_known(meter.costs(over=False)))
        stood = [one for one in observer.tracker.obstacles.values() if one.counts and _in_phase(one, self._began)]
        stood = [one for one in stood if one.outcome not in ("superseded", "withdrawn")]
        roots = [one for one in stood if one.belonging.sure]
        how = "done" if phase.result == "success" else _how(phase)
        total = f", {len(roots)} obstacle{'s' if len(roots) > 1 else ''}" if roots else ""
        lines = [f"{phase.phase}: {how} after {span(phase.duration)}{total}"]
        lines += [f"  {one.kind}: {span(one.stood(phase.at))}, {one_line(one.finding.summary, 160)}" for one in roots]
        lines += in_hindsight(stop) if stop is not None else []
        nearby = observer.tracker.nearby
        doubtful = [one.finding.subject for one in stood if not one.belonging.sure]
        if doubtful:
            lines.append(f"  perhaps this phase's, so not counted: {_names(doubtful)}")
        if nearby:
            lines.append(f"  not this phase's, but in trouble in its namespace: {_names(nearby)}")
        if phase.result not in ("success", "skip"):
            self.billing = still_billing(meter.costs(over=True).after)
            lines += self.billing
        if stood or phase.result != "success" or nearby:
            self._console.say(lines, "good" if phase.result == "success" else "bad")

    def _record(self, record: dict[str, Any]) -> None:
        if self._scribe is not None:
            self._scribe.append({name: value for name, value in record.items() if value is not None or name != "time"})

    # -- waiting -------------------------------------------------------------------------------------------------------

    @property
    def due(self) -> float | None:
        """When the next line is to be said that nothing but time brings about."""
        since = self._waiting_since()
        waiting = None if since is None else since + _next_line(self._lines_said)
        wrong = self._shadow.due if self._shadow is not None else None
        times = (waiting, wrong, self._blind.due, self._scopeless_due, self._goes_on_due)
        return min((at for at in times if at is not None), default=None)

    def _say_scopeless(self, observer: Observer) -> None:
        """Say, once, that trouble is near but nothing tells what the phase works on."""
        if observer.scope.empty and observer.tracker.nearby:
            self.warn(
                "nothing tells what this phase works on, so the trouble nearby is not taken for its own; "
                "say it with --for deployment/NAME, -l LABELS or -n NAMESPACE"
            )

    def cancelled(self, signal: str, now: float) -> None:
        """Take note that somebody asked the phase to end; one that goes on is spoken of once."""
        if not self._told_to_end:
            self._told_to_end, self._goes_on_due = signal, now + _GOES_ON

    def _say_blind(self) -> None:
        for sentence in self._blind.tell():
            self.warn(sentence)

    def _waiting_since(self) -> float | None:
        observer = self._observer
        if observer is None or not observer.tracker.phase:
            return None
        begins = [one.intervals[-1][0] for one in observer.tracker.obstacles.values() if one.stands]
        begins += [max(one.since, self._began) for one in observer.tracker.waits if one.belonging.ours]
        return min(begins, default=None)

    def tick(self, now: float) -> None:
        """Say what cannot be seen and what is waited for, if it is time to."""
        if self._blind.due is not None and self._blind.due <= now:
            self._say_blind()
        if self._shadow is not None:
            self._shadow.tick(now)
        if self._goes_on_due is not None and self._goes_on_due <= now:
            self._goes_on_due = None
            self.warn(f"{self._phase} was sent {self._told_to_end} and goes on; it is waited for, and sent what comes")
        since, observer, meter = self._waiting_since(), self._observer, self._meter
        if observer is not None and self._scopeless_due is not None and self._scopeless_due <= now:
            self._scopeless_due = None
            self._say_scopeless(observer)
        if since is None or observer is None or meter is None:
            return
        said = False
        while since + _next_line(self._lines_said) <= now:
            self._lines_said += 1
            said = True
        if not said:
            return
        standing = [one for one in observer.tracker.obstacles.values() if one.stands]
        standing.sort(key=lambda one: (not _bad(one), one.rank))
        waits = [one for one in observer.tracker.waits if one.belonging.ours]
        what = [f"{one.kind}: {one.finding.summary}" for one in standing] + [one.summary for one in waits]
        spent = meter.spent(now - self.offset)
        cost = f"${spent:.2f}" if spent >= Decimal("0.01") else ""
        self._console.say([waiting_line(what[0], since, now, others=len(what) - 1, cost=cost)], "dim")


def _names(references: Sequence[Ref]) -> str:
    """Give the names of the first few, and how many more there are."""
    names = sorted({f"{one.namespace}/{one.name}" for one in references})
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""  # noqa: PLR2004  enough to recognise them
    return f"{', '.join(names[:3])}{more}"


def _next_line(said: int) -> float:
    return _FIRST[said] if said < len(_FIRST) else _FIRST[-1] + _THEN * (said - len(_FIRST) + 1)


def _bad(obstacle: Obstacle) -> bool:
    return obstacle.verdict is Verdict.TERMINAL


def _in_phase(obstacle: Obstacle, began: float) -> bool:
    return any(start >= began for start, _ in obstacle.intervals)


_STOPPED = {
    "timeout": "stopped, as its time was over,",
    "fail-fast": "stopped by --fail-fast",
    "budget": "stopped, as its budget was used up,",
}


def _how(phase: PhaseEnded) -> str:
    if phase.stopped in _STOPPED:
        return _STOPPED[phase.stopped]
    if phase.signal:
        return f"ended by signal {phase.signal}"
    if phase.exit is not None:
        return f"failed (exit {phase.exit})"
    return phase.result
