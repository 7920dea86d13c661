"""What a session file holds: the fields of the user's guide first and in its order, ours after them.

The structs mirror the JSON: text as people read it (UTC, to the second) where the guide has a field, and beside it
milliseconds since the epoch for arithmetic.  Nothing unknown is written as zero: the field is null and the object's
`unknown` says why.  What another program added stays in `extra` and is written back where it was found.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from msgspec import Struct, field

SCHEMA = 1
"""Version of the layout; raised only when a reader of the older one would misread the newer."""

RESULTS = ("success", "failure", "error", "timeout", "cancellation", "skip")
"""How a phase or a session can end, in OpenTelemetry's words for CI/CD."""


class Cause(Struct, kw_only=True, omit_defaults=True):
    """What really ended a phase, where its own exit status hides it (make says 2 for every failed recipe)."""

    text: str | None = None
    command: list[str] | None = None
    exit: int | None = None
    signal: str | None = None


class Phase(Struct, kw_only=True):
    """One step of the workflow as it ran; a repetition is a phase of its own (`install#2`).

    `duration` is whole seconds of the monotonic clock without pauses, `duration_ms` the same, exact; `suspended_ms` is
    how long the machine slept meanwhile, which is not in it.  `clock_set_ms` is by how much the machine's clock was set
    meanwhile (back: below 0); the times here go on as if it had not been.  `command` is cleaned.  `cost_usd` is the
    metered cost of the nodes while it ran, `blocked_usd` the part of it that obstacles held, `idle_usd` the part that
    no pod of the session held.  `stopped` says why we ended it: timeout, fail-fast, budget or cancellation.
    """

    start_time: str | None = None
    end_time: str | None = None
    duration: int | None = None
    obstacles: list[str] = field(default_factory=list)
    start_ms: int | None = None
    end_ms: int | None = None
    duration_ms: int | None = None
    paused_ms: int = 0
    suspended_ms: int = 0
    clock_set_ms: int = 0
    result: str | None = None
    exit: int | None = None
    signal: str | None = None
    stopped: str | None = None
    cause: Cause | None = None
    command: list[str] | None = None
    cost_usd: Decimal | None = None
    blocked_usd: Decimal | None = None
    idle_usd: Decimal | None = None
    unknown: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


class Held(Struct, kw_only=True, omit_defaults=True):
    """Something paid for that an obstacle keeps from being useful.

    `resource` names it (`pod nim/nim-0`, or the node itself): two obstacles that hold the same resource at the same
    time share its cost.  `share` is the part of the node, 0 to 1; `usd_per_hour` the price of the whole node, null with
    a `reason`.  Without a window of its own it is held as long as the obstacle stands.
    """

    resource: str
    node: str = ""
    shape: str = ""
    share: Decimal = Decimal(1)
    usd_per_hour: Decimal | None = None
    reason: str = ""
    start_ms: int | None = None
    end_ms: int | None = None


class Remedy(Struct, kw_only=True, omit_defaults=True):
    """What helped against an obstacle of the same kind before, in a session that began on `date` (UTC)."""

    fix: str
    root_cause: str | None = None
    session: str
    date: str | None = None


class Obstacle(Struct, kw_only=True):
    """One trouble through time.

    `timestamp` is when a watched one opened and when a hand-logged one was logged (its delay ends there).  `fix` is
    what really helped once someone says so (at `annotated`); until then it is our advice, which `suggested_fix`
    keeps.  `helped_before` is what helped against its like, newest first.  `outcome`: standing, fixed, removed,
    superseded, withdrawn (it was not the session's), phase-ended, or logged.  `intervals` are the milliseconds in which
    it stood.  `root` is the id of the obstacle that caused this one.  `cost_impact_usd` is
    all that it held; `cost_attributed_usd` shares overlaps, so that the sum over all obstacles is the blocked cost.
    """

    id: str
    phase: str | None = None
    type: str | None = None
    description: str | None = None
    root_cause: str | None = None
    fix: str | None = None
    time_delay_seconds: int | None = None
    cost_impact_usd: Decimal | None = None
    timestamp: str | None = None
    kind: str | None = None
    verdict: str | None = None
    source: str | None = None
    outcome: str | None = None
    subject: str | None = None
    subjects: list[str] = field(default_factory=list)
    count: int = 1
    evidence: str | None = None
    root: str | None = None
    suggested_fix: str | None = None
    annotated: str | None = None
    helped_before: list[Remedy] = field(default_factory=list)
    command: str | None = None
    since_ms: int | None = None
    intervals: list[tuple[int, int | None]] = field(default_factory=list)
    delay_ms: int | None = None
    held: list[Held] = field(default_factory=list)
    cost_attributed_usd: Decimal | None = None
    unknown: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def said_by(self) -> str:
        """Where the evidence is from: `cluster`, or `output`, which is all that is known of a phase itself."""
        return "output" if (self.subject or "").startswith("phase ") else "cluster"


class Taken(Struct, kw_only=True):
    """A part of a node, 0 to 1, that a pod of the session held for a while (`end_ms` null: still)."""

    share: Decimal
    start_ms: int
    end_ms: int | None = None


