"""No secret of a command line is stored or printed by us, however the child spreads it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.process.sides import nimble_watch, run

PLAIN = "pl4in-w0rd-in-n0-f0rm-that-anyb0dy-kn0ws"
MAKEFILE = """\
install:
\t@echo "fatal: key $$NGC_API_KEY refused" >&2; exit 7
all:
\t+@$(NW) run install
inside:
\t@sh -c 'echo "fatal: word $$2 refused" >&2; exit 3' x --token "$(WORD)"
"""


@pytest.mark.parametrize(
    ("words", "above"),
    [
        (["run", "install", f"NGC_API_KEY={PLAIN}"], []),
        (["run", "inside", f"WORD={PLAIN}", f"TOKEN={PLAIN}"], []),
        ([], ["make", "all", f"NGC_API_KEY={PLAIN}"]),
        (["exec", "--", "make", "install", f"NGC_API_KEY={PLAIN}"], []),
        (["exec", "--", "sh", "-c", 'echo "fatal: $2 refused" >&2; exit 2', "x", "--token", PLAIN], []),
        (["exec", "--", "sh", "-c", 'echo "fatal: $1 refused" >&2; exit 2', "x", f"--password={PLAIN}"], []),
        (["exec", "--", "sh", "-c", 'echo "fatal: $1 refused" >&2; exit 2', "x", f"https://me:{PLAIN}@host/x"], []),
        (["exec", "--", "sh", "-c", f"API_KEY={PLAIN}; echo fatal: $API_KEY refused >&2; exit 2"], []),
    ],
)
def test_what_stands_on_a_command_line_is_neither_kept_nor_told(
    words: list[str], above: list[str], tmp_path: Path, sessions: Path
) -> None:
    """Section 1.5: MAKEFLAGS and arguments tell it to everybody below, and what fails tells it to us."""
    (tmp_path / "Makefile").write_text(MAKEFILE)
    ours = " ".join(nimble_watch())
    environ = {**os.environ, "DEBUG": "1", "NW": ours}
    done = run(above or [*nimble_watch(), *words], cwd=tmp_path, env=environ)
    assert PLAIN.encode() in done.err  # the child's own words stay as they are
    told = [line for line in done.err.splitlines() if PLAIN.encode() in line and not line.startswith(b"fatal: ")]
    assert told == []
    kept = {path: path.read_bytes() for path in sessions.rglob("*") if path.is_file()}
    assert any(b"refused" in content for content in kept.values())
    assert [path.name for path, content in kept.items() if PLAIN.encode() in content] == []
