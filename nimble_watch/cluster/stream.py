"""One resource's life, in a thread of its own: sync, watch from there, resume, and sync again when the version is gone.

The same states as in Kubernetes' own client, because the API server is made for it.  A first picture comes as a
WatchList where the server has that (flat memory on both sides, no gap between list and watch), else as pages of a list.
An end without an error is resumed at once; everything else waits, with jitter, as long as the trouble lasts.
"""

from __future__ import annotations

import random
import threading
import time
from typing import Literal, Protocol

import msgspec
import urllib3

from nimble_watch.cluster.lines import Bookmark, Change, Failure, Lines, blocks
from nimble_watch.cluster.resources import RESOURCES
from nimble_watch.cluster.settings import Settings
from nimble_watch.cluster.transport import ConfigError, Connection, ServerClock, StatusError, UnreachableError
from nimble_watch.retry import TryAgainError, keep_trying
from nimble_watch.signals import Seen, Signal, Synced, Unseen

_CHANGES: dict[str, Literal["added", "modified", "deleted"]] = {
    "ADDED": "added",
    "MODIFIED": "modified",
    "DELETED": "deleted",
}
_PAGE = 500
_HEALTHY = 120.0
_SHORT = 1.0
_OFTEN = 10.0
_BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _ABSENT, _GONE = 400, 401, 403, 404, 410
_UNPROCESSABLE, _TOO_MANY, _SERVER_ERROR = 422, 429, 500
_FUTURE_VERSION = "too large resource version"


class Hub(Protocol):
    """What a stream needs of the set it belongs to."""

    settings: Settings
    clock: ServerClock
    connection: Connection
    stopped: threading.Event
    watch_lists: bool

    def put(self, *signals: Signal) -> None:
        """Deliver signals; blocks while the inbox is full, so that TCP pushes back."""

    def answered(self) -> None:
        """Take note that the API server answered somebody."""

    def failing(self, reason: str, since: float, *, at_once: bool = False) -> None:
        """Take note that it does not, for that stream since then (monotonic)."""

    def narrow(self, kind: str) -> None:
        """Watch a kind namespace by namespace instead."""

    def granted(self, kind: str) -> bool:
        """Tell whether a kind that is watched namespace by namespace may be, and so is, watched everywhere by now."""

    def unauthorized(self, error: StatusError, *, again: bool) -> None:
        """Refresh the credentials if that may help; `again` tells that it did not, and ends in `TryAgainError`."""

    def skip(self, kind: str, count: int) -> None:
        """Count objects that could not be decoded."""


