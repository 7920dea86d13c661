"""What README.md says is what a person gets."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from nimble_watch.config import FILE, file_of
from nimble_watch.session import Targets
from tests.readme import README, renewed, untold

BIN = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    """Give README's code blocks of a language."""
    return [part.partition("\n```")[0] for part in README.read_text().split(f"```{language}\n")[1:]]


def test_the_generated_parts_are_as_the_program_makes_them() -> None:
    """`python -m tests.readme` writes them anew."""
    assert README.read_text() == renewed(README.read_text())


@pytest.mark.parametrize("status", [0, 7])
def test_the_steps_for_a_pipeline_run_as_they_stand(tmp_path: Path, status: int) -> None:
    """Each `run` in a shell of its own, as a runner does it, with the step's environment."""
    steps, _ = (yaml.safe_load(block) for block in blocks("yaml"))  # the other is run in tests/stores/test_oci.py
    script = tmp_path / "install.sh"
    script.write_text(f"#!/bin/sh\necho installing\nexit {status}\n")
    script.chmod(0o755)
    ended = []
    for step in steps:
        environment = {**os.environ, **step["env"], "PATH": f"{BIN}:{os.environ['PATH']}", "KUBECONFIG": os.devnull}
        ended.append(
            subprocess.run(
                ["bash", "-e", "-c", step["run"]],
                cwd=tmp_path,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
        )
    install, summary = ended
    assert (install.returncode, install.stdout) == (status, "installing\n")
    assert summary.returncode == 0, summary.stderr
    assert "install" in summary.stdout
    assert ("phase-failed" in summary.stdout) is bool(status)


def test_the_settings_file_that_it_shows_is_one(tmp_path: Path) -> None:
    (settings,) = blocks("toml")
    (tmp_path / FILE).write_text(settings)
    file = file_of(tmp_path)
    assert file.texts == {"environment": "staging", "region": "us-phoenix-1"}
    assert file.targets == Targets(
        duration=1800, phases={"install": 1200}, efficiency=Decimal(95), cost_usd=Decimal("2.50"), source=FILE
    )


def test_the_commands_that_it_names_exist() -> None:
    """Targets of the Makefile and subcommands of ours."""
    text = README.read_text()
    help_text = subprocess.run(["make", "help"], cwd=README.parent, capture_output=True, text=True, check=True).stdout
    for target in ("demo", "test", "all", "session-summary", "session-compare", "cleanup", "cluster-up", "bench"):
        assert f"make {target}" in text
        assert f"  {target} " in help_text
    for subcommand in ("session", "kinds", "explain", "prices", "exec"):
        done = subprocess.run([BIN / "nimble-watch", subcommand, "--help"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_a_transcript_may_differ_in_times_and_amounts_and_in_nothing_else() -> None:
    """Another run of the demo takes another time; another wording is another program."""
    lines = ["$ make demo", "...", "install: done after 1:04, cost $0.04", "end of pod a-6749bbfdcd-zgzhw"]
    shown = "\n".join(["<!-- transcript -->", "```", *lines, "```", ""])
    assert untold(shown, "install: done after 38 s, cost   $0.02\nmore\nend of pod a-55d5fdf7c-jdss8\n") == []
    assert untold(shown, "install: ended after 38 s, cost $0.02\nend of pod a-55d5fdf7c-jdss8\n") != []
    assert untold(shown, "end of pod a-55d5fdf7c-jdss8\ninstall: done after 38 s, cost $0.02\n") != []
