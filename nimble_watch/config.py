"""Settings and where each came from: flag, environment, file, default; and what the surroundings say of themselves.

A value never travels without its source, so that `doctor` and error messages can name it.  The file, nimble-watch.toml,
is looked for from the working folder upward to the root of its git checkout, and nowhere else: what lies above may be
anybody's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from nimble_watch.cleaning import clean
from nimble_watch.errors import ConfigError, closest
from nimble_watch.session import Targets
from nimble_watch.system.calls import boot_id

FILE = "nimble-watch.toml"
_MOST = 200  # characters of one fact
_MOST_BYTES = 1 << 20  # of the file


class Setting(NamedTuple):
    """A value and where it came from; None is "not set"."""

    value: str | None
    source: str


_TEXTS = ("environment", "region", "project", "store")


class File(NamedTuple):
    """What nimble-watch.toml says; without a path there is none."""

    path: Path | None = None
    texts: Mapping[str, str] = {}
    targets: Targets | None = None


NO_FILE = File()


def setting(
    flag: str | None, name: str, environ: Mapping[str, str], default: str | None = None, *, told: Setting | None = None
) -> Setting:
    """Give a setting: the flag wins, then the variable `name` unless it is empty, what a file told, and `default`."""
    if flag:
        return Setting(clean(flag, limit=_MOST), "command line")
    if value := environ.get(name, "").strip():
        return Setting(clean(value, limit=_MOST), f"${name}")
    return told or Setting(default, "default")


def environment_name(flag: str | None, environ: Mapping[str, str], file: File = NO_FILE) -> Setting:
    """Give the environment that is deployed to (dev, staging, production ...)."""
    return setting(flag, "ENVIRONMENT", environ, "dev", told=_told(file, "environment"))


def region_name(environ: Mapping[str, str], file: File = NO_FILE) -> Setting:
    """Give the region as far as the surroundings say it; the cluster's nodes may say it later."""
    return setting(None, "OCI_REGION", environ, told=_told(file, "region"))


def _told(file: File, name: str) -> Setting | None:
    return Setting(file.texts[name], str(file.path)) if name in file.texts else None


def file_here(warn: Callable[[str], None]) -> File:
    """Read the file that holds for the working folder; one that cannot be used is warned of, and then there is none."""
    try:
        return file_of(Path.cwd())
    except ConfigError as error:
        warn(str(error))
    except OSError:  # the working folder was removed
        pass
    return NO_FILE


def file_of(folder: Path) -> File:
    """Read the nimble-watch.toml that holds for a folder; a ConfigError names file, key and what is allowed there."""
    path = _find(folder)
    if path is None:
        return NO_FILE
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    if len(raw) > _MOST_BYTES:
        raise ConfigError(f"{path} is larger than {_MOST_BYTES >> 20} MiB, so it is no settings file")
    import tomllib  # noqa: PLC0415  most folders have no file, and every short command would pay for it

    try:
        text = raw.decode()
        document = tomllib.loads(text, parse_float=Decimal)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}, line {line}: not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {clean(str(error), limit=_MOST)}", advise="it is no TOML as it stands") from error
    return _Reader(path, text).file(document)


def _find(folder: Path) -> Path | None:
    if (folder / FILE).exists():
        return folder / FILE
    above: list[Path] = []
    for parent in (folder, *folder.parents):
        above.append(parent / FILE)
        if (parent / ".git").exists():
            return next((path for path in above if path.exists()), None)
    return None


