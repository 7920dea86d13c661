"""The address of a store: a URL, of which nothing secret is ever shown.

Credentials do not belong into it and are refused; they come from where each store's own tools look for them.  The one
exception is OCI's pre-authenticated request, whose URL is itself the key: its token is masked wherever we speak of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from nimble_watch.cleaning import MASK, clean, is_secret_name
from nimble_watch.shared.layout import SharedError

_PAR = re.compile(r"/p/[^/]+(?=/n/)")


class Address(NamedTuple):
    """Where a store is.

    `url` may hold a secret and is for the store itself only; `shown` is for people, files and logs.  `place` is the
    bucket, or whatever stands where a host does; `path` comes after it; `options` are the words behind the `?`.
    """

    url: str
    shown: str
    scheme: str
    place: str
    path: str
    options: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """What tells this store from others in the names of files; the same for every key to it."""
        return hashlib.sha256(_PAR.sub("", self.url).encode()).hexdigest()[:12]

    def only(self, *known: str) -> None:
        """Refuse options that this kind of store does not know."""
        for name in self.options:
            if name not in known:
                has = f"it takes {', '.join(known)}" if known else "it takes none"
                raise SharedError(f"a {self.scheme} store has no option {clean(name)}", where=self.shown, advise=has)


def read_address(text: str) -> Address:
    """Read what was typed: a URL, or the path of a folder."""
    text = text.strip()
    if "://" not in text:
        path = str(Path(text).expanduser().absolute())
        return Address(path, clean(path), "file", "", path, {})
    try:
        parts = urlsplit(text)
        place = parts.netloc
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise SharedError("the address of the store is no URL", where=masked(text)) from error
    secret = next((name for name in options if is_secret_name(name)), None)
    if secret is not None or ":" in place.rpartition("@")[0]:
        raise SharedError(
            "credentials do not belong into the address of a store",
            where=masked(text),
            advise="leave them where the store's own tools find them: environment, ~/.aws, ~/.oci",
        )
    return Address(text, masked(text), parts.scheme.lower(), place, unquote(parts.path), options)


def masked(text: str) -> str:
    """Give a URL as it may be shown."""
    return clean(_PAR.sub(f"/p/{MASK}", re.sub(r"://[^/@]*:[^/@]*@", f"://{MASK}@", text)))
