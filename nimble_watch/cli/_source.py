"""Where commands read many sessions: in the folder, through its index, or in a dataset that --from names."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from nimble_watch.cli import _naming
from nimble_watch.cli._listing import choose, filters, number_of
from nimble_watch.extras import needing
from nimble_watch.session import Session
from nimble_watch.session.baseline import alike
from nimble_watch.store.index import History


def configure_source(room: argparse.ArgumentParser) -> None:
    """Add --from."""
    room.add_argument("--from", dest="dataset", metavar="DATASET", help="read what session compact wrote there instead")


def source_of(arguments: argparse.Namespace, folder: Path) -> FolderSource | DatasetSource:
    """Give where the command is to read."""
    return FolderSource(folder) if arguments.dataset is None else DatasetSource(Path(arguments.dataset))


class FolderSource:
    """The sessions of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known = History(folder)

    def newest(self, number: int) -> list[Session]:
        """Give the newest sessions, newest first."""
        return list(_naming.read_all(self._folder, self._known.ids[:number], self._known))

    def older_alike(self, last: Session, others: Sequence[Session], number: int) -> Iterator[Session]:
        """Give sessions like one beside others that were read, until there are so many that are like it."""
        there = {session.session_id for session in others}
        older = (name for name in self._known.like(last) if name not in there)
        return islice(_naming.read_all(self._folder, older, self._known), max(0, number - len(alike(last, others))))

    def chosen(self, arguments: argparse.Namespace, *, whole: bool) -> Iterator[Session]:
        """Give the sessions that a command's filters, order and number ask for; `whole`: with what no table shows."""
        return choose(_naming.read_all(self._folder, self._known.ids, None if whole else self._known), arguments)

    def stopped(self) -> list[Session]:
        """Give all sessions in which a phase was, or would have been, stopped."""
        return self._known.stopped()

    def save(self) -> None:
        """Keep what was learned for the next command."""
        self._known.save()


class DatasetSource:
    """The sessions of a dataset, always whole; the methods are those of a folder's."""

    def __init__(self, dataset: Path) -> None:
        with needing("duckdb", "reading a dataset"):
            from nimble_watch.dataset.asking import Dataset

        self._dataset = Dataset(dataset, _naming.warn)

    def newest(self, number: int) -> list[Session]:
        """Give the newest sessions, newest first."""
        return list(self._dataset.newest(number))

    def older_alike(self, last: Session, others: Sequence[Session], number: int) -> Iterator[Session]:
        """Give sessions like one beside others that were read, until there are so many that are like it."""
        missing = max(0, number - len(alike(last, others)))
        if not missing:
            return iter(())
        there = {session.session_id for session in others}
        found = self._dataset.like(last, len(others) + missing)
        return islice((session for session in found if session.session_id not in there), missing)

    def chosen(self, arguments: argparse.Namespace, *, whole: bool) -> Iterator[Session]:  # noqa: ARG002  as a folder's
        """Give the sessions that a command's filters, order and number ask for."""
        return choose(self._dataset.matching(filters(arguments), arguments.sort, number_of(arguments)), arguments)

    def stopped(self) -> list[Session]:
        """Give all sessions in which a phase was, or would have been, stopped."""
        return self._dataset.stopped()

    def save(self) -> None:
        """Keep nothing: a dataset is only read."""
