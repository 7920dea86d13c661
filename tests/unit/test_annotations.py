"""What people say of a session later: kept in the order in which it was said, in open sessions and in ended ones."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from nimble_watch import claim, store
from nimble_watch import session as s
from nimble_watch.reports.summary import summary

UID = "01996d0a-1800-7000-8000-000000c0ffee"
ADVICE = "Create the secret anew."
HELPED = "The key had no right to the image; asked for it."


def obstacle(number: int = 1, *, fix: str = ADVICE, **fields: Any) -> s.Obstacle:
    return s.Obstacle(id=f"obs-{number}", phase="install", kind="image-auth", type="image-pull", fix=fix, **fields)


def begun(folder: Path, session_id: str, *more: s.Record, at: float = 1_790_000_000.0) -> None:
    """Begin a session, left open as a shell leaves it, with an obstacle that was watched."""
    store.make_folders(folder)
    (folder / claim.JOURNALS / session_id).mkdir()
    first = s.session_started(
        session_id=session_id, uid=UID, operation="install", environment="dev", start_time=at, time=at
    )
    store.begin(folder, session_id, first, writer="shell")
    with store.Journal(store.journal_folder(folder, session_id), "observer") as journal:
        for record in (s.obstacle_opened(obstacle(source="watched"), time=at + 1), *more):
            journal.append(record)
    store.refold(folder, session_id)


def ended(folder: Path, session_id: str, *more: s.Record, at: float = 1_790_000_000.0) -> None:
    begun(folder, session_id, *more, at=at)
    store.end(folder, session_id, s.session_ended("success", time=at + 60))


def say(folder: Path, session_id: str, obstacle: str | None = None, **said: Any) -> s.Session:
    record = s.annotated(obstacle, **said, time=time.time())
    return store.keep_annotation(folder, session_id, record, writer=f"command-{threading.get_ident()}")


def raw(folder: Path, session_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{session_id}.json").read_text())
    return found


def test_what_helped_stands_beside_the_advice_also_after_the_watcher_told_more(tmp_path: Path) -> None:
    begun(tmp_path, "session-20260921-120000")
    say(tmp_path, "session-20260921-120000", "obs-1", fix=HELPED, root_cause="No right.")
    with store.Journal(store.journal_folder(tmp_path, "session-20260921-120000"), "observer") as journal:
        journal.append(s.obstacle_closed(obstacle(source="watched", outcome="fixed", count=7)))
    store.end(tmp_path, "session-20260921-120000", s.session_ended("success"))
    (kept,) = raw(tmp_path, "session-20260921-120000")["obstacles"]
    assert (kept["fix"], kept["root_cause"], kept["suggested_fix"]) == (HELPED, "No right.", ADVICE)
    assert (kept["count"], kept["outcome"]) == (7, "fixed")
    assert kept["annotated"]


def test_an_ended_session_gets_one_revision_for_each_thing_that_is_new(tmp_path: Path) -> None:
    ended(tmp_path, "session-20260921-120000")
    assert raw(tmp_path, "session-20260921-120000")["revision"] == 1
    assert say(tmp_path, "session-20260921-120000", "obs-1", fix=HELPED).revision == 2
    assert say(tmp_path, "session-20260921-120000", "obs-1", fix=HELPED).revision == 2
    assert (
        say(tmp_path, "session-20260921-120000", tags=["tuned", "friday"], notes=["With the new driver."]).revision == 3
    )
    assert say(tmp_path, "session-20260921-120000", untag=["friday", "never"]).revision == 4
    assert say(tmp_path, "session-20260921-120000", untag=["never"], tags=["tuned"]).revision == 4
    found = raw(tmp_path, "session-20260921-120000")
    assert (found["tags"], found["notes"]) == (["tuned"], ["With the new driver."])
    assert found["obstacles"][0]["suggested_fix"] == ADVICE
    written = (tmp_path / "summary-session-20260921-120000.txt").read_text()
    assert f"helped     {HELPED}" in written
    assert "Note    With the new driver." in written


def test_advice_that_did_help_is_told_from_advice(tmp_path: Path) -> None:
    ended(tmp_path, "session-20260921-120000")
    assert store.what_helped(tmp_path, "image-auth") == []
    say(tmp_path, "session-20260921-120000", "obs-1", fix=ADVICE)
    assert [one.fix for one in store.what_helped(tmp_path, "image-auth")] == [ADVICE]


def test_who_names_the_cause_alone_does_not_say_that_our_advice_helped(tmp_path: Path) -> None:
    ended(tmp_path, "session-20260921-120000")
    kept = say(tmp_path, "session-20260921-120000", "obs-1", root_cause="The key is of another organisation.")
    assert (kept.obstacles[0].fix, kept.obstacles[0].annotated) == (ADVICE, None)
    assert f"fix        {ADVICE}" in summary(kept)
    assert store.what_helped(tmp_path, "image-auth") == []


def test_what_others_and_people_say_counts_in_the_order_in_which_it_was_said(tmp_path: Path) -> None:
    name = "session-20260921-120000"
    begun(tmp_path, name)
    say(tmp_path, name, "obs-1", fix=HELPED, tags=["a", "b"])
    theirs = raw(tmp_path, name)
    theirs["obstacles"][0]["fix"] = "What an editor says."
    theirs["tags"].append("c")
    (tmp_path / f"{name}.json").write_text(json.dumps(theirs))
    store.refold(tmp_path, name)
    assert raw(tmp_path, name)["obstacles"][0]["fix"] == "What an editor says."
    assert raw(tmp_path, name)["tags"] == ["a", "b", "c"]
    say(tmp_path, name, "obs-1", fix="The last word.", untag=["c", "a"])
    store.end(tmp_path, name, s.session_ended("success"))
    assert raw(tmp_path, name)["obstacles"][0]["fix"] == "The last word."
    assert raw(tmp_path, name)["tags"] == ["b"]


def test_what_another_program_wrote_stays_to_the_digit(tmp_path: Path) -> None:
    text = (
        '{"session_id": "session-20241012-143022", "weights": [0.1000, 1e-7], "phases": {"install": {"by": "hand"}},'
        ' "costs": {"session_total": 0.150}, "obstacles": [{"id": "obs-1", "type": "timeout", "fix": "waited"}]}'
    )
    (tmp_path / "session-20241012-143022.json").write_text(text)
    say(tmp_path, "session-20241012-143022", "obs-1", root_cause="A slow disk.", notes=["Seen twice."])
    written = (tmp_path / "session-20241012-143022.json").read_text()
    assert '"weights": [\n    0.1000,\n' in written
    assert '"session_total": 0.150' in written
    theirs, ours = json.loads(text), json.loads(written)
    assert (ours.pop("notes"), ours.pop("revision")) == (["Seen twice."], 2)
    assert ours["obstacles"][0].pop("root_cause") == "A slow disk."
    assert ours == theirs


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not whole JSON"),
        ("[]", "no JSON object"),
        ('{"schema": 99}', "newer nimble-watch"),
        ('{"tags": {"a": 1}}', "tags in session-20241012-143022.json is no list"),
    ],
)
def test_a_file_that_cannot_take_it_is_left_as_it_is(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "session-20241012-143022.json"
    path.write_text(text)
    with pytest.raises(store.StoreError, match=why):
        say(tmp_path, "session-20241012-143022", tags=["x"])
    assert path.read_text() == text


def test_a_session_of_another_machine_takes_it_once_it_has_ended(tmp_path: Path) -> None:
    """A CI machine is gone by then: what people know of its session is known elsewhere."""
    ended(tmp_path / "theirs", "session-20260921-120000")
    theirs = (tmp_path / "theirs" / "session-20260921-120000.json").read_bytes()
    head = store.read_head(theirs)
    assert head is not None
    marker = theirs.replace(b'"state": "ended"', b'"state": "open"').replace(b'"revision": 1', b'"revision": 0')
    opened = store.read_head(marker)
    assert opened is not None
    folder = tmp_path / "ours"
    store.make_folders(folder)
    store.keep_pulled(folder, opened, marker)
    (name,) = store.session_ids(folder)
    with pytest.raises(store.StoreError, match="still open on another machine; annotate it once it has ended"):
        say(folder, name, "obs-1", fix=HELPED)
    assert store.keep_pulled(folder, head, theirs)
    assert say(folder, name, "obs-1", fix=HELPED).revision == 2
    assert [one.fix for one in store.what_helped(folder, "image-auth")] == [HELPED]
    assert not store.keep_pulled(folder, head, theirs)  # the older revision comes again and changes nothing
    assert store.session_path(folder, name).stat().st_mode & 0o777 == 0o400
    assert list(folder.glob("summary-*")) == []


def test_nothing_that_is_said_at_once_is_lost(tmp_path: Path) -> None:
    ended(tmp_path, "session-20260921-120000")
    threads = [
        threading.Thread(target=say, args=(tmp_path, "session-20260921-120000"), kwargs={"tags": [f"tag-{number}"]})
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = raw(tmp_path, "session-20260921-120000")
    assert (sorted(found["tags"]), found["revision"]) == ([f"tag-{number}" for number in range(8)], 9)


def test_what_is_said_while_a_session_ends_is_in_it(tmp_path: Path) -> None:
    for number in range(10):
        name = f"session-20260921-1200{number:02}"
        begun(tmp_path, name)
        ending = threading.Thread(target=store.end, args=(tmp_path, name, s.session_ended("success")))
        ending.start()
        say(tmp_path, name, tags=["x"])
        ending.join()
        assert (raw(tmp_path, name)["state"], raw(tmp_path, name)["tags"]) == ("ended", ["x"])


def test_what_helped_comes_newest_first_once_each_and_at_most_three(tmp_path: Path) -> None:
    for day, fix in enumerate(("oldest", "old", "twice", "twice", "newest"), start=1):
        name = f"session-2026090{day}-120000"
        ended(tmp_path, name, at=1_788_177_600.0 + day * 86_400)
        say(tmp_path, name, "obs-1", fix=fix)
    (tmp_path / "session-20260908-120000.json").write_text('{"obstacles": "image-auth')
    (tmp_path / "session-20260909-120000.json").mkdir()
    found = store.what_helped(tmp_path, "image-auth")
    assert [(one.fix, one.session, one.date) for one in found] == [
        ("newest", "session-20260905-120000", "2026-09-05"),
        ("twice", "session-20260904-120000", "2026-09-04"),
        ("old", "session-20260902-120000", "2026-09-02"),
    ]
    assert store.what_helped(tmp_path, "quota-exceeded") == []
    assert store.what_helped(tmp_path / "nowhere", "image-auth") == []


def test_what_was_logged_by_hand_tells_what_helped_by_its_type(tmp_path: Path) -> None:
    logged = s.Obstacle(id="obs-9", phase="install", type="image-auth", fix="Renewed the key.", root_cause="Expired.")
    ended(tmp_path, "session-20260921-120000", s.obstacle_logged(logged, time=1_790_000_009.0))
    (found,) = store.what_helped(tmp_path, "image-auth")
    assert (found.fix, found.root_cause) == ("Renewed the key.", "Expired.")


def test_a_summary_says_what_helped_before(tmp_path: Path) -> None:
    before = [s.Remedy(fix=HELPED, session="session-20260901-120000", date="2026-09-01")]
    begun(tmp_path, "session-20260921-120000", s.remembered("obs-1", before, time=1_790_000_002.0))
    loaded = store.load(store.session_path(tmp_path, "session-20260921-120000")).session
    assert loaded is not None
    lines = " ".join(summary(loaded).split())
    assert f"before helped last time: {HELPED} (session-20260901-120000, 2026-09-01)" in lines
