"""Sessions of a folder put into a dataset: what is new, and of what changed the highest revision.

A file of the dataset is written anew only if something in it changes, row group by row group, so memory does not grow
with it.  What is in the dataset stays there, also when its file was pruned from the folder: that is what it is for.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nimble_watch.columns import ROWS, regrouped, row, schema, tables, writer
from nimble_watch.dataset.layout import FILE, DatasetError, begin, commit, discard, partition, settled
from nimble_watch.session import Session, encode_line, uid_of
from nimble_watch.store import StoreError, is_open, load, session_ids, session_path, storing, understand

_TRIES = 5
_LAST_YEAR = 253_402_300_800_000  # the first millisecond of the year 10000
_DECODER = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


class Compacted(msgspec.Struct, kw_only=True):
    """What a compaction did: how many sessions were new, renewed, there already; what was wrong with others."""

    new: int = 0
    renewed: int = 0
    there: int = 0
    problems: list[str] = []


class _Known(NamedTuple):
    """One session: where it belongs, and what tells its versions apart; `name` is its id in the folder."""

    name: str
    place: str
    revision: int
    digest: bytes


def compact(folder: Path, dataset: Path, *, project_of: Callable[[Any], str]) -> Compacted:
    """Put every session of the folder that has ended into the dataset, in one commit.

    `project_of` says what a session belongs to, by its `vcs`.
    """
    problems: list[str] = []
    found = _in_folder(folder, project_of, problems)
    for _ in range(_TRIES):
        done = Compacted(problems=list(problems))
        before = settled(dataset)
        there = _in_dataset(dataset, found)
        wanted = _wanted(found, there, done)
        if not wanted:
            return done
        prepared = _prepare(folder, dataset, wanted)
        if commit(dataset, before, prepared, sessions=len(wanted)):
            return done
        discard(list(prepared.values()))
    raise DatasetError(f"others changed {dataset} {_TRIES} times meanwhile", advise="try again when they are done")


def _in_folder(folder: Path, project_of: Callable[[Any], str], problems: list[str]) -> dict[str, _Known]:
    """Give the folder's sessions that have ended, by uid; what cannot be read is named."""
    found: dict[str, _Known] = {}
    for name in session_ids(folder):
        if is_open(folder, name):
            continue
        loaded = _load(folder, name)
        if loaded is None:
            problems += load(session_path(folder, name)).problems
            continue
        session, document = loaded
        if session.state == "open":
            problems.append(f"{name} is still open, or its machine was lost less than a day ago; left out this time")
            continue
        one = _Known(
            name,
            partition(project_of(session.vcs), _month(session)),
            session.revision,
            hashlib.sha256(document).digest(),
        )
        other = found.setdefault(uid_of(session), one)
        if other.revision == one.revision and other.digest != one.digest:
            problems.append(
                f"{name} and {other.name} are the same session and revision, but differ; {other.name} counts"
            )
        elif one.revision > other.revision:
            found[uid_of(session)] = one
    return found


def _load(folder: Path, name: str) -> tuple[Session, bytes] | None:
    """Read a session as it is shown, and its document as it stands in the file."""
    path = session_path(folder, name)
    session = load(path).session
    if session is None:
        return None
    try:
        with storing("read", path):
            document = _DECODER.decode(path.read_bytes())
    except (StoreError, msgspec.DecodeError):
        return None  # it changed meanwhile
    if session.state != document.get("state"):  # of another machine, and lost: that is known when it is read
        document |= {"state": session.state, "result": session.result, "notes": session.notes}
    return session, encode_line(document).rstrip()


def _month(session: Session) -> str | None:
    """Give the month (UTC) in which a session began."""
    at = session.start_ms
    return None if at is None or not 0 <= at < _LAST_YEAR else datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m")


