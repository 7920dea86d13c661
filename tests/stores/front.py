"""A TLS front before a store, as a company's proxy or a cloud's edge is one: with its own authority and its own ideas.

It refuses what OCI's S3 endpoint refuses (aws-chunked), and does to the next requests what a test asks for.
"""

from __future__ import annotations

import datetime as dt
import http.client
import http.server
import ipaddress
import ssl
import threading
from collections import deque
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make_authority(folder: Path) -> Path:
    """Make a self-signed authority and its certificate for 127.0.0.1; gives the file that a client has to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the test's authority")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    trusted = folder / "authority.pem"
    trusted.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "server.pem").write_bytes(trusted.read_bytes() + secret)
    return trusted


class Front(http.server.ThreadingHTTPServer):
    """Hands requests on to `backend` over TLS; `faults` are what happens to the next ones, in order.

    Faults: `cut` and `cut-after` (the connection, before or after the backend has it), `503`, `twice` (delivered two
    times, the second answer counts), `slow` (answers when `release` is set), or (status, body) for an answer.
    """

    daemon_threads = True

    def __init__(self, folder: Path, backend: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.trusted = make_authority(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem")
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.backend = urlsplit(backend).netloc
        self.faults: deque[str | tuple[int, bytes]] = deque()
        self.requests: list[tuple[str, str]] = []
        self.answered: list[int] = []
        self.release = threading.Event()
        self.url = f"https://127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let a client that goes away go: what it missed it says itself."""

    def stop(self) -> None:
        """End it."""
        self.release.set()
        self.shutdown()
        self.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Front

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.command, self.path))
        fault = self.server.faults.popleft() if self.server.faults else ""
        if "aws-chunked" in self.headers.get("Content-Encoding", "") or self.headers.get("X-Amz-Trailer"):
            fault = (501, b"<Error><Code>NotImplemented</Code><Message>no aws-chunked</Message></Error>")
        if fault == "503":
            fault = (503, b"<Error><Code>SlowDown</Code><Message>later</Message></Error>")
        if fault == "slow":
            self.server.release.wait(60)
        if isinstance(fault, tuple):
            self._answer(fault[0], [("Content-Type", "application/xml")], fault[1])
            return
        if fault == "cut":
            self._hang_up()
            return
        answer = self._ask(body)
        if fault == "twice":
            answer = self._ask(body)
        if fault == "cut-after":
            self._hang_up()
            return
        self._answer(*answer)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _serve  # noqa: N815  the names that http.server calls

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        backend = http.client.HTTPConnection(self.server.backend, timeout=30)
        backend.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in ("connection", "expect"):
                backend.putheader(name, value)
        backend.endheaders(body)
        answer = backend.getresponse()
        content = answer.read()
        backend.close()
        self.server.answered.append(answer.status)
        return answer.status, answer.getheaders(), content

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "keep-alive"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  the base's name
        """Say nothing."""
