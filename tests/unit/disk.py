"""A disk that fails, and a disk that forgets: the system calls under a folder, seen one by one as our code makes them.

Nothing is replaced by something that only resembles a file system: every call reaches the real one.  `Failing` lets a
chosen one of them fail as the system would; `Forgetful` notes what `fsync` has made durable, and can write down the
folder as a machine that lost its power at this instant would find it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

_BY_PATH = ("open", "mkdir", "replace", "symlink", "unlink", "rmdir")
_BY_NUMBER = ("write", "fsync", "fdatasync", "close")

_OPEN = os.open

Call = Callable[..., Any]


def _path_of(number: int) -> str:
    try:
        return str(Path(f"/proc/self/fd/{number}").readlink())
    except OSError:
        return ""


@contextmanager
def _seen(folder: Path, see: Callable[[str, str, Call, tuple[Any, ...]], Any]) -> Iterator[None]:
    """Hand every call on a path or a descriptor below `folder` to `see`, with the real function and its arguments."""

    def wrap(name: str, real: Call, *, by_path: bool) -> Call:
        def call(*given: Any, **more: Any) -> Any:
            place = given[1] if name == "symlink" else given[0]
            path = os.path.abspath(os.fsdecode(place)) if by_path else _path_of(place)  # noqa: PTH100  also of bytes
            if path != str(folder) and not path.startswith(f"{folder}/"):
                return real(*given, **more)
            return see(name, path, lambda *again: real(*(again or given), **more), given)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in _BY_PATH:
            patch.setattr(os, name, wrap(name, getattr(os, name), by_path=True))
        for name in _BY_NUMBER:
            patch.setattr(os, name, wrap(name, getattr(os, name), by_path=False))
        patch.setattr(fcntl, "flock", wrap("flock", fcntl.flock, by_path=False))
        yield


class Failing:
    """Lets the call number `at` below a folder fail with `error`, and with `lasting` all later ones of its kind too.

    Without `at` it only counts.  A `write` that fails for want of room first takes half of what it was given.
    `ENOLCK` is what `flock` says; a call that cannot fail with `error` is left alone and passed over.
    """

    def __init__(self, folder: Path, *, at: int | None = None, error: int = 0, lasting: bool = False) -> None:
        self.calls: list[str] = []
        self.failed = ""
        self._folder, self._at, self._error, self._lasting = folder, at, error, lasting
        self._short: set[str] = set()

    @contextmanager
    def working(self) -> Iterator[Failing]:
        """Be in force inside the block."""
        with _seen(self._folder, self._see):
            yield self

    def _see(self, name: str, path: str, real: Call, given: tuple[Any, ...]) -> Any:
        number = len(self.calls)
        self.calls.append(name)
        strikes = self._at is not None and (number == self._at or (self._lasting and number > self._at))
        if not strikes or not _can_fail(name, given, self._error):
            return real()
        self.failed = self.failed or f"{name} {Path(path).name}"
        if name == "close":
            real()  # the descriptor is gone all the same, as close(2) has it
        if name == "write" and self._error in (errno.ENOSPC, errno.EDQUOT) and path not in self._short:
            self._short.add(path)
            if half := len(given[1]) // 2:
                return real(given[0], given[1][:half])
        raise OSError(self._error, os.strerror(self._error), path)


def _can_fail(name: str, given: tuple[Any, ...], error: int) -> bool:
    if (name == "flock") != (error == errno.ENOLCK):
        return False
    if name == "open":
        making = bool(given[1] & os.O_CREAT)
        return error == errno.EIO or making
    if name in ("write", "fsync", "fdatasync", "close"):
        return error != errno.EROFS
    return True


class PowerCutError(BaseException):
    """The machine lost its power; no `except Exception` of ours may notice."""


class Forgetful:
    """A disk that keeps what was forced to it and forgets all else; at the call number `at` the power is cut.

    What POSIX promises and no more: `fsync` and `fdatasync` of a file keep its content, `fsync` of a folder keeps which
    names it holds.  The folder itself is there to begin with; with `kept` all that is in it was forced to the disk.
    """

    def __init__(self, folder: Path, *, at: int | None = None, kept: bool = False) -> None:
        self.calls = 0
        self._folder, self._at = folder, at
        self._root = folder.stat().st_ino
        self._content: dict[int, bytes] = {}
        self._names: dict[int, list[_Name]] = {}
        self._held: list[int] = []  # what was removed stays open, so that no inode's number comes twice
        for path in (folder, *folder.rglob("*")) if kept else ():
            if path.is_dir():
                self._names[path.stat().st_ino] = [_name(entry) for entry in os.scandir(path)]
            elif not path.is_symlink():
                self._content[path.stat().st_ino] = path.read_bytes()

    @contextmanager
    def working(self) -> Iterator[Forgetful]:
        """Be in force inside the block."""
        with _seen(self._folder, self._see):
            yield self

    def close(self) -> None:
        """Let go of what was removed."""
        for number in self._held:
            os.close(number)

    def _see(self, name: str, path: str, real: Call, given: tuple[Any, ...]) -> Any:
        if self.calls == self._at:
            raise PowerCutError
        self.calls += 1
        if name in ("replace", "unlink", "rmdir"):
            self._hold(os.fsdecode(given[-1] if name == "replace" else given[0]))
        result = real()
        if name in ("fsync", "fdatasync"):
            inode = os.fstat(given[0]).st_ino
            if stat.S_ISDIR(os.fstat(given[0]).st_mode):
                self._names[inode] = [_name(entry) for entry in os.scandir(path)]
            else:
                self._content[inode] = Path(f"/proc/self/fd/{given[0]}").read_bytes()
        return result

    def _hold(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self._held.append(_OPEN(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC))

    def after_power_loss(self, place: Path) -> Path:
        """Write the folder to `place` as it will be found: a file whose content was never forced is empty."""
        self._restore(self._root, place)
        return place

    def _restore(self, number: int, place: Path) -> None:
        place.mkdir(mode=0o700)
        for entry in self._names.get(number, []):
            if entry.target is not None:
                (place / entry.name).symlink_to(entry.target)
            elif entry.folder:
                self._restore(entry.inode, place / entry.name)
            else:
                (place / entry.name).write_bytes(self._content.get(entry.inode, b""))


class _Name(NamedTuple):
    name: str
    inode: int
    folder: bool
    target: str | None


def _name(entry: os.DirEntry[str]) -> _Name:
    target = str(Path(entry.path).readlink()) if entry.is_symlink() else None
    return _Name(entry.name, entry.inode(), entry.is_dir(follow_symlinks=False), target)