def _in_dataset(dataset: Path, found: dict[str, _Known]) -> dict[str, _Known]:
    """Give those of the sessions that the dataset has, by uid."""
    there: dict[str, _Known] = {}
    uids = pa.array(list(found), pa.string())
    for path in sorted(dataset.glob(f"project=*/month=*/{FILE}")):
        place = str(path.parent.relative_to(dataset))
        file = pq.ParquetFile(path)
        for number in range(file.num_row_groups):
            if not pc.any(pc.is_in(file.read_row_group(number, columns=["uid"]).column("uid"), uids)).as_py():
                continue
            group = file.read_row_group(number, columns=["uid", "session_id", "revision", "document"])
            for one in group.filter(pc.is_in(group.column("uid"), uids)).to_pylist():
                digest = hashlib.sha256(one["document"].encode()).digest()
                there[one["uid"]] = _Known(one["session_id"], place, one["revision"], digest)
    return there


def _wanted(found: dict[str, _Known], there: dict[str, _Known], done: Compacted) -> dict[str, _Known]:
    """Give what is to be written, by uid, each in the partition where it is already or belongs."""
    wanted: dict[str, _Known] = {}
    for uid, ours in found.items():
        theirs = there.get(uid)
        if theirs is None:
            done.new += 1
            wanted[uid] = ours
        elif ours.revision > theirs.revision:
            done.renewed += 1
            wanted[uid] = ours._replace(place=theirs.place)
        else:
            done.there += 1
            if ours.revision == theirs.revision and ours.digest != theirs.digest:
                same = f"{ours.name} is in the dataset as the same revision ({ours.revision})"
                done.problems.append(f"{same} with other content, which stays")
    return wanted


def _prepare(folder: Path, dataset: Path, wanted: dict[str, _Known]) -> dict[str, Path]:
    """Write a new file for each partition that changes; gives them by the place that they are to take."""
    mine = begin(dataset)
    by_place: dict[str, list[str]] = defaultdict(list)
    for uid, one in wanted.items():
        by_place[one.place].append(uid)
    prepared: dict[str, Path] = {}
    for number, (place, uids) in enumerate(sorted(by_place.items())):
        path = mine / f"{number}.parquet.new"  # a name that nobody takes for a part of the dataset
        rows = _rows(folder, sorted(wanted[uid].name for uid in uids))
        _write(path, dataset / place / FILE, uids, rows)
        prepared[f"{place}/{FILE}"] = path
    return prepared


def _rows(folder: Path, names: Iterable[str]) -> Iterator[dict[str, Any]]:
    for name in names:
        if (loaded := _load(folder, name)) is not None:
            yield {**row(loaded[0]), "document": loaded[1].decode()}


def _write(path: Path, old: Path, without: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """Write a partition's file: what it had, but for some sessions, and rows behind it."""
    with storing("write", path), path.open("wb") as out:
        with writer(out) as parquet:
            for table in _kept(old, without) if old.exists() else ():
                parquet.write_table(table)
            for table in tables(rows):
                parquet.write_table(table)
        out.flush()
        os.fsync(out.fileno())


def _kept(old: Path, without: Sequence[str]) -> Iterator[Any]:
    """Give what a file holds but for some sessions; one of an older version gets the columns that we have now."""
    uids = pa.array(without, pa.string())
    source = pq.ParquetFile(old)
    if source.schema_arrow.equals(schema()):
        groups = (pa.Table.from_batches([batch]) for batch in source.iter_batches(batch_size=ROWS))
        yield from regrouped(group.filter(pc.invert(pc.is_in(group.column("uid"), uids))) for group in groups)
        return
    spared = set(without)
    batches = source.iter_batches(batch_size=ROWS, columns=["uid", "session_id", "document"])
    yield from tables(_anew(one) for batch in batches for one in batch.to_pylist() if one["uid"] not in spared)


def _anew(one: dict[str, Any]) -> dict[str, Any]:
    session = understand(Path(f"{one['session_id']}.json"), one["document"].encode()).session
    if session is None:
        raise DatasetError(f"{one['session_id']} in the dataset cannot be read any more")
    session.session_id = one["session_id"]
    return {**row(session), "document": one["document"]}
