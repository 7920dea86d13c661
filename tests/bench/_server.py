"""A server that says what it was given, to readers whose cost is measured; it has nothing to think about meanwhile."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path


def _chunk(line: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(line), line)


class Server:
    """Answers every watch of pods with a first picture and what follows it, one chunk a line, already put together.

    With `again` what follows is said again and again, as fast as the reader takes it; `said` is set after each time.
    """

    def __init__(self, pictured: list[bytes], followed: list[bytes], *, again: bool = False) -> None:
        self._again = again
        self.said = threading.Event()
        marks = {"resourceVersion": "99999", "annotations": {"k8s.io/initial-events-end": "true"}}
        mark = json.dumps({"type": "BOOKMARK", "object": {"metadata": marks}}).encode() + b"\n"
        self._mark = _chunk(mark)
        self._pictured = b"".join(map(_chunk, pictured))
        self._followed = b"".join(map(_chunk, followed))
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(peer)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        try:
            while request := self._request(peer):
                if "/version" in request:
                    body = b'{"gitVersion":"v1.36.0"}'
                    peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
                elif "watch=" in request:
                    peer.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                    pods, first = "/pods" in request, "sendInitialEvents" in request
                    for part in (
                        self._pictured if pods and first else b"",
                        self._mark if first else b"",
                        self._followed if pods else b"",
                    ):
                        peer.sendall(part)
                    while pods and self._again:
                        self.said.set()
                        peer.sendall(self._followed)
                else:
                    peer.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
        except OSError:
            return  # the reader has what it wanted

    @staticmethod
    def _request(peer: socket.socket) -> str:
        data = b""
        while b"\r\n\r\n" not in data:
            block = peer.recv(65536)
            if not block:
                return ""
            data += block
        return data.split(b"\r\n", 1)[0].decode()

    def kubeconfig(self, folder: Path) -> Path:
        """Write a kubeconfig for it."""
        path = folder / "kubeconfig"
        cluster = {"name": "c", "cluster": {"server": self.url}}
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        config = {"current-context": "c", "contexts": [context], "clusters": [cluster], "users": []}
        path.write_text(json.dumps(config))
        return path

    def __enter__(self) -> Server:  # noqa: PYI034  Self would hide that this is no base class
        """Serve."""
        return self

    def __exit__(self, *_: object) -> None:
        """End every connection."""
        self._listener.close()
        for peer in self._open:
            peer.close()