class Stream:
    """The watch of one kind, in one namespace or (`namespace` "") everywhere."""

    def __init__(self, kind: str, namespace: str, hub: Hub, delay: float = 0.0) -> None:
        self.kind = kind
        self.namespace = namespace
        self._resource = RESOURCES[kind]
        self._hub = hub
        self._delay = delay
        self._version = ""
        self._watch_list = hub.watch_lists
        self._refreshed = False
        self._gone = float("-inf")
        self._failing_since: float | None = None
        self._unseen = ""
        self._done = False
        self._asked = False
        self._answer: urllib3.BaseHTTPResponse | None = None
        self._lines = Lines(kind)

    def run(self) -> None:
        """Watch until stopped, or until the kind is watched namespace by namespace instead."""
        settings = self._hub.settings
        self._hub.stopped.wait(self._delay)
        while not self._done and not self._hub.stopped.is_set():
            keep_trying(self._attempt, self._hub.stopped, least=settings.backoff_least, most=settings.backoff_most)

    def end(self) -> None:
        """End: what it watches is watched otherwise."""
        self._done = True
        if (answer := self._answer) is not None:
            self._hub.connection.wake(answer)

    # -- one attempt ---------------------------------------------------------------------------------------------------

    def _attempt(self) -> None:
        # A right that was granted meanwhile is noticed whenever the watch begins anew: nobody asks at other times.
        if self._done or (self.namespace and self._asked and self._hub.granted(self.kind)):
            self._done = True
            return
        self._asked = True
        began = time.monotonic()
        try:
            if self._version:
                events = self._watch({"resourceVersion": self._version}, None)
            elif self._watch_list:
                query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
                events = self._watch(query, set())
            else:
                self._list()
                return
        except StatusError as error:
            self._refused(error, time.monotonic() - began)
        except UnreachableError as error:
            self._unreachable(str(error), began)
        except ConfigError as error:
            self._hub.failing(str(error), began, at_once=True)
            raise TryAgainError(str(error)) from error
        else:
            if not events and time.monotonic() - began < _SHORT:
                raise TryAgainError("the watch ended as soon as it had begun")

    def _unreachable(self, reason: str, began: float) -> None:
        if self._done or self._hub.stopped.is_set():
            return
        healthy = time.monotonic() - began > _HEALTHY
        if self._failing_since is None:
            self._failing_since = time.monotonic()
        else:
            self._hub.failing(reason, self._failing_since)
        raise TryAgainError(reason, healthy=healthy)

    def _fine(self) -> None:
        self._failing_since, self._refreshed = None, False
        self._hub.answered()

    def _refused(self, error: StatusError, lasted: float) -> None:
        code = error.code
        again = TryAgainError(error.message, pause=error.pause, healthy=lasted > _HEALTHY)
        if code == _GONE or _FUTURE_VERSION in error.message.lower():
            known, self._version = self._version, ""
            last, self._gone = self._gone, time.monotonic()
            if not known or self._gone - last < _OFTEN:
                raise TryAgainError(error.message, pause=error.pause or random.uniform(0.5, 2.0))  # noqa: S311
        elif code in (_BAD_REQUEST, _UNPROCESSABLE) and self._watch_list and not self._version:
            self._watch_list = False
        elif code == _UNAUTHORIZED:
            refreshed, self._refreshed = self._refreshed, True
            self._hub.unauthorized(error, again=refreshed)
        elif code == _FORBIDDEN:
            self._forbidden(error)
        elif code == _ABSENT:
            self._absent(error)
        elif code == _TOO_MANY or code >= _SERVER_ERROR:
            raise again
        else:
            self._cannot_see(f"the API server answered {code} to the watch of {self._resource.plural}: {error.message}")
            raise again

    def _forbidden(self, error: StatusError) -> None:
        self._hub.answered()
        where = f"in namespace {self.namespace}" if self.namespace else "in all namespaces"
        may = "" if self._resource.everywhere and self.namespace else f" {where}"
        role = "role" if self.namespace else "cluster role"
        reason = (
            f"{self._resource.plural} cannot be seen{may}: {error.message}; ask for a {role} with get, list and watch "
            f"on {self._resource.plural}"
        )
        self._cannot_see(reason)
        if not self.namespace and not self._resource.everywhere:
            self._done = True
            self._hub.narrow(self.kind)
            return
        raise TryAgainError(reason, pause=self._hub.settings.forbidden_pause)

    def _absent(self, error: StatusError) -> None:
        """Ask discovery whether that API is there at all: a 404 may also be a proxy's, or a server still starting."""
        try:
            answer = self._hub.connection.get(self._resource.group, {})
            there = self._resource.plural.encode() in answer.read()
            answer.release_conn()
        except StatusError as trouble:
            there = trouble.code != _ABSENT
        except (UnreachableError, urllib3.exceptions.HTTPError) as trouble:
            raise TryAgainError(str(trouble)) from trouble
        if there:
            reason = f"{self._resource.plural} are served, but cannot be listed just now: {error.message}"
        else:
            group = self._resource.group.removeprefix("/apis/").removeprefix("/api/")
            reason = f"this API server has no {self._resource.plural} ({group})"
        self._cannot_see(reason)
        raise TryAgainError(reason, pause=self._hub.settings.forbidden_pause)

    def _cannot_see(self, reason: str) -> None:
        self._version = ""  # so that a Synced tells when it can be seen again
        if reason != self._unseen:
            self._unseen = reason
            self._hub.put(Unseen(self._hub.clock.now(), self.kind, self.namespace, reason))

    # -- reading -------------------------------------------------------------------------------------------------------

    def _synced(self, uids: set[str], version: str) -> None:
        self._version = version
        self._lines.forget_all_but(uids)
        self._unseen = ""
        self._hub.put(Synced(self._hub.clock.now(), self.kind, self.namespace, frozenset(uids)))

    def _list(self) -> None:
        """List in pages; the next attempt watches from there."""
        hub, uids = self._hub, set[str]()
        query: dict[str, str | int] = {"limit": _PAGE}
        while True:
            answer = hub.connection.get(self._resource.path(self.namespace), query, compressed=True)
            self._fine()
            try:
                body = answer.read(decode_content=True)
                page = self._lines.page(body)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise hub.connection.unreachable(error) from error
            except msgspec.MsgspecError as error:
                raise StatusError(_SERVER_ERROR, f"the list of {self._resource.plural} is no list: {error}") from error
            finally:
                answer.release_conn()
            if page.skipped:
                hub.skip(self.kind, page.skipped)
            now = hub.clock.now()
            uids.update(thing.metadata.uid for thing in page.objects)
            hub.put(*(Seen(now, self.kind, "added", thing, listed=True) for thing in page.objects))
            if not page.more or hub.stopped.is_set():
                break
            query["continue"] = page.more
        if not page.more:
            self._synced(uids, page.version)

    def _watch(self, query: dict[str, str], uids: set[str] | None) -> int:
        """Watch until the server ends it, and give how many lines came; `uids` collects the first picture."""
        hub = self._hub
        answer = hub.connection.get(
            self._resource.path(self.namespace),
            {
                "watch": "true",
                "allowWatchBookmarks": "true",
                # jitter, so that ten streams do not come back in the same moment
                "timeoutSeconds": random.randint(290, 590),  # noqa: S311  no secret depends on it
                **query,
            },
        )
        self._fine()
        count = 0
        self._answer = answer
        try:
            for lines in blocks(answer):
                count += len(lines)
                uids = self._take(lines, uids)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise hub.connection.unreachable(error) from error
        else:
            answer.release_conn()
        finally:
            self._answer = None
            if not answer.closed:
                answer.close()
        if uids is not None and not hub.stopped.is_set():
            raise StatusError(_SERVER_ERROR, f"the first picture of {self._resource.plural} broke off")
        return count

    def _take(self, lines: list[bytes], uids: set[str] | None) -> set[str] | None:
        """Deliver lines that came together; give the uids of the first picture while that lasts."""
        now, decode = self._hub.clock.now(), self._lines.line
        seen: list[Signal] = []
        try:
            for line in lines:
                said = decode(line)
                if isinstance(said, Change):
                    seen.append(self._change(said, now, uids))
                elif isinstance(said, Bookmark):
                    if uids is None:
                        self._version = said.version or self._version
                    elif said.complete:
                        self._hub.put(*seen)
                        seen = []
                        self._synced(uids, said.version)
                        uids = None
                elif isinstance(said, Failure):
                    raise StatusError(said.code, said.message)
                elif line.strip():
                    self._hub.skip(self.kind, 1)
        finally:
            if seen:
                self._hub.put(*seen)
        return uids

    def _change(self, said: Change, now: float, uids: set[str] | None) -> Seen:
        thing, change = said.object, _CHANGES[said.type]
        if change == "deleted":
            self._lines.forget(thing)
        if uids is None:
            self._version = thing.metadata.resource_version or self._version
        elif change == "deleted":
            uids.discard(thing.metadata.uid)
        else:
            uids.add(thing.metadata.uid)
        return Seen(now, self.kind, change, thing, uids is not None)
