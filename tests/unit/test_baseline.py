"""Comparison: like with like, a band that noise stays within, a step that noise is not, and the cause by its name."""

from __future__ import annotations

import random
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimble_watch import session as s
from nimble_watch.reports import View, report
from nimble_watch.session.baseline import LEAST, Band, alike, band, judge, rows, step

_INSTALL = 120_000


def _session(
    number: int,
    install_ms: int = _INSTALL,
    *,
    result: str = "success",
    environment: str = "dev",
    shape: str = "VM.GPU.A10.1",
    image: str = "warm",
    held_ms: int = 0,
    tags: tuple[str, ...] = (),
) -> s.Session:
    """Give the session of hour `number`: discover of 20 s, then install, held up by image-auth for some of it."""
    start = number * 3_600_000
    obstacles = [
        s.Obstacle(
            id=f"obs-{number}", phase="install", kind="image-auth", type="image-pull", delay_ms=held_ms,
            cost_impact_usd=Decimal("0.10"), timestamp=s.stamp(start),
        )
    ]  # fmt: skip
    return s.Session(
        session_id=f"session-20260101-{number:06}",
        operation="complete-workflow",
        environment=environment,
        region="us-phoenix-1",
        state="ended",
        result=result,
        start_ms=start,
        tags=list(tags),
        comparable={"shapes": [shape], "image": image},
        phases={
            "discover": s.Phase(duration_ms=20_000, result="success"),
            "install": s.Phase(duration_ms=install_ms, result=result),
        },
        obstacles=obstacles if held_ms else [],
        performance=s.performance(20_000 + install_ms, [], start),
    )


def _history(count: int, first: int = 0) -> list[s.Session]:
    """Give sessions whose install takes about two minutes, newest first."""
    chance = random.Random(5)  # noqa: S311  noise, not secrets
    return [
        _session(number, _INSTALL + chance.randint(-4000, 4000)) for number in range(first + count - 1, first - 1, -1)
    ]


def _verdicts(session: s.Session, history: list[s.Session]) -> dict[str, str]:
    return {row.name: row.verdict for row in rows(session, alike(session, history))}


def _shown(session: s.Session, history: list[s.Session]) -> str:
    return report("compare").render([session, *history], View())


def test_a_band_is_at_least_a_tenth_and_two_seconds_wide_and_three_spreads_where_that_is_more() -> None:
    assert band([100_000.0] * 5) == Band(100_000, 90_000, 110_000, 5)
    assert band([4_000.0] * 5) == Band(4_000, 2_000, 6_000, 5)
    wide = band([80_000.0, 90_000.0, 100_000.0, 110_000.0, 120_000.0])
    assert wide is not None
    assert wide.high == pytest.approx(100_000 + 3 * 1.4826 * 10_000)


def test_without_five_values_there_is_no_band_and_no_verdict() -> None:
    assert band([1.0] * (LEAST - 1)) is None
    assert judge(1.0, None) == "unknown"
    assert judge(None, Band(1, 0, 2, 5)) == "unknown"


def test_each_phase_has_a_verdict_of_its_own() -> None:
    history = _history(12)
    assert _verdicts(_session(20, 300_000), history) == {"discover": "same", "install": "slower", "total": "slower"}
    assert _verdicts(_session(20, 40_000), history) == {"discover": "same", "install": "faster", "total": "faster"}
    assert _verdicts(_session(20, 123_000), history) == {"discover": "same", "install": "same", "total": "same"}


def test_a_phase_that_failed_is_not_called_faster_for_ending_early() -> None:
    failed = _session(20, 3_000, result="failure")
    assert _verdicts(failed, _history(12)) == {"discover": "same", "total": "unknown"}
    assert "- as a whole it is not called faster or the same: it ended as failure" in _shown(failed, _history(12))
    assert _verdicts(_session(20, 300_000, result="failure"), _history(12))["total"] == "slower"


