"""Questions to a dataset, answered by DuckDB: the sessions that a command wants, as if they had been read from files.

SQL only narrows down, and is free to give too much: what is shown is decided by the same code as for files, from the
same documents.  So a million sessions cost the reading of a few columns, and the decoding of those that are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from nimble_watch.cleaning import clean
from nimble_watch.dataset.layout import NULL, DatasetError, files
from nimble_watch.session import Session, Stop
from nimble_watch.session.baseline import likeness
from nimble_watch.store import newest_first, understand

_MEMORY = "128MB"  # beyond that it uses the disk
_AT_ONCE = 500
_SAME_SECOND = 1000  # sessions that may have begun in one second: the texts of their ids have another order
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
        there = files(folder)
        self._files = [str(path) for path in there.values()]
        months: dict[str, list[str]] = {}
        for place, path in there.items():
            months.setdefault(place.split("/")[1], []).append(str(path))
        # What has no month comes last: it may be of any time.
        self._months = [months[month] for month in sorted(months, key=lambda name: (NULL not in name, name))[::-1]]
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
            oldest = self._not_newer(where, values, number)
            if oldest is None:
                return
            where, values = f"{where} AND session_id >= $oldest", {**values, "oldest": oldest}
        if number is not None and number <= _AT_ONCE:
            most = f"{where} ORDER BY session_id DESC LIMIT {number + _SAME_SECOND}"
            found = self._ask("session_id, uid, document", most, **values)
            found.sort(key=lambda one: (newest_first(one[0]), one[1]), reverse=True)
            yield from self._understood((name, document) for name, _, document in found[:number])
            return
        keys: list[tuple[str, str]] = self._ask("session_id, uid", where, **values)
        keys.sort(key=lambda key: (newest_first(key[0]), key[1]), reverse=True)
        for at in range(0, len(keys[:number]), _AT_ONCE):
            yield from self._read(keys[:number][at : at + _AT_ONCE])

    def _not_newer(self, where: str, values: Mapping[str, Any], number: int) -> str | None:
        """Give an id than which as many sessions are not older, if there are so many; None if there is no session.

        The newest months are asked first, and as soon as they have so many the others are not: an id found there is as
        good a limit for all of them, and whoever reads with it skips what lies below by the files' own statistics.
        """
        names: list[str] = []
        left, step = self._months, 1
        while left and len(names) < number:
            asked, left, step = [file for month in left[:step] for file in month], left[step:], 2 * step
            newest = f"{where} ORDER BY session_id DESC LIMIT $number"
            names += [name for (name,) in self._ask("session_id", newest, asked, number=number, **values)]
        if not names:
            return None
        # The order of the texts is that of time, but for -2, -10 ... of one second: all of that one are looked at.
        name = sorted(names, reverse=True)[:number][-1]
        return name.rpartition("-")[0] if newest_first(name)[1] else name

    def _read(self, keys: Sequence[tuple[str, str]]) -> Iterator[Session]:
        uids = [uid for _, uid in keys]
        near = "uid BETWEEN $least AND $most AND list_contains($uids, uid)"  # the first two leave most of a file unread
        documents = dict(self._ask("uid, document", near, least=min(uids), most=max(uids), uids=uids))
        yield from self._understood((name, documents[uid]) for name, uid in keys)

    def _understood(self, documents: Iterable[tuple[str, str]]) -> Iterator[Session]:
        for name, document in documents:
            loaded = understand(Path(f"{name}.json"), document.encode())
            self._warn(loaded.problems)
            if loaded.session is not None:
                loaded.session.session_id = name
                yield loaded.session

    def _ask(self, what: str, where: str, files: Sequence[str] | None = None, **values: Any) -> list[Any]:
        question = f"SELECT {what} FROM read_parquet($files, union_by_name = true) WHERE {where}"  # noqa: S608  ours alone
        try:
            return self._database.execute(question, {"files": files or self._files, **values}).fetchall()
        except duckdb.Error as error:
            raise DatasetError(f"the dataset cannot be read: {clean(str(error))}") from error
