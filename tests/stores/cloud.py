"""OCI as far as shared history needs it: Object Storage, and the services that say what a machine or a pod is.

Every request's signature is verified with the public key that belongs to its key id, as OCI does it: the headers that
have to be signed, in their order, and a date within five minutes.  Only a pre-authenticated request needs none.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import http.server
import json
import re
import ssl
import threading
import time
from collections import deque
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

TENANCY = "ocid1.tenancy.oc1..aaaatest"
USER = "ocid1.user.oc1..aaaatest"
NAMESPACE, BUCKET = "axtest", "history"
PAR = "T0ken_of-the-test-that-nobody-may-see"
_WITH_BODY = ("content-length", "content-type", "x-content-sha256")
_ALWAYS = ("date", "(request-target)", "host")


def new_key() -> rsa.RSAPrivateKey:
    """Make a key pair."""
    return rsa.generate_private_key(65537, 2048)


def pem(key: rsa.RSAPrivateKey) -> bytes:
    """Give a private key as a file holds it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def token() -> str:
    """Make a session token as OCI's: a JWT whose time is not over, which only OCI itself verifies."""
    claims = {"exp": int(time.time()) + 3600, "res_tenant": TENANCY, "res_compartment": TENANCY}
    parts = [json.dumps(part).encode() for part in ({"alg": "none"}, claims)]
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), "c2lnbmF0dXJl"])


