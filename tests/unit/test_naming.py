"""Which session a word names: never another one than was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from nimble_watch.cli._naming import choose
from nimble_watch.errors import NimbleWatchError


def folder_of(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / f"session-{name}.json").write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("last", "20260103-000000-2"),
        ("last~0", "20260103-000000-2"),
        ("last~2", "20260102-000000"),
        ("20260102", "20260102-000000"),
        ("session-20260102-0", "20260102-000000"),
        ("session-20260103-000000", "20260103-000000"),
        ("20260103-000000-2", "20260103-000000-2"),
        ("session-20260101-000000", "20260101-000000.c0ffee"),
        ("20260101-000000", "20260101-000000.c0ffee"),
    ],
)
def test_a_session_is_named_by_its_place_and_by_its_beginning(tmp_path: Path, word: str, name: str) -> None:
    folder = folder_of(tmp_path, "20260102-000000", "20260103-000000", "20260103-000000-2")
    folder_of(tmp_path / "shared", "20260101-000000.c0ffee")
    assert choose(folder, word) == f"session-{name}"


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("20260103", r"beginning of 2 sessions \(session-20260103-000000-3, session-20260103-000000-2\); type more"),
        ("session-20260103-000000", "there is no session 'session-20260103-000000'"),
        ("20260103-000000", "there is no session '20260103-000000'"),
        ("last~3", "there are only 3 sessions"),
        ("last~x", "there is no session 'last~x'"),
        (
            "session-20250101-000000",
            r"session-20250101-000000 was put away \(.*archive\); name it with --sessions .*archive",
        ),
        ("2025", "session-20250101-000000 was put away"),
    ],
)
def test_a_whole_id_is_no_beginning_and_one_put_away_is_known(tmp_path: Path, word: str, why: str) -> None:
    folder = folder_of(tmp_path, "20260102-000000", "20260103-000000-2", "20260103-000000-3")
    folder_of(tmp_path / "archive", "20250101-000000")
    with pytest.raises(NimbleWatchError, match=why):
        choose(folder, word)
