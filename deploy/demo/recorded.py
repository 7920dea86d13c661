"""What the demo printed once, with its pauses: for systems on which the embedded cluster does not run.

The recording (`recorded.jsonl`) holds one piece of output a line: seconds since the one before, and the text.  Make it
anew on Linux whenever the demo says something else: `.venv/bin/python deploy/demo/recorded.py`.
"""

# ruff: noqa: INP001 - started by its path, part of no package
from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RECORDING = Path(__file__).with_name("recorded.jsonl")
HERE = "~/nimble-watch"  # stands for the checkout in which it was recorded


def play(longest: float) -> None:
    """Print the recording; a pause longer than so many seconds is cut, so it is shorter than the real one."""
    with RECORDING.open(encoding="utf-8") as lines:
        for line in lines:
            pause, text = json.loads(line)
            time.sleep(min(pause, longest))
            sys.stdout.write(text)
            sys.stdout.flush()


def record() -> int:
    """Run the real demo, show it, and keep what it printed if it went well; gives its exit status."""
    demo = subprocess.Popen(
        [sys.executable, str(ROOT / "deploy" / "demo" / "demo.py")],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert demo.stdout is not None  # noqa: S101 - asked for above; mypy cannot know
    kept: list[str] = []
    last = time.monotonic()
    for line in demo.stdout:
        now = time.monotonic()
        sys.stdout.write(line)
        sys.stdout.flush()
        kept.append(json.dumps([round(now - last, 2), line.replace(str(ROOT), HERE)], ensure_ascii=False) + "\n")
        last = now
    status = demo.wait()
    if status == 0:
        RECORDING.write_text("".join(kept), encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(record())
