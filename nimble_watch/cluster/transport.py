"""Requests over the official client's connection pool, and the errors they can end with, as sentences.

`ApiClient.rest_client.pool_manager` is no documented interface; it is used here and nowhere else, and works with
kubernetes 36 and 37.  Models, `CoreV1Api` and `Watch` are never touched: the first use of `CoreV1Api` alone costs half
a second in 37, `Watch` loses the version it was at and cannot tell an expired one.
"""

from __future__ import annotations

import email.utils
import re
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode
from weakref import WeakSet

import urllib3
from kubernetes.client import ApiClient
from msgspec import MsgspecError, Struct, json

from nimble_watch.cleaning import clean
from nimble_watch.cluster.credentials import Access
from nimble_watch.cluster.framing import Answer
from nimble_watch.cluster.settings import Settings
from nimble_watch.errors import ConfigError, NimbleWatchError
from nimble_watch.system import clock

_TOLD = 400
_BODY = 65536
_TOO_LONG_A_PAUSE = 60.0
_IPPROTO_TCP = socket.IPPROTO_TCP


def _socket_options() -> list[tuple[int, int, int]]:
    """Find a dead connection within about 25 s, and send at once; our list replaces urllib3's own."""
    wanted = [
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (_IPPROTO_TCP, "TCP_NODELAY", 1),
        (_IPPROTO_TCP, "TCP_KEEPIDLE", 10),
        (_IPPROTO_TCP, "TCP_KEEPINTVL", 5),
        (_IPPROTO_TCP, "TCP_KEEPCNT", 3),
        (_IPPROTO_TCP, "TCP_USER_TIMEOUT", 25_000),
    ]
    return [(level, getattr(socket, name), value) for level, name, value in wanted if hasattr(socket, name)]


class UnreachableError(NimbleWatchError):
    """No answer came: refused, no route, no such host, TLS, a proxy, silence."""


