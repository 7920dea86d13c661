"""The demo: a real cluster, the whole workflow under the runner, and an obstacle that somebody repairs on the way.

Everything it makes lies under .demo/, and it has a home, a kubeconfig and a session folder of its own there, so that
nothing of the user's is read or touched.  What it started ends with it: the cluster and the workflow each run in a
session of their own, so that an interrupt reaches this process alone, which passes it on once and in the right order;
should this process be killed, the kernel tells both.  Ends with 0 only if the workflow did and the session holds the
obstacle, repaired.
"""

# ruff: noqa: INP001 - started by its path, part of no package
from __future__ import annotations

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
DEMO = ROOT / ".demo"
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
    """End a process that we started, with its group: ask, wait, then insist."""
    for sign, seconds in ((first, patience), (signal.SIGKILL, 10.0)):
        if process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with suppress(subprocess.TimeoutExpired, Interrupted):  # a second interrupt ends the patience
            process.wait(seconds)


def own_environment(binaries: Path, kubeconfig: str) -> dict[str, str]:
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
        "HOME": str(DEMO / "home"),
        "XDG_CACHE_HOME": str(DEMO / "home" / ".cache"),
        "XDG_CONFIG_HOME": str(DEMO / "home" / ".config"),
        "XDG_DATA_HOME": str(DEMO / "home" / ".local" / "share"),
        "KUBECONFIG": kubeconfig,
        "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "NIMBLE_WATCH_SESSIONS": str(DEMO / "sessions"),
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


def start_cluster(stack: ExitStack, binary: str) -> str:
    """Start the cluster, see to its end, and return its kubeconfig."""
    folder = DEMO / "cluster"
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


def show_results(environment: dict[str, str]) -> None:
    """Check the session, show its summary, and say how to look at the rest."""
    sessions = DEMO / "sessions"
    session = check_session(sessions / "current.json")
    say("\n=== the session, as `make session-summary` shows it\n")
    summary = subprocess.run(
        [environment["NIMBLE_WATCH"], "session", "summary"], env=environment, stdin=subprocess.DEVNULL, check=False
    )
    if summary.returncode != 0:
        raise DemoError(f"nimble-watch session summary ended with {summary.returncode}")
    name = session["session_id"]
    say("\n=== what is left: files, and nothing that runs\n")
    files = [sessions / f"{name}.json", sessions / f"summary-{name}.txt", sessions / "all-sessions.txt"]
    for path in files:
        if not path.is_file():
            raise DemoError(f"{path} is missing")
        say(f"  {path.relative_to(ROOT)}")
    say("\nLook at them with")
    tool = nimble_watch().relative_to(ROOT) if nimble_watch().is_relative_to(ROOT) else nimble_watch()
    say(f"  export NIMBLE_WATCH_SESSIONS={sessions}")
    for words in (f"session show {name}", "session list", "session compare", "explain image-auth"):
        say(f"  {tool} {words}")


def main() -> int:
    """Run the demo; its end is honest."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    begin = time.monotonic()
    say("A NIM is deployed to a GPU node at 2 USD an hour, on a cluster that runs in this machine alone.")
    say("Its NGC key has expired, which nobody knows yet.  Once somebody sees it, a colleague renews it.\n")
    try:
        with ExitStack() as stack:
            (DEMO / "home").mkdir(parents=True, exist_ok=True)
            (DEMO / "sessions").mkdir(exist_ok=True)
            binary = cluster_binary()
            built = time.monotonic()
            say("=== the cluster")
            kubeconfig = start_cluster(stack, binary)
            environment = own_environment(DEMO / "cluster" / "bin", kubeconfig)
            say("\n=== make all CLEANUP=yes\n")
            run_workflow(stack, environment)
            show_results(environment)
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
