"""`session annotate`, by hand as a user does it: what really helped, and where it is seen again."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.process.sides import nimble_watch, run
from tests.process.test_session_commands import Nimble

HELPED = "Put helm into the runner's image."


@pytest.fixture
def nimble(sessions: Path) -> Nimble:
    """Give the program with the sessions folder that `exec` uses, too."""
    return Nimble(sessions)


def fail() -> str:
    """Run a phase that lacks a command; gives what was said."""
    done = run([*nimble_watch(), "exec", "--phase", "install", "--", "sh", "-c", "nosuchcommand"])
    assert done.status == 127
    return done.err.decode()


def the(found: dict[str, Any]) -> dict[str, Any]:
    (obstacle,) = found["obstacles"]
    assert isinstance(obstacle, dict)
    return obstacle


def test_what_helped_is_said_when_the_kind_is_met_again(nimble: Nimble) -> None:
    assert "helped" not in fail()
    first = nimble.current()
    nimble("annotate", "command-missing", "--fix", HELPED, "--root-cause", "The image lost helm.")
    again = nimble.current()
    assert (again["session_id"], again["revision"]) == (first["session_id"], 2)
    assert (the(again)["fix"], the(again)["root_cause"]) == (HELPED, "The image lost helm.")
    assert the(again)["suggested_fix"] == the(first)["fix"]
    said = f"helped last time: {HELPED} ({first['session_id']}, {first['start_time'][:10]})"
    assert f"nimble-watch: command-missing: {said}\n" in fail()
    second = nimble.current()
    assert the(second)["helped_before"][0]["session"] == first["session_id"]
    assert said in " ".join(nimble("summary").stdout.split())
    assert said in " ".join((nimble.folder / f"summary-{second['session_id']}.txt").read_text().split())
    page = run([*nimble_watch(), "explain", "command-missing"]).out.decode()
    assert said in " ".join(page.split())


def test_what_helped_against_an_obstacle_of_a_script_s_own_is_said_when_it_logs_the_like(nimble: Nimble) -> None:
    logged = ("log-obstacle", "install", "resource-quota", "GPU quota exceeded", "none is free", "Ask for more")
    nimble("init")
    nimble(*logged)
    first = nimble.current()["session_id"]
    nimble("annotate", "resource-quota", "--fix", "Moved to AD-2.")
    nimble("init")
    nimble(*logged)
    said = nimble("summary").stdout
    assert re.search(rf"^     before +helped last time: Moved to AD-2. \({first},\n", said, re.MULTILINE)
    explained = run([*nimble_watch(), "explain", "resource-quota"]).out.decode()
    assert f"In your sessions: helped before: Moved to AD-2. ({first}" in explained  # the last fix is the script's own
    assert "Kinds of this type: " in explained


def test_what_helped_is_said_in_the_session_that_is_still_open(nimble: Nimble) -> None:
    nimble("init")
    fail()
    nimble("annotate", "command-missing", "--fix", HELPED)
    assert f"helped last time: {HELPED}" in fail()
    assert [len(one["helped_before"]) for one in nimble.current()["obstacles"]] == [0, 1]


def test_a_history_that_cannot_be_read_does_not_matter(nimble: Nimble) -> None:
    nimble.folder.mkdir()
    for number, content in enumerate((b"{", b"\xff\xfe", b'{"obstacles": [{"kind": "command-missing", "fix": 7}]}')):
        (nimble.folder / f"session-20990101-00000{number}.json").write_bytes(content)
    (nimble.folder / "session-20990101-000009.json").mkdir()
    said = fail()
    assert "command-missing: command nosuchcommand is not there" in said
    assert "helped" not in said
    assert "recorded as" in said


def test_no_secret_is_kept_and_nothing_is_kept_of_what_is_refused(nimble: Nimble) -> None:
    key, secret = "nvapi-" + "x" * 64, "hush-hush-7"
    nimble("log-obstacle", "install", "image-pull", "d", "c", "f")
    nimble("annotate", "image-pull", "--fix", f"docker login -p {key}", "--note", f"with {key}", MY_TOKEN=secret)
    nimble("annotate", "--note", f"{secret} was it", MY_TOKEN=secret)
    everything = "".join(path.read_text() for path in nimble.folder.rglob("*") if path.is_file())
    assert key not in everything
    assert secret not in everything
    before = (nimble.folder / "current.json").read_bytes()
    for words, why in (
        (("image-auth", "--fix", "x"), r"has no obstacle 'image-auth'; it has obs-\d+-\d+ \(image-pull, in install\)"),
        (("image-pull",), "needs something to keep"),
        (("--fix", "x"), "said of an obstacle"),
        (("image-pull", "--fix", " "), "--fix is empty"),
        (("--tag", "two words"), "cannot be a tag"),
        (("--tag", "x", "--untag", "x"), "given and taken away at once"),
        (("last", "--tag", "x", "--session", "last"), "named twice"),
        (("last~7", "--tag", "x"), "there are only 1 sessions"),
        (("../../etc", "--tag", "x"), "no session '../../etc'"),
    ):
        done = nimble("annotate", *words, status=1 if "no " in why or "only" in why else 2)
        assert re.search(why, done.stderr), done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert (nimble.folder / "current.json").read_bytes() == before


def test_of_two_obstacles_of_a_kind_one_is_named_by_its_id(nimble: Nimble) -> None:
    for _ in range(2):
        nimble("log-obstacle", "install", "timeout", "d", "c", "f")
    first, second = (one["id"] for one in nimble.current()["obstacles"])
    done = nimble("annotate", "timeout", "--fix", "waited", status=1)
    assert first in done.stderr
    assert second in done.stderr
    assert nimble("annotate", second, "--fix", "waited").stdout.startswith(
        f"kept in {nimble.current()['session_id']}: "
    )
    assert [one["fix"] for one in nimble.current()["obstacles"]] == ["f", "waited"]


def test_sessions_are_tagged_and_found_again(nimble: Nimble) -> None:
    names = []
    for _ in range(3):
        names.append(nimble("init").stdout.strip())
        nimble("end")
    assert len({*names}) == 3
    nimble("annotate", "last~2", "--tag", "new-driver", "--tag", "friday", "--note", "The old driver hung.")
    nimble("annotate", names[1].removeprefix("session-"), "--tag", "new-driver")
    nimble("annotate", "--session", names[1], "--tag", "demo", "--untag", "new-driver")
    assert nimble("list", "--tag", "new-driver", "-o", "name").stdout.split() == [names[0]]
    (found,) = json.loads(nimble("list", "--tag", "friday", "-o", "json").stdout)
    assert (found["tags"], found["notes"]) == (["new-driver", "friday"], ["The old driver hung."])
    assert "Note    The old driver hung." in nimble("summary", "last~2").stdout
    assert nimble("list", "--tag", "demo", "-o", "csv").stdout.splitlines()[1].endswith(",demo")


def test_one_that_was_put_away_is_named_with_its_folder(nimble: Nimble) -> None:
    name = nimble("init").stdout.strip()
    nimble("end")
    nimble("init")
    nimble("archive", "--keep", "1")
    done = nimble("annotate", name, "--tag", "x", status=1)
    put = nimble.folder / "archive"
    assert f"{name} was put away ({put}); name it with --sessions {put}" in done.stderr
    nimble("annotate", "--sessions", str(put), name, "--tag", "x")
    assert json.loads((put / f"{name}.json").read_text())["tags"] == ["x"]