class Cloud(http.server.ThreadingHTTPServer):
    """A region with one bucket; `keys` are the public keys by key id, `faults` the answers to the next requests."""

    daemon_threads = True

    def __init__(self, host: str = "127.0.0.1", port: int = 0, tls: Path | None = None) -> None:
        super().__init__((host, port), _Handler)
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://{host}:{self.server_address[1]}"
        self.objects: dict[str, bytes] = {}
        self.keys: dict[str, rsa.RSAPublicKey] = {}
        self.faults: deque[tuple[int, str, str]] = deque()
        self.asked: list[str] = []
        self.machine = new_key()
        self.certificate = _certificate(self.machine)
        self.pod = token()
        self._lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let a client that goes away go."""

    def put(self, name: str, content: bytes, *, only_new: bool) -> bool:
        """Keep an object; false if it may not be overwritten."""
        with self._lock:
            if only_new and name in self.objects:
                return False
            self.objects[name] = content
            return True

    def key_of_machine(self) -> str:
        """Give the key id with which the instance asks for its token."""
        print_ = x509.load_pem_x509_certificate(self.certificate).fingerprint(hashes.SHA1())  # noqa: S303  as OCI has it
        return f"{TENANCY}/fed-x509/{':'.join(f'{part:02X}' for part in print_)}"

    def stop(self) -> None:
        """End it."""
        self.shutdown()
        self.server_close()


def _certificate(key: rsa.RSAPrivateKey) -> bytes:
    """Make the certificate by which an instance proves what it is."""
    unit = NameOID.ORGANIZATIONAL_UNIT_NAME
    name = x509.Name([x509.NameAttribute(unit, f"opc-tenant:{TENANCY}")])
    now = dt.datetime.now(dt.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
    made = made.not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Cloud

    def _serve(self) -> None:
        cloud = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        where = urlsplit(self.path)
        cloud.asked.append(f"{self.command} {where.path}")
        if where.path.startswith("/opc/v2/"):
            self._metadata(where.path)
        elif cloud.faults:
            status, code, message = cloud.faults.popleft()
            self._fail(status, code, message)
        elif where.path.startswith(f"/p/{PAR}/n/") and self.command == "PUT":
            self._object(where.path.partition(f"/p/{PAR}")[2], body)
        elif where.path.startswith("/p/"):
            self._fail(404, "NotAuthorizedOrNotFound", f"no such request {self.path}")
        elif where.path == "/resourcePrincipalSessionTokens":
            self._pod(json.loads(body))
        elif (wrong := self._unsigned(body)) is not None:
            self._fail(401, "NotAuthenticated", wrong)
        elif where.path == "/v1/x509":
            self._federate(json.loads(body))
        elif where.path == "/n":
            self._answer(200, json.dumps(NAMESPACE).encode())
        elif where.path == f"/n/{NAMESPACE}/b/{BUCKET}/o":
            self._list(parse_qs(where.query))
        else:
            self._object(where.path, body)

    do_GET = do_PUT = do_POST = _serve  # noqa: N815  the names that http.server calls

    def _unsigned(self, body: bytes) -> str | None:
        """Say what is wrong with the signature; none if nothing is."""
        given = dict(re.findall(r'(\w+)="([^"]*)"', self.headers.get("Authorization", "")))
        key = self.server.keys.get(given.get("keyId", ""))
        if key is None:
            return "no such key"
        names = given["headers"].split()
        federating = self.path.startswith("/v1/x509")
        needed = [name for name in _ALWAYS if not (federating and name == "host")]
        needed += _WITH_BODY if self.command == "POST" else ()
        if missing := [name for name in needed if name not in names]:
            return f"{missing} are not signed"
        if abs(time.time() - parsedate_to_datetime(self.headers["Date"]).timestamp()) > 300:
            return "the date is off"
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        if "x-content-sha256" in names and self.headers["x-content-sha256"] != digest:
            return "the body is another"
        target = f"{self.command.lower()} {self.path}"
        lines = [f"{name}: {target if name == '(request-target)' else self.headers[name]}" for name in names]
        try:
            key.verify(
                base64.b64decode(given["signature"]), "\n".join(lines).encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except InvalidSignature:
            return "the signature does not fit"
        return None

    def _metadata(self, path: str) -> None:
        cloud = self.server
        known = {
            "instance/region": b"us-phoenix-1",
            "instance/regionInfo": b'{"realmKey": "oc1", "regionIdentifier": "us-phoenix-1"}',
            "identity/cert.pem": cloud.certificate,
            "identity/key.pem": pem(cloud.machine),
            "identity/intermediate.pem": cloud.certificate,
        }
        content = known.get(path.removeprefix("/opc/v2/"))
        if content is None or self.headers.get("Authorization") != "Bearer Oracle":
            self._fail(404, "NotFound", "no such metadata")
        else:
            self._answer(200, content)

    def _federate(self, asked: dict[str, Any]) -> None:
        self._answer(200, json.dumps({"token": self._know(asked["publicKey"])}).encode())

    def _pod(self, asked: dict[str, Any]) -> None:
        if self.headers.get("Authorization") != f"Bearer {self.server.pod}":
            self._fail(403, "Forbidden", "no enhanced cluster")
            return
        said = json.dumps({"token": f"ST${self._know(asked['podKey'])}"}).encode()
        self._answer(200, base64.b64encode(said))

    def _know(self, public: str) -> str:
        given = token()
        loaded = serialization.load_der_public_key(base64.b64decode(public))
        assert isinstance(loaded, rsa.RSAPublicKey)
        self.server.keys[f"ST${given}"] = loaded
        return given

    def _list(self, asked: dict[str, list[str]]) -> None:
        prefix, after = (asked.get(name, [""])[0] for name in ("prefix", "startAfter"))
        names = sorted(name for name in self.server.objects if name.startswith(prefix) and name > after)
        page = min(int(asked["limit"][0]), 4)
        found: dict[str, Any] = {"objects": [{"name": name} for name in names[:page]], "prefixes": []}
        if len(names) > page:
            found["nextStartWith"] = names[page]
        self._answer(200, json.dumps(found).encode())

    def _object(self, path: str, body: bytes) -> None:
        found = re.fullmatch(rf"/n/{NAMESPACE}/b/([^/]+)/o/(.+)", path)
        if found is None or found[1] != BUCKET:
            self._fail(404, "BucketNotFound", "Either the bucket does not exist or you are not authorized to access it")
            return
        name = unquote(found[2])
        if self.command == "PUT":
            if self.server.put(name, body, only_new=self.headers.get("If-None-Match") == "*"):
                self._answer(200, b"")
            else:
                self._fail(412, "IfNoneMatchFailed", "The If-None-Match header is '*' but the object exists")
        elif name in self.server.objects:
            self._answer(200, self.server.objects[name])
        else:
            self._fail(404, "ObjectNotFound", f"The object {name} was not found")

    def _fail(self, status: int, code: str, message: str) -> None:
        self._answer(status, json.dumps({"code": code, "message": message}).encode())

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("opc-request-id", "of-the-test")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  the base's name
        """Say nothing."""
