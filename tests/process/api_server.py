"""A scripted API server on loopback: real sockets and real HTTP, whose every answer a test decides.

For what a real one cannot be made to do on demand: to expire a version, to be silent, to break off within a line.
Whatever a test does not script is answered as an empty cluster would: WatchLists that are complete at once and quiet.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

LIMIT = 15.0
Json = dict[str, Any]


class Request:
    """One request, and the means to answer it piece by piece."""

    def __init__(self, handler: BaseHTTPRequestHandler, server: ApiServer) -> None:
        parts = urlsplit(handler.path)
        self.path = parts.path
        self.query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.token = handler.headers.get("authorization", "")
        self.at = time.monotonic()
        self._handler = handler
        self._server = server
        self._chunked = True

    @property
    def watching(self) -> bool:
        """Whether it is a watch."""
        return "watch" in self.query

    @property
    def resource(self) -> str:
        """The plural that is asked for."""
        return self.path.rsplit("/", 1)[-1]

    def head(self, status: int = 200, *, chunked: bool = True, **headers: str) -> None:
        """Begin the answer; without chunks it ends with the connection, as behind an old proxy."""
        self._handler.send_response(status)
        self._chunked = chunked
        for name, value in headers.items():
            self._handler.send_header(name.replace("_", "-"), value)
        if chunked:
            self._handler.send_header("transfer-encoding", "chunked")
        else:
            self._handler.send_header("connection", "close")
            self._handler.close_connection = True
        self._handler.end_headers()

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._handler.wfile.write(data)
        self._handler.wfile.flush()

    def send(self, *lines: Json | bytes) -> None:
        """Send lines of a watch, one chunk each."""
        for line in lines:
            data = line if isinstance(line, bytes) else json.dumps(line, ensure_ascii=False).encode() + b"\n"
            self.raw(f"{len(data):x}\r\n".encode() + data + b"\r\n" if self._chunked else data)

    def end(self) -> None:
        """End the answer cleanly."""
        if self._chunked:
            self.raw(b"0\r\n\r\n")

    def cut(self) -> None:
        """End the connection with a reset, in the middle of whatever it was."""
        self._handler.close_connection = True
        linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._handler.connection.shutdown(socket.SHUT_RDWR)

    def hold(self) -> None:
        """Say nothing until the test is over or the client has gone."""
        self._handler.connection.settimeout(0.05)
        while not self._server.over.is_set():
            try:
                if not self._handler.connection.recv(1):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        self._handler.close_connection = True

    def status(self, code: int, message: str = "", **headers: str) -> None:
        """Answer with an error as the API has them."""
        body = json.dumps(failure(code, message)).encode()
        self._handler.send_response(code)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self._handler.send_header(name.replace("_", "-"), value)
        self._handler.end_headers()
        self.raw(body)

    def body(self, value: Json | bytes) -> None:
        """Answer with a whole body."""
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self._handler.send_response(200)
        self._handler.send_header("content-length", str(len(data)))
        self._handler.end_headers()
        self.raw(data)

    def picture(self, *objects: Json, version: str = "5") -> None:
        """Begin a WatchList: these objects, complete at this version; the watch goes on."""
        self.head()
        self.send(*(event("ADDED", thing) for thing in objects), complete(version))


Answer = Callable[[Request], None]


class ApiServer:
    """The server; `answers` is asked first, for pods only unless the test says otherwise."""

    def __init__(self, pods: Answer, *, version: str = "v1.36.3", others: Answer | None = None) -> None:
        self.requests: list[Request] = []
        self.over = threading.Event()
        self._pods, self._others, self._version = pods, others, version
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                outer._serve(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_: object) -> None:
                """Say nothing of a client that has gone."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        request = Request(handler, self)
        self.requests.append(request)
        if request.resource == "pods":
            self._pods(request)
        elif self._others is not None:
            self._others(request)
        else:
            self.quiet(request)

    def quiet(self, request: Request) -> None:
        """Answer as an empty cluster does."""
        if request.path == "/version":
            request.body({"gitVersion": self._version})
        elif request.watching:
            request.picture()
            request.hold()
        elif "/namespaces/" in request.path and request.path.count("/") == 4:
            request.body({"kind": "Namespace"})
        else:
            request.body({"metadata": {"resourceVersion": "5"}, "items": []})

    def of_pods(self) -> list[Request]:
        """Give the requests for pods so far."""
        return [request for request in self.requests if request.resource == "pods"]

    def kubeconfig(self, folder: Path, user: Json | None = None) -> Path:
        """Write a kubeconfig for it."""
        path = folder / "kubeconfig"
        path.write_text(json.dumps(kubeconfig(self.url, user)))
        return path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(LIMIT)


def kubeconfig(url: str, user: Json | None = None, *, context: str = "ours", namespace: str = "nim") -> Json:
    """Give a kubeconfig of one cluster."""
    return {
        "current-context": context,
        "contexts": [{"name": context, "context": {"cluster": "c", "user": "u", "namespace": namespace}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": user or {"token": "secret-token-of-the-test"}}],
    }


def pod(name: str, version: str = "6", **more: object) -> Json:
    """Give a pod."""
    meta = {"name": name, "namespace": "nim", "uid": f"uid-{name}", "resourceVersion": version}
    return {"kind": "Pod", "metadata": meta, **more}


def event(kind: str, thing: Json) -> Json:
    """Give a line of a watch."""
    return {"type": kind, "object": thing}


def complete(version: str) -> Json:
    """Give the bookmark that ends the initial events."""
    marks = {"resourceVersion": version, "annotations": {"k8s.io/initial-events-end": "true"}}
    # the server's bookmarks of pods have null where a pod has its containers
    return event("BOOKMARK", {"kind": "Pod", "metadata": marks, "spec": {"containers": None}, "status": {}})


def failure(code: int, message: str) -> Json:
    """Give the API's own way of saying no."""
    return {"kind": "Status", "status": "Failure", "code": code, "message": message, "metadata": {}}


def in_turn(*answers: Answer) -> Answer:
    """Give each answer once, the last one for ever."""
    left: Iterator[Answer] = iter(answers[:-1])
    lock = threading.Lock()

    def answer(request: Request) -> None:
        with lock:
            chosen = next(left, answers[-1])
        chosen(request)

    return answer
