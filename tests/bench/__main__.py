"""Runs every bench, or the ones named: `python -m tests.bench [NAME...]`; BRIEF=yes takes fewer rounds."""

from __future__ import annotations

import importlib
import os
import pkgutil
import platform
import sys
from pathlib import Path

import tests.bench as benches


def machine() -> str:
    """Describe the machine in one line: figures mean nothing without it."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return f"{os.cpu_count()} x {model}, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def main(names: list[str]) -> int:
    """Run the benches named, or all; a name that does not exist is an error."""
    there = [module.name for module in pkgutil.iter_modules(benches.__path__) if not module.name.startswith("_")]
    unknown = [name for name in names if name not in there]
    if unknown:
        print(f"no such bench: {', '.join(unknown)}; there are {', '.join(sorted(there))}", file=sys.stderr)
        return 2
    brief = os.environ.get("BRIEF", "").lower() in ("1", "yes", "true", "on")
    print(f"machine: {machine()}")
    for name in names or sorted(there):
        print(f"\n{name}", flush=True)
        for line in importlib.import_module(f"tests.bench.{name}").measure(brief=brief):
            print(f"  {line}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
