"""`nimble-watch session import`: what others left is taken in once, and what would do harm is refused and named."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nimble_watch.session import new_uid, stamp
from tests.process.test_session_commands import Nimble

GUIDE = Path(__file__).parents[1] / "guide" / "session-20241012-143022.json"
BEGAN = 1_790_000_000_000
NAME = "session-20260921-141320"


@pytest.fixture
def nimble(tmp_path: Path) -> Nimble:
    """Give the program with a folder that does not exist yet."""
    return Nimble(tmp_path / "ours")


def session(name: str = NAME, *, entropy: int = 0, **changes: Any) -> dict[str, Any]:
    """Give the document of a session that has ended."""
    return {
        **json.loads(GUIDE.read_text()), "session_id": name, "uid": new_uid(BEGAN, bytes([entropy] * 10)),
        "revision": 1, "state": "ended", "result": "success", "start_time": stamp(BEGAN), "start_ms": BEGAN, **changes,
    }  # fmt: skip


def put(path: Path, *documents: Any) -> Path:
    """Write documents as a file of lines, or one as a file of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one) + "\n" for one in documents))
    return path


def kept(nimble: Nimble) -> dict[str, dict[str, Any]]:
    """Give what lies in the folder, by id."""
    return {path.stem: json.loads(path.read_text()) for path in nimble.folder.glob("session-*.json")}


