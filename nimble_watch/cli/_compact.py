"""`session compact`: what is in the folder put into a Parquet dataset."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from nimble_watch.cli import _naming
from nimble_watch.extras import needing
from nimble_watch.shared.settings import project_in_force


def configure(room: argparse.ArgumentParser) -> None:
    """Add where to, and under which project."""
    room.add_argument("dataset", metavar="DATASET", help="the folder of the dataset; made if it is not there")
    room.add_argument("--project", metavar="NAME", help="what new sessions belong to (default: as for session push)")


def compact(arguments: argparse.Namespace, folder: Path) -> int:
    """Put the folder's sessions into a dataset."""
    with needing("parquet", "a Parquet dataset"):
        from nimble_watch.dataset.compacting import compact as put

    project = project_in_force(os.environ, Path.cwd(), arguments.project)
    done = put(folder, Path(arguments.dataset), project_of=project.of)
    _naming.warn(done.problems)
    told = f"{done.new} sessions new, {done.renewed} in a newer revision, {done.there} there already"
    print(f"nimble-watch: {arguments.dataset}: {told}", file=sys.stderr)
    return 0
