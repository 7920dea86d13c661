"""What is imported before the child starts: a list that may only be as long as it is cheap."""

from __future__ import annotations

import sys

from tests.process.sides import PACKAGE, run

HEAVY = (
    "argparse",
    "collections",
    "contextlib",
    "ctypes",
    "dataclasses",
    "enum",
    "functools",
    "json",
    "kubernetes",
    "logging",
    "msgspec",
    "pathlib",
    "re",
    "select",
    "shutil",
    "signal",
    "socket",
    "struct",
    "structlog",
    "subprocess",
    "tempfile",
    "tenacity",
    "threading",
    "typing",
)

PROGRAM = """
import os, sys
before = set(sys.modules)
def spawned(*_args, **_settings):
    os.write(1, " ".join(sorted(set(sys.modules) - before)).encode())
    os._exit(0)
os.posix_spawnp = spawned
from nimble_watch.cli import main
main(sys.argv[1:])
"""


def test_nothing_heavy_is_imported_before_the_child_starts() -> None:
    """Goal: the child runs after at most twice the time of a bare interpreter's start."""
    for words in (["exec", "-q", "--phase", "x", "--", "true"], ["exec", "--timeout", "90", "--", "true"]):
        imported = run([sys.executable, "-c", PROGRAM, *words], cwd=PACKAGE.parent).out.decode().split()
        assert "nimble_watch.launcher.start" in imported
        assert [name for name in imported if name.partition(".")[0] in HEAVY] == []
