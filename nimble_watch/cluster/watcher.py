"""The set of all watches of one cluster, and what is said when there is none.

A supervising thread reads the kubeconfig, finds the API server and starts the streams.  It then sleeps: the kubeconfig
is looked at again (one stat per file) whenever a stream reconnects, which ten streams do every minute or so, and when a
phase prints or ends (`look_again`).  Only while no cluster is known does it look every two seconds, because then
nothing else would wake it.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from queue import SimpleQueue

import urllib3

from nimble_watch.cleaning import clean, clean_lines
from nimble_watch.cluster.credentials import load, stamps
from nimble_watch.cluster.settings import Settings
from nimble_watch.cluster.transport import Connection, ServerClock, StatusError, UnreachableError
from nimble_watch.cluster.watches import Watches, spawn
from nimble_watch.errors import ConfigError
from nimble_watch.retry import keep_trying
from nimble_watch.signals import ClusterLost, LogTail, Put

_LOG_LINES = 20
_LOG_BYTES = 1 << 20
_ABSENT = 404
_SWITCH_INTERVAL = 0.0005
_COLLECT = (20_000, 20, 50)
_JOIN = 6.0  # a little more than a connection attempt, which nothing can wake


class Watcher:
    """Watches the cluster of the kubeconfig from threads of its own, and puts signals into an inbox.

    `put` is called from several threads, may block, and must not raise.
    """

    def __init__(self, settings: Settings, put: Put) -> None:
        self._settings = settings
        self._put = put
        self._namespaces: list[str] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._wake = threading.Event()
        self._stamps: object = None
        self._watches: Watches | None = None
        self._supervisor: threading.Thread | None = None
        self._errands: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._runner: threading.Thread | None = None
        self.clock = ServerClock()
        self.skipped: dict[str, int] = {}
        """How many objects of a kind could not be decoded, and were left out."""

    def start(self, namespaces: Iterable[str] = ()) -> None:
        """Begin to watch, with these namespaces in scope; returns at once."""
        # A thread that computes would otherwise keep an event waiting for 5 ms.
        sys.setswitchinterval(_SWITCH_INTERVAL)
        # What was imported stays, and events make no rings of objects: to look for some after every 700 objects takes a
        # fifth of a busy watch's time.
        gc.freeze()
        gc.set_threshold(*_COLLECT)
        self._namespaces.extend(dict.fromkeys(namespaces))
        self._supervisor = spawn("cluster", self._supervise)

    def widen(self, namespace: str) -> None:
        """Take a namespace into scope, which matters where rights end at namespaces."""
        with self._lock:
            if not namespace or namespace in self._namespaces:
                return
            self._namespaces.append(namespace)
            watches = self._watches
        if watches is not None:
            watches.widen(namespace)
            self._errand(lambda: self._look_for(namespace, watches))

    def look_again(self) -> None:
        """See whether the kubeconfig is still the one that was read; costs a few microseconds."""
        if self._stamps is not None and stamps(self._settings, os.environ) != self._stamps:
            self._wake.set()

    def _moved(self) -> bool:
        self.look_again()
        return self._wake.is_set()

    def fetch_log(self, namespace: str, pod: str, container: str, *, previous: bool = False) -> None:
        """Ask for the last 20 lines of a container; a `LogTail` answers, also when they cannot be had."""
        self._errand(lambda: self._fetch_log(namespace, pod, container, previous=previous))

    def stop(self) -> bool:
        """End all connections and threads; tell whether all have ended within six seconds.

        A thread that waits for room in the inbox ends when there is some.
        """
        self._stopped.set()
        self._wake.set()
        self._errands.put(None)
        with self._lock:
            watches = self._watches
        deadline = time.monotonic() + _JOIN
        done = watches is None or watches.stop(deadline)
        for thread in (self._supervisor, self._runner):
            if thread is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
                done = done and not thread.is_alive()
        with self._lock:
            late = self._watches
        return done and (late is None or late is watches or late.stop(deadline))

    # -- the supervisor ------------------------------------------------------------------------------------------------

    def _supervise(self) -> None:
        try:
            while not self._stopped.is_set():
                self._wake.clear()
                self._stamps = stamps(self._settings, os.environ)
                self._find()
        except Exception as error:  # noqa: BLE001  our own failure must not harm the child; it is told instead
            self._lose(f"our own watch failed ({type(error).__name__}: {clean(str(error))}); please report it")

    def _find(self) -> None:
        """Load the kubeconfig and watch what it names until it changes."""
        current = self._watches
        try:
            access = load(self._settings, os.environ)
        except ConfigError as error:
            if current is None:
                self._lose(str(error))
            # with a cluster in sight, a file that is just being written must not end the watch
            self._sleep(self._settings.look_for_kubeconfig)
            return
        if current is not None:
            if access.fingerprint == current.connection.access.fingerprint:
                self._sleep(None)
                return
            with self._lock:
                self._watches = None
            current.stop(time.monotonic() + _JOIN)
        connection = Connection(access, self._settings, self.clock)
        watches = Watches(
            self._settings, self.clock, connection, put=self._put, moved=self._moved, skipped=self.skipped
        )
        with self._lock:
            if self._stopped.is_set():
                return
            self._watches = watches
            namespaces = list(self._namespaces)
        if (
            not keep_trying(
                watches.hello, watches.stopped, least=self._settings.backoff_least, most=self._settings.backoff_most
            )
            or self._wake.is_set()
        ):
            with self._lock:
                self._watches = None
            watches.stop(time.monotonic() + _JOIN)
            return
        watches.start(namespaces)
        for namespace in namespaces:
            self._errand(lambda namespace=namespace: self._look_for(namespace, watches))  # type: ignore[misc]  # bound early
        self._sleep(None)

    def _sleep(self, seconds: float | None) -> None:
        """Wait to be woken; with a time, look at the files each time it is over."""
        while not self._wake.wait(seconds):
            self.look_again()

    def _lose(self, reason: str) -> None:
        self._put(ClusterLost(self.clock.now(), reason))

    # -- errands: single requests that nothing waits for ---------------------------------------------------------------

    def _errand(self, errand: Callable[[], None]) -> None:
        with self._lock:
            if self._runner is None:
                self._runner = spawn("errands", self._run_errands)
        self._errands.put(errand)

    def _run_errands(self) -> None:
        while (errand := self._errands.get()) is not None and not self._stopped.is_set():
            errand()

    def _fetch_log(self, namespace: str, pod: str, container: str, *, previous: bool) -> None:
        lines: tuple[str, ...] = ()
        reason = ""
        watches = self._watches
        if watches is None:
            reason = "no cluster is known"
        else:
            query: dict[str, str | int] = {
                "container": container,
                "tailLines": _LOG_LINES,
                "previous": str(previous).lower(),
            }
            try:
                answer = watches.connection.get(
                    f"/api/v1/namespaces/{namespace}/pods/{pod}/log", query, read_timeout=20
                )
                try:
                    text = answer.read(_LOG_BYTES).decode("utf-8", "replace")
                finally:
                    answer.close()
                lines = tuple(clean_lines(text).split("\n")[-_LOG_LINES - 1 :])
                lines = lines[:-1] if lines and not lines[-1] else lines[-_LOG_LINES:]
                # the kubelet's own words, with status 200, once the runtime has removed the container
                if text.startswith("unable to retrieve container logs for "):
                    lines, reason = (), clean(text)
            except StatusError as error:
                reason = error.message
            except (UnreachableError, ConfigError, urllib3.exceptions.HTTPError, OSError) as error:
                reason = clean(str(error))
        self._put(LogTail(self.clock.now(), namespace, pod, container, previous, lines, reason))

    def _look_for(self, namespace: str, watches: Watches) -> None:
        """Say so if a namespace in scope does not exist: its lists would be empty all the same."""
        try:
            watches.connection.get(f"/api/v1/namespaces/{namespace}", {}).close()
        except StatusError as error:
            if error.code == _ABSENT:
                access = watches.connection.access
                reason = (
                    f"the namespace {clean(namespace)} does not exist ({access.server}, context {access.context}); "
                    "a phase may still create it, else look at -n and at the context"
                )
                watches.missing(namespace, reason)
        except (UnreachableError, ConfigError):
            pass  # the streams say so
