"""Settings and where each came from: flag, environment, default; and what the surroundings say of themselves.

A value never travels without its source, so that `doctor` and error messages can name it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nimble_watch.cleaning import clean
from nimble_watch.system.calls import boot_id

_MOST = 200  # characters of one fact


class Setting(NamedTuple):
    """A value and where it came from; None is "not set"."""

    value: str | None
    source: str


def setting(flag: str | None, name: str, environ: Mapping[str, str], default: str | None = None) -> Setting:
    """Give a setting: the flag wins, then the variable `name` unless it is empty, then the default."""
    if flag:
        return Setting(clean(flag, limit=_MOST), "command line")
    if value := environ.get(name, "").strip():
        return Setting(clean(value, limit=_MOST), f"${name}")
    return Setting(default, "default")


def environment_name(flag: str | None, environ: Mapping[str, str]) -> Setting:
    """Give the environment that is deployed to (dev, staging, production ...)."""
    return setting(flag, "ENVIRONMENT", environ, "dev")


def region_name(environ: Mapping[str, str]) -> Setting:
    """Give the region as far as the environment says it; the cluster's nodes may say it later."""
    return setting(None, "OCI_REGION", environ)


def store_url(environ: Mapping[str, str]) -> str:
    """Give the address of the store that a team shares, as typed, so perhaps with a secret; empty if there is none."""
    return environ.get("NIMBLE_WATCH_STORE", "").strip()


def host_facts() -> dict[str, Any]:
    """Give what identifies this machine."""
    about = os.uname()
    return {
        "name": clean(about.nodename, limit=_MOST),
        "system": about.sysname,
        "cpus": os.cpu_count(),
        "boot": boot_id(),  # tells a machine that went down from a process that was killed
    }


_CI: tuple[tuple[str, str, str, str], ...] = (
    # (variable that is set there, name, variable of the run's id, variable of its URL)
    ("GITHUB_ACTIONS", "github", "GITHUB_RUN_ID", ""),
    ("GITLAB_CI", "gitlab", "CI_PIPELINE_ID", "CI_JOB_URL"),
    ("OCI_BUILD_RUN_ID", "oci-devops", "OCI_BUILD_RUN_ID", ""),
    ("TF_BUILD", "azure", "BUILD_BUILDID", ""),
    ("JENKINS_URL", "jenkins", "BUILD_NUMBER", "BUILD_URL"),
    ("BUILDKITE", "buildkite", "BUILDKITE_BUILD_ID", "BUILDKITE_BUILD_URL"),
    ("TEAMCITY_VERSION", "teamcity", "BUILD_NUMBER", ""),
    ("CIRCLECI", "circleci", "CIRCLE_WORKFLOW_ID", "CIRCLE_BUILD_URL"),
    ("CI", "unknown", "", ""),
)


def ci_facts(environ: Mapping[str, str]) -> dict[str, Any] | None:
    """Give which CI system this runs in, with the run's id and URL; None outside of one."""
    for mark, name, run, url in _CI:
        if environ.get(mark):
            link = environ.get(url) or None
            if name == "github" and environ.get("GITHUB_REPOSITORY"):
                server = environ.get("GITHUB_SERVER_URL", "https://github.com")
                link = f"{server}/{environ['GITHUB_REPOSITORY']}/actions/runs/{environ.get('GITHUB_RUN_ID', '')}"
            known = {"name": name, "run_id": environ.get(run) or None, "url": link}
            return {key: clean(value, limit=_MOST) if value else None for key, value in known.items()}
    return None


def vcs_facts(folder: Path) -> dict[str, Any] | None:
    """Give branch and revision of the git checkout that holds a folder, read without starting git; else None."""
    git, head = _checkout(folder) or (None, "")
    if git is None:
        return None
    reference = head.partition("ref: ")[2]
    branch = reference.removeprefix("refs/heads/") or None
    return {
        "branch": clean(branch, limit=_MOST) if branch else None,
        "revision": _revision(git, reference) if reference else clean(head, limit=_MOST),
    }


def remote_name(folder: Path) -> str | None:
    """Give the name of the repository that the checkout which holds a folder was cloned from; None if there is none."""
    git, _ = _checkout(folder) or (None, "")
    try:
        settings = "" if git is None else (_common(git) / "config").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r'(?m)^\[remote "origin"\][^\[]*?^\s*url\s*=\s*(\S+)', settings)
    name = re.split(r"[/:\\]", found[1].rstrip("/"))[-1].removesuffix(".git") if found else ""
    return clean(name, limit=_MOST) or None


def _checkout(folder: Path) -> tuple[Path, str] | None:
    """Give the git folder of the checkout that holds a folder, and what its HEAD says."""
    for parent in (folder, *folder.parents):
        git = parent / ".git"
        try:
            if git.is_file():  # a worktree or submodule: the file says where
                git = (parent / git.read_text(encoding="utf-8").partition("gitdir:")[2].strip()).resolve()
            return git, (git / "HEAD").read_text(encoding="utf-8").strip()
        except OSError:
            continue
    return None


def _common(git: Path) -> Path:
    """Give the git folder that a worktree shares with the others."""
    try:
        return git / (git / "commondir").read_text(encoding="utf-8").strip()
    except OSError:
        return git


def _revision(git: Path, reference: str) -> str | None:
    common = _common(git)
    for path, pattern in (
        (common / reference, r"([0-9a-f]{40,64})\s*\Z"),
        (common / "packed-refs", rf"(?m)^([0-9a-f]{{40,64}}) {re.escape(reference)}$"),
    ):
        try:
            found = re.search(pattern, path.read_text(encoding="utf-8"))
        except OSError:
            continue
        if found:
            return found[1]
    return None  # a branch without a commit
