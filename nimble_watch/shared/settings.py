"""Which store a team has, and under which name this project stands in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nimble_watch.config import file_of, store_url, vcs_facts
from nimble_watch.shared.address import Address, read_address
from nimble_watch.shared.layout import SharedError, check_project


class Common(NamedTuple):
    """What a team has in common: the address of the store, and the project; `named` if somebody chose its name."""

    address: Address
    project: str
    named: bool = True

    def project_of(self, vcs: Any) -> str:
        """Give the project of a session by what it says of its checkout: a folder holds those of many repositories."""
        repository = vcs.get("repository") if isinstance(vcs, dict) else None
        return self.project if self.named or not isinstance(repository, str) else plain(repository)


def common(
    environ: Mapping[str, str], folder: Path, *, store: str | None = None, project: str | None = None
) -> Common | None:
    """Give the store and the project that are in force in a folder; None if no store is.

    A flag wins over the environment, that over nimble-watch.toml; a project that nobody named is called after the
    checkout's remote repository, so that every machine's checkout means the same one, else after its folder.
    """
    told = file_of(folder).texts
    url = store or store_url(environ) or told.get("store", "")
    if not url:
        return None
    name = project or environ.get("NIMBLE_WATCH_PROJECT", "").strip() or told.get("project", "")
    called = name or plain((vcs_facts(folder) or {}).get("repository") or folder.name)
    return Common(read_address(url), check_project(called), named=bool(name))


def needed(environ: Mapping[str, str], folder: Path, *, store: str | None = None, project: str | None = None) -> Common:
    """Give what is in force, or say how to choose a store."""
    found = common(environ, folder, store=store, project=project)
    if found is None:
        advise = "name one with --store URL or NIMBLE_WATCH_STORE, or as `store` in nimble-watch.toml"
        raise SharedError("no shared store is chosen", advise=advise)
    return found


def plain(name: str) -> str:
    """Give a name as it may stand in a key."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip("._-")[:100] or "unnamed"
