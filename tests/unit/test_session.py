"""A session: the guide's figures, the fold of any prefix of records, and money that adds up."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimble_watch import session as s
from nimble_watch.reports.summary import summary
from nimble_watch.session.money import cents, largest_remainder, union_ms

GUIDE = Path(__file__).parent.parent / "guide" / "session-20241012-143022.json"
START = 1_728_743_422.0  # 2024-10-12T14:30:22Z
START_MS = 1_728_743_422_000


def begun(**fields: Any) -> s.Record:
    return s.session_started(
        **{
            "session_id": "session-20241012-143022",
            "uid": s.new_uid(START_MS, bytes(10)),
            "operation": "complete-workflow",
            "environment": "dev",
            "region": "us-phoenix-1",
            "start_time": START,
            **fields,
        }
    )


def numbered(*records: s.Record, writer: str = "observer") -> list[s.Record]:
    return [{**record, "seq": at, "writer": writer} for at, record in enumerate(records, 1)]


def folded(*records: s.Record) -> s.Session:
    return s.fold(numbered(*records), "session-20241012-143022")


def obstacle(start: float, end: float | None, **fields: Any) -> s.Obstacle:
    interval = (s.milliseconds(START + start), None if end is None else s.milliseconds(START + end))
    return s.Obstacle(**{"id": f"obs-{start}-{end}", "intervals": [interval], "source": "watched", **fields})


def test_the_guide_s_own_session_scores_97_6() -> None:
    document = json.loads(GUIDE.read_text())
    problems: list[str] = []
    session = s.from_document(document, GUIDE.stem, problems)
    assert problems == []
    total = document["performance"]["total_duration"]
    assert s.performance(total * 1000, session.obstacles, 0).efficiency_score == Decimal("97.6")


def test_the_guide_s_own_session_comes_out_as_it_went_in_with_our_fields_after_its_own() -> None:
    guide = json.loads(GUIDE.read_text())
    ours = json.loads(s.encode(s.from_document(guide, GUIDE.stem, [])))

    def shared(wanted: Any, found: Any) -> None:
        if isinstance(wanted, dict):
            assert list(found)[: len(wanted)] == list(wanted)
            for name, value in wanted.items():
                shared(value, found[name])
        elif isinstance(wanted, list):
            assert len(found) == len(wanted)
            for one, other in zip(wanted, found, strict=True):
                shared(one, other)
        else:
            assert found == wanted

    shared(guide, ours)


def test_the_records_of_the_guide_s_session_fold_into_its_json() -> None:
    guide = json.loads(GUIDE.read_text())
    logged = s.Obstacle(
        id="obs-1697034645-12345",
        phase="discover",
        type="network-timeout",
        description="kubectl connection timeout",
        root_cause="Firewall blocking kubectl API access",
        fix="Added security group rule for port 6443",
        time_delay_seconds=45,
        cost_impact_usd=Decimal("0.02"),
    )
    costs = {"estimated_hourly": Decimal("1.85"), "actual_hourly": Decimal("1.87"), "session_total": Decimal("0.15")}
    session = folded(
        begun(),
        s.phase_started("discover", time=START),
        s.obstacle_logged(logged, time=START + 23),
        s.phase_ended("discover", result="success", exit=0, duration=23.0, time=START + 23),
        s.phase_started("prereqs", time=START + 23),
        s.phase_ended("prereqs", result="success", exit=0, duration=27.0, time=START + 50),
        s.costs_known(costs, given=True, time=START + 50),
        s.session_ended("success", time=START + 1847),
    )
    ours = json.loads(s.encode(session))
    for name in ("session_id", "operation", "start_time", "environment", "region"):
        assert ours[name] == guide[name]
    for name, phase in guide["phases"].items():
        assert {key: ours["phases"][name][key] for key in phase} == phase
    assert {key: ours["obstacles"][0][key] for key in guide["obstacles"][0]} == guide["obstacles"][0]
    assert {key: ours["costs"][key] for key in guide["costs"]} == guide["costs"]
    assert {key: ours["performance"][key] for key in guide["performance"]} == guide["performance"]


@pytest.mark.parametrize(
    ("score", "word"),
    [("100.0", "Excellent"), ("95.0", "Excellent"), ("94.9", "Good"), ("85.0", "Good"), ("84.9", "Fair"),
     ("70.0", "Fair"), ("69.9", "Poor"), ("0.0", "Poor")],
)  # fmt: skip
def test_a_score_has_the_guide_s_word(score: str, word: str) -> None:
    assert s.band(Decimal(score))[0] == word


def test_a_session_without_time_has_no_score_and_says_why() -> None:
    figures = s.performance(0, [], 0)
    assert figures.efficiency_score is None
    assert figures.unknown["efficiency_score"] == "no time has passed"


def test_delays_that_overlap_count_once() -> None:
    session = folded(
        begun(),
        s.obstacle_opened(obstacle(10, 40), time=START + 10),
        s.obstacle_opened(obstacle(30, 50), time=START + 30),
        s.session_ended("success", time=START + 100),
    )
    assert session.performance.total_obstacle_time == 40
    assert [one.time_delay_seconds for one in session.obstacles] == [30, 20]
    assert session.performance.efficiency_score == Decimal("60.0")


@pytest.mark.parametrize(
    "void",
    [{"extra": {"scope": {"level": "touched", "sure": False}}}, {"outcome": "superseded"}, {"outcome": "withdrawn"}],
)
def test_what_is_not_surely_the_session_s_or_another_one_s_symptom_is_listed_but_not_counted(void: Any) -> None:
    sure = obstacle(10, 20, extra={"scope": {"level": "named", "sure": True}}, held=[held("pod nim/a")])
    doubtful = obstacle(10, 60, held=[held("pod nim/a")], **void)
    session = folded(
        begun(),
        s.obstacle_opened(sure, time=START + 10),
        s.obstacle_opened(doubtful, time=START + 10),
        s.session_ended("success", time=START + 100),
    )
    assert len(session.obstacles) == 2
    assert session.performance.obstacle_count == 1
    assert session.performance.total_obstacle_time == 10
    assert session.performance.efficiency_score == Decimal("90.0")
    assert session.costs.blocked_usd == sum(one.cost_impact_usd or 0 for one in session.obstacles) == Decimal("0.22")
    again = s.from_document(s.to_document(session), session.session_id, [])
    assert s.performance(100_000, again.obstacles, 0).obstacle_count == 1


def test_a_logged_delay_ends_at_its_timestamp_and_is_never_more_than_the_session() -> None:
    logged = s.Obstacle(id="obs-1-1", time_delay_seconds=300)
    session = folded(begun(), s.obstacle_logged(logged, time=START + 60), s.session_ended("success", time=START + 100))
    assert session.obstacles[0].timestamp == "2024-10-12T14:31:22Z"
    assert session.performance.total_obstacle_time == 100
    assert session.performance.efficiency_score == Decimal("0.0")


def test_a_repeated_phase_is_a_phase_of_its_own() -> None:
    session = folded(
        begun(),
        s.phase_started("install", ["make", "install"], time=START),
        s.phase_ended("install", result="failure", exit=2, time=START + 5),
        s.phase_started("install", time=START + 6),
        s.obstacle_opened(obstacle(7, None, phase="install", timestamp=s.stamp(START_MS + 7000)), time=START + 7),
        s.phase_ended("install", result="success", exit=0, time=START + 9),
    )
    assert {name: (phase.duration, phase.result) for name, phase in session.phases.items()} == {
        "install": (5, "failure"),
        "install#2": (3, "success"),
    }
    assert session.phases["install"].obstacles == []
    assert session.phases["install#2"].obstacles == ["obs-7-None"]


def test_an_edge_told_by_launcher_and_observer_is_one_and_the_fuller_command_stays() -> None:
    edges = [
        s.phase_started("verify", ["make"], time=START + 1),
        s.phase_ended("verify", result="success", time=START + 2),
    ]
    fuller = [s.phase_started("verify", ["make", "verify"], time=START + 1), edges[1]]
    session = s.fold([*numbered(begun(), *fuller), *numbered(*edges, writer="launcher")], "session-20241012-143022")
    assert list(session.phases) == ["verify"]
    assert session.phases["verify"].command == ["make", "verify"]


def test_the_cause_behind_make_s_exit_2_is_kept_and_a_success_is_none() -> None:
    session = folded(
        begun(),
        s.phase_started("install", time=START),
        s.phase_cause("install", ["kubectl"], 0, None, time=START + 1),
        s.phase_cause("install", ["helm", "upgrade"], 7, None, time=START + 2),
        s.phase_ended("install", result="failure", exit=2, time=START + 2.1),
    )
    assert session.phases["install"].cause == s.Cause(command=["helm", "upgrade"], exit=7)
    assert session.phases["install"].exit == 2


def test_a_phase_whose_end_was_not_seen_says_so_once_the_session_has_ended() -> None:
    session = folded(begun(), s.phase_started("install", time=START), s.session_ended("error", time=START + 9))
    assert session.phases["install"].unknown["end_time"] == "its end was not seen"
    assert session.phases["install"].result == "error"


def test_the_advice_stays_beside_what_really_helped() -> None:
    session = folded(begun(), s.obstacle_opened(obstacle(1, 2, fix="set image.tag"), time=START + 1))
    assert (session.obstacles[0].fix, session.obstacles[0].suggested_fix) == ("set image.tag", "set image.tag")


def usage(start: float, end: float | None, rate: str | None = "2.00", **fields: Any) -> s.Usage:
    return s.Usage(
        **{
            "node": "10.0.10.2",
            "shape": "VM.GPU.A10.1",
            "usd_per_hour": None if rate is None else Decimal(rate),
            "start_ms": s.milliseconds(START + start),
            "end_ms": None if end is None else s.milliseconds(START + end),
            **fields,
        }
    )


def test_phases_and_the_time_between_add_up_to_the_total() -> None:
    session = folded(
        begun(),
        s.phase_started("install", time=START + 100),
        s.phase_ended("install", result="success", time=START + 1000),
        s.phase_started("verify", time=START + 1100),
        s.phase_ended("verify", result="success", time=START + 1900),
        s.costs_known(s.Costs(usage=[usage(0, None)], minimums_usd=Decimal("0.333")), time=START + 1900),
        s.session_ended("success", time=START + 2000),
    )
    costs = session.costs
    parts = [phase.cost_usd for phase in session.phases.values()]
    assert costs.session_total == Decimal("1.44")
    assert [*parts, costs.between_phases_usd, costs.minimums_usd] == [
        Decimal(c) for c in ("0.50", "0.44", "0.17", "0.33")
    ]
    assert costs.actual_hourly == Decimal("2.00")


def test_a_total_with_a_gap_is_at_least_and_one_of_gaps_only_is_unknown() -> None:
    gap = usage(0, None, None, shape="VM.GPU.A10.4", node="x", reason="no such shape")
    some = folded(begun(), s.costs_known(s.Costs(usage=[gap, usage(0, 1800)]), time=START + 3600)).costs
    assert (some.session_total, some.at_least, some.unpriced) == (
        Decimal("1.00"),
        True,
        ["VM.GPU.A10.4: no such shape"],
    )
    none = folded(begun(), s.costs_known(s.Costs(usage=[gap]), time=START + 3600)).costs
    assert (none.session_total, none.unknown["session_total"]) == (None, "no price: VM.GPU.A10.4: no such shape")


def test_what_was_not_metered_is_unknown_and_not_zero() -> None:
    costs = folded(begun(), s.session_ended("success", time=START + 9)).costs
    assert (costs.session_total, costs.unknown["session_total"]) == (None, "nothing was metered")


def test_costs_given_by_hand_win_and_are_marked() -> None:
    session = folded(
        begun(),
        s.costs_known({"actual_hourly": Decimal("1.87")}, given=True, time=START + 1),
        s.costs_known(s.Costs(usage=[usage(0, None)]), time=START + 2),
        s.session_ended("success", time=START + 3600),
    )
    assert session.costs.actual_hourly == Decimal("1.87")
    assert session.costs.sources["actual_hourly"] == "given by update-costs"
    assert session.costs.session_total == Decimal("2.00")


def planned(usd: str | None, about: str = "2.00 for a node", *, at: float = 1) -> s.Record:
    return s.costs_planned("install", None if usd is None else Decimal(usd), about, time=START + at)


def test_a_plan_is_kept_with_whose_it_is_and_whatever_is_metered_later_leaves_it_alone() -> None:
    metered = s.costs_known(s.Costs(usage=[usage(0, None)]), time=START + 20)
    session = folded(
        begun(), planned("9.99"), planned("2.01", at=10), metered, s.session_ended("success", time=START + 3600)
    )
    costs = session.costs
    assert (costs.estimated_hourly, costs.actual_hourly) == (Decimal("2.01"), Decimal("2.00"))
    assert costs.sources["estimated_hourly"] == "planned by install: 2.00 for a node"
    assert "estimated_hourly" not in costs.unknown
    assert session.obstacles == []
    assert "  per hour: $2.00, planned $2.01\n" in summary(session)


def test_a_plan_without_a_price_says_why_instead_of_a_figure() -> None:
    costs = folded(begun(), planned(None, "VM.GPU.X: no such shape"), s.session_ended("success", time=START + 9)).costs
    assert costs.estimated_hourly is None
    assert costs.unknown["estimated_hourly"] == "the plan has no price: VM.GPU.X: no such shape"


def test_a_plan_given_by_update_costs_wins_over_a_phase_s() -> None:
    given = s.costs_known({"estimated_hourly": Decimal("1.85")}, given=True, time=START + 1)
    costs = folded(begun(), given, planned("2.01", at=2), s.session_ended("success", time=START + 9)).costs
    assert (costs.estimated_hourly, costs.sources["estimated_hourly"]) == (Decimal("1.85"), "given by update-costs")


@pytest.mark.parametrize(("plan", "dearer"), [("1.82", None), ("1.81", "0.19"), ("1.00", "1.00")])
def test_more_than_a_tenth_above_the_plan_is_an_obstacle_with_what_was_paid_beyond_it(
    plan: str, dearer: str | None
) -> None:
    metered = s.costs_known(s.Costs(usage=[usage(0, 3600)]), time=START + 20)
    session = folded(begun(), planned(plan), metered, s.session_ended("success", time=START + 7200))
    found = [(one.kind, one.cost_impact_usd, one.time_delay_seconds) for one in session.obstacles]
    assert found == ([] if dearer is None else [("cost-variance", Decimal(dearer), 0)])
    assert session.performance.obstacle_count == len(found)
    assert session.performance.efficiency_score == Decimal("100.0")


def test_a_variance_that_a_script_logged_is_not_told_twice() -> None:
    logged = s.Obstacle(id="obs-1", type="cost-variance", description="dearer")
    metered = s.costs_known(s.Costs(usage=[usage(0, 3600)]), time=START + 20)
    records = (begun(), planned("1.00"), metered, s.obstacle_logged(logged, time=START + 30))
    assert [one.id for one in folded(*records).obstacles] == ["obs-1"]


def held(resource: str, **fields: Any) -> s.Held:
    return s.Held(**{"resource": resource, "shape": "BM.GPU.H100.8", "usd_per_hour": Decimal(80), **fields})


def test_what_two_obstacles_hold_together_is_shared_and_each_still_says_all_it_held() -> None:
    session = folded(
        begun(),
        s.obstacle_opened(obstacle(0, 3600, held=[held("pod nim/a")]), time=START),
        s.obstacle_opened(obstacle(1800, 3600, held=[held("pod nim/a")]), time=START),
        s.session_ended("failure", time=START + 3600),
    )
    assert [one.cost_impact_usd for one in session.obstacles] == [Decimal("80.00"), Decimal("40.00")]
    assert [one.cost_attributed_usd for one in session.obstacles] == [Decimal("60.00"), Decimal("20.00")]
    assert session.costs.blocked_usd == Decimal("80.00")


def test_an_obstacle_that_holds_what_has_no_price_says_so() -> None:
    gap = held("pod nim/a", usd_per_hour=None, shape="X", reason="not in the table")
    session = folded(begun(), s.obstacle_opened(obstacle(0, 60, held=[gap]), time=START))
    assert session.obstacles[0].cost_impact_usd is None
    assert session.obstacles[0].unknown["cost_impact_usd"] == "at least; without a price: X: not in the table"


@given(st.lists(st.decimals(0, 1000, places=6), max_size=12))
def test_rounded_parts_add_up_to_the_rounded_whole(parts: list[Decimal]) -> None:
    rounded = largest_remainder(parts)
    assert sum(rounded) == cents(sum(parts, Decimal(0)))
    assert all(abs(one - other) < Decimal("0.01") for one, other in zip(parts, rounded, strict=True))


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=8))
def test_the_union_is_what_a_count_of_every_millisecond_gives(spans: list[tuple[int, int]]) -> None:
    ends = [(start, start + length) for start, length in spans]
    assert union_ms(ends) == len({at for start, end in ends for at in range(start, end)})


PHASES = st.sampled_from(["discover", "install", "verify"])
SECONDS = st.integers(0, 500).map(lambda n: START + n / 4)


def _obstacle(number: int, start: int, length: int | None, phase: str, resource: str, *, priced: bool) -> s.Obstacle:
    end = None if length is None else s.milliseconds(START + start + length)
    rate = Decimal("23.60") if priced else None
    return s.Obstacle(
        id=f"obs-1-{number}",
        phase=phase,
        intervals=[(s.milliseconds(START + start), end)],
        held=[s.Held(resource=resource, usd_per_hour=rate, reason="" if priced else "unknown")],
        timestamp=s.stamp(s.milliseconds(START + start)),
    )


RECORDS = st.one_of(
    st.builds(s.phase_started, PHASES, st.just(["make"]), time=SECONDS),
    st.builds(s.phase_ended, PHASES, result=st.sampled_from(s.RESULTS), exit=st.integers(0, 255), time=SECONDS),
    st.builds(s.phase_cause, PHASES, st.just(["helm"]), st.integers(0, 3), st.none(), time=SECONDS),
    st.builds(
        s.obstacle_updated,
        st.builds(_obstacle, st.integers(0, 4), st.integers(0, 90), st.none() | st.integers(0, 60), PHASES,
                  st.sampled_from("ab"), priced=st.booleans()),
        time=SECONDS,
    ),
    st.builds(
        s.obstacle_logged,
        st.builds(s.Obstacle, id=st.just("obs-2-1"), time_delay_seconds=st.integers(0, 99)),
        time=SECONDS,
    ),
    st.builds(lambda start, length, time: s.costs_known(s.Costs(usage=[usage(start, start + length)]), time=time),
              st.integers(0, 50), st.integers(0, 50), SECONDS),
    st.builds(s.session_ended, st.sampled_from(s.RESULTS), time=SECONDS),
    st.builds(lambda time: {"type": "from-the-future", "time": time}, SECONDS),
)  # fmt: skip


@given(st.lists(RECORDS, max_size=25), st.integers(0, 26), st.randoms(use_true_random=False))
def test_any_prefix_folds_in_any_order_and_doubled_to_the_same_session(
    records: list[s.Record], length: int, random: Any
) -> None:
    prefix = numbered(begun(), *records)[:length]
    session = s.fold(prefix, "session-20241012-143022")
    assert 0 <= (session.performance.efficiency_score or 0) <= 100
    shuffled = [*prefix, *prefix[: length // 2]]
    random.shuffle(shuffled)
    assert s.encode(s.fold(shuffled, "session-20241012-143022")) == s.encode(session)
    problems: list[str] = []
    again = s.from_document(json.loads(s.encode(session), parse_float=Decimal), "x", problems)
    assert problems == []
    assert s.encode(again) == s.encode(session)


@given(st.lists(RECORDS, max_size=25))
def test_money_adds_up_whatever_happened(records: list[s.Record]) -> None:
    session = folded(begun(), *records)
    attributed = [one.cost_attributed_usd for one in session.obstacles if one.cost_attributed_usd is not None]
    if session.costs.blocked_usd is not None:
        assert sum(attributed) == session.costs.blocked_usd
    if session.costs.session_total is not None:
        parts = [phase.cost_usd for phase in session.phases.values()]
        costs = session.costs
        rest = (costs.between_phases_usd, costs.minimums_usd, costs.other_usd)
        assert sum(part for part in (*parts, *rest) if part is not None) == costs.session_total


def test_what_another_program_added_or_changed_is_kept() -> None:
    ours = json.loads(s.encode(folded(begun(), s.obstacle_opened(obstacle(1, 5, fix="advice"), time=START + 5))))
    theirs = json.loads(json.dumps(ours))
    theirs["ticket"] = "OPS-1"
    theirs["obstacles"][0]["fix"] = "what really helped"
    theirs["obstacles"].append(
        {"id": "theirs-1", "phase": "x", "time_delay_seconds": 30, "timestamp": "2024-10-12T14:31:22Z"}
    )
    theirs["performance"]["efficiency_score"] = -12
    changes = s.changes_between(ours, theirs)
    session = folded(
        begun(),
        s.obstacle_opened(obstacle(1, 5, fix="advice"), time=START + 5),
        s.foreign_changes(changes, time=START + 6),
        s.session_ended("success", time=START + 100),
    )
    assert session.extra == {"ticket": "OPS-1"}
    assert {one.id: one.fix for one in session.obstacles} == {"obs-1-5": "what really helped", "theirs-1": None}
    assert session.performance.total_obstacle_time == 34
    assert session.performance.efficiency_score == Decimal("66.0")
    assert session.obstacles[0].suggested_fix == "advice"


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    ).filter(lambda value: isinstance(value, dict)),
    st.dictionaries(
        st.sampled_from("abcde"), st.integers() | st.dictionaries(st.sampled_from("ab"), st.integers()), max_size=4
    ),
)
def test_changes_made_twice_are_made_once(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    changes = s.changes_between(ours, theirs)
    once = s.apply_changes(ours, changes)
    assert s.apply_changes(once, changes) == once
    assert s.changes_between(once, theirs) == {}


def test_a_value_of_the_wrong_type_is_named_set_aside_and_written_back() -> None:
    problems: list[str] = []
    document = {
        "session_id": "session-20241012-143022",
        "start_time": 7,
        "phases": {"install": {"duration": "long"}, "verify": "?"},
        "obstacles": [{"id": "o", "time_delay_seconds": "45"}, 3],
        "costs": [],
    }
    session = s.from_document(document, "x", problems)
    assert problems == [
        "start_time: Expected `str | null`, got `int`",
        "phases.install.duration: Expected `int | null`, got `str`",
        "phases.verify: expected an object, found str",
        "obstacles[0].time_delay_seconds: Expected `int | null`, got `str`",
        "obstacles[1]: expected an object, found int",
        "costs: expected an object, found list",
    ]
    again = json.loads(s.encode(session))
    assert again["start_time"] == 7
    assert again["phases"]["install"]["duration"] == "long"


def test_a_uid_is_a_uuid_of_version_7_that_sorts_by_time() -> None:
    first, second = (s.new_uid(at, b"\xff" * 10) for at in (START_MS, START_MS + 1))
    assert first[14] == "7"
    assert first[19] in "89ab"
    assert first < second
