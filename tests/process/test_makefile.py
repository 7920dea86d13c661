"""The Makefile, as people and `nimble-watch run` meet it, and the phases' own words when something is missing.

Phases do not run here: NIMBLE_WATCH names a small program that notes what it was asked for.  With a cluster they run in
tests/cluster.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PHASES = ("discover", "prereqs", "install", "verify", "cleanup")


class Notes:
    """A stand-in for the nimble-watch program, which notes its arguments, and what was noted."""

    def __init__(self, folder: Path) -> None:
        self.program = folder / "nimble-watch"
        self._file = folder / "notes"
        self.program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >>"{self._file}"\n')
        self.program.chmod(0o755)

    def read(self) -> list[str]:
        """Return the argument lists noted so far, each as one line."""
        return self._file.read_text().splitlines() if self._file.exists() else []


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    """Give a fresh stand-in."""
    return Notes(tmp_path)


def make(*words: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run make without the flags of a make that runs this test."""
    return subprocess.run(
        ["make", *words],
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def variables() -> list[str]:
    """Return the names of what a phase can be told."""
    return re.findall(r'^: "\$\{([A-Z_]+):=.*##', (ROOT / "deploy/phases/_lib.sh").read_text(), re.MULTILINE)


def test_make_alone_explains_every_target_and_every_variable() -> None:
    result = make()
    assert result.returncode == 0, result.stderr
    targets = re.search(r"^targets\s*:=\s*((?:.*\\\n)*.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets
    named = targets[1].replace("\\\n", " ").replace("$(phases)", " ".join(PHASES)).split()
    explained = re.findall(r"^  (\S+) ", result.stdout, re.MULTILINE)
    assert [name for name in [*named, *variables(), "NGC_API_KEY", "NIMBLE_WATCH"] if name not in explained] == []


def test_every_phase_has_a_script_that_can_be_started() -> None:
    assert [phase for phase in PHASES if not os.access(ROOT / f"deploy/phases/{phase}.sh", os.X_OK)] == []


def test_all_runs_the_four_phases_through_the_runner(notes: Notes) -> None:
    assert make("all", NIMBLE_WATCH=str(notes.program)).returncode == 0
    assert notes.read() == ["run discover prereqs install verify"]


def test_all_cleans_up_at_its_end_when_asked(notes: Notes) -> None:
    assert make("all", "CLEANUP=yes", NIMBLE_WATCH=str(notes.program)).returncode == 0
    assert notes.read() == ["run --always cleanup discover prereqs install verify"]


@pytest.mark.parametrize("phase", PHASES)
def test_each_phase_is_tracked(phase: str, notes: Notes) -> None:
    assert make(phase, NIMBLE_WATCH=str(notes.program)).returncode == 0
    assert notes.read() == [f"exec --phase {phase} --leave-open -- deploy/phases/{phase}.sh"]


@pytest.mark.parametrize("flag", ["-n", "-q", "-t"])
@pytest.mark.parametrize("target", ["all", *PHASES])
def test_a_make_that_only_pretends_runs_nothing(flag: str, target: str, notes: Notes) -> None:
    make(flag, target, NIMBLE_WATCH=str(notes.program))
    assert notes.read() == []


def test_a_word_with_an_n_in_it_is_no_flag(notes: Notes) -> None:
    assert make("--no-print-directory", "all", "NAMESPACE=nnn", NIMBLE_WATCH=str(notes.program)).returncode == 0
    assert len(notes.read()) == 1


def test_phases_keep_their_order_under_many_jobs(notes: Notes) -> None:
    assert make("-j8", *PHASES, NIMBLE_WATCH=str(notes.program)).returncode == 0
    assert [line.split()[2] for line in notes.read()] == list(PHASES)


def test_a_failing_phase_fails_make(tmp_path: Path) -> None:
    program = tmp_path / "nimble-watch"
    program.write_text("#!/bin/sh\nexit 7\n")
    program.chmod(0o755)
    assert make("discover", "prereqs", NIMBLE_WATCH=str(program)).returncode == 2


def test_a_misspelt_variable_is_refused_before_anything_runs(notes: Notes) -> None:
    result = make("install", "NAMESPCE=mine", NIMBLE_WATCH=str(notes.program))
    assert result.returncode == 2
    assert "nothing here reads the variable NAMESPCE" in result.stderr
    assert "NAMESPACE" in result.stderr
    assert notes.read() == []


def test_values_with_spaces_are_no_variables(notes: Notes) -> None:
    assert make("install", "WATCH_ARGS=-q --timeout 5", NIMBLE_WATCH=str(notes.program)).returncode == 0
    assert notes.read() == ["exec -q --timeout 5 --phase install --leave-open -- deploy/phases/install.sh"]


def test_an_unknown_phase_is_refused_with_the_names_that_there_are(notes: Notes) -> None:
    result = make("discover", "instal", NIMBLE_WATCH=str(notes.program))
    assert result.returncode == 2
    assert "there is no target instal here; there are: help all discover" in result.stderr
    assert notes.read() == []


def test_a_key_on_the_command_line_is_refused_and_not_repeated(notes: Notes) -> None:
    result = make("install", "NGC_API_KEY=nvapi-0123456789", NIMBLE_WATCH=str(notes.program))
    assert result.returncode == 2
    assert "every user of this machine can read it" in result.stderr
    assert "nvapi-0123456789" not in result.stdout + result.stderr
    assert notes.read() == []


def test_make_says_so_when_it_stands_in_another_folder(tmp_path: Path) -> None:
    result = make("-f", str(ROOT / "Makefile"), "help", cwd=tmp_path)
    assert result.returncode == 2
    assert "try make -C" in result.stderr


def test_setup_names_the_python_that_is_too_old(tmp_path: Path) -> None:
    for part in ("Makefile", "pyproject.toml", ".ci/requirements.lock", "deploy/phases/_lib.sh"):
        (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / part, tmp_path / part)
    old = tmp_path / "old-python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\nexit 1\n')
    old.chmod(0o755)
    result = make("setup", f"PYTHON={old}", cwd=tmp_path)
    assert result.returncode == 2
    assert f"Python 3.11 or newer is needed, and {old} is Python 3.9.2" in result.stderr
    assert "make setup PYTHON=" in result.stderr
    assert not (tmp_path / ".venv").exists()


# --- a phase alone, on a machine where something is missing


def only_with(folder: Path, *programs: str) -> str:
    """Return a PATH on which there are only these programs."""
    for name in programs:
        there = shutil.which(name)
        assert there, name
        (folder / name).symlink_to(there)
    return str(folder)


def phase(name: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a phase's script by itself."""
    return subprocess.run(
        [str(ROOT / f"deploy/phases/{name}.sh")],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("name", PHASES)
def test_a_missing_kubectl_is_named_with_where_to_get_it(name: str, tmp_path: Path) -> None:
    path = only_with(tmp_path, "bash", "env", "dirname", "basename", "grep", "sed", "cat")
    result = phase(name, PATH=path)
    assert result.returncode == 1
    assert f"{name}: kubectl is not on PATH" in result.stderr
    assert "try: install it: https://kubernetes.io" in result.stderr


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("NAMESPACE=My_Namespace", "NAMESPACE is 'My_Namespace', which is not the name of a namespace"),
        ("RELEASE=1st", "RELEASE is '1st', which is not the name of a release"),
        ("GPU_COUNT=0", "GPU_COUNT is '0', which is not a number of GPUs"),
        ("GPU_SHAPE=$(reboot)", "which is not the name of a shape"),
        ('IMAGE=nvcr.io/nim/x:1"\nfoo: bar', "which is not a whole image name"),
        ("IMAGE=busybox", "which is not a whole image name"),
        ("CONFIRM_COST=perhaps", "CONFIRM_COST is 'perhaps', which is neither yes nor no"),
        ("COST_THRESHOLD_USD=cheap", "COST_THRESHOLD_USD is 'cheap', which is not an amount"),
        ("TIMEOUT=forever", "TIMEOUT is 'forever', which is not a duration"),
        ("SERVICE_TYPE=NodePort", "SERVICE_TYPE is 'NodePort', which is not ClusterIP or LoadBalancer"),
        ("VALUES=/not/there.yaml", "VALUES names /not/there.yaml, and there is no such file"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_sentence(setting: str, complaint: str) -> None:
    name, _, value = setting.partition("=")
    result = phase("install", **{name: value})
    assert result.returncode == 1
    assert complaint in result.stderr
    assert result.stdout == ""


# --- the questions that verify asks


class Server:
    """A model server whose answers a test chooses: for each path what it says in turn, the last one for ever."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, str]]] = {
            "/v1/health/ready": [(200, "")],
            "/v1/models": [(200, json.dumps({"data": [{"id": "meta/small"}]}))],
            "/v1/chat/completions": [(200, json.dumps({"choices": [{"message": {"content": "Yes\x1b[31m."}}]}))],
        }
        self.asked: list[tuple[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                outer.asked.append((self.path, body))
                queue = outer.answers[self.path]
                status, text = queue.pop(0) if len(queue) > 1 else queue[0]
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            do_POST = do_GET  # noqa: N815 - the name that http.server looks for

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    """Give a server that is well."""
    server = Server()
    yield server
    server.close()


def ask(base: str, within: str = "0") -> subprocess.CompletedProcess[str]:
    """Ask as verify does."""
    return subprocess.run(
        [sys.executable, "deploy/phases/_ask.py", base, "--within", within],
        cwd=ROOT,
        env={**os.environ, "HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "NO_PROXY": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_model_that_serves_is_asked_by_the_name_it_gives(server: Server) -> None:
    result = ask(server.base)
    assert result.returncode == 0, result.stderr
    assert json.loads(server.asked[-1][1])["model"] == "meta/small"
    assert "answer     'Yes [31m.'" in result.stdout


def test_a_server_that_becomes_ready_is_waited_for(server: Server) -> None:
    server.answers["/v1/health/ready"] = [(503, "loading"), (200, "")]
    assert ask(server.base, within="30").returncode == 0


@pytest.mark.parametrize(
    ("path", "status", "body", "complaint"),
    [
        ("/v1/health/ready", 503, "loading", "/v1/health/ready answered 503: loading"),
        ("/v1/models", 200, '{"data": []}', '/v1/models names no model; it says: {"data": []}'),
        ("/v1/models", 200, "<html>", "/v1/models names no model; it says: <html>"),
        ("/v1/chat/completions", 400, "no such model", "/v1/chat/completions answered 400: no such model"),
        ("/v1/chat/completions", 200, "{}", "/v1/chat/completions is no completion; it says: {}"),
    ],
)
def test_a_server_that_does_not_serve_is_told_apart(
    path: str, status: int, body: str, complaint: str, server: Server
) -> None:
    server.answers[path] = [(status, body)]
    result = ask(server.base)
    assert result.returncode == 1
    assert result.stderr == f"verify: {server.base}{complaint}\n"


def test_a_server_that_is_gone_is_said_in_one_sentence() -> None:
    gone = Server()
    gone.close()
    result = ask(gone.base)
    assert result.returncode == 1
    assert "did not answer" in result.stderr
    assert "Traceback" not in result.stderr