class StatusError(NimbleWatchError):
    """The API server answered, but not with what was asked for; `code` is HTTP's."""

    def __init__(self, code: int, message: str, *, pause: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.pause = pause


class ServerClock:
    """How far the API server's clock is ahead of ours, by the `Date` of its answers.

    That header is cut to whole seconds, so each answer only gives bounds: later than `Date` when we received it, and
    earlier than `Date` + 1 s when we asked.  All answers' bounds together close in; inside them the smallest offset is
    taken, so that clocks which may agree are held to agree.  Bounds that exclude each other mean that a clock was set.
    """

    def __init__(self) -> None:
        self.offset = 0.0
        self._low, self._high = float("-inf"), float("inf")

    def learn(self, date: str | None, asked: float, received: float) -> None:
        """Take an answer's header, and when we asked and received (our clock)."""
        try:
            said = email.utils.parsedate_to_datetime(date or "").timestamp()
        except ValueError:
            return
        low, high = said - received, said + 1.0 - asked
        if low > self._high or high < self._low:
            self._low, self._high = low, high
        else:
            self._low, self._high = max(self._low, low), min(self._high, high)
        self.offset = min(max(0.0, self._low), self._high)

    def now(self) -> float:
        """Give the API server's time, in seconds since the epoch."""
        return clock.now() + self.offset


class _Failure(Struct):
    message: str = ""
    reason: str = ""


class Connection:
    """One way to one API server; used by all threads, each with sockets of its own."""

    def __init__(self, access: Access, settings: Settings, clock: ServerClock) -> None:
        self.access = access
        self._settings = settings
        self._clock = clock
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._lock = threading.Lock()
        self._closed = False
        configuration = access.configuration
        configuration.socket_options = _socket_options()
        if not configuration.verify_ssl:
            # the person asked for it in the kubeconfig; a Python warning on their terminal helps nobody
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        pool: urllib3.PoolManager = ApiClient(configuration).rest_client.pool_manager
        if access.tls is not None:
            for name in ("cert_reqs", "ca_certs", "cert_file", "key_file", "ca_cert_data"):
                pool.connection_pool_kw.pop(name, None)
            pool.connection_pool_kw["ssl_context"] = access.tls
            if not configuration.verify_ssl:
                pool.connection_pool_kw["cert_reqs"] = ssl.CERT_NONE
        pool.connection_pool_kw["maxsize"] = 32  # urllib3 warns on stderr when it must drop one
        pool.pool_classes_by_scheme = {
            scheme: self._tracked(made) for scheme, made in pool.pool_classes_by_scheme.items()
        }
        self._pool = pool

    def _tracked(self, pool: Any) -> Any:
        """Give a pool class whose connections are known to us, so that `close` can wake whoever waits on one."""
        remember = self._remember

        class Tracked(pool.ConnectionCls):  # type: ignore[misc]  # urllib3's classes are known at run time only
            response_class = Answer

            def connect(self) -> None:
                super().connect()
                remember(self.sock)

        return type(pool.__name__, (pool,), {"ConnectionCls": Tracked})

    def _remember(self, connected: socket.socket) -> None:
        with self._lock:
            self._sockets.add(connected)
            closed = self._closed
        if closed:
            _wake(connected)

    def get(
        self, path: str, query: Mapping[str, str | int], *, compressed: bool = False, read_timeout: float | None = None
    ) -> urllib3.BaseHTTPResponse:
        """Ask for a path; give the answer with its body unread, or raise one of the errors above, or `ConfigError`."""
        headers = {"accept": "application/json", "user-agent": "nimble-watch", **self.access.headers()}
        headers["accept-encoding"] = "gzip" if compressed else "identity"
        url = self.access.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        asked = clock.now()
        try:
            answer = self._pool.request(
                "GET",
                url,
                headers=headers,
                preload_content=False,
                retries=False,
                redirect=False,
                timeout=urllib3.Timeout(
                    connect=self._settings.connect_timeout, read=read_timeout or self._settings.read_timeout
                ),
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise self.unreachable(error) from error
        self._clock.learn(answer.headers.get("date"), asked, clock.now())
        if answer.status != 200:  # noqa: PLR2004  HTTP's "OK"
            raise _failure(answer)
        return answer

    def unreachable(self, error: Exception) -> UnreachableError:
        """Give a library's error as a sentence of ours."""
        what, advise = _explain(error)
        return UnreachableError(
            f"the API server {what}", where=f"{self.access.server}, context {self.access.context}", advise=advise
        )

    def wake(self, answer: urllib3.BaseHTTPResponse) -> None:
        """End the connection of an answer, waking the thread that reads it."""
        connected = getattr(answer.connection, "sock", None)
        if connected is not None:
            _wake(connected)

    def close(self) -> None:
        """End every connection, waking the threads that read from them."""
        with self._lock:
            self._closed = True
            sockets = list(self._sockets)
        for connected in sockets:
            _wake(connected)
        self._pool.clear()


def _wake(connected: socket.socket) -> None:
    with suppress(OSError):  # it may have ended already
        # not the TLS socket's own shutdown: that would take its state away under the reading thread
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


_SSL_CODE = re.compile(r"\s*\(_ssl\.c:\d+\)|^\[[^\]]*\] ?")


def _explain(error: BaseException) -> tuple[str, str]:
    """Give what is wrong with a connection, and what to try."""
    chain = list(_chain(error))
    for inner in chain:
        if isinstance(inner, ssl.SSLCertVerificationError):
            return (
                f"has a certificate that is not trusted: {clean(inner.verify_message, limit=_TOLD)}",
                "is the certificate authority in the kubeconfig that of this cluster?",
            )
        if isinstance(inner, socket.gaierror):
            return "has a name that cannot be resolved", "is the server's address right, and is there a network, a VPN?"
        if isinstance(inner, ConnectionRefusedError):
            return "refuses the connection", "does it run there, and is the port right?"
        # NewConnectionError is one as well, whatever it was that failed
        if type(inner) is urllib3.exceptions.ConnectTimeoutError:
            return "cannot be reached: no answer to connecting", "is a firewall, a security list or a VPN in between?"
        if isinstance(inner, urllib3.exceptions.ReadTimeoutError | TimeoutError):
            return "is silent", "is a firewall or a proxy in between?"
        if isinstance(inner, urllib3.exceptions.ProxyError):
            return (
                "cannot be reached through the proxy",
                "look at HTTPS_PROXY, NO_PROXY and proxy-url in the kubeconfig",
            )
    last = chain[-1]
    if isinstance(last, ssl.SSLError):
        return (
            f"does not speak TLS as we do: {clean(_SSL_CODE.sub('', str(last)), limit=_TOLD)}",
            "is the address right?",
        )
    if isinstance(last, OSError) and last.strerror:
        return f"cannot be reached: {last.strerror}", "is there a network?"
    return "ended the connection", "if it stays so: does it run, and is the port right?"


def _chain(error: BaseException) -> Any:
    seen: set[int] = set()
    inner: Any = error
    while isinstance(inner, BaseException) and id(inner) not in seen:
        seen.add(id(inner))
        yield inner
        inner = getattr(inner, "reason", None) or inner.__cause__ or inner.__context__ or _last_argument(inner)


def _last_argument(error: BaseException) -> object:
    return error.args[-1] if error.args else None


def _failure(answer: urllib3.BaseHTTPResponse) -> StatusError:
    try:
        body = answer.read(_BODY)
        answer.drain_conn()
    except (urllib3.exceptions.HTTPError, OSError):
        body = b""
    finally:
        answer.release_conn()
    try:
        message = json.decode(body, type=_Failure).message
    except (MsgspecError, UnicodeDecodeError):
        message = body.decode("utf-8", "replace")
    pause: float | None = None
    if (after := answer.headers.get("retry-after", "")).isdecimal():
        pause = min(float(after), _TOO_LONG_A_PAUSE)
    return StatusError(answer.status, clean(message, limit=_TOLD) or f"HTTP status {answer.status}", pause=pause)


__all__ = ["ConfigError", "Connection", "ServerClock", "StatusError", "UnreachableError"]
