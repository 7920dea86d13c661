"""A repository of a user's own: a home, `nimble-watch` on PATH, and what `nimble-watch shell --install` puts there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PROGRAM = Path(sys.executable).parent / "nimble-watch"
PHASES = ("discover", "prereqs", "install", "verify", "cleanup")


class Repository:
    """A folder with scripts of ours and phases of the user's, one script each that says its name."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder / "repository"
        self.home = folder / "home"
        self.scripts = self.folder / "scripts"
        self.sessions = self.home / ".nimble-oke" / "sessions"
        programs = folder / "programs"
        for made in (self.folder, self.home, programs):
            made.mkdir()
        (programs / "nimble-watch").symlink_to(PROGRAM)
        self.environ = {name: value for name, value in os.environ.items() if name != "NIMBLE_WATCH_SESSIONS"}
        self.environ |= {"HOME": str(self.home), **environ}
        self.environ["PATH"] = f"{programs}{os.pathsep}{self.environ['PATH']}"

    def install(self) -> str:
        """Install our files, include the targets, write the phases; give what the install said."""
        said = self.run("nimble-watch", "shell", "--install", "scripts/").stdout
        (self.folder / "Makefile").write_text("include scripts/nimble-watch.mk\n")
        for phase in PHASES:
            script = self.scripts / f"{phase}.sh"
            script.write_text(f"#!/bin/sh\necho {phase} ran\n")
            script.chmod(0o755)
        return said

    def run(self, *command: str, status: int = 0, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the repository, and expect its status."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == status, f"{done.returncode}: {done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def bash(self, script: str, *words: str, status: int = 0, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a bash script that has sourced the library."""
        return self.run("bash", "-c", f"source scripts/_lib.sh\n{script}", "script", *words, status=status, **environ)

    def current(self) -> dict[str, Any]:
        """Give the JSON that current.json points to."""
        found: dict[str, Any] = json.loads((self.sessions / "current.json").read_text())
        return found
