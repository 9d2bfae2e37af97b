"""A Hub on loopback with as much of its protocol as a download needs, and with its ways to fail."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class FakeHub:
    """Repositories by id; each is a folder."""

    repositories: dict[str, Path]
    gated: set[str] = field(default_factory=set)
    breaks: set[str] = field(default_factory=set)
    """Files whose bytes stop half-way, and that can't be had from then on."""
    status: int | None = None
    """Answer everything with this."""
    requests: list[str] = field(default_factory=list)
    endpoint: str = ""


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub

    def do_GET(self) -> None:
        self._answer(True)

    def do_HEAD(self) -> None:
        self._answer(False)

    def log_message(self, *_: Any) -> None:
        return None

    def _answer(self, body: bool) -> None:
        hub = self.hub
        hub.requests.append(f"{self.command} {self.path}")
        if hub.status is not None:
            self._send(hub.status, b"{}", body)
            return
        path = self.path.partition("?")[0]
        asked = re.fullmatch(r"/api/models/(.+?)(?:/revision/([^/]+))?", path)
        if asked:
            self._info(asked[1], asked[2], body)
            return
        file = re.fullmatch(r"/(.+)/resolve/([^/]+)/(.+)", path)
        if file and file[1] in hub.repositories:
            self._file(file[1], file[3], body)
            return
        self._send(404, b"{}", body)

    def _info(self, repository: str, revision: str | None, body: bool) -> None:
        folder = self.hub.repositories.get(repository)
        if folder is None:
            self._send(401, b"{}", body, {"X-Error-Code": "RepoNotFound"})
        elif revision not in (None, "main", "v1", COMMIT):
            self._send(404, b"{}", body, {"X-Error-Code": "RevisionNotFound"})
        else:
            files = [{"rfilename": f.name} for f in sorted(folder.iterdir())]
            info = {"id": repository, "modelId": repository, "sha": COMMIT, "siblings": files}
            self._send(200, json.dumps(info).encode(), body)

    def _file(self, repository: str, name: str, body: bool) -> None:
        if repository in self.hub.gated:
            self._send(403, b"{}", body, {"X-Error-Code": "GatedRepo"})
            return
        file = self.hub.repositories[repository] / name
        if not file.is_file():
            self._send(404, b"{}", body, {"X-Error-Code": "EntryNotFound"})
            return
        data = file.read_bytes()
        headers = {
            "ETag": f'"{hashlib.sha256(data).hexdigest()}"',
            "X-Repo-Commit": COMMIT,
        }
        if body and name in self.hub.breaks:
            self.hub.status = 500
            self._send(200, data[: len(data) // 2], body, headers, claimed=len(data))
            self.close_connection = True
            return
        self._send(200, data, body, headers)

    def _send(
        self,
        status: int,
        data: bytes,
        body: bool,
        headers: dict[str, str] | None = None,
        claimed: int | None = None,
    ) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data) if claimed is None else claimed))
        self.end_headers()
        if body:
            self.wfile.write(data)


@contextmanager
def serving(hub: FakeHub) -> Iterator[FakeHub]:
    """Serve on a free port until the block ends; hub.endpoint is its address."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
