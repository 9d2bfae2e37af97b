"""A Hub on loopback with as much of its protocol as publishing needs: commits of plain and of large
files, listings, and downloads. It shows the same history to whoever asks."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REPOSITORY = "lab/demo"


@dataclass
class Commit:
    """The whole tree after it."""

    oid: str
    message: str
    files: dict[str, bytes]


@dataclass
class WritableHub:
    """One repository, whose commits are all kept."""

    commits: list[Commit] = field(default_factory=lambda: [Commit("0" * 40, "start", {})])
    large: dict[str, bytes] = field(default_factory=dict)
    """Uploaded large files by their SHA-256."""
    uploads: list[str] = field(default_factory=list)
    token: str | None = None
    """Required where it is set."""
    before_commit: Callable[[], None] | None = None
    """Called once, when a commit with a parent is about to be made."""
    endpoint: str = ""

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1].files

    def add(self, message: str, changes: dict[str, bytes | None]) -> Commit:
        files = {**self.files, **{p: d for p, d in changes.items() if d is not None}}
        files = {path: data for path, data in files.items() if changes.get(path, b"") is not None}
        oid = hashlib.sha1(f"{len(self.commits)}{message}".encode()).hexdigest()
        self.commits.append(Commit(oid, message, files))
        return self.commits[-1]

    def add_quietly(self, changes: dict[str, bytes | None]) -> None:
        self.add("meanwhile", changes)

    def at(self, revision: str) -> Commit | None:
        if revision == "main":
            return self.commits[-1]
        return next((commit for commit in self.commits if commit.oid == revision), None)


class _Handler(BaseHTTPRequestHandler):
    hub: WritableHub
    lock = threading.Lock()

    def log_message(self, *_: Any) -> None:
        return None

    def do_HEAD(self) -> None:
        self._get(False)

    def do_GET(self) -> None:
        self._get(True)

    def _get(self, body: bool) -> None:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        if not path.removeprefix("/api/models").startswith(f"/{REPOSITORY}"):
            self._send(401, {}, body, {"X-Error-Code": "RepoNotFound"})
            return
        tree = re.fullmatch(rf"/api/models/{REPOSITORY}/tree/([^/]+)(?:/(.+))?", path)
        file = re.fullmatch(rf"/{REPOSITORY}/resolve/([^/]+)/(.+)", path)
        if tree:
            self._tree(tree[1], tree[2] or "", body)
        elif file:
            commit = self.hub.at(file[1])
            data = commit.files.get(file[2]) if commit else None
            if commit is None or data is None:
                self._send(404, {}, body, {"X-Error-Code": "EntryNotFound"})
                return
            etag = hashlib.sha256(data).hexdigest()
            self._send(200, data, body, {"ETag": f'"{etag}"', "X-Repo-Commit": commit.oid})
        else:
            info = {"id": REPOSITORY, "sha": self.hub.commits[-1].oid, "siblings": []}
            self._send(200, info, body)

    def _tree(self, revision: str, folder: str, body: bool) -> None:
        commit = self.hub.at(revision)
        prefix = f"{folder}/" if folder else ""
        inside = (
            {p[len(prefix) :]: d for p, d in commit.files.items() if p.startswith(prefix)}
            if (commit)
            else {}
        )
        if not inside and folder:
            self._send(404, {}, body, {"X-Error-Code": "EntryNotFound"})
            return
        rows: list[dict[str, Any]] = []
        for name in sorted({path.partition("/")[0] for path in inside}):
            if name in inside:
                oid = hashlib.sha1(inside[name]).hexdigest()
                row = {"type": "file", "path": prefix + name, "size": len(inside[name]), "oid": oid}
            else:
                row = {"type": "directory", "path": prefix + name, "oid": "0" * 40}
            rows.append(row)
        self._send(200, rows, body)

    def do_PUT(self) -> None:
        data = self._body()
        oid = self.path.rpartition("/")[2]
        assert hashlib.sha256(data).hexdigest() == oid
        self.hub.large[oid] = data
        self.hub.uploads.append(oid)
        self._send(200, {}, True)

    def do_POST(self) -> None:
        data = self._body()
        token = self.hub.token
        if token is not None and self.headers.get("Authorization") != f"Bearer {token}":
            self._send(403, {"error": "forbidden"}, True)
            return
        path = urllib.parse.urlsplit(self.path).path
        if path == f"/{REPOSITORY}.git/info/lfs/objects/batch":
            self._send(200, {"objects": list(map(self._object, json.loads(data)["objects"]))}, True)
        elif path == f"/api/models/{REPOSITORY}/preupload/main":
            asked = json.loads(data)["files"]
            self._send(200, {"files": [self._mode(file["path"]) for file in asked]}, True)
        elif path == f"/api/models/{REPOSITORY}/commit/main":
            self._commit([json.loads(line) for line in data.splitlines()])
        else:
            self._send(401, {}, True, {"X-Error-Code": "RepoNotFound"})

    def _mode(self, path: str) -> dict[str, Any]:
        mode = "regular" if path.endswith(".json") else "lfs"
        return {"path": path, "uploadMode": mode, "shouldIgnore": False}

    def _object(self, item: dict[str, Any]) -> dict[str, Any]:
        if item["oid"] in self.hub.large:
            return dict(item)
        upload = {"href": f"{self.hub.endpoint}/large/{item['oid']}"}
        return {**item, "actions": {"upload": upload}}

    def _commit(self, lines: list[dict[str, Any]]) -> None:
        header = lines[0]["value"]
        parent = header.get("parentCommit")
        if parent is not None and self.hub.before_commit is not None:
            meanwhile, self.hub.before_commit = self.hub.before_commit, None
            meanwhile()
        with self.lock:
            if parent not in (None, self.hub.commits[-1].oid):
                self._send(412, {"error": "the branch moved"}, True)
                return
            changes: dict[str, bytes | None] = {}
            for line in lines[1:]:
                value = line["value"]
                if line["key"] == "file":
                    changes[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    changes[value["path"]] = self.hub.large[value["oid"]]
                else:
                    assert line["key"] == "deletedFile"
                    changes[value["path"]] = None
            oid = self.hub.add(header["summary"], changes).oid
        url = f"{self.hub.endpoint}/{REPOSITORY}/commit/{oid}"
        self._send(200, {"commitUrl": url, "commitOid": oid, "pullRequestUrl": None})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def _send(
        self, status: int, value: Any, body: bool = True, headers: dict[str, str] | None = None
    ) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)


@contextmanager
def serving_writable(hub: WritableHub) -> Iterator[WritableHub]:
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
