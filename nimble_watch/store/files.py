"""Files that are whole or not there at all, and one error for everything that can go wrong with them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from nimble_watch.errors import NimbleWatchError

_TRY = {
    errno.ENOSPC: "free some space, or choose another folder with --sessions",
    errno.EDQUOT: "the quota is used up: free some space, or choose another folder with --sessions",
    errno.EROFS: "choose a folder that can be written with --sessions",
    errno.EACCES: "check its permissions, or choose another folder with --sessions",
    errno.EPERM: "check its permissions, or choose another folder with --sessions",
    errno.ELOOP: "it is a symbolic link; remove the link",
    errno.ENOTDIR: "a part of the path is a file; choose another folder with --sessions",
}


class StoreError(NimbleWatchError):
    """Sessions cannot be read or written; callers beside a running child turn it into one warning."""


@contextlib.contextmanager
def storing(what: str, path: Path) -> Iterator[None]:
    """Turn every failure of the system inside the block into a StoreError about `path`."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StoreError(f"cannot {what} {path}: {reason}", advise=_TRY.get(error.errno or 0, "")) from error


def own_folder(folder: Path) -> None:
    """Make a folder for nobody else (0700) if it is not there; refuse one that is another user's."""
    with storing("make", folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    if found.st_uid not in (os.geteuid(), 0):
        raise StoreError(
            f"cannot use {folder}: it belongs to user id {found.st_uid}",
            advise="choose a folder of your own with --sessions",
        )
    if stat.S_IMODE(found.st_mode) & 0o002 and not found.st_mode & stat.S_ISVTX:
        raise StoreError(
            f"cannot use {folder}: everybody may write there", advise="chmod o-w it, or choose another with --sessions"
        )


def sync_folder(folder: Path) -> None:
    """Force a folder's entries to disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_whole(path: Path) -> bytes:
    """Read a file; a link is not followed, and what is no file (a FIFO, a device) keeps nobody waiting."""
    with storing("read", path):
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise StoreError(f"cannot read {path}: it is no file", advise="move it out of the way")
            return file.read()


def _temporary(path: Path) -> Path:
    """Give a name beside the file that nobody can foresee."""
    return path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = True, mode: int = 0o600) -> Iterator[int]:
    """Give a descriptor to write to that takes the file's place in one step at the end of the block.

    A reader, and a crash, see the old file or the new one; if the block fails the old one stays.
    """
    temp = _temporary(path)
    with storing("write", path):
        try:
            fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
            try:
                yield fd
                if durable:
                    os.fsync(fd)
            finally:
                os.close(fd)
            temp.replace(path)
            if durable:
                sync_folder(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                temp.unlink()
            raise


def write_whole(path: Path, content: bytes, *, durable: bool = True, mode: int = 0o600) -> None:
    """Replace a file by a new one in one step: a reader, and a crash, see the old one or the new one."""
    with replacing(path, durable=durable, mode=mode) as fd:
        _write_all(fd, content)


def create_whole(path: Path, content: bytes, *, synced: bool = True, mode: int = 0o600) -> bool:
    """Write a new file in one step; gives False, and changes nothing, if there is one of that name.

    Of several who try at once one succeeds: `link` refuses where the name is taken, on every file system that has it;
    where there are no hard links the file is made under its own name.  Who makes many may sync their folder once
    (`synced` false).
    """
    temp = _temporary(path)
    with storing("write", path):
        try:
            _write_new(temp, content, mode)
            try:
                path.hardlink_to(temp)
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
                    raise
                _write_new(path, content, mode)
        except FileExistsError:
            return False
        finally:
            temp.unlink(missing_ok=True)
        if synced:
            sync_folder(path.parent)
    return True


def _write_new(path: Path, content: bytes, mode: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        _write_all(fd, content)
        os.fsync(fd)
    finally:
        os.close(fd)


def point_link(link: Path, target: str) -> None:
    """Make a relative symbolic link point to `target`, in one step; a file in its place is replaced."""
    with storing("write", link):
        try:
            if str(link.readlink()) == target:
                return
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EINVAL):
                raise
        temp = _temporary(link)
        temp.symlink_to(target)
        try:
            temp.replace(link)
        except OSError:
            temp.unlink()
            raise


@contextlib.contextmanager
def locked(path: Path, *, seconds: float = 5.0) -> Iterator[bool]:
    """Hold an exclusive lock on a file meanwhile (made if it is not there); gives False if it could not be had.

    A file system without locks (ENOLCK) or a holder that hangs must not stop us: then we go on without.
    """
    with storing("lock", path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        yield _lock(fd, seconds)
    finally:
        with contextlib.suppress(OSError):  # the lock goes with the descriptor, whatever close says
            os.close(fd)


def _lock(fd: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.005)  # flock has no time limit of its own
        except OSError:
            return False
        else:
            return True


def append_line(path: Path, line: bytes, *, seen: int, kept: int) -> None:
    """Append a line to a file, on disk; of the `seen` bytes that were in it what is behind the `kept` ones goes.

    Nothing of others goes with it: somebody who waited for the file's lock in vain may have appended meanwhile.  A line
    that cannot be written whole is taken back.
    """
    with storing("write", path):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(fd).st_size
            if kept < seen == size:
                os.ftruncate(fd, kept)
                size = kept
            try:
                _write_all(fd, line)
            except OSError:
                with contextlib.suppress(OSError):
                    if os.fstat(fd).st_size - size < len(line):
                        os.ftruncate(fd, size)
                raise
            os.fsync(fd)
        finally:
            os.close(fd)
        sync_folder(path.parent)


def _write_all(fd: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(fd, rest) :]
