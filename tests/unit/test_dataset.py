"""A Parquet dataset: what is asked of it gives what the files give, and one compaction at a time changes it."""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.dataset as pads
import pytest

from nimble_watch import cli, columns
from nimble_watch.dataset import compacting, layout
from nimble_watch.dataset.compacting import compact
from nimble_watch.session import new_uid, stamp

BEGAN = 1_760_000_000
ODD: tuple[dict[str, Any], ...] = (
    {"uid": None, "revision": 0, "schema": None, "state": None, "result": None},
    {"performance": {"total_duration": -5, "efficiency_score": "high"}},
    {"costs": {"estimated_hourly": 0, "actual_hourly": 0, "session_total": 0}, "schema": None},
    {"costs": {"session_total": 0.015, "at_least": True, "session_total_note": "others"}},
    {"start_ms": None, "start_time": "soon"},
    {"start_ms": 0, "start_time": "1970-01-01T00:00:00Z"},
    {"start_ms": 4_102_444_800_000, "start_time": "2100-01-01T00:00:00Z"},
    {"operation": "", "environment": None, "region": 5},
    {"operation": "a|b\nc=ünï 'x' \"y\"", "tags": ["=1+1", "nightly"]},
    {"obstacles": "none", "phases": [1]},
    {"environment": "demo"},
    {"comparable": {"shapes": ["BM.GPU.H100.8"], "image": "cold"}},
    {"team": {"name": "others know this field", "size": 1e300}},
    {"result": "failure"},
    {"result": "cancellation", "stops": [{"phase": "install", "obstacle": "o", "kind": "k", "at_ms": 1, "real": True}]},
    {"stops": [{"phase": "install", "obstacle": "o", "kind": "k", "at_ms": 1, "mistake": True, "ready_ms": 9}]},
)