class _Reader:
    """Reads one file's values; each complaint names the file, the line and the key, and what may stand there."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._lines = text.splitlines()

    def file(self, document: Mapping[str, Any]) -> File:
        """Give what the file says."""
        self._known(document, (), (*_TEXTS, "targets"))
        texts = {name: self._text(document[name], name) for name in _TEXTS if name in document}
        if texts.get("store", "") != str(document.get("store", "")).strip():
            advise = "put it into NIMBLE_WATCH_STORE: who has the repository has this file"
            raise ConfigError(f"{self._where('store')} holds a secret", advise=advise)
        return File(self._path, texts, self._targets(document["targets"]) if "targets" in document else None)

    def _targets(self, table: Any) -> Targets:
        self._table(table, "targets")
        self._known(table, ("targets",), ("duration", "phases", "efficiency", "cost"))
        phases = table.get("phases", {})
        self._table(phases, "targets", "phases")
        return Targets(
            duration=self._seconds(table["duration"], "targets", "duration") if "duration" in table else None,
            phases={
                clean(name, limit=_MOST): self._seconds(value, "targets", "phases", name)
                for name, value in phases.items()
            },
            efficiency=self._number(table["efficiency"], 100, "a percentage from 0 to 100", "targets", "efficiency")
            if "efficiency" in table
            else None,
            cost_usd=self._number(table["cost"], None, "an amount in USD, such as 2.50", "targets", "cost")
            if "cost" in table
            else None,
            source=self._path.name,
        )

    def _known(self, table: Mapping[str, Any], above: tuple[str, ...], allowed: tuple[str, ...]) -> None:
        for name in table:
            if name not in allowed:
                meant = closest(name, list(allowed))
                where = f"in [{'.'.join(above)}]" if above else "here"
                advise = f"did you mean {meant}?" if meant else f"allowed {where}: {', '.join(allowed)}"
                raise ConfigError(f"{self._where(*above, name)} is no setting", advise=advise)

    def _table(self, value: Any, *key: str) -> None:
        if not isinstance(value, dict):
            raise self._wrong(value, f"a table, [{'.'.join(key)}]", *key)

    def _text(self, value: Any, *key: str) -> str:
        if not isinstance(value, str) or not value.strip():
            raise self._wrong(value, "a name in quotation marks", *key)
        return clean(value.strip(), limit=_MOST)

    def _number(self, value: Any, most: int | None, allowed: str, *key: str) -> Decimal:
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            number = Decimal(value)
            if number.is_finite() and number >= 0 and (most is None or number <= most):
                return number
        raise self._wrong(value, allowed, *key)

    def _seconds(self, value: Any, *key: str) -> int:
        allowed = 'a time above zero: seconds, or a text such as "90s", "20m" or "1h30m"'
        if isinstance(value, str):
            found = _LENGTH.fullmatch(value.strip())
            parts = [int(part or 0) for part in found.groups()] if found else [0]
            seconds = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
        elif isinstance(value, int | Decimal) and not isinstance(value, bool) and Decimal(value).is_finite():
            seconds = int(value)
        else:
            seconds = 0
        if not 0 < seconds <= _LONGEST:
            raise self._wrong(value, allowed, *key)
        return seconds

    def _wrong(self, value: Any, allowed: str, *key: str) -> ConfigError:
        return ConfigError(f"{self._where(*key)} is {_shown(value)}", advise=f"it has to be {allowed}")

    def _where(self, *key: str) -> str:
        """Name a key by file and line; the parser gives no lines, so the key is looked for in the text."""
        name = re.compile(rf"""\s*(?:\[+\s*)?(?:[\w."'-]+\.)?\s*["']?{re.escape(key[-1])}["']?\s*(?:[=.\]]|$)""")
        table = re.compile(rf"\s*\[+\s*{re.escape('.'.join(key[:-1]))}\s*\]")
        begins = next((at for at, line in enumerate(self._lines) if key[:-1] and table.match(line)), 0)
        line = next((at for at in range(begins, len(self._lines)) if name.match(self._lines[at])), None)
        dotted = clean(".".join(key), limit=_MOST)
        return f"{self._path}{'' if line is None else f', line {line + 1}'}: {dotted}"


def _shown(value: Any) -> str:
    """Give a value as it may have been written."""
    if isinstance(value, bool):
        return str(value).lower()
    return clean(str(value) if isinstance(value, Decimal) else repr(value), limit=60)


_LENGTH = re.compile(r"(?=\d)(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s?)?")
_LONGEST = 365 * 86_400  # seconds


def store_url(environ: Mapping[str, str]) -> str:
    """Give the address of the store to which sessions go by themselves, as typed, so perhaps with a secret.

    Empty if there is none.  The file of a repository is not asked: whoever only tries one out shall send it nothing.
    """
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
    """Give branch, revision and origin of the git checkout that holds a folder, without starting git; else None."""
    git, head = _checkout(folder) or (None, "")
    if git is None:
        return None
    reference = head.partition("ref: ")[2]
    branch = reference.removeprefix("refs/heads/") or None
    return {
        "branch": clean(branch, limit=_MOST) if branch else None,
        "revision": _revision(git, reference) if reference else clean(head, limit=_MOST),
        "repository": _origin(git),
    }


def _origin(git: Path) -> str | None:
    """Give the name of the repository that a checkout was cloned from; None if it says none."""
    try:
        settings = (_common(git) / "config").read_text(encoding="utf-8", errors="replace")
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
