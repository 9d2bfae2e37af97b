"""Real servers on loopback for what was published: nginx as a static host, moto as an S3 store."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

CORS = "add_header Access-Control-Allow-Origin * always;"
# What docs/deployment.md says; the test of that page compares them.
NGINX_LOCATION = """\
location /models/ {
    gzip_static on;
    types { application/json json; application/octet-stream bin onnx; }
    add_header Access-Control-Allow-Origin * always;
    add_header Cache-Control "public, max-age=60, must-revalidate";
    location ~ /(chunks/|manifest-[^/]+\\.json$) {
        add_header Access-Control-Allow-Origin * always;
        add_header Cache-Control "public, max-age=31536000, immutable";
    }
}
"""


def find_nginx() -> str:
    """scripts/find_nginx.py installs one for `make test`."""
    found = os.environ.get("ORIEL_NGINX") or shutil.which("nginx") or "/usr/sbin/nginx"
    if shutil.which(found) is None:
        pytest.fail("no nginx: run scripts/find_nginx.py, or set ORIEL_NGINX")
    return found


@contextmanager
def nginx(root: Path, work: Path, location: str = NGINX_LOCATION) -> Iterator[str]:
    """Serve a folder until the block ends; the address, with a slash at the end."""
    work.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {work}/{kind};\n" for kind in kinds)
    (work / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {work}/pid; error_log {work}/error.log;\n"
        "events { worker_connections 64; }\n"
        f"http {{\naccess_log {work}/access.log;\n{paths}"
        f"server {{\nlisten 127.0.0.1:{port};\nroot {root};\n{location}\n}}\n}}\n",
        encoding="utf-8",
    )
    command = [find_nginx(), "-p", str(work), "-c", str(work / "nginx.conf")]
    with subprocess.Popen([*command, "-e", str(work / "error.log")]) as process:
        address = f"http://127.0.0.1:{port}/"
        try:
            _wait_for(address, process)
            yield address
        finally:
            process.terminate()


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 20
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            assert process.poll() is None, "nginx ended: see its error.log"
            assert time.monotonic() < until, "nginx doesn't answer"
            time.sleep(0.02)


@dataclass(frozen=True)
class S3Server:
    """Speaks S3 over HTTP; a bucket named models, whose objects anybody may read."""

    endpoint: str

    def address(self, name: str) -> str:
        return f"{self.endpoint}/models/{name}"

    def refuse_unknown_keys(self, refuse: bool) -> None:
        """Whether requests are held to the credentials that it knows: none."""
        count = b"0" if refuse else b"inf"
        self._send("POST", "/moto-api/reset-auth", count, "text/plain")

    def make_bucket(self, name: str) -> None:
        self._send("PUT", f"/{name}", b"", "text/plain")
        policy = (
            '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", '
            f'"Action": "s3:GetObject", "Resource": "arn:aws:s3:::{name}/*"}}]}}'
        )
        self._send("PUT", f"/{name}?policy", policy.encode(), "application/json")

    def forget(self) -> None:
        self._send("POST", "/moto-api/reset", b"", "text/plain")

    def _send(self, method: str, path: str, data: bytes, media_type: str) -> None:
        headers = {"Content-Type": media_type}
        request = urllib.request.Request(
            self.endpoint + path, data=data, headers=headers, method=method
        )
        urllib.request.urlopen(request, timeout=20).close()


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """One for all tests of a file: call forget() and make_bucket() before each."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield S3Server(f"http://{host}:{port}")
    finally:
        server.stop()
