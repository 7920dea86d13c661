"""A folder that several machines see: a disk of this one, NFS, a mounted share.

Temporary file, fsync, then `link`, which every file system does in one step and refuses where the name is taken: also
NFS, whose O_EXCL not every server honours, and which may say that a link failed that it made (the answer was lost, the
request repeated): what stands under the name decides.  Where there are no hard links `rename` must do.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from nimble_watch.shared.address import Address
from nimble_watch.shared.layout import SharedError
from nimble_watch.shared.protocol import MissingError, SharedStore
from nimble_watch.shared.stores._walking import walk

SCHEMES = frozenset(("file",))

_NO_LINKS = frozenset((errno.EPERM, errno.EOPNOTSUPP, errno.EXDEV, errno.EMLINK, errno.ENOSYS, errno.EACCES))
_ADVICE = {
    errno.EACCES: "ask for the right to write there",
    errno.EPERM: "ask for the right to write there",
    errno.EROFS: "it is mounted read-only",
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "the quota is used up: free some space there",
    errno.ENOENT: "is it mounted? if it is to be new, make it",
    errno.ESTALE: "it went away: mount it again",
    errno.ENOTDIR: "a part of the path is a file",
}


def open_store(address: Address, _seconds: float) -> SharedStore:
    """Open a folder; it has to be there, as one that is not mounted would be made anew on this machine alone."""
    address.only()
    if address.place not in ("", "localhost"):
        raise SharedError(
            "the address of a folder names another machine", where=address.shown, advise="write file:///PATH"
        )
    return FolderStore(Path(address.path), address.shown)


class FolderStore:
    """Objects as files below one folder."""

    def __init__(self, folder: Path, shown: str) -> None:
        self._folder = folder
        self.shown = shown

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Write an object unless it is there, on disk when it comes back."""
        path = self._folder / key
        with self._failing():
            if not self._folder.is_dir():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            if path.exists():
                return False
            fresh = [folder for folder in path.parents if not folder.exists()]
            path.parent.mkdir(parents=True, exist_ok=True)
            temp = path.with_name(f".{os.urandom(8).hex()}.tmp")
            try:
                _write(temp, content)
                made = _name(temp, path)
            finally:
                with contextlib.suppress(OSError):
                    temp.unlink(missing_ok=True)
            for folder in (path.parent, *(new.parent for new in fresh)):
                _sync(folder)
            return made

    def list_keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """Give the keys in the order of their bytes, one folder at a time; what is half written is not there."""
        with self._failing():
            if not self._folder.is_dir():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            yield from walk(self._entries, prefix, after)

    def _entries(self, key: str) -> list[tuple[str, bool]]:
        try:
            with os.scandir(self._folder / key) as entries:
                return [(entry.name, entry.is_dir()) for entry in entries]
        except FileNotFoundError:
            return []

    def get(self, key: str) -> bytes:
        """Give an object's bytes."""
        with self._failing():
            try:
                return (self._folder / key).read_bytes()
            except FileNotFoundError as error:
                raise MissingError(f"there is no object {key}", where=self.shown) from error

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            advise = _ADVICE.get(error.errno or 0, "")
            raise SharedError(f"the shared folder cannot be used: {reason}", where=self.shown, advise=advise) from error


def _write(path: Path, content: bytes) -> None:
    # Readable as the umask says: others are to read it, unlike what lies in a home.
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)


def _name(temp: Path, path: Path) -> bool:
    """Give a file its name unless that is taken; tells whether it is ours now."""
    try:
        path.hardlink_to(temp)
    except FileExistsError:
        return temp.stat().st_nlink > 1  # made at the first of two requests, of which NFS told us the second
    except OSError as error:
        if error.errno not in _NO_LINKS:
            return _linked_all_the_same(temp, error)
        temp.rename(path)  # no hard links here; two who do so at once write the same
    return True


def _linked_all_the_same(temp: Path, error: OSError) -> bool:
    if temp.stat().st_nlink > 1:
        return True
    raise error


def _sync(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some network file systems know no fsync of a folder
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