def test_a_folder_of_sessions_is_taken_in_once(nimble: Nimble, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    put(theirs / f"{NAME}.json", session())
    put(theirs / "archive" / "session-20260101-000000.json", session("session-20260101-000000", entropy=1))
    put(theirs / ".journal" / "strange.jsonl", {"session_id": "session-20200101-000000"})
    (theirs / GUIDE.name).write_bytes(GUIDE.read_bytes())
    first = nimble("import", str(theirs))
    assert first.stdout.split() == [GUIDE.stem, NAME, "session-20260101-000000"]
    assert "3 imported" in first.stderr
    before = {path: path.read_bytes() for path in nimble.folder.iterdir() if path.is_file()}
    again = nimble("import", str(theirs), str(theirs / f"{NAME}.json"))
    assert (again.stdout, again.stderr) == ("", "nimble-watch: 4 here already\n")
    assert {path: path.read_bytes() for path in nimble.folder.iterdir() if path.is_file()} == before
    found = kept(nimble)
    assert {**found[NAME]} == session()
    assert found[GUIDE.stem]["uid"][14] == "8"
    assert {name: found[GUIDE.stem][name] for name in found[GUIDE.stem] if name != "uid"} == json.loads(
        GUIDE.read_text()
    )
    assert [
        line.split()[1] for line in (nimble.folder / "all-sessions.txt").read_text().splitlines()
    ] == first.stdout.split()
    assert (nimble.folder / f"summary-{NAME}.txt").read_text() == nimble("summary", NAME).stdout
    assert not (nimble.folder / "current.json").exists()


def test_a_guide_s_file_that_is_ours_already_is_known_though_it_has_no_uid(nimble: Nimble, tmp_path: Path) -> None:
    nimble.folder.mkdir(mode=0o700)
    (nimble.folder / GUIDE.name).write_bytes(GUIDE.read_bytes())
    assert "1 here already" in nimble("import", str(GUIDE)).stderr
    assert (nimble.folder / GUIDE.name).read_bytes() == GUIDE.read_bytes()
    assert list(kept(nimble)) == [GUIDE.stem]
    assert not list(tmp_path.glob("all-sessions*"))


def test_of_a_session_s_revisions_the_highest_is_kept_whatever_comes_first(nimble: Nimble, tmp_path: Path) -> None:
    for number in (1, 3, 2):
        put(tmp_path / f"{number}.json", session(revision=number, tags=[str(number)]))
    assert "1 imported" in nimble("import", str(tmp_path / "1.json")).stderr
    assert "1 brought up to date" in nimble("import", str(tmp_path / "3.json")).stderr
    assert "1 here in a newer revision" in nimble("import", str(tmp_path / "2.json")).stderr
    assert kept(nimble)[NAME]["tags"] == ["3"]
    assert (nimble.folder / "all-sessions.txt").read_text().count(NAME) == 1


def test_the_same_revision_with_other_content_is_refused_by_the_field_that_differs(
    nimble: Nimble, tmp_path: Path
) -> None:
    nimble("import", str(put(tmp_path / "a.json", session())))
    other = session(costs={**session()["costs"], "session_total": 9.99})
    refused = nimble("import", str(put(tmp_path / "b.json", other)), status=1)
    assert (
        f"b.json: is revision 1 of {NAME} as ours is, but differs in costs.session_total; ours is kept"
        in refused.stderr
    )
    assert kept(nimble)[NAME]["costs"]["session_total"] == 0.15


def test_another_session_of_the_same_id_gets_an_id_of_its_own(nimble: Nimble, tmp_path: Path) -> None:
    path = put(tmp_path / "both.jsonl", session(), session(entropy=1), session(entropy=2))
    assert nimble("import", str(path)).stdout.split() == [NAME, f"{NAME}-2", f"{NAME}-3"]
    assert [found["session_id"] for found in kept(nimble).values()] == list(kept(nimble))
    assert "3 here already" in nimble("import", str(path)).stderr


def test_artefacts_of_ci_are_read_by_what_is_in_them_whatever_they_are_called(nimble: Nimble, tmp_path: Path) -> None:
    documents = [json.dumps(session(f"session-2026010{n}-000000", entropy=n)).encode() for n in range(1, 8)]
    with zipfile.ZipFile(tmp_path / "artifact", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sessions/session-20260101-000000.json", documents[0])
        archive.writestr("package.json", b"{}")
        archive.writestr("sessions/session-20260102-000000.json.gz", gzip.compress(documents[1]))
    with tarfile.open(tmp_path / "logs.tgz", "w:gz") as archive:
        _add(archive, "./sessions/session-20260103-000000.json", documents[2])
        _add(archive, "./all-sessions.txt", b"text")
    with tarfile.open(tmp_path / "plain", "w") as archive:
        _add(archive, "v1/p=x/d=y/018f-.r1-0123456789ab.json.gz", gzip.compress(documents[3]))
    (tmp_path / "one.json.gz").write_bytes(gzip.compress(documents[4]))
    (tmp_path / "list.json").write_bytes(b"[\n" + documents[5] + b",\n" + documents[6] + b"]\n")
    names = ("artifact", "logs.tgz", "plain", "one.json.gz", "list.json")
    done = nimble("import", *(str(tmp_path / name) for name in names))
    assert done.stdout.split() == [f"session-2026010{n}-000000" for n in range(1, 8)]


def _add(archive: tarfile.TarFile, name: str, content: bytes, kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.type, entry.linkname = len(content), kind, link
    archive.addfile(entry, io.BytesIO(content))


def test_what_leads_out_of_an_archive_links_and_archives_in_it_are_refused_and_the_rest_taken(
    nimble: Nimble, tmp_path: Path
) -> None:
    document = json.dumps(session()).encode()
    with tarfile.open(tmp_path / "evil.tar.gz", "w:gz") as archive:
        _add(archive, "../session-20260102-000000.json", document)
        _add(archive, "/etc/session-20260103-000000.json", document)
        _add(archive, "session-20260104-000000.json", b"", tarfile.SYMTYPE, "/etc/passwd")
        _add(archive, "session-20260105-000000.json", b"", tarfile.LNKTYPE, f"{NAME}.json")
        _add(archive, "inner.tar.gz", b"x")
        _add(archive, f"{NAME}.json", document)
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as zipped:
        zipped.writestr("a/../../session-20260102-000000.json", document)
        link = zipfile.ZipInfo("session-20260104-000000.json")
        link.external_attr = 0o120777 << 16
        zipped.writestr(link, "/etc/passwd")
    done = nimble("import", str(tmp_path / "evil.tar.gz"), str(tmp_path / "evil.zip"), status=1)
    assert done.stdout.split() == [NAME]
    assert done.stderr.count("leads out of the archive, which is refused") == 3
    assert done.stderr.count("is a link, which is refused") == 3
    assert done.stderr.count("is an archive in an archive, which is not opened") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.tar.gz", "evil.zip", "ours"]


def test_what_swells_beyond_all_size_ends_with_a_sentence(nimble: Nimble, tmp_path: Path) -> None:
    blanks = gzip.compress(b" " * (65 * 1024 * 1024))
    (tmp_path / "bomb.json.gz").write_bytes(blanks)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("session-20260101-000000.json", b"[" * (65 * 1024 * 1024))
        archive.writestr("session-20260102-000000.json.gz", blanks)
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 1 << 40
    (tmp_path / "bomb.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + b" " * 10240)
    done = nimble("import", *map(str, sorted(tmp_path.glob("bomb*"))), status=1)
    assert done.stderr.count("holds more than 64 MiB, which no session does") == 3
    assert "bomb.tar: cannot be read as a tar file: a name in it has more than 1 MiB" in done.stderr


def test_what_is_wrong_is_named_with_file_and_field_and_the_rest_taken(nimble: Nimble, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    put(theirs / f"{NAME}.json", session(region=5))
    for number, text in enumerate(["", '{"session_id": ', "[1]", "{}", "[" * 100_000, '{"a": NaN}']):
        (theirs / f"session-2026010{number}-000000.json").write_text(text)
    (theirs / "session-20260110-000000.json").symlink_to("/etc/passwd")
    os.mkfifo(theirs / "session-20260111-000000.json")
    (theirs / "broken.zip").write_bytes(b"PK\x03\x04 and no more")
    (theirs / "broken.tar.gz").write_bytes(gzip.compress(b"x" * 600)[:-9])
    put(theirs / "lines.jsonl", session("../../etc/passwd", entropy=1), "text")
    done = nimble("import", str(theirs), str(tmp_path / "nowhere"), status=1)
    shutil.rmtree(theirs)  # every session that a test leaves is held to the schema, and these are none
    assert done.stdout.split() == [NAME, f"{NAME}-2"]
    for said in (
        f"{NAME}.json: region: Expected `str | null`, got `int`",
        "session-20260100-000000.json: is empty",
        "session-20260101-000000.json: is not whole JSON (Input data was truncated)",
        "session-20260102-000000.json[0]: holds no JSON object",
        "session-20260103-000000.json: is no session: none of a session's fields is in it",
        "session-20260104-000000.json: is not whole JSON",
        "session-20260105-000000.json: is not whole JSON",
        "session-20260110-000000.json: is a symbolic link, which is not followed",
        "session-20260111-000000.json: cannot be read: it is no regular file",
        "broken.zip: cannot be read as a zip file",
        "broken.tar.gz: cannot be unpacked",
        "lines.jsonl:2: holds no JSON object",
        "lines.jsonl:1: session_id: '../../etc/passwd' is no session id",
        "nowhere: cannot be read: No such file or directory",
    ):
        assert said in done.stderr, done.stderr
    assert "2 imported, 12 refused" in done.stderr


def test_text_of_others_is_cleaned_and_taking_it_in_twice_is_still_once(nimble: Nimble, tmp_path: Path) -> None:
    key = "nvapi-" + "x" * 64
    path = put(tmp_path / "a.json", session(tags=[f"\x1b[31m{key}"], notes=["##[add-path]x"], team={f"a{key}": key}))
    nimble("import", str(path))
    assert key not in "".join(file.read_text() for file in nimble.folder.rglob("*") if file.is_file())
    assert kept(nimble)[NAME]["tags"] == ["^[[31mnvapi-***"]
    assert "1 here already" in nimble("import", str(path)).stderr


def test_a_dry_run_says_what_would_become_of_each_and_writes_nothing(nimble: Nimble, tmp_path: Path) -> None:
    path = put(tmp_path / "a.jsonl", session(), session(), session(entropy=1), session(revision=2))
    done = nimble("import", "--dry-run", str(path))
    assert done.stdout.split() == [NAME, f"{NAME}-2", NAME]
    assert done.stderr == (
        "nimble-watch: a dry run, nothing was written: 2 imported, 1 brought up to date, 1 here already\n"
    )
    assert not nimble.folder.exists()


def test_a_session_that_is_open_elsewhere_waits_and_after_a_day_is_lost(nimble: Nimble, tmp_path: Path) -> None:
    others = Nimble(tmp_path / "theirs")
    others("init")
    waits = nimble("import", str(others.folder), status=1)
    assert "is still open there; import it when it has ended" in waits.stderr
    now = round(time.time() * 1000)
    young = put(tmp_path / "a.json", session(state="open", result=None, revision=0, start_ms=now))
    assert (
        "began less than a day ago; import it again when it has ended" in nimble("import", str(young), status=1).stderr
    )
    old = put(tmp_path / "b.json", session(state="open", result=None, revision=0, start_ms=now - 90_000_000))
    nimble("import", str(old))
    assert (kept(nimble)[NAME]["state"], kept(nimble)[NAME]["result"]) == ("ended", "lost")
    assert "1 here already" in nimble("import", str(old)).stderr
    nimble("import", str(put(tmp_path / "c.json", session())))
    assert (kept(nimble)[NAME]["result"], kept(nimble)[NAME]["revision"]) == ("success", 1)


@pytest.mark.parametrize("name", ["all.jsonl", "all.parquet"])
def test_what_was_exported_comes_in_whole_and_once(name: str, nimble: Nimble, tmp_path: Path) -> None:
    """A session that was pulled is exported by its name here, and stands elsewhere under its own."""
    theirs = Nimble(tmp_path / "theirs")
    put(theirs.folder / f"{NAME}.json", session(costs={"session_total": 0.1234567890123}))
    put(theirs.folder / "shared" / f"{NAME}.0a1b2c.json", session(entropy=1, foreign={"kept": [1.10]}))
    exported = tmp_path / name
    theirs("export", "-o", str(exported))
    assert "2 imported" in nimble("import", str(exported)).stderr
    assert nimble("import", str(exported)).stderr == "nimble-watch: 2 here already\n"
    found = kept(nimble)
    assert sorted(found) == [NAME, f"{NAME}-2"]
    assert sorted(nimble("list", "-o", "name").stdout.split()) == sorted(found)
    assert [one["foreign"] for one in found.values() if "foreign" in one] == [{"kept": [1.1]}]
    assert 0.1234567890123 in [one["costs"]["session_total"] for one in found.values()]


def test_a_table_is_refused_by_what_to_do_instead_and_parquet_of_others_by_what_it_lacks(
    nimble: Nimble, tmp_path: Path
) -> None:
    theirs = Nimble(tmp_path / "theirs")
    put(theirs.folder / f"{NAME}.json", session())
    theirs("export", "-o", str(tmp_path / "a.csv"))
    assert "export them as jsonl or parquet" in nimble("import", str(tmp_path / "a.csv"), status=1).stderr
    pq.write_table(pa.table({"a": [1]}), tmp_path / "b.parquet")
    assert "it has no column `document`" in nimble("import", str(tmp_path / "b.parquet"), status=1).stderr
    (tmp_path / "c.parquet").write_bytes(b"PAR1 and nothing else")
    assert "cannot be read as Parquet" in nimble("import", str(tmp_path / "c.parquet"), status=1).stderr


def test_a_folder_without_sessions_says_so(nimble: Nimble, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "empty: holds no sessions" in nimble("import", str(tmp_path / "empty"), status=1).stderr
