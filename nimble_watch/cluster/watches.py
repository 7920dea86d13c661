"""All streams of one cluster: started together, ended together, and one voice on whether the cluster answers."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable

import msgspec
import urllib3

from nimble_watch.cleaning import clean
from nimble_watch.cluster.resources import RESOURCES
from nimble_watch.cluster.settings import Settings
from nimble_watch.cluster.stream import Stream
from nimble_watch.cluster.transport import Connection, ServerClock, StatusError, UnreachableError
from nimble_watch.errors import ConfigError
from nimble_watch.log import log_of
from nimble_watch.retry import TryAgainError
from nimble_watch.signals import ClusterFound, ClusterLost, Put, Seen, Signal, Synced, Unseen

_MOST_NAMESPACES = 40
_WATCH_LIST_SINCE = (1, 32)
_UNAUTHORIZED, _TOO_MANY, _SERVER_ERROR = 401, 429, 500


def spawn(name: str, target: Callable[[], None]) -> threading.Thread:
    """Start a thread that no signal is delivered to: they belong to the main thread, which sleeps in a system call."""
    thread = threading.Thread(target=target, name=f"nimble-watch {name}", daemon=True)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return thread


class _Version(msgspec.Struct, rename="camel"):
    git_version: str = ""


class Watches:
    """The streams of one cluster, from finding it until it is another one or the end."""

    def __init__(
        self,
        settings: Settings,
        clock: ServerClock,
        connection: Connection,
        *,
        put: Put,
        moved: Callable[[], bool],
        skipped: dict[str, int],
    ) -> None:
        """Take what is shared with the watcher: `moved` tells whether the kubeconfig is another one now."""
        self.settings = settings
        self.clock = clock
        self.connection = connection
        self.stopped = threading.Event()
        self.watch_lists = False
        self._put = put
        self._moved = moved
        self._skipped = skipped
        self._found: ClusterFound | None = None
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._namespaces: list[str] = []
        self._narrow: dict[str, float] = {}
        self._streams: dict[str, list[Stream]] = {}
        self._beyond: list[str] = []
        self._missing: set[str] = set()
        self._last_answer: float | None = None
        self._lost = ""
        self._refreshed = False

    def hello(self) -> None:
        """Ask the server who it is, and say that it was found."""
        if self._moved():
            return
        access = self.connection.access
        version = ""
        began = time.monotonic()
        try:
            answer = self.connection.get("/version", {}, read_timeout=20)
            with answer:
                version = msgspec.json.decode(answer.read(), type=_Version).git_version
        except StatusError as error:
            if error.code == _UNAUTHORIZED:
                self.unauthorized(error, again=self._refreshed)
                self._refreshed = True
                raise TryAgainError(error.message, pause=0.0) from error
            if error.code == _TOO_MANY or error.code >= _SERVER_ERROR:
                self.failing(f"{access.server} answers {error.code}: {error.message}", began, at_once=True)
                raise TryAgainError(error.message, pause=error.pause) from error
        except (UnreachableError, ConfigError) as error:
            self.failing(str(error), began, at_once=True)
            raise TryAgainError(str(error)) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            reason = str(self.connection.unreachable(error))
            self.failing(reason, began, at_once=True)
            raise TryAgainError(reason) from error
        except msgspec.MsgspecError as error:
            reason = f"what answers at {access.server} is no API server; look at the server's address in the kubeconfig"
            self.failing(reason, began, at_once=True)
            raise TryAgainError(reason) from error
        self.watch_lists = _parsed(version) >= _WATCH_LIST_SINCE
        self._found = ClusterFound(
            self.clock.now(), access.server, clean(access.context), clean(version), clean(access.namespace)
        )
        self._lost = ""
        self.put(self._found)

    def unauthorized(self, error: StatusError, *, again: bool) -> None:
        """Refresh the credentials if that may help; `again` tells that it did not, and ends in `TryAgainError`."""
        access = self.connection.access
        reason = (
            f"the API server does not accept our credentials: {error.message} ({access.server}, context "
            f"{access.context}); they may have expired, log in to the cluster again"
        )
        try:
            if access.refused() and not again:
                return
        except ConfigError as trouble:
            reason = str(trouble)
        self.failing(reason, time.monotonic(), at_once=True)
        raise TryAgainError(reason) from error

    def start(self, namespaces: Iterable[str]) -> None:
        """Start one stream per kind, over all namespaces."""
        with self._lock:
            given = list(namespaces)
            self._namespaces, self._beyond = given[:_MOST_NAMESPACES], given[_MOST_NAMESPACES:]
        for index, kind in enumerate(RESOURCES):
            self._begin(kind, "", index * self.settings.stagger)

    def _begin(self, kind: str, namespace: str, delay: float = 0.0) -> None:
        stream = Stream(kind, namespace, self, delay)

        def run() -> None:
            try:
                stream.run()
            except Exception as error:  # noqa: BLE001  our own failure must not harm the child; it is told instead
                reason = (
                    f"our own watch of {kind} failed ({type(error).__name__}: {clean(str(error))}); please report it"
                )
                self.put(Unseen(self.clock.now(), kind, namespace, reason))

        with self._lock:
            if not self.stopped.is_set():
                if namespace:
                    self._streams.setdefault(kind, []).append(stream)
                self._threads.append(spawn(f"{kind} {namespace}".strip(), run))

    def widen(self, namespace: str) -> None:
        """Watch what can only be seen namespace by namespace in one more of them."""
        with self._lock:
            if namespace in self._namespaces:
                return
            full = len(self._namespaces) >= _MOST_NAMESPACES
            if not full:
                self._namespaces.append(namespace)
            narrow = list(self._narrow)
        for kind in narrow:
            if full:
                self._too_many(kind, namespace)
            else:
                self._begin(kind, namespace)

    def _too_many(self, kind: str, namespace: str) -> None:
        reason = f"more than {_MOST_NAMESPACES} namespaces are in scope, so {clean(namespace)} is not watched"
        self.put(Unseen(self.clock.now(), kind, namespace, reason))

    def missing(self, namespace: str, reason: str) -> None:
        """Say that a namespace does not exist; taken back as soon as anything is seen in it."""
        self._missing.add(namespace)
        self.put(Unseen(self.clock.now(), "Namespace", namespace, reason))

    def stop(self, deadline: float) -> bool:
        """End all connections and wait for the threads; tell whether they all ended in time (monotonic)."""
        with self._lock:
            self.stopped.set()
            threads = list(self._threads)
        self.connection.close()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    # -- what streams say ----------------------------------------------------------------------------------------------

    def put(self, *signals: Signal) -> None:
        """Deliver signals, unless this cluster is not watched any more."""
        if self.stopped.is_set():
            return
        if self._missing:
            self._found_in(signals)
        self._put(*signals)

    def _found_in(self, signals: Iterable[Signal]) -> None:
        """Take back that a namespace is missing when something is seen in it."""
        for seen in signals:
            if isinstance(seen, Seen) and (space := seen.object.metadata.namespace) in self._missing:
                self._missing.discard(space)
                self._put(Synced(seen.at, "Namespace", space, frozenset()))

    def answered(self) -> None:
        """Take note that the API server answered; say so if it was lost."""
        self._last_answer = time.monotonic()
        self._moved()
        if self._lost and self._found is not None:
            with self._lock:
                lost, self._lost = self._lost, ""
            if lost:
                self.put(msgspec.structs.replace(self._found, at=self.clock.now()))

    def failing(self, reason: str, since: float, *, at_once: bool = False) -> None:
        """Say once that the cluster is lost, when nobody has had an answer since then."""
        self._moved()
        with self._lock:
            if reason == self._lost or self.stopped.is_set():
                return
            if not at_once and self._last_answer is not None and self._last_answer > since:
                return
            self._lost = reason
        self.put(ClusterLost(self.clock.now(), reason))

    def narrow(self, kind: str) -> None:
        """Watch a kind namespace by namespace from now on."""
        with self._lock:
            self._narrow[kind] = self._not_before()
            namespaces, beyond = list(self._namespaces), list(self._beyond)
        for namespace in namespaces:
            self._begin(kind, namespace)
        for namespace in beyond:
            self._too_many(kind, namespace)

    def granted(self, kind: str) -> bool:
        """Ask, seldom, whether a kind may be seen everywhere by now; then it is watched so, and no more piecemeal."""
        with self._lock:
            if kind not in self._narrow:
                return True
            if time.monotonic() < self._narrow[kind]:
                return False
            self._narrow[kind] = self._not_before()
        try:
            self.connection.get(RESOURCES[kind].path(""), {"limit": 1}, read_timeout=20).close()
        except (StatusError, UnreachableError, ConfigError):
            return False
        with self._lock:
            if self._narrow.pop(kind, None) is None:
                return True
            streams = self._streams.pop(kind, [])
        self._begin(kind, "")
        for stream in streams:
            stream.end()
        return True

    def _not_before(self) -> float:
        return time.monotonic() + self.settings.forbidden_pause

    def skip(self, kind: str, count: int) -> None:
        """Count objects that could not be decoded."""
        self._skipped[kind] = self._skipped.get(kind, 0) + count
        log_of("cluster").debug("left out what could not be decoded", kind=kind, objects=self._skipped[kind])


def _parsed(version: str) -> tuple[int, int]:
    """Give major and minor of `v1.36.3`, (0, 0) where they cannot be told."""
    parts = version.removeprefix("v").split(".")
    try:
        return int(parts[0]), int(parts[1])
    except (ValueError, IndexError):
        return 0, 0
