"""nimble-watch.toml: found, read, complained of by file, line and key; and a session against its targets."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from nimble_watch import session as s
from nimble_watch.config import FILE, NO_FILE, Setting, environment_name, file_of, region_name
from nimble_watch.errors import ConfigError
from nimble_watch.reports import View, report
from nimble_watch.session.targets import aims, missed

WHOLE = """
environment = "staging"
region = "us-phoenix-1"

[targets]
duration = "1h30m"
efficiency = 95
cost = 2.50

[targets.phases]
install = "20m"
verify = 600
"""


def written(folder: Path, text: str) -> Path:
    path = folder / FILE
    path.write_text(text)
    return path


def test_the_flag_beats_the_variable_and_that_the_file_and_that_the_default(tmp_path: Path) -> None:
    path = written(tmp_path, WHOLE)
    file = file_of(tmp_path)
    assert environment_name("prod", {"ENVIRONMENT": "test"}, file) == Setting("prod", "command line")
    assert environment_name(None, {"ENVIRONMENT": "test"}, file) == Setting("test", "$ENVIRONMENT")
    assert environment_name(None, {}, file) == Setting("staging", str(path))
    assert environment_name(None, {}) == Setting("dev", "default")
    assert region_name({}, file) == Setting("us-phoenix-1", str(path))


def test_targets_are_read_with_their_units(tmp_path: Path) -> None:
    written(tmp_path, WHOLE)
    assert file_of(tmp_path).targets == s.Targets(
        duration=5400,
        phases={"install": 1200, "verify": 600},
        efficiency=Decimal(95),
        cost_usd=Decimal("2.50"),
        source=FILE,
    )


def test_the_file_is_looked_for_up_to_the_root_of_the_checkout_and_no_further(tmp_path: Path) -> None:
    deep = tmp_path / "checkout" / "deploy" / "phases"
    deep.mkdir(parents=True)
    written(tmp_path, 'environment = "above"')
    assert file_of(deep) == NO_FILE
    (tmp_path / "checkout" / ".git").write_text("gitdir: elsewhere\n")  # as in a worktree
    assert file_of(deep) == NO_FILE
    written(tmp_path / "checkout", 'environment = "root"')
    assert file_of(deep).texts == {"environment": "root"}
    written(deep, 'environment = "here"')
    assert file_of(deep).texts == {"environment": "here"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('\nenvironmnt = "x"', "line 2: environmnt is no setting; did you mean environment?"),
        ("[target]", "line 1: target is no setting; did you mean targets?"),
        ("[targets]\nzzz = 1", "line 2: targets.zzz is no setting; allowed in [targets]: duration, phases, efficiency"),
        ("environment = 3", "line 1: environment is 3; it has to be a name in quotation marks"),
        ("targets = 3", "line 1: targets is 3; it has to be a table, [targets]"),
        ("[targets]\nphases = []", "line 2: targets.phases is []; it has to be a table, [targets.phases]"),
        ("[targets]\nefficiency = 100.5", "line 2: targets.efficiency is 100.5; it has to be a percentage from 0 to"),
        ("[targets]\ncost = true", "line 2: targets.cost is true; it has to be an amount in USD"),
        ("[targets]\ncost = nan", "line 2: targets.cost is NaN; it has to be an amount in USD"),
        ("[targets]\nduration = 0.5", "line 2: targets.duration is 0.5; it has to be a time above zero"),
        ('install = 1\n[targets.phases]\ninstall = "soon"', "line 1: install is no setting"),
        ('[targets.phases]\n# install\n"install" = "soon"', "line 3: targets.phases.install is 'soon'; it has to be a"),
        ("[targets]\nphases.install = -1", "line 2: targets.phases.install is -1; it has to be a time above zero"),
        ("a = \n", "Invalid value (at line 1, column 5)"),
        ("a = 1\na = 2\n", "Cannot overwrite a value (at line 2, column 6)"),
    ],
)
def test_what_cannot_be_used_is_named_by_file_line_and_key_with_what_is_allowed(
    tmp_path: Path, text: str, complaint: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        file_of(tmp_path)
    assert str(caught.value).startswith(str(path))
    assert complaint in str(caught.value)


def test_what_is_no_text_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b'environment = "x"\nregion = "\xff"\n')
    with pytest.raises(ConfigError, match="line 2: not UTF-8"):
        file_of(tmp_path)
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).mkdir()
    with pytest.raises(ConfigError, match="Is a directory"):
        file_of(tmp_path)
    (tmp_path / FILE).rmdir()
    (tmp_path / FILE).write_bytes(b"#" * (1 << 21))
    with pytest.raises(ConfigError, match="no settings file"):
        file_of(tmp_path)


TARGETS = s.Targets(
    duration=100, phases={"install": 60, "verify": 5}, efficiency=Decimal(95), cost_usd=Decimal(1), source=FILE
)


def session(
    *,
    state: str = "ended",
    result: str | None = "success",
    install: int = 50,
    total: int = 90,
    score: str | None = "96.5",
    cost: str | None = "0.50",
    at_least: bool = False,
) -> s.Session:
    return s.Session(
        session_id="session-20260921-120000",
        state=state,
        result=result,
        phases={
            "install": s.Phase(duration=3, result="failure", end_time="2026-09-21T12:00:03Z"),
            "install#2": s.Phase(duration=install, result=result, end_time="2026-09-21T12:01:00Z"),
        },
        performance=s.Performance(total_duration=total, efficiency_score=None if score is None else Decimal(score)),
        costs=s.Costs(session_total=None if cost is None else Decimal(cost), at_least=at_least),
    )


def outcomes(of: s.Session) -> dict[str, str]:
    return {aim.name: aim.outcome for aim in aims(of, TARGETS)}


ALL_HIT = {"install": "hit", "total": "hit", "efficiency": "hit", "cost": "hit"}


@pytest.mark.parametrize(
    ("of", "other"),
    [
        (session(), {}),
        (session(install=61), {"install": "missed"}),
        (session(install=60, total=100, score="95.0", cost="1.00"), {}),
        (session(total=101, score="94.9", cost="1.01"), {"total": "missed", "efficiency": "missed", "cost": "missed"}),
        (session(result="failure"), {"install": "missed", "total": "missed"}),
        (session(score=None, cost=None), {"efficiency": "unknown", "cost": "unknown"}),
        (session(at_least=True), {"cost": "unknown"}),
        (session(at_least=True, cost="1.01"), {"cost": "missed"}),
        (session(state="open", result=None), {"total": "so far", "efficiency": "so far", "cost": "so far"}),
        (session(state="open", result=None, total=101), {"total": "missed", "efficiency": "so far", "cost": "so far"}),
    ],
)
def test_a_target_is_hit_missed_open_or_not_known(of: s.Session, other: dict[str, str]) -> None:
    assert outcomes(of) == {**ALL_HIT, **other}
    assert missed(of, TARGETS) is ("missed" in other.values())


def test_a_session_is_held_against_the_targets_that_it_began_with() -> None:
    mine = session(install=61)
    mine.targets = s.Targets(phases={"install": 61})
    assert [(aim.name, aim.outcome) for aim in aims(mine, TARGETS)] == [("install", "hit")]
    assert not missed(session(install=61))


@pytest.mark.parametrize("name", ["summary", "compare"])
def test_summary_and_compare_show_what_was_hit_and_missed(name: str) -> None:
    text = report(name).render([session(install=61, cost=None)], View(targets=TARGETS))
    assert text.partition("Targets (nimble-watch.toml):\n")[2].startswith(
        "  install           1:01  at most 1:00       missed\n"
        "  total             1:30  at most 1:40       hit\n"
        "  efficiency       96.5%  at least 95%       hit\n"
        "  cost               n/a  at most $1.00      unknown\n"
    )
    assert "Targets (" not in report(name).render([session()], View())
