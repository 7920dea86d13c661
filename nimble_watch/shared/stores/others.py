"""Whatever else fsspec knows: Google's and Azure's buckets, SFTP, SMB ...: `gs://BUCKET/PATH`, `abfs://...`.

Which packages that takes is said when one is missing; credentials are found where each of them looks.  Not all of these
can write under a condition: there an object is looked for and then written, and two who do so at once write the same.
The only importer of fsspec.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from nimble_watch.cleaning import clean
from nimble_watch.extras import needing
from nimble_watch.retry import TryAgainError
from nimble_watch.shared.address import Address
from nimble_watch.shared.layout import SharedError
from nimble_watch.shared.protocol import MissingError, SharedStore
from nimble_watch.shared.stores._answers import joined
from nimble_watch.shared.stores._walking import walk

SCHEMES: frozenset[str] = frozenset()

_USUAL = frozenset(("abfs", "abfss", "az", "adl", "gcs", "gs", "hdfs", "memory", "oss", "sftp", "smb", "ssh", "webdav"))


def takes(scheme: str) -> bool:
    """Tell whether fsspec knows a scheme; without it the usual ones are taken, so that it can be named."""
    if scheme in _USUAL:
        return True
    try:
        import fsspec  # noqa: PLC0415  only where none of ours is meant
    except ModuleNotFoundError:
        return False
    return scheme in fsspec.available_protocols()


def open_store(address: Address, _seconds: float) -> SharedStore:
    """Open what an address leads to; what is behind the `?` goes to the file system as it is."""
    with needing("fsspec", f"a store at {address.scheme}://"):
        import fsspec  # noqa: PLC0415  as above

    with _failing(address.shown):
        system, root = fsspec.core.url_to_fs(address.url.partition("?")[0], **address.options)
        return FsspecStore(system, str(root), address.shown)


class FsspecStore:
    """Objects as files of one of fsspec's file systems."""

    def __init__(self, system: Any, root: str, shown: str) -> None:
        self._system = system
        self._root = ("/" if root.startswith("/") else "") + joined(root)
        self.shown = shown

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Write an object unless it is there, in one step where the file system can."""
        path = self._root + key
        with _failing(self.shown):
            with contextlib.suppress(NotImplementedError):
                self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
            try:
                self._system.pipe_file(path, content, mode="create")
            except FileExistsError:
                return False
            except (TypeError, ValueError, NotImplementedError):
                if self._system.exists(path):
                    return False
                self._system.pipe_file(path, content)
        return True

    def list_keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """Give the keys in the order of their bytes, one folder at a time."""
        with _failing(self.shown):
            yield from walk(self._entries, prefix, after)

    def _entries(self, key: str) -> list[tuple[str, bool]]:
        try:
            found = self._system.ls((self._root + key).rstrip("/") or "/", detail=True, refresh=True)
        except FileNotFoundError:
            return []
        return [(entry["name"].rstrip("/").rpartition("/")[2], entry["type"] == "directory") for entry in found]

    def get(self, key: str) -> bytes:
        """Give an object's bytes."""
        with _failing(self.shown, key):
            content: bytes = self._system.cat_file(self._root + key)
            return content


@contextlib.contextmanager
def _failing(shown: str, key: str = "") -> Iterator[None]:
    """Turn the errors of all these packages into ours; what they are called is their own affair."""
    try:
        yield
    except (SharedError, TryAgainError):
        raise
    except FileNotFoundError as error:
        if key:
            raise MissingError(f"there is no object {key}", where=shown) from error
        raise SharedError(f"the store is not there: {clean(str(error), limit=300)}", where=shown) from error
    except ImportError as error:
        raise SharedError(clean(str(error), limit=300), where=shown, advise="install what it names") from error
    except PermissionError as error:
        raise SharedError(
            f"the store refuses: {clean(str(error), limit=300)}", where=shown, advise="ask for the right to write there"
        ) from error
    except (TimeoutError, ConnectionError) as error:
        raise TryAgainError(f"the store cannot be reached: {clean(str(error), limit=300)}") from error
    except Exception as error:  # each of these packages has errors of its own
        raise SharedError(
            f"the store cannot be used: {type(error).__name__}: {clean(str(error), limit=300)}", where=shown
        ) from error
