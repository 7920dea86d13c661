"""How a dataset lies on disk, and how one compaction at a time changes it.

A compaction prepares whole new files beside the dataset, then commits by creating the next entry of the log, which only
one of several can; the others see that and begin anew from what is there then.  The entry names each prepared file and
the one whose place it takes; putting them there is one rename each and can be done again by anybody, so a compaction
that is killed in between is finished by the next.  A partition is one file, so a reader who knows nothing of the log
sees each partition as it was or as it is, never a session twice.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import msgspec

from nimble_watch.errors import NimbleWatchError
from nimble_watch.store import create_whole, storing, sync_folder

FILE = "sessions.parquet"
NULL = "__HIVE_DEFAULT_PARTITION__"
"""How Hive, and everybody after it, names the partition of what has no value."""

_LOG, _NEW = "_log", "_new"
_ENTRY = re.compile(r"(\d{8})\.json\Z")
_OLD = 24 * 3600.0  # seconds after which what a compaction prepared is of one that was killed
_MARK = "nimble-watch dataset"


class DatasetError(NimbleWatchError):
    """A dataset cannot be read or written."""


class Entry(msgspec.Struct, kw_only=True):
    """One commit: `files` are the prepared files by the place they take, `sessions` how many it added or renewed."""

    number: int
    kind: str = _MARK
    version: int = 1
    time: str = ""
    host: str = ""
    sessions: int = 0
    files: dict[str, str] = msgspec.field(default_factory=dict)


def partition(project: str, month: str | None) -> str:
    """Give the folder of a partition, within the dataset."""
    return f"project={_value(project)}/month={_value(month)}"


def _value(value: str | None) -> str:
    """Give a value as Hive writes it into a path: what may not stand there is percent-encoded."""
    return NULL if value is None else quote(value, safe="").replace(".", "%2E")


def last_entry(dataset: Path) -> Entry | None:
    """Give the newest commit; None if there is none yet."""
    with storing("read", dataset):
        names = sorted(path.name for path in (dataset / _LOG).glob("*.json") if _ENTRY.match(path.name))
    if not names:
        return None
    path = dataset / _LOG / names[-1]
    try:
        with storing("read", path):
            entry = msgspec.json.decode(path.read_bytes(), type=Entry)
    except msgspec.DecodeError as error:
        raise DatasetError(f"{path} cannot be read: {error}", advise="it is the log; see what wrote there") from error
    if entry.kind != _MARK:
        raise DatasetError(f"{path} is no log of ours")
    if entry.version > 1:
        raise DatasetError(f"{dataset} was written by a newer nimble-watch", advise="install that one")
    return entry


def files(dataset: Path) -> dict[str, Path]:
    """Give the file of each partition by its place, in the order of those; also what is committed and not yet there."""
    if not dataset.is_dir():
        raise DatasetError(f"there is no dataset {dataset}", advise="`nimble-watch session compact` makes one")
    found = {str(path.relative_to(dataset)): path for path in dataset.glob(f"project=*/month=*/{FILE}")}
    entry = last_entry(dataset)
    if entry is not None:
        found |= {place: dataset / prepared for place, prepared in entry.files.items() if (dataset / prepared).exists()}
    return {place: found[place] for place in sorted(found)}


def begin(dataset: Path) -> Path:
    """Make a folder for what a compaction prepares."""
    with storing("make", dataset):
        (dataset / _LOG).mkdir(parents=True, exist_ok=True)
        (dataset / _NEW).mkdir(exist_ok=True)
        _sweep(dataset / _NEW)
        mine = dataset / _NEW / os.urandom(8).hex()
        mine.mkdir()
    return mine


def commit(dataset: Path, after: Entry | None, prepared: Mapping[str, Path], *, sessions: int) -> bool:
    """Commit prepared files by the place they take; False if another compaction was quicker."""
    entry = Entry(
        number=1 if after is None else after.number + 1,
        time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        host=os.uname().nodename,
        sessions=sessions,
        files={place: str(path.relative_to(dataset)) for place, path in prepared.items()},
    )
    content = msgspec.json.format(msgspec.json.encode(entry), indent=2) + b"\n"
    if not create_whole(dataset / _LOG / f"{entry.number:08}.json", content, mode=0o666):
        return False
    publish(dataset, entry)
    return True


def publish(dataset: Path, entry: Entry) -> None:
    """Put what was committed in its place; what is there already was put by somebody else."""
    for place, prepared in entry.files.items():
        path = dataset / place
        with storing("write", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                (dataset / prepared).replace(path)
            sync_folder(path.parent)
    discard([dataset / prepared for prepared in entry.files.values()])


def discard(prepared: Sequence[Path]) -> None:
    """Remove what was prepared for nothing, and the folders it was in."""
    for folder in {path.parent for path in prepared}:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(folder: Path) -> None:
    for left in folder.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _OLD:
                shutil.rmtree(left, ignore_errors=True)


def settled(dataset: Path) -> Entry | None:
    """Give the newest commit, with its files in their places, whoever committed it."""
    entry = last_entry(dataset) if (dataset / _LOG).is_dir() else None
    if entry is not None:
        publish(dataset, entry)
    return entry
