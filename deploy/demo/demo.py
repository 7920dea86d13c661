"""The demo: a real cluster, the whole workflow under the runner, and an obstacle that somebody repairs on the way.

Everything it makes lies under one folder (.demo/), with a home, a kubeconfig and a session folder of its own there, so
that nothing of the user's is read or touched.  What it started ends with it: the cluster and the workflow each run in a
session of their own, so that an interrupt reaches this process alone, which passes it on once and in the right order;
should this process be killed, the kernel tells both.  Ends with 0 only if the workflow did and the session holds the
obstacle, repaired.
"""

# ruff: noqa: INP001 - started by its path, part of no package
from __future__ import annotations

import argparse
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NODES = "a10-1=1,cpu=1"
READING = "12"  # seconds that the colleague takes to read what is wrong
PATIENCE = 60.0  # seconds that an interrupted workflow has for its clean-up

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


class DemoError(Exception):
    """The demo could not show what it is there to show; the text says why, and what to try."""


class Interrupted(BaseException):
    """A signal asked the demo to stop; like KeyboardInterrupt nothing but the end of the demo handles it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _interrupt(number: int, _frame: object) -> None:
    raise Interrupted(number)


def say(text: str = "") -> None:
    """Tell the audience something, before whatever the next child writes."""
    print(text, flush=True)


def start(
    command: list[str], environment: dict[str, str], *, told: signal.Signals = signal.SIGTERM, stdout: int | None = None
) -> subprocess.Popen[str]:
    """Start a command in a session of its own; the kernel sends it `told` when we are killed."""

    def before_exec() -> None:
        if hasattr(_libc, "prctl"):
            _libc.prctl(_PR_SET_PDEATHSIG, int(told))

    return subprocess.Popen(
        command,
        env=environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        # Nothing else runs in this process, so nothing can hold a lock while it forks.
        preexec_fn=before_exec,  # noqa: PLW1509 - the only way to ask the kernel for that signal
        text=True,
        stdout=stdout,
    )


def stop(process: subprocess.Popen[str], patience: float, *, first: signal.Signals = signal.SIGTERM) -> None:
    """End a process that we started: ask it, wait, then insist with its whole group.

    An interrupt goes to the whole group at once, as from a terminal; a supervisor ends its own children itself.
    """
    ask = os.killpg if first == signal.SIGINT else os.kill
    for tell, sign, seconds in ((ask, first, patience), (os.killpg, signal.SIGKILL, 10.0)):
        if process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            tell(process.pid, sign)
        with suppress(subprocess.TimeoutExpired, Interrupted):  # a second interrupt ends the patience
            process.wait(seconds)


def own_environment(demo: Path, kubeconfig: str) -> dict[str, str]:
    """Give an environment that knows the demo's cluster and folders, and nothing of the user's."""
    ours = ("NIMBLE_WATCH", "OCI_", "KUBECONFIG", "NGC_", "MAKE", "MFLAGS", "HELM_", "DEBUG", "ENVIRONMENT", "KUBE")
    settings = {"NAMESPACE", "RELEASE", "MODEL", "IMAGE", "GPU_SHAPE", "GPU_COUNT", "GPU_WAIT", "SERVICE_TYPE"}
    settings |= {"CACHE_SIZE_GB", "KEEP_CACHE", "PULL_SECRET", "API_SECRET", "TIMEOUT", "VALUES", "CLEANUP"}
    settings |= {"COST_THRESHOLD_USD", "CONFIRM_COST", "WATCH_ARGS", "CLUSTER_DIR", "NODES"}
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(ours) and name not in settings
    }
    debug = os.environ.get("DEBUG")
    environment |= {
        "HOME": str(demo / "home"),
        "XDG_CACHE_HOME": str(demo / "home" / ".cache"),
        "XDG_CONFIG_HOME": str(demo / "home" / ".config"),
        "XDG_DATA_HOME": str(demo / "home" / ".local" / "share"),
        "KUBECONFIG": kubeconfig,
        "PATH": f"{demo / 'cluster' / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "NIMBLE_WATCH_SESSIONS": str(demo / "sessions"),
        "NIMBLE_WATCH": str(nimble_watch()),
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "ENVIRONMENT": "demo",
        # Its registry takes another one meanwhile: that is the obstacle.
        "NGC_API_KEY": "nvapi-demo-expired",
        "PYTHON": sys.executable,
    }
    return environment | ({"DEBUG": debug} if debug else {})


def nimble_watch() -> Path:
    """Give the program that belongs to the Python that runs us."""
    return Path(sys.executable).with_name("nimble-watch")


def cluster_binary() -> str:
    """Build the embedded cluster, or find it built; it says itself how long that takes."""
    built = subprocess.run(
        [sys.executable, "tests/cluster/build.py"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        text=True, check=False,
    )  # fmt: skip
    if built.returncode != 0:
        raise DemoError("the embedded cluster could not be built, see above")
    return built.stdout.split("\n")[0].strip()


def start_cluster(stack: ExitStack, binary: str, folder: Path) -> str:
    """Start the cluster, see to its end, and return its kubeconfig."""
    if folder.exists():  # of a demo that was killed
        subprocess.run(
            [binary, "down", "--dir", str(folder)], stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        shutil.rmtree(folder, ignore_errors=True)
    cluster = start([binary, "up", "--dir", str(folder), "--nodes", NODES], dict(os.environ), stdout=subprocess.PIPE)
    stack.callback(stop, cluster, 30.0)
    assert cluster.stdout is not None  # noqa: S101 - asked for above; mypy cannot know
    kubeconfig = cluster.stdout.readline().strip()
    if not kubeconfig:
        raise DemoError("the embedded cluster did not start, see above")
    return kubeconfig


def run_workflow(stack: ExitStack, environment: dict[str, str]) -> None:
    """Run the phases, and a colleague beside them."""
    reading = ["bash", "deploy/demo/colleague.sh", READING]
    colleague = start(reading, {n: v for n, v in environment.items() if n != "NGC_API_KEY"})
    stack.callback(stop, colleague, 2.0)
    workflow = start(["make", "all", "CLEANUP=yes", "VALUES=deploy/demo/values.yaml"], environment, told=signal.SIGINT)
    stack.callback(stop, workflow, PATIENCE, first=signal.SIGINT)
    status = workflow.wait()
    if status != 0:
        raise DemoError(f"make all ended with {status}, see above")


def check_session(path: Path) -> dict[str, Any]:
    """Return the session if it holds what the demo is about, else say what it lacks."""
    try:
        session: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DemoError(f"the session cannot be read: {error}") from error
    wanted = ["discover", "prereqs", "install", "verify", "cleanup"]
    if list(session["phases"]) != wanted:
        raise DemoError(f"the session holds the phases {', '.join(session['phases'])}, not {', '.join(wanted)}")
    seen = [obstacle for obstacle in session["obstacles"] if obstacle.get("kind") == "image-auth"]
    if len(seen) != 1:
        raise DemoError(f"the session holds {len(seen)} obstacles of kind image-auth, not one")
    if seen[0].get("outcome") != "fixed" or not seen[0].get("time_delay_seconds"):
        raise DemoError("the obstacle is not recorded as repaired, or without its delay")
    if not seen[0].get("cost_impact_usd"):
        raise DemoError("the obstacle's cost is not recorded, though the GPU node that it held has a price")
    return session


def show_results(sessions: Path) -> None:
    """Check the session, and say where it lies and how to look at it."""
    name = check_session(sessions / "current.json")["session_id"]
    say("\n=== what is left: files, and nothing that runs\n")
    for path in (sessions / f"{name}.json", sessions / f"summary-{name}.txt", sessions / "all-sessions.txt"):
        if not path.is_file():
            raise DemoError(f"{path} is missing")
        say(f"  {near(path)}")
    say("\nLook at them with\n")
    say(f"  export NIMBLE_WATCH_SESSIONS={sessions}")
    for words in ("make session-summary", "make session-compare", f"{near(nimble_watch())} session show {name}"):
        say(f"  {words}")
    say(f"  {near(nimble_watch())} explain image-auth")


def show_recorded(longest_pause: float) -> int:
    """Play what the demo printed on Linux, and say that it is not happening here."""
    from recorded import play  # noqa: PLC0415 - the file beside this one, needed nowhere else

    say("The embedded cluster runs on Linux only.  This is a RECORDING of the demo, played a little faster:")
    say("nothing is deployed, nothing is watched, and the files that it names are not made.\n")
    play(longest_pause)
    say("\n(End of the recording.  On Linux, or in a Linux virtual machine, `make demo` does all of this for real.)")
    return 0


def near(path: Path) -> Path:
    """Give a path as somebody in the checkout would type it."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def main() -> int:
    """Run the demo; its end is honest."""
    parser = argparse.ArgumentParser(description="Run the whole workflow against an embedded cluster.")
    parser.add_argument("--dir", type=Path, default=ROOT / ".demo", help="where everything lies that it makes [.demo]")
    parser.add_argument(
        "--pause", type=float, default=3.0, help="where only the recorded demo is played: its longest pause [3]"
    )
    given = parser.parse_args()
    if sys.platform != "linux":
        return show_recorded(given.pause)
    demo: Path = given.dir.resolve()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    begin = time.monotonic()
    say("A NIM is deployed to a GPU node at 2 USD an hour, on a cluster that runs in this machine alone.")
    say("Its NGC key has expired, which nobody knows yet.  Once somebody sees it, a colleague renews it.\n")
    try:
        (demo / "home").mkdir(parents=True, exist_ok=True)
        (demo / "sessions").mkdir(exist_ok=True)
        binary = cluster_binary()
        built = time.monotonic()
        with ExitStack() as stack:
            say("=== the cluster\n")
            kubeconfig = start_cluster(stack, binary, demo / "cluster")
            say("\n=== make all CLEANUP=yes\n")
            run_workflow(stack, own_environment(demo, kubeconfig))
            say("\n=== the cluster ends\n")
        show_results(demo / "sessions")
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except Interrupted as interrupt:
        print(
            f"demo: stopped by {signal.Signals(interrupt.number).name}; all that it started has ended", file=sys.stderr
        )
        signal.signal(interrupt.number, signal.SIG_DFL)
        os.kill(os.getpid(), interrupt.number)
    say(f"\nThe demo took {time.monotonic() - built:.0f} s, after {built - begin:.0f} s for the cluster's binary.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
