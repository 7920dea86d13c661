"""versitygw: an S3 server that checks signatures, accounts and conditions as Amazon's does, built from Go modules.

The build (two minutes of two cores, once) lies beside the embedded cluster's, under a hash of what it is made of.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from botocore.session import Session

from tests.cluster.build import cache_folder, environment, find_go, only_one, say
from tests.process.sides import until

HERE = Path(__file__).with_name("gateway")
_PACKAGE = "github.com/versity/versitygw/cmd/versitygw"
ROOT = ("root-key", "root-secret-of-the-test")
WRITER = ("writer-key", "writer-secret-of-the-test")


def program() -> Path:
    """Give the path of the server, built now if it was not before."""
    go, version = find_go()
    content = version.encode() + b"".join((HERE / name).read_bytes() for name in ("go.mod", "go.sum"))
    cache = cache_folder().parent / "gateway"
    target = cache / hashlib.sha256(content).hexdigest()[:20] / "versitygw"
    if target.exists():
        return target
    with only_one(cache):
        if not target.exists():
            say("versitygw, the S3 server of the tests: two minutes, once")
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache, prefix="building-") as temporary:
                fresh = Path(temporary) / "versitygw"
                subprocess.run(
                    [go, "build", "-ldflags", "-s -w", "-o", str(fresh), _PACKAGE],
                    cwd=HERE,
                    env=environment(go, Path(temporary)),
                    check=True,
                )
                fresh.replace(target)
    return target


def client(endpoint: str, account: tuple[str, str]) -> Any:
    """Give a plain S3 client for an account."""
    session = Session()
    session.set_credentials(*account)
    return session.create_client("s3", endpoint_url=endpoint, region_name="us-east-1")


class Gateway:
    """One running server with a bucket `history`, into which the account WRITER may put objects and nothing else."""

    def __init__(self, folder: Path) -> None:
        for name in ("data", "accounts", "metadata"):
            (folder / name).mkdir(parents=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{port}"
        environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        environ |= {"ROOT_ACCESS_KEY": ROOT[0], "ROOT_SECRET_KEY": ROOT[1]}
        command = [str(program()), "--port", f"127.0.0.1:{port}", "--iam-dir", str(folder / "accounts"), "--quiet"]
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [*command, "--health", "/health", "posix", "--sidecar", str(folder / "metadata"), str(folder / "data")],
            env=environ,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        until(lambda: self._answers(port), "the S3 server's start", 60.0)
        admin = [command[0], "admin", "--access", ROOT[0], "--secret", ROOT[1], "--endpoint-url", self.endpoint]
        account = ["create-user", "--access", WRITER[0], "--secret", WRITER[1], "--role", "user"]
        subprocess.run([*admin, *account], env=environ, check=True, capture_output=True)
        root = client(self.endpoint, ROOT)
        root.create_bucket(Bucket="history")
        allowed = {
            "Effect": "Allow",
            "Principal": [WRITER[0]],
            "Action": ["s3:PutObject"],
            "Resource": ["arn:aws:s3:::history/*"],
        }
        root.put_bucket_policy(Bucket="history", Policy=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}))

    def _answers(self, port: int) -> bool:
        assert self._process.poll() is None, Path(self._log.name).read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)
        self._log.close()
