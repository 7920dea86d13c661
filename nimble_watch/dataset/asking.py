"""Questions to a dataset, answered by DuckDB: the sessions that a command wants, as if they had been read from files.

SQL only narrows down, and is free to give too much: what is shown is decided by the same code as for files, from the
same documents.  So a million sessions cost the reading of a few columns, and the decoding of those that are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from nimble_watch.cleaning import clean
from nimble_watch.dataset.layout import DatasetError, files
from nimble_watch.session import Session, Stop
from nimble_watch.session.baseline import likeness
from nimble_watch.store import newest_first, understand

_MEMORY = "128MB"  # beyond that it uses the disk
_AT_ONCE = 500
_FILTERS = {
    "operation": "operation = $operation",
    "environment": "environment = $environment",
    "region": "region = $region",
    "result": "result = $result",
    "kind": "len(list_filter(obstacles, lambda one: one.kind = $kind OR one.type = $kind)) > 0",
    "tag": "list_contains(tags, $tag)",
    "since": "start_ms >= $since",
    "until": "start_ms < $until",
}
_ORDERS = {
    "start": "start_ms",
    "duration": "coalesce(performance.total_duration_ms, performance.total_duration * 1000)",
    "cost": "costs.session_total",
    "efficiency": "performance.efficiency_score",
    "obstacles": "performance.obstacle_count",
}
"""What `session list` filters and sorts by, as SQL."""


class Dataset:
    """A dataset that is open for questions; `warn` is told what is wrong with a session that is read."""

    def __init__(self, folder: Path, warn: Callable[[Sequence[str]], None]) -> None:
        self._warn = warn
        self._files = [str(path) for path in files(folder)]
        if not self._files:
            raise DatasetError(f"{folder} holds no sessions", advise="`nimble-watch session compact` puts them there")
        self._database = duckdb.connect(config={"memory_limit": _MEMORY, "preserve_insertion_order": "false"})

    def newest(self, number: int) -> Iterator[Session]:
        """Give the newest sessions, newest first."""
        return self._sessions("TRUE", {}, number)

    def like(self, session: Session, number: int) -> Iterator[Session]:
        """Give the newest sessions that one may be compared with, itself perhaps among them, newest first."""
        wanted = likeness(session)
        same = " AND ".join(f"coalesce(nullif({name}, ''), 'unknown') = ${name}" for name in wanted)
        return self._sessions(same, wanted, number)

    def matching(self, filters: Mapping[str, str | int], order: str | None, number: int | None) -> Iterator[Session]:
        """Give the sessions that may be meant, newest first: of an order at least those that come first in it."""
        where = " AND ".join(["TRUE", *(_FILTERS[name] for name in filters)])
        if order is None:
            return self._sessions(where, filters, number)
        if number is None:
            return self._sessions(where, filters)
        # As many as are wanted, and all that are equal to the last of them: which of those, the caller decides.
        where += f" QUALIFY rank() OVER (ORDER BY {_ORDERS[order]} DESC NULLS LAST) <= $most"
        return self._sessions(where, {**filters, "most": number})

    def stopped(self) -> list[Session]:
        """Give every session in which a phase was, or would have been, stopped: its id and its stops, no more."""
        found = self._ask("session_id, list_transform(stops, lambda one: [one.real, one.mistake])", "len(stops) > 0")
        found.sort(key=lambda one: newest_first(one[0]), reverse=True)
        return [
            Session(
                session_id=name,
                stops=[
                    Stop(phase="", obstacle="", kind="", at_ms=0, real=real, mistake=wrong) for real, wrong in stops
                ],
            )
            for name, stops in found
        ]

    def _sessions(self, where: str, values: Mapping[str, Any], number: int | None = None) -> Iterator[Session]:
        """Give the sessions of which something is true, or the newest of them, newest first."""
        if number is not None:
            newest = self._ask("session_id", f"{where} ORDER BY session_id DESC LIMIT $number", number=number, **values)
            if not newest:
                return
            # The order of the texts is that of time, but for -2, -10 ... of one second: all of that one are looked at.
            name = newest[-1][0]
            oldest = name.rpartition("-")[0] if newest_first(name)[1] else name
            where, values = f"{where} AND session_id >= $oldest", {**values, "oldest": oldest}
        keys: list[tuple[str, str]] = self._ask("session_id, uid", where, **values)
        keys.sort(key=lambda key: (newest_first(key[0]), key[1]), reverse=True)
        for at in range(0, len(keys[:number]), _AT_ONCE):
            yield from self._read(keys[:number][at : at + _AT_ONCE])

    def _read(self, keys: Sequence[tuple[str, str]]) -> Iterator[Session]:
        uids = [uid for _, uid in keys]
        near = "uid BETWEEN $least AND $most AND list_contains($uids, uid)"  # the first two leave most of a file unread
        found = self._ask("uid, document", near, least=min(uids), most=max(uids), uids=uids)
        documents = dict(found)
        for name, uid in keys:
            loaded = understand(Path(f"{name}.json"), documents[uid].encode())
            self._warn(loaded.problems)
            if loaded.session is not None:
                loaded.session.session_id = name
                yield loaded.session

    def _ask(self, what: str, where: str, **values: Any) -> list[Any]:
        question = f"SELECT {what} FROM read_parquet($files, union_by_name = true) WHERE {where}"  # noqa: S608  ours alone
        try:
            return self._database.execute(question, {"files": self._files, **values}).fetchall()
        except duckdb.Error as error:
            raise DatasetError(f"the dataset cannot be read: {clean(str(error))}") from error