def document(number: int) -> dict[str, Any]:
    """Give a session: most are as any other, every other one has something odd."""
    chance = random.Random(number)  # noqa: S311  durations, not secrets
    began = BEGAN + number // 3 * 7200
    name = "session-" + stamp(began * 1000).translate({45: None, 58: None, 84: "-", 90: None})
    kind = chance.choice(["image-auth", "quota-exceeded", None])
    seconds = chance.choice([60, 61, 62, 300])
    return {
        "session_id": name + ("" if number % 3 == 0 else f"-{[2, 10][number % 3 - 1]}"),
        "operation": chance.choice(["complete-workflow"] * 9 + ["install"]), "start_time": stamp(began * 1000),
        "environment": "dev", "region": "us-phoenix-1", "schema": 1, "uid": new_uid(began * 1000, chance.randbytes(10)),
        "revision": 1, "state": "ended", "result": "success", "start_ms": began * 1000,
        "phases": {"install": {"duration": seconds, "duration_ms": seconds * 1000, "result": "success"}},
        "obstacles": [] if kind is None else [
            {"id": f"obs-{number}", "phase": "install", "type": "image-pull", "kind": kind, "delay_ms": seconds * 100,
             "time_delay_seconds": seconds // 10, "cost_impact_usd": chance.choice([None, 0.333333333]), "extra": {}}
        ],
        "costs": {"session_total": chance.choice([0.1, 0.2, None])},
        "performance": {
            "total_duration": seconds, "total_duration_ms": seconds * 1000, "obstacle_count": int(bool(kind)),
            "total_obstacle_time": 6, "efficiency_score": chance.choice([97.6, 100.0, None]),
        },
        "comparable": {"shapes": ["VM.GPU.A10.1"], "image": "warm"},
        **(ODD[number // 2 % len(ODD)] if number % 2 else {}),
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder of sessions that is in force."""
    path = tmp_path / "sessions"
    path.mkdir(mode=0o700)
    monkeypatch.setenv("NIMBLE_WATCH_SESSIONS", str(path))
    monkeypatch.setenv("NIMBLE_WATCH_PROJECT", "nim")
    return path


def write(folder: Path, *documents: dict[str, Any]) -> None:
    for one in documents:
        (folder / f"{one['session_id']}.json").write_text(json.dumps(one))


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command and give what it says."""
    capsys.readouterr()
    cli.main(["session", *words])
    return capsys.readouterr().out


def rows(dataset: Path, what: str = "session_id") -> list[Any]:
    """Ask as somebody does who knows nothing of us."""
    asked = f"SELECT {what} FROM read_parquet(?) ORDER BY session_id"  # noqa: S608  ours alone
    return [row[0] for row in duckdb.execute(asked, [f"{dataset}/**/*.parquet"]).fetchall()]


ASKED = (
    ["list"], ["list", "-n", "0"], ["list", "-n", "7", "-o", "wide"], ["list", "-n", "0", "-o", "json"],
    ["list", "-n", "0", "-o", "yaml"], ["list", "-n", "0", "-o", "csv"], ["list", "-o", "name"],
    ["list", "-o", "obstacles"],
    *(["list", "--sort", order, "-n", str(n)] for order in ("start", "duration", "cost", "efficiency", "obstacles")
      for n in (1, 5, 50, 0)),
    ["list", "--operation", "install"], ["list", "--environment", "demo"],
    ["list", "--region", "us-phoenix-1", "-n", "3"],
    ["list", "--result", "failure"], ["list", "--result", "open"], ["list", "--kind", "quota-exceeded", "-n", "0"],
    ["list", "--kind", "image-pull", "--sort", "cost", "-n", "4"], ["list", "--tag", "nightly"],
    ["list", "--since", "2025-10-12", "--until", "2025-10-14", "--sort", "duration", "-n", "5"],
    ["compare"], ["compare", "-n", "3"], ["compare", "-n", "250"],
    ["export", "--format", "csv"], ["export", "--format", "csv", "--table", "obstacles", "--kind", "image-auth"],
)  # fmt: skip


@pytest.mark.parametrize("many", [3, 340])
def test_every_question_gives_of_a_dataset_what_it_gives_of_the_files(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], many: int
) -> None:
    write(folder, *map(document, range(many)))
    (folder / "session-20200101-000000.json").write_text("{")
    (folder / "shared").mkdir()
    pulled = document(many)
    (folder / "shared" / f"{pulled['session_id']}.{pulled['uid'][-6:]}.json").write_text(json.dumps(pulled))
    cli.main(["session", "compact", str(tmp_path / "dataset")])
    for words in ASKED:
        of_files, of_dataset = said(capsys, *words), said(capsys, *words, "--from", str(tmp_path / "dataset"))
        assert of_dataset == of_files, words
    assert len(rows(tmp_path / "dataset")) == many + 1


def test_sessions_in_another_month_than_their_ids_say_are_found_where_their_ids_stand(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after a clock that was wrong, or with no beginning at all: the months only say where to look first."""
    there = [document(number) for number in range(0, 6000, 500)]
    for at, name, began in ((1, "session-20991231-000000", None), (2, "session-20010101-000000-2", there[-1])):
        when = {name: began and began[name] for name in ("start_ms", "start_time")}
        there.append({**document(2 * at), "session_id": name, **when})
    write(folder, *there)
    compact(folder, tmp_path / "dataset", project_of=lambda _: "p")
    assert len(set(rows(tmp_path / "dataset", "coalesce(month, 'none')"))) > 6
    for words in (*(["list", "-n", str(number)] for number in (1, 2, 5, 13, 14, 20)), ["compare", "-n", "3"]):
        of_files, of_dataset = said(capsys, *words), said(capsys, *words, "--from", str(tmp_path / "dataset"))
        assert of_dataset == of_files, words
    assert "session-20991231-000000" in said(capsys, "list", "-n", "1", "--from", str(tmp_path / "dataset"))


def test_others_read_it_as_it_is_with_project_and_month(folder: Path, tmp_path: Path) -> None:
    write(folder, *map(document, (0, 2, 2000)))
    compact(folder, tmp_path / "dataset", project_of=lambda _: "a team/nim")
    assert rows(tmp_path / "dataset", "project || ' ' || month") == ["a team/nim 2025-10"] * 2 + ["a team/nim 2025-12"]
    read = pads.dataset(tmp_path / "dataset", partitioning="hive").to_table(columns=["project", "month", "costs"])
    assert read.column("month").to_pylist() == ["2025-10", "2025-10", "2025-12"]


def test_compacting_twice_changes_nothing_and_what_was_pruned_stays(folder: Path, tmp_path: Path) -> None:
    write(folder, *map(document, range(0, 8, 2)))
    assert compact(folder, tmp_path / "dataset", project_of=lambda _: "p").new == 4
    before = {path: path.read_bytes() for path in (tmp_path / "dataset").rglob("*") if path.is_file()}
    assert compact(folder, tmp_path / "dataset", project_of=lambda _: "p").there == 4
    assert {path: path.read_bytes() for path in (tmp_path / "dataset").rglob("*") if path.is_file()} == before
    for path in folder.iterdir():
        path.unlink()
    write(folder, document(8))
    assert compact(folder, tmp_path / "dataset", project_of=lambda _: "p").new == 1
    assert len(rows(tmp_path / "dataset")) == 5


def test_a_higher_revision_takes_the_lower_one_s_place_and_the_same_with_other_content_is_reported(
    folder: Path, tmp_path: Path
) -> None:
    write(folder, document(0), document(2))
    compact(folder, tmp_path / "dataset", project_of=lambda _: "p")
    write(folder, {**document(0), "revision": 2, "tags": ["x"]}, {**document(2), "tags": ["y"]})
    done = compact(folder, tmp_path / "dataset", project_of=lambda _: "another")
    assert (done.new, done.renewed, done.there, len(done.problems)) == (0, 1, 1, 1)
    assert "is in the dataset as the same revision (1) with other content, which stays" in done.problems[0]
    assert rows(tmp_path / "dataset", "tags") == [["x"], []]
    assert {path.parts[-3] for path in layout.files(tmp_path / "dataset").values()} == {"project=p"}


def test_of_two_compactions_at_once_one_wins_and_the_other_begins_anew(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, document(0))
    dataset, prepare = tmp_path / "dataset", compacting._prepare
    others = itertools.count()

    def prepare_while_another_commits(*arguments: Any) -> Any:
        if next(others) == 0:
            write(folder, document(2))
            assert compact(folder, dataset, project_of=lambda _: "p").new == 2
        return prepare(*arguments)

    monkeypatch.setattr(compacting, "_prepare", prepare_while_another_commits)
    assert compact(folder, dataset, project_of=lambda _: "p").there == 1
    assert len(rows(dataset)) == 2
    assert sorted(path.name for path in (dataset / "_log").iterdir()) == ["00000001.json"]
    assert list((dataset / "_new").iterdir()) == []


def test_many_compactions_at_once_lose_nothing_and_repeat_nothing(folder: Path, tmp_path: Path) -> None:
    folders = [tmp_path / f"sessions-{n}" for n in range(4)]
    for n, one in enumerate(folders):
        one.mkdir()
        write(one, *map(document, range(n * 20, n * 20 + 20, 2)), document(100))
    children = []
    for one in folders:
        if (pid := os.fork()) == 0:
            try:
                compact(one, tmp_path / "dataset", project_of=lambda _: "p")
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    for one in folders:  # who lost five times said so, and is done now
        compact(one, tmp_path / "dataset", project_of=lambda _: "p")
    assert len(rows(tmp_path / "dataset")) == len(set(rows(tmp_path / "dataset", "uid"))) == 41
    assert folder.exists()


def test_what_was_committed_is_read_and_put_in_its_place_though_its_compaction_was_killed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = tmp_path / "dataset"
    write(folder, document(0))
    compact(folder, dataset, project_of=lambda _: "p")
    write(folder, document(2))
    with monkeypatch.context() as killed:
        killed.setattr(layout, "publish", _killed)
        with pytest.raises(KeyboardInterrupt):
            compact(folder, dataset, project_of=lambda _: "p")
    assert len(rows(dataset)) == 1  # whole, as it was
    assert said(capsys, "list", "-n", "0", "--from", str(dataset)) == said(capsys, "list", "-n", "0")
    assert compact(folder, dataset, project_of=lambda _: "p").there == 2
    assert len(rows(dataset)) == 2


def _killed(_dataset: Path, entry: layout.Entry) -> None:
    if entry.number > 1:
        raise KeyboardInterrupt


def test_a_file_of_an_older_version_gets_the_columns_of_today(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, document(0))
    known = columns._columns()
    with monkeypatch.context() as older:
        older.setattr(columns, "_columns", lambda: {name: known[name] for name in known if name != "tags"})
        columns.schema.cache_clear()
        compact(folder, tmp_path / "dataset", project_of=lambda _: "p")
    columns.schema.cache_clear()
    write(folder, {**document(2), "tags": ["x"]})
    compact(folder, tmp_path / "dataset", project_of=lambda _: "p")
    assert rows(tmp_path / "dataset", "tags") == [[], ["x"]]


@pytest.fixture(autouse=True)
def _schema_of_today() -> Iterator[None]:
    yield
    columns.schema.cache_clear()


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        ("{", "cannot be read"),
        ('{"number": 1, "kind": "of others"}', "is no log of ours"),
        ('{"number": 1, "version": 2}', "was written by a newer nimble-watch; install that one"),
    ],
)
def test_a_log_that_is_not_ours_is_not_written_over(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], log: str, sentence: str
) -> None:
    write(folder, document(0))
    (tmp_path / "dataset" / "_log").mkdir(parents=True)
    (tmp_path / "dataset" / "_log" / "00000001.json").write_text(log)
    assert cli.main(["session", "compact", str(tmp_path / "dataset")]) == 1
    assert sentence in capsys.readouterr().err


def test_a_dataset_that_is_not_there_or_broken_is_one_sentence(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = tmp_path / "dataset"
    assert cli.main(["session", "list", "--from", str(dataset)]) == 1
    assert f"there is no dataset {dataset}; `nimble-watch session compact` makes one" in capsys.readouterr().err
    write(folder, document(0))
    compact(folder, dataset, project_of=lambda _: "p")
    next(iter(layout.files(dataset).values())).write_bytes(b"PAR1 and no more")
    assert cli.main(["session", "list", "--from", str(dataset)]) == 1
    assert "the dataset cannot be read" in capsys.readouterr().err


def test_a_name_of_a_project_leads_nowhere_else() -> None:
    assert layout.partition("../a b", None) == "project=%2E%2E%2Fa%20b/month=__HIVE_DEFAULT_PARTITION__"
