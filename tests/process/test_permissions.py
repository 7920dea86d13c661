"""What a machine forbids excuses a test, and nothing else does: pytest run on tests that are left out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REQUIRE_ALL

ROOT = Path(__file__).parents[2]
LEFT_OUT = """\
import pytest
from tests.permissions import Permission, allowed, forbidden

def test_forbidden():
    forbidden(Permission.PID_NAMESPACE, "as the test asked")

def test_refused():
    allowed(Permission.MOUNT, ("sh", "refusing"))

def test_broken():
    allowed(Permission.MOUNT, ("sh", "-c", "echo mount: unknown option >&2; exit 1"))

def test_missing():
    pytest.skip("there is no such program here")

def test_allowed():
    assert allowed(Permission.MOUNT, ("false",), ("env",)) == ["env"]
"""


@pytest.mark.parametrize(("require", "failed"), [("", {"test_broken"}), ("1", {"test_broken", "test_missing"})])
def test_only_what_the_machine_forbids_may_be_left_out_where_all_must_run(
    require: str, failed: set[str], tmp_path: Path
) -> None:
    (tmp_path / "test_left_out.py").write_text(LEFT_OUT)
    (tmp_path / "refusing").write_text("echo mount: Operation not permitted >&2; exit 1\n")
    command = [sys.executable, "-m", "pytest", "-q", "-rfs", "-c", os.devnull, "--rootdir", str(tmp_path), "-p",
               "tests.conftest", "-p", "no:cacheprovider", str(tmp_path)]  # fmt: skip
    environ = {**os.environ, REQUIRE_ALL: require, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert {line.split("::")[1].split()[0] for line in lines if line.startswith("FAILED ")} == failed, done.stdout
    told = {line.split("::")[1] for line in lines if "NOT TESTED, this machine forbids " in line and "::" in line}
    assert told == {
        "test_forbidden: NOT TESTED, this machine forbids PID namespaces: as the test asked",
        "test_refused: NOT TESTED, this machine forbids mounts: sh refusing: mount: Operation not permitted",
    }
    assert any("2 NOT TESTED HERE" in line for line in lines)
