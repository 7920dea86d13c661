"""`nimble-watch session ...`: real commands, one after the other, as the guide's scripts call them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from nimble_watch.cli import events, quick
from tests.process.sides import end, nimble_watch, start, until

BACKSLASH = "\\"


class Nimble:
    """The program with a sessions folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *words: str, status: int = 0, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a subcommand of `session` and expect its status."""
        done = subprocess.run(
            [sys.executable, "-m", "nimble_watch", "session", *words],
            env={**os.environ, "NIMBLE_WATCH_SESSIONS": str(self.folder), **environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        return done

    def current(self) -> dict[str, Any]:
        """Give the JSON that current.json points to."""
        found: dict[str, Any] = json.loads((self.folder / "current.json").read_text())
        return found


@pytest.fixture
def nimble(tmp_path: Path) -> Nimble:
    """Give the program with a folder that does not exist yet."""
    return Nimble(tmp_path / "sessions")


def test_the_guide_s_workflow_leaves_the_guide_s_files(nimble: Nimble) -> None:
    session_id = nimble("init", "complete-workflow", OCI_REGION="us-phoenix-1").stdout.strip()
    nimble("start-phase", "discover")
    nimble(
        "log-obstacle", "discover", "network-timeout", "kubectl connection timeout",
        "Firewall blocking kubectl API access", "Added security group rule for port 6443", "45", "0.02",
    )  # fmt: skip
    nimble("end-phase", "discover")
    nimble("update-costs", "1.85", "1.87")
    nimble("end")
    found = nimble.current()
    assert found["region"] == "us-phoenix-1"
    assert (found["state"], found["result"]) == ("ended", "success")
    (logged,) = found["obstacles"]
    assert re.fullmatch(r"obs-\d+-\d+", logged["id"])
    assert found["phases"]["discover"]["obstacles"] == [logged["id"]]
    assert (logged["time_delay_seconds"], logged["cost_impact_usd"]) == (45, 0.02)
    assert (found["costs"]["estimated_hourly"], found["costs"]["actual_hourly"]) == (1.85, 1.87)
    (line,) = (nimble.folder / "all-sessions.txt").read_text().splitlines()
    assert re.fullmatch(
        rf"SESSION: {session_id} \| complete-workflow \| dev \| \d+s \| 0\.0% \| \$\d+\.\d\d \| 1 obstacles", line
    )
    assert nimble("summary").stdout == (nimble.folder / f"summary-{session_id}.txt").read_text()


def test_an_obstacle_without_a_session_begins_one_that_stays_open(nimble: Nimble) -> None:
    for _ in range(2):
        nimble("log-obstacle", "deploy", "image-pull", "d", "c", "f")
    found = nimble.current()
    assert (found["operation"], found["state"], len(found["obstacles"])) == ("manual", "open", 2)
    assert found["obstacles"][0]["time_delay_seconds"] is None
    assert found["obstacles"][0]["unknown"]["time_delay_seconds"] == "not given"


@pytest.mark.parametrize(
    ("delay", "cost", "seconds", "dollars", "warnings"),
    [
        ("30", ".030", 30, 0.03, 0),
        ("30.5", "-.05", 31, -0.05, 0),
        ("", "", None, None, 2),
        ("soon", "1e999", None, None, 2),
        ("-5", "NaN", None, None, 2),
    ],
)
def test_numbers_are_read_as_bc_prints_them_and_what_is_none_is_unknown(
    nimble: Nimble, delay: str, cost: str, *, seconds: int | None, dollars: float | None, warnings: int
) -> None:
    done = nimble("log-obstacle", "verify", "timeout", "d", "c", "f", delay, cost)
    (logged,) = nimble.current()["obstacles"]
    assert (logged["time_delay_seconds"], logged["cost_impact_usd"]) == (seconds, dollars)
    assert done.stderr.count("taken as unknown") == warnings


def test_texts_arrive_intact_but_for_secrets_and_control_characters(nimble: Nimble) -> None:
    text = f"--a 'b' \"c\" $d `e` {BACKSLASH} ünï\nsecond line"
    key = "nvapi-" + "x" * 64
    nimble("log-obstacle", "verify", "config-error", text, f"\x1b[31m##[add-path]{key}", "-fix")
    (logged,) = nimble.current()["obstacles"]
    assert logged["description"] == text
    assert logged["root_cause"] == "^[[31m## [add-path]nvapi-***"
    assert logged["fix"] == "-fix"
    assert key not in "".join(path.read_text() for path in nimble.folder.rglob("*") if path.is_file())


def test_fields_may_come_from_standard_input_of_any_length(nimble: Nimble) -> None:
    """A command line holds 128 KiB in one word; what a script captured may be longer."""
    text = b"--a 'b' $(c)\nsecond line \xff"
    fields = [b"verify", b"config-error", text, b"word " * 100_000, b"", b"", b".030"]
    done = subprocess.run(
        [sys.executable, "-m", "nimble_watch", "session", "log-obstacle", "--stdin"],
        env={**os.environ, "NIMBLE_WATCH_SESSIONS": str(nimble.folder)},
        input=b"".join(field + b"\0" for field in fields),
        capture_output=True,
        check=True,
        timeout=60,
    )
    (logged,) = nimble.current()["obstacles"]
    assert logged["description"] == "--a 'b' $(c)\nsecond line \\udcff"
    assert (len(logged["root_cause"]), logged["root_cause"][-1], logged["fix"]) == (65_536, "…", "")
    assert (logged["time_delay_seconds"], logged["cost_impact_usd"]) == (None, 0.03)
    assert done.stderr.count(b"taken as unknown") == 1


def test_the_figures_so_far_are_calculated_on_demand(nimble: Nimble) -> None:
    nimble("init")
    nimble("log-obstacle", "a", "b", "c", "d", "e", "3600", "0")
    said = dict(line.split(": ") for line in nimble("calculate-performance").stdout.splitlines())
    assert list(said) == ["total_duration", "obstacle_count", "total_obstacle_time", "efficiency_score"]
    assert said["efficiency_score"] == "0.0% (Poor)"
    assert nimble.current()["performance"]["obstacle_count"] == int(said["obstacle_count"]) == 1


def test_the_events_that_go_the_short_way_are_those_that_there_are() -> None:
    assert tuple(events.EVENTS) == quick.EVENTS


def test_the_schema_that_is_printed_is_the_one_that_sessions_are_valid_by(nimble: Nimble) -> None:
    printed = json.loads(nimble("schema").stdout)
    nimble("init")
    Draft202012Validator(printed).validate(nimble.current())
    with pytest.raises(ValidationError):
        Draft202012Validator(printed).validate(nimble.current() | {"state": "half"})


def test_every_subcommand_explains_itself(nimble: Nimble) -> None:
    for name in ("init", "start-phase", "end-phase", "log-obstacle", "update-costs", "end", "calculate-performance"):
        assert f"usage: nimble-watch session {name} " in nimble(name, "--help").stdout


def test_64_kib_of_text_arrive_whole(nimble: Nimble) -> None:
    text = "word " * 13_107
    nimble("log-obstacle", "verify", "config-error", text, "c", "f")
    assert nimble.current()["obstacles"][0]["description"] == text


def test_more_than_a_tenth_above_the_plan_is_an_obstacle_and_only_once(nimble: Nimble) -> None:
    nimble("update-costs", "1.85", "1.87")
    assert nimble.current()["obstacles"] == []
    nimble("update-costs", "1.00", "1.30")
    nimble("log-obstacle", "cost-tracking", "cost-variance", "Actual cost 30.00% higher", "c", "f", "0", ".30")
    (variance,) = nimble.current()["obstacles"]
    assert (variance["type"], variance["phase"], variance["cost_impact_usd"]) == ("cost-variance", "cost-tracking", 0.3)
    assert variance["description"] == "Actual cost 30.00% higher"


def test_a_phase_tells_its_plan_and_overrides_nothing(nimble: Nimble) -> None:
    nimble("init")
    nimble("plan-costs", "2.01", "2.00 for a node", NIMBLE_WATCH_PHASE="install")
    costs = nimble.current()["costs"]
    assert (costs["estimated_hourly"], costs["actual_hourly"], costs["session_total"]) == (2.01, None, None)
    assert costs["sources"] == {"estimated_hourly": "planned by install: 2.00 for a node"}
    assert "planned $2.01" in nimble("summary").stdout
    nimble("plan-costs", "unpriced", "VM.GPU.X: no such shape")
    costs = nimble.current()["costs"]
    assert costs["estimated_hourly"] is None
    assert costs["unknown"]["estimated_hourly"] == "the plan has no price: VM.GPU.X: no such shape"


def test_the_next_init_ends_the_session_before(nimble: Nimble) -> None:
    first = nimble("init").stdout.strip()
    second = nimble("init").stdout.strip()
    assert first != second
    assert json.loads((nimble.folder / f"{first}.json").read_text())["state"] == "ended"
    assert nimble.current()["session_id"] == second


def test_the_session_of_the_environment_beats_the_current_one(nimble: Nimble) -> None:
    first = nimble("init").stdout.strip()
    nimble("log-obstacle", "a", "b", "c", "d", "e", NIMBLE_WATCH_SESSION=first)
    nimble("init")
    done = nimble("show", NIMBLE_WATCH_SESSION=first)
    assert json.loads(done.stdout)["session_id"] == first


def test_an_open_session_shows_the_figures_so_far(nimble: Nimble) -> None:
    nimble("init")
    nimble("start-phase", "install")
    done = nimble("summary")
    assert "still open" in done.stdout
    assert re.search(r"install +\d+s  running", done.stdout)


def test_a_failed_phase_makes_a_failed_session(nimble: Nimble) -> None:
    nimble("start-phase", "install")
    nimble("end-phase", "install", "2")
    nimble("end")
    found = nimble.current()
    assert (found["result"], found["phases"]["install"]["exit"]) == ("failure", 2)


def test_sessions_are_named_by_last_and_by_a_unique_beginning(nimble: Nimble) -> None:
    names = [nimble("init").stdout.strip() for _ in range(2)]
    assert nimble("list", "-o", "name").stdout.split() == names[::-1]
    assert json.loads(nimble("show", "last~1").stdout)["session_id"] == names[0]
    assert "only 2 sessions" in nimble("show", "last~2", status=1).stderr
    assert "beginning of 2 sessions" in nimble("show", names[0][:12], status=1).stderr
    assert json.loads(nimble("show", names[0].removeprefix("session-"), status=0).stdout)["session_id"] == names[0]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("log-obstacle", "a", "b"), 2, "log-obstacle takes phase, type, description"),
        (("update-costs", "1"), 2, "update-costs takes the estimated and the actual"),
        (("plan-costs", "2.01"), 1, "no session is open"),
        (("end",), 1, "no session is open"),
        (("end-phase", "x"), 1, "no session is open"),
        (("end-phase", "x", "failed"), 2, "the exit status of x is 'failed', not a number"),
        (("start-phase",), 2, "start-phase takes PHASE; got 0 words"),
        (("start-phase", "--session", "x", "y"), 2, "did you mean --sessions?"),
        (("init", "--environment"), 2, "--environment needs a value: NAME"),
        (("log-obstacle", "--stdin", "a"), 2, "from standard input only"),
        (("show", "../../etc/passwd"), 1, "there are no sessions yet"),
        (("summary",), 1, "there are no sessions yet"),
        (("nonsense",), 2, "WHAT cannot be 'nonsense'"),
        (("sumary",), 2, "did you mean summary?"),
        ((), 2, "required"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(nimble: Nimble, words: tuple[str, ...], status: int, said: str) -> None:
    done = nimble(*words, status=status)
    assert done.stdout == ""
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = Nimble(tmp_path / "file" / "x")("log-obstacle", "a", "b", "c", "d", "e", status=1)
    assert re.fullmatch(r"nimble-watch: cannot make .*: Not a directory; .*\n", done.stderr)


def test_a_pipeline_may_fail_on_a_session_that_is_slower_than_usual(nimble: Nimble) -> None:
    nimble.folder.mkdir()

    def session(number: int, seconds: int, result: str = "success") -> None:
        name = f"session-20260101-00000{number}"
        about = {
            "session_id": name, "operation": "install", "environment": "ci",
            "start_time": f"2026-01-01T00:00:0{number}Z",
            "phases": {"install": {"duration": seconds}}, "performance": {"total_duration": seconds}, "result": result,
        }  # fmt: skip
        (nimble.folder / f"{name}.json").write_text(json.dumps(about))

    for number in range(6):
        session(number, 100 + number)
    assert "same" in nimble("compare", "--fail-on", "slower", "--fail-on", "failed").stdout
    session(7, 200)
    assert "- install explains most of it: 1:38 more than usual" in nimble("compare").stdout
    nimble("compare", "--fail-on", "failed")
    nimble("compare", "--fail-on", "slower", status=1)
    session(8, 10, "failure")
    nimble("compare", "--fail-on", "failed", status=1)


def test_the_list_shows_what_was_asked_for_in_the_order_that_was_asked_for(nimble: Nimble) -> None:
    nimble.folder.mkdir()

    def session(day: int, **fields: Any) -> None:
        name = f"session-2026010{day}-000000"
        about = {"session_id": name, "start_time": f"2026-01-0{day}T00:00:00Z", "result": "success", **fields}
        (nimble.folder / f"{name}.json").write_text(json.dumps(about))

    session(1, environment="prod", performance={"total_duration": 300}, tags=["release"])
    session(2, environment="dev", performance={"total_duration": 900}, result="failure")
    session(3, environment="dev", obstacles=[{"id": "obs-1", "type": "image-pull", "kind": "image-auth"}])

    def days(*words: str) -> str:
        return "".join(name[15] for name in nimble("list", "-o", "name", *words).stdout.split())

    assert days() == "321"
    assert days("-n", "2") == "32"
    assert days("--environment", "dev") == "32"
    assert days("--result", "failure") == days("--since", "2026-01-02", "--until", "2026-01-02") == "2"
    assert days("--kind", "image-auth") == days("--kind", "image-pull") == "3"
    assert days("--tag", "release") == "1"
    assert days("--sort", "duration") == "213"
    assert "cannot read 'yesterday' as a day" in nimble("list", "--since", "yesterday", status=2).stderr
    assert "No session is as asked for" in nimble("list", "--tag", "none").stdout
    assert nimble("list", "-o", "csv").stdout.count("\n") == 4


def test_old_sessions_are_named_before_they_go(nimble: Nimble) -> None:
    nimble.folder.mkdir()
    names = [f"session-2025010{day}-000000" for day in (1, 2, 3)]
    for name in names:
        (nimble.folder / f"{name}.json").write_text(json.dumps({"session_id": name}))
    assert "needs to know which ones" in nimble("prune", status=2).stderr
    assert "--older-than cannot read" in nimble("prune", "--older-than", "old", status=2).stderr
    told = nimble("prune", "--keep", "2", "--older-than", "30d", "--dry-run")
    assert (told.stdout, told.stderr) == (f"{names[0]}\n", "nimble-watch: 1 session would be removed\n")
    nimble("prune", "--keep", "2", "--older-than", "30d")
    nimble("archive", "--keep", "1")
    assert nimble("list", "-o", "name").stdout == f"{names[2]}\n"
    assert nimble("list", "-o", "name", "--sessions", str(nimble.folder / "archive")).stdout == f"{names[1]}\n"


def test_an_empty_history_is_no_error(nimble: Nimble) -> None:
    assert nimble("list").stdout == "No sessions yet.\n"
    assert "No sessions yet" in nimble("compare").stdout


@pytest.mark.parametrize("output", ["table", "wide", "obstacles"])
def test_a_filter_that_nothing_passes_does_not_say_that_there_is_no_history(output: str, nimble: Nimble) -> None:
    nimble("init")
    said = nimble("list", "--operation", "other", "-o", output).stdout
    assert said == "No session is as asked for; `nimble-watch session list` shows all.\n"


@pytest.mark.parametrize("value", ["1", "true", "yes", "on", "TRUE"])
def test_debug_says_on_stderr_what_is_done_without_secrets(nimble: Nimble, value: str) -> None:
    nimble("init")
    done = nimble("summary", DEBUG=value, NGC_API_KEY="hunter2hunter2", NIMBLE_WATCH_SESSION="hunter2hunter2", status=1)
    assert "nimble-watch debug: " in done.stderr
    assert "what=summary" in done.stderr
    assert "hunter2" not in done.stderr


def test_without_debug_nothing_is_said(nimble: Nimble) -> None:
    nimble("init")
    assert nimble("summary", DEBUG="0").stderr == ""


def test_nothing_that_an_event_does_not_need_is_imported_on_the_way(nimble: Nimble) -> None:
    """Goal: under 60 ms for each event that a script tells."""
    nimble("init")
    script = (
        "import sys; from nimble_watch.cli import main; main(['session', 'log-obstacle', 'a', 'b', 'c', 'd', 'e']); "
        "print(sorted({'kubernetes', 'structlog', 'tenacity', 'oci', 'argparse', 'gettext', 'json', 'shutil', 'socket',"
        " 'subprocess', 'typing_extensions', 'nimble_watch.config', 'nimble_watch.reports', 'nimble_watch.cli.help'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "NIMBLE_WATCH_SESSIONS": str(nimble.folder)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "[]\n"


def test_a_session_that_is_open_shows_its_figures_so_far(tmp_path: Path, sessions: Path) -> None:
    nimble, go = Nimble(sessions), tmp_path / "go"
    command = [
        *nimble_watch(),
        "exec",
        "--phase",
        "install",
        "--",
        "sh",
        "-c",
        f"until [ -e {go} ]; do sleep 0.02; done",
    ]
    running = start(command)
    try:
        until(lambda: (sessions / "current.json").exists() and nimble.current()["phases"], "the session's file")
        text = nimble("summary").stdout
        assert re.search(r"^Started .*, \d+ s so far, still open$", text, re.MULTILINE)
        assert re.search(r"^install +\d+s  running +0 +n/a$", text, re.MULTILINE)
        assert "Cost so far: n/a" in text
        assert nimble("list").stdout.splitlines()[1].split()[3] == "open"
    finally:
        go.touch()
        assert end(running) == 0
    assert re.search(r"^install +\d+s  success", nimble("summary").stdout, re.MULTILINE)
