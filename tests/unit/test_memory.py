"""The kernel's count of processes killed for want of memory, in the layouts of both versions of cgroups."""

from __future__ import annotations

from pathlib import Path

import pytest

from nimble_watch.system.memory import oom_kills

V2 = "low 0\nhigh 0\nmax 9\noom 4\noom_kill 3\noom_group_kill 0\n"
V1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"


@pytest.mark.parametrize(
    ("mine", "files", "count"),
    [
        ("0::/a/b\n", {"a/b/memory.events": V2}, 3),
        ("0::/a/b\n", {"memory.events": V2}, 3),  # a container that sees its own cgroup as the root
        ("4:cpu,memory:/a\n0::/\n", {"memory/a/memory.oom_control": V1}, 2),
        ("4:cpu:/a\n0::/\n", {}, None),
        ("0::/a\n", {"a/memory.events": "oom_kill many\n"}, None),
        ("", {}, None),
    ],
)
def test_the_count_is_found_where_the_cgroup_has_it(
    mine: str, files: dict[str, str], count: int | None, tmp_path: Path
) -> None:
    for name, text in files.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "mine").write_text(mine)
    assert oom_kills(str(tmp_path / "root"), str(tmp_path / "mine")) == count


def test_without_cgroups_nothing_is_known(tmp_path: Path) -> None:
    assert oom_kills(str(tmp_path), str(tmp_path / "nothing")) is None
