"""`nimble-watch session export` as people and pipes use it: whole files, or the one that was there before."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

import duckdb
import pytest

from tests.process.test_session_commands import Nimble

GUIDE = Path(__file__).parents[1] / "guide" / "session-20241012-143022.json"


@pytest.fixture
def nimble(tmp_path: Path) -> Nimble:
    """Give the program with the guide's session and an older one, which failed."""
    folder = tmp_path / "sessions"
    folder.mkdir(mode=0o700)
    shutil.copy(GUIDE, folder)
    older = {**json.loads(GUIDE.read_text()), "session_id": "session-20230101-000000", "result": "failure"}
    (folder / "session-20230101-000000.json").write_text(json.dumps(older))
    return Nimble(folder)


def piped(nimble: Nimble, form: str, reader: str, out: IO[bytes] | int) -> subprocess.CompletedProcess[bytes]:
    """Export everything through a pipe to a reader; the status is the first that is not 0."""
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m nimble_watch session export --format {form} | {reader}"],
        env={**os.environ, "NIMBLE_WATCH_SESSIONS": str(nimble.folder)},
        stdout=out,
        stderr=subprocess.PIPE,
        check=False,
        timeout=120,
    )


def test_the_file_s_name_says_the_format_and_filters_choose(nimble: Nimble, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    assert nimble("export", "-o", str(out)).stderr == f"nimble-watch: 2 sessions written to {out}\n"
    with out.open(newline="") as rows:
        assert [row["session_id"] for row in csv.DictReader(rows)] == [GUIDE.stem, "session-20230101-000000"]
    (line,) = nimble("export", "--format", "jsonl", "--result", "failure").stdout.splitlines()
    assert json.loads(line)["session_id"] == "session-20230101-000000"
    assert nimble("export", "last~1", "--format", "csv", "--table", "phases").stdout.count("session-20230101") == 2


def test_parquet_is_read_by_duckdb_as_it_is_from_a_file_and_from_a_pipe(nimble: Nimble, tmp_path: Path) -> None:
    nimble("export", "-o", str(tmp_path / "out.parquet"))
    with (tmp_path / "piped.parquet").open("wb") as out:
        done = piped(nimble, "parquet", "cat", out)
    assert (done.returncode, done.stderr) == (0, b"")
    for name in ("out", "piped"):
        asked = "SELECT count(*), sum(costs.session_total), max(obstacles[1].type) FROM read_parquet(?)"
        count, total, kind = duckdb.execute(asked, [f"{tmp_path / name}.parquet"]).fetchall()[0]
        assert (count, str(total), kind) == (2, "0.300000", "network-timeout")


def test_a_reader_that_goes_away_is_no_trouble(nimble: Nimble) -> None:
    for number in range(3000):
        shutil.copy(GUIDE, nimble.folder / f"session-20250101-{number:06}.json")
    for form in ("csv", "jsonl", "parquet"):
        done = piped(nimble, form, "head -c 3 >/dev/null", subprocess.DEVNULL)
        assert (done.returncode, done.stderr) == (141, b""), form


def test_what_cannot_be_written_leaves_the_file_that_was_there(nimble: Nimble, tmp_path: Path) -> None:
    out = tmp_path / "locked" / "out.jsonl"
    out.parent.mkdir()
    out.write_text("before")
    (tmp_path / "limited.py").write_text(
        "import resource, runpy, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "sys.argv = ['nimble-watch', *sys.argv[1:]]\n"
        "runpy.run_module('nimble_watch', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, str(tmp_path / "limited.py"), "session", "export", "-o", str(out)],
        env={**os.environ, "NIMBLE_WATCH_SESSIONS": str(nimble.folder)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"cannot write {out}: File too large; name another file with -o" in done.stderr
    assert [path.read_text() for path in out.parent.iterdir()] == ["before"]


def test_a_link_stays_a_link_and_a_device_a_device(nimble: Nimble, tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    (tmp_path / "real.csv").write_text("before")
    nimble("export", "-o", str(tmp_path / "link.csv"))
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text().startswith("session_id,")
    nimble("export", "--format", "csv", "-o", "/dev/null")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["export"], "session export needs to know the format of -; say --format csv"),
        (["export", "-o", "out.jsonl", "--table", "phases"], "--table is for csv"),
        (["export", "nosuch", "--format", "csv"], "there is no session"),
    ],
)
def test_what_is_not_understood_is_one_sentence(nimble: Nimble, words: list[str], said: str) -> None:
    done = nimble(*words, status=1 if "nosuch" in words else 2)
    assert said in done.stderr
    assert done.stdout == ""


def test_without_the_extra_a_sentence_says_what_to_type(nimble: Nimble, tmp_path: Path) -> None:
    (tmp_path / "pyarrow.py").write_text("raise ModuleNotFoundError(name='pyarrow')\n")
    out = tmp_path / "out.parquet"
    done = nimble("export", "-o", str(out), status=1, PYTHONPATH=str(tmp_path))
    assert "writing Parquet needs pyarrow, which is not installed; " in done.stderr
    assert "type: python3 -m pip install 'nimble-watch[parquet]'" in done.stderr
    assert not out.exists()
