"""Which store a team has, and under which name this project stands in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nimble_watch.config import file_of, store_url, vcs_facts
from nimble_watch.shared.address import Address, read_address
from nimble_watch.shared.layout import SharedError, check_project


class Project(NamedTuple):
    """What sessions are filed under; `named` if somebody chose the name."""

    name: str
    named: bool

    def of(self, vcs: Any) -> str:
        """Give the project of a session by what it says of its checkout: a folder holds those of many repositories."""
        repository = vcs.get("repository") if isinstance(vcs, dict) else None
        return self.name if self.named or not isinstance(repository, str) else plain(repository)


class Common(NamedTuple):
    """What a team has in common: the address of the store, and the project; `named` if somebody chose its name."""

    address: Address
    project: str
    named: bool = True

    def project_of(self, vcs: Any) -> str:
        """Give the project of a session by what it says of its checkout."""
        return Project(self.project, self.named).of(vcs)


def common(
    environ: Mapping[str, str], folder: Path, *, store: str | None = None, project: str | None = None
) -> Common | None:
    """Give the store and the project that are in force in a folder; None if no store is.

    A flag wins over the environment, that over nimble-watch.toml.
    """
    url = store or store_url(environ) or file_of(folder).texts.get("store", "")
    if not url:
        return None
    name, named = project_in_force(environ, folder, project)
    return Common(read_address(url), name, named=named)


def project_in_force(environ: Mapping[str, str], folder: Path, project: str | None = None) -> Project:
    """Give the project that a folder belongs to.

    One that nobody named is called after the checkout's remote repository, so that every machine's checkout means the
    same one, else after its folder.
    """
    name = project or environ.get("NIMBLE_WATCH_PROJECT", "").strip() or file_of(folder).texts.get("project", "")
    called = name or plain((vcs_facts(folder) or {}).get("repository") or folder.name)
    return Project(check_project(called), named=bool(name))


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