@pytest.mark.parametrize(
    "unlike",
    [
        {"environment": "prod"},
        {"shape": "BM.GPU.H100.8"},
        {"image": "cold"},
        {"tags": ("demo",)},
        {"environment": "demo"},
    ],
    ids=str,
)
def test_what_is_not_like_it_is_not_compared_with_it(unlike: dict[str, str]) -> None:
    others = [_session(number, **unlike) for number in range(9, -1, -1)]  # type: ignore[arg-type]
    assert alike(_session(20), others) == []
    assert "no verdict yet: it takes 5 successful sessions like it; so far none" in _shown(_session(20), others)


def test_what_others_differ_in_is_named() -> None:
    text = _shown(
        _session(20), [_session(9, shape="BM.GPU.H100.8"), _session(8, image="cold"), _session(7, image="cold")]
    )
    assert "- not comparable: 2 with another image" in text
    assert "- not comparable: 1 with another shape" in text


def test_a_session_is_compared_with_what_was_before_it_only() -> None:
    earlier = [other.session_id for other in alike(_session(3), _history(12))]
    assert earlier == ["session-20260101-000002", "session-20260101-000001", "session-20260101-000000"]


@pytest.mark.parametrize("result", ["failure", "cancellation", "timeout", "error"])
def test_sessions_that_failed_do_not_make_the_band_but_count_in_the_share_of_success(result: str) -> None:
    failed = [_session(number, 900_000, result=result) for number in range(17, 12, -1)]
    text = _shown(_session(20), [*failed, *_history(10)])
    assert "- 10 of 15 sessions like it went well (66 %)" in text
    assert "slower" not in text


def test_the_phase_and_the_obstacle_that_explain_the_difference_are_named() -> None:
    text = _shown(_session(20, 720_000, held_ms=590_000), _history(12))
    assert re.search(r"^- install explains most of it: (9:5|10:0)\d more than usual$", text, re.MULTILINE)
    assert "- image-auth held it up for 9:50; usually for 0 s" in text
    assert "- image-auth: once, 9:50, $0.10" in text


def test_an_obstacle_that_is_always_there_explains_nothing() -> None:
    history = [_session(number, _INSTALL, held_ms=60_000) for number in range(11, -1, -1)]
    assert "held it up" not in _shown(_session(20, 720_000, held_ms=60_000), history)


def test_a_change_for_good_is_named_with_the_session_that_began_it() -> None:
    text = _shown(_session(40, 165_000), [*[_session(n, 165_000) for n in range(39, 29, -1)], *_history(20)])
    assert "- install is 3" in text
    assert "% slower since session-20260101-000030, 11 sessions ago" in text


@given(st.integers(0, 2**32), st.integers(10, 40))
def test_noise_is_no_step(seed: int, count: int) -> None:
    chance = random.Random(seed)  # noqa: S311  noise, not secrets
    assert step([100_000 + chance.uniform(-4_000, 4_000) for _ in range(count)]) is None


@given(st.integers(LEAST, 20), st.integers(LEAST, 20), st.integers(0, 2**32))
def test_a_step_is_found_where_it_is(before: int, after: int, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  noise, not secrets
    noise = [chance.uniform(-1_000, 1_000) for _ in range(before + after)]
    found = step([(100_000 if at < before else 150_000) + noise[at] for at in range(before + after)])
    assert found is not None
    assert found.at == before


def test_one_slow_session_is_no_step() -> None:
    assert step([100_000.0] * 12 + [400_000.0] + [100_000.0] * 7) is None


def test_an_obstacle_without_a_price_makes_its_kind_s_cost_at_least() -> None:
    priced, unpriced = _session(19, held_ms=5_000), _session(18, held_ms=5_000)
    unpriced.obstacles[0].cost_impact_usd = None
    assert "- image-auth: 2 times, 10 s, at least $0.10" in _shown(_session(20), [priced, unpriced])
    priced.obstacles[0].cost_impact_usd = None
    assert "- image-auth: 2 times, 10 s, n/a" in _shown(_session(20), [priced, unpriced])
