"""`nimble-watch shell`: bash functions, a tracker script and make targets, put into a user's repository.

The second line of each file names the version and a sum of the rest.  So an older file of ours is known and replaced,
while one that somebody wrote or changed is left alone: then ours goes under another name, and the line is printed by
which it is used.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shlex
import shutil
import sys
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from nimble_watch import __version__
from nimble_watch.errors import NimbleWatchError
from nimble_watch.store import StoreError, storing, write_whole

_MARK = re.compile(r"# Installed by nimble-watch \S+ \(sum ([0-9a-f]{16})\); .*\n")


class File(NamedTuple):
    """One file: its name, the name where that is taken, its mode, and the line by which it is used."""

    name: str
    instead: str
    mode: int
    use: str


FILES = (
    File("_lib.sh", "nimble-watch-lib.sh", 0o666, "in bash scripts:   source {path}"),
    File("session-tracker.sh", "nimble-watch-session.sh", 0o777, "by hand:           {path} summary"),
    File("nimble-watch.mk", "nimble-watch-phases.mk", 0o666, "in the Makefile:   include {path}"),
)


class Plan(NamedTuple):
    """What is to be done about one file: where it goes, whether something of ours is there, and what is in the way."""

    file: File
    path: Path
    content: bytes
    before: bytes | None
    in_the_way: Path | None

    def said(self, *, done: bool) -> str:
        """Say in one line what was, or would be, done."""
        if self.before == self.content:
            word = "there is"
        else:
            word = (
                ("wrote" if done else "would write") if self.before is None else ("renewed" if done else "would renew")
            )
        aside = "" if self.in_the_way is None else f", because {self.in_the_way} is not ours, or was changed: it stays"
        return f"{word} {self.path}{aside}"


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--install", metavar="DIR", type=Path, help="write the files into DIR, such as scripts/")
    what.add_argument("--uninstall", metavar="DIR", type=Path, help="remove them from DIR, but for those changed since")


def main(arguments: argparse.Namespace) -> int:
    """Install, remove, or say what an install into scripts/ would do."""
    try:
        return _do(arguments)
    except StoreError as error:  # its advice is for the folder of the sessions
        advise = error.advise.removesuffix(" with --sessions")
        raise NimbleWatchError(error.what, where=error.where, advise=advise) from error


def _do(arguments: argparse.Namespace) -> int:
    if arguments.uninstall is not None:
        return _uninstall(arguments.uninstall)
    folder = arguments.install or Path("scripts")
    plans = [_plan(folder, file) for file in FILES]
    if arguments.install is not None:
        with storing("make", folder):
            folder.mkdir(parents=True, exist_ok=True)
        for plan in plans:
            if plan.before != plan.content:
                write_whole(plan.path, plan.content, mode=plan.file.mode)
    for plan in plans:
        print(plan.said(done=arguments.install is not None))
    print("\nTo use them:")
    for plan in plans:
        print(f"  {plan.file.use.format(path=_typed(plan.path))}")
    print(f"  a phase:           {folder / 'install.sh'} and so on, or a target of the Makefile")
    if arguments.install is None:
        print("\nNothing was written; `nimble-watch shell --install scripts/` does it.")
    elif shutil.which(os.environ.get("NIMBLE_WATCH") or "nimble-watch") is None:
        started = Path(sys.argv[0])
        advise = f"export NIMBLE_WATCH={started.resolve()}" if os.access(started, os.X_OK) else "put it there"
        print(f"nimble-watch: they call nimble-watch, which is not on PATH: {advise}", file=sys.stderr)
    return 0


def _typed(path: Path) -> str:
    """Give a path as it is typed: quoted, and with a slash, so that bash does not look for it on PATH."""
    return shlex.quote(str(path) if "/" in str(path) else f"./{path}")


def _content(file: File) -> bytes:
    text = (resources.files("nimble_watch.data") / "shell" / file.name).read_text(encoding="utf-8")
    first, rest = text.split("\n", 1)
    mark = f"# Installed by nimble-watch {__version__} (sum {_sum(text)}); the next install renews it if unchanged."
    return f"{first}\n{mark}\n{rest}".encode()


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _ours(path: Path) -> bytes | None:
    """Give the content of a file that we installed and nobody changed; None for any other, a symbolic link included."""
    with storing("read", path):
        if path.is_symlink() or not path.is_file():
            return None
        content = path.read_bytes()
    lines = content.decode(errors="replace").splitlines(keepends=True)
    mark = _MARK.fullmatch(lines[1]) if len(lines) > 1 else None
    same = mark is not None and mark[1] == _sum("".join([lines[0], *lines[2:]]))
    return content if same else None


def _plan(folder: Path, file: File) -> Plan:
    content = _content(file)
    first = folder / file.name
    for path, in_the_way in ((first, None), (folder / file.instead, first)):
        before = _ours(path)
        if before is not None or not os.path.lexists(path):
            return Plan(file, path, content, before, in_the_way)
    raise NimbleWatchError(
        f"{first} and {folder / file.instead} are not ours, or were changed",
        advise="rename one of them, and install again",
    )


def _uninstall(folder: Path) -> int:
    for file in FILES:
        for path in (folder / file.name, folder / file.instead):
            if _ours(path) is not None:
                with storing("remove", path):
                    path.unlink()
                print(f"removed {path}")
            elif os.path.lexists(path):
                print(f"kept {path}: it is not ours, or was changed")
    return 0