class Usage(Struct, kw_only=True):
    """The part of one node that this session pays for, and for how long.

    `start_ms` to `end_ms` (null: still running) lie within the session; `usd_per_hour` is the whole node's price.
    `taken` is what the session's pods held of it; what is left was idle (null: not recorded).
    `price_source`, `price_date` and `part` say where the price is from; without a price, `reason` says why.
    """

    node: str
    shape: str = ""
    gpus: int | None = None
    share: Decimal = Decimal(1)
    usd_per_hour: Decimal | None = None
    reason: str = ""
    start_ms: int
    end_ms: int | None = None
    taken: list[Taken] | None = None
    price_source: str = ""
    price_date: str = ""
    part: str = ""


class Standing(Struct, kw_only=True):
    """Something that bills outside the session's total: it stood before, or is left afterwards."""

    what: str
    usd_per_hour: Decimal | None = None
    reason: str = ""
    command: str = ""


class Costs(Struct, kw_only=True):
    """What the session cost, in `currency`.

    `estimated_hourly` is the plan, `actual_hourly` what stood there.  Phases + `between_phases_usd` + `minimums_usd` +
    `other_usd` = `session_total`, to the cent.  `at_least` is true when something has no price (`unpriced` says what
    and why).  `sources` says of a figure where it comes from; those given by `update-costs` win.  `standing` stood
    before and is not part of the total; `after` is what is left billing, `after_session_hourly` its sum.
    """

    estimated_hourly: Decimal | None = None
    actual_hourly: Decimal | None = None
    session_total: Decimal | None = None
    currency: str = "USD"
    at_least: bool = False
    blocked_usd: Decimal | None = None
    between_phases_usd: Decimal | None = None
    minimums_usd: Decimal | None = None
    other_usd: Decimal | None = None
    usage: list[Usage] | None = None
    unpriced: list[str] = field(default_factory=list)
    price_source: str | None = None
    price_date: str | None = None
    standing: list[Standing] = field(default_factory=list)
    standing_hourly: Decimal | None = None
    after: list[Standing] = field(default_factory=list)
    after_session_hourly: Decimal | None = None
    sources: dict[str, str] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


class Performance(Struct, kw_only=True):
    """The guide's figures: seconds, how many obstacles, the union of their delays, and the score in percent."""

    total_duration: int | None = None
    obstacle_count: int | None = None
    total_obstacle_time: int | None = None
    efficiency_score: Decimal | None = None
    total_duration_ms: int | None = None
    total_obstacle_ms: int | None = None
    unknown: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


class Wait(Struct, kw_only=True):
    """A wait that is nobody's fault (a pull, a model load, a scale-up), with its exact duration."""

    what: str
    phase: str | None = None
    subject: str | None = None
    detail: str | None = None
    start_ms: int
    end_ms: int | None = None
    duration_ms: int | None = None


class Stop(Struct, kw_only=True):
    """A moment from which on a phase certainly could not succeed: --fail-fast ended it then (`real`), or would have.

    `obstacle` is the id of what was certain, `after_ms` how far into the phase.  `saved_ms` is how much longer it
    took; `saved_usd` is the bill at its end less the bill if everything that came for the session had gone at `at_ms`,
    minimums included: what stood before and stays is not saved.  `mistake` tells that the object became ready all the
    same, at `ready_ms`; then nothing was saved.  `objects` are what has to become ready for that, with the generation
    of their specification.
    """

    phase: str
    obstacle: str
    kind: str
    subject: str | None = None
    at: str | None = None
    at_ms: int
    after_ms: int | None = None
    real: bool = False
    saved_seconds: int | None = None
    saved_ms: int | None = None
    saved_usd: Decimal | None = None
    mistake: bool = False
    ready_ms: int | None = None
    objects: list[dict[str, Any]] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


class Targets(Struct, kw_only=True, omit_defaults=True):
    """What a session is to keep to, by `source`: seconds at most (in all, by phase), percent at least, USD at most."""

    duration: int | None = None
    phases: dict[str, int] = field(default_factory=dict)
    efficiency: Decimal | None = None
    cost_usd: Decimal | None = None
    source: str | None = None


class Session(Struct, kw_only=True):
    """One run of the workflow.

    `revision` counts what was published: 0 while open, 1 at the end, one more for each later change.  `comparable` says
    what a comparison must agree on (shapes, image cold or warm).  `targets` are those that were in force when it began.
    """

    session_id: str
    operation: str | None = None
    start_time: str | None = None
    environment: str | None = None
    region: str | None = None
    phases: dict[str, Phase] = field(default_factory=dict)
    obstacles: list[Obstacle] = field(default_factory=list)
    costs: Costs = field(default_factory=Costs)
    performance: Performance = field(default_factory=Performance)
    schema: int | None = None
    uid: str | None = None
    revision: int = 0
    state: str | None = None
    result: str | None = None
    exit: int | None = None
    end_time: str | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    host: dict[str, Any] | None = None
    ci: dict[str, Any] | None = None
    vcs: dict[str, Any] | None = None
    cluster: dict[str, Any] | None = None
    namespaces: list[str] = field(default_factory=list)
    comparable: dict[str, Any] | None = None
    targets: Targets | None = None
    waits: list[Wait] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
