"""Fetches a published model as a browser would, and says what to change on the host."""

from __future__ import annotations

import hashlib
import re
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

from oriel.bundle.loadable import check_bundle_loads
from oriel.contract.dashboards import check_listed_index
from oriel.contract.documents import Chunk, DashboardGroup, FileDescriptor, ManifestDocument
from oriel.contract.manifest import MANIFEST, MAX_BYTES, parse_manifest
from oriel.contract.strict_json import read_json
from oriel.contract.variant_graphs import graphs_of
from oriel.errors import ContractError, OptionError, OrielError, reason_of
from oriel.progress import StageDisplay
from oriel.publishing.fetch_url import Answer, FetchError, fetch
from oriel.publishing.published_names import CHUNKS, is_compressible

_Part = Chunk | FileDescriptor
"""Bytes at an address: a file that has no chunks is one part."""
DEFAULT_ORIGIN = "https://page.example"
"""The default Origin: that of a page which isn't on the model's host."""
AT_ONCE = 6
"""Largest number of requests at a time, as many as browsers make to a host."""
_MIN_IMMUTABLE_S = 86_400
_MAX_MANIFEST_S = 600
_MIN_COMPRESSIBLE_BYTES = 8192
_LOOPBACK = re.compile(r"localhost|127\.\d+\.\d+\.\d+|\[?::1\]?")

Level = Literal["error", "advice"]


@dataclass
class Finding:
    """Something that a host should do otherwise."""

    level: Level
    """error: a page can't load the model; advice: it can, but slower or less safely."""
    what: str
    got: str
    """Answer for the first object with this finding."""
    do: str
    count: int = 1
    """Number of objects with this finding."""

    def line(self) -> str:
        more = f" (and {self.count - 1} more)" if self.count > 1 else ""
        return f"{self.level}: {self.what}; got {self.got}{more}. {self.do}"


@dataclass
class UrlReport:
    """Result of checking an address."""

    url: str
    version: str | None = None
    objects: int = 0
    """Number of objects that were fetched and compared with their digests."""
    bytes: int = 0
    """Bytes of these objects, decoded."""
    wire_bytes: int = 0
    seconds: float = 0.0
    findings: list[Finding] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return all(finding.level != "error" for finding in self.findings)

    def to_json(self) -> dict[str, object]:
        return {**vars(self), "findings": [vars(f) for f in self.findings], "passed": self.passed}


def check_url(url: str, origin: str, display: StageDisplay) -> UrlReport:
    """Check a published model. url: of a manifest, of a graph beside it, or of their folder with a
    slash at the end. origin: the page's, such as https://page.example."""
    address = manifest_url(url)
    report = UrlReport(address)
    began = time.monotonic()
    _Check(report, origin.rstrip("/"), display).run()
    report.seconds = round(time.monotonic() - began, 2)
    report.findings.sort(key=lambda finding: finding.level != "error")
    return report


def manifest_url(url: str) -> str:
    """Return the manifest's URL; the query is kept, so that users can get past a host's cache."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise OptionError("no address of a web server", got=repr(url), expected="https://…")
    folder, _, name = parts.path.rpartition("/")
    path = f"{folder}/{MANIFEST}" if not name or name.endswith(".onnx") else parts.path
    return urllib.parse.urlunsplit(parts._replace(path=path, fragment=""))


class _Check:
    """One run. Requests run concurrently; findings are gathered under a lock."""

    def __init__(self, report: UrlReport, origin: str, display: StageDisplay) -> None:
        self.report = report
        self.origin = origin
        self.display = display
        self.lock = threading.Lock()
        here = urllib.parse.urlsplit(report.url)
        self.same_origin = origin == f"{here.scheme}://{here.netloc}"

    def find(self, level: Level, what: str, got: str, do: str) -> None:
        with self.lock:
            for finding in self.report.findings:
                if (finding.level, finding.what) == (level, what):
                    finding.count += 1
                    return
            self.report.findings.append(Finding(level, what, got, do))

    def run(self) -> None:
        self.display.stage(f"fetch {self.report.url}")
        self._check_scheme()
        manifest = self._manifest()
        if manifest is None:
            return
        self.report.version = manifest.get("version")
        files: list[FileDescriptor] = manifest["files"]
        self.display.expect_bytes(sum(file["bytes"] for file in files), "fetched and checked")
        graphs = {r["path"] for v in manifest["variants"] for r in graphs_of(v).values()}
        groups = manifest["dashboards"]["groups"] if "dashboards" in manifest else []
        kept_paths = graphs | {group["path"] for group in groups}
        with (
            ThreadPoolExecutor(AT_ONCE) as pool,
            tempfile.TemporaryDirectory(prefix="oriel-check-") as kept,
        ):
            for file in files:
                self._file(file, pool, Path(kept) if file["path"] in kept_paths else None)
            if self.report.passed:
                self._load(Path(kept), manifest)
                for group in groups:
                    self._index(Path(kept) / group["path"], group, manifest)
        chunked = [file for file in files if "chunks" in file]
        largest = max(files, key=lambda file: int(file["bytes"]))
        self._check_range((largest.get("chunks") or [largest])[0])
        if chunked:
            self._check_missing()

    def _url(self, path: str) -> str:
        here = urllib.parse.urlsplit(self.report.url)
        there = urllib.parse.urlsplit(urllib.parse.urljoin(self.report.url, path))
        return urllib.parse.urlunsplit(there._replace(query=here.query))

    def _check_scheme(self) -> None:
        parts = urllib.parse.urlsplit(self.report.url)
        if parts.scheme == "http" and not _LOOPBACK.fullmatch(parts.hostname or ""):
            self.find(
                "advice",
                "a page that came over https can't load from http",
                self.report.url,
                "Serve it over https.",
            )

    def _manifest(self) -> ManifestDocument | None:
        url = self.report.url
        answer = self._fetch(url, MAX_BYTES, "application/json")
        if answer is None:
            return None
        try:
            manifest = parse_manifest(answer.body, url).data
        except ContractError as error:
            self.find("error", "the manifest can't be read", reason_of(error), "Publish it again.")
            return None
        seconds = _seconds(answer)
        newest = urllib.parse.urlsplit(url).path.endswith(f"/{MANIFEST}")
        if newest and (seconds is None or seconds > _MAX_MANIFEST_S):
            self.find(
                "advice",
                "manifest.json may be cached for long, and a new version not be seen",
                _cache_control(answer),
                "Send Cache-Control: max-age=60, must-revalidate for it, or let the page ask for "
                "manifest.json?v=VERSION or manifest-VERSION.json.",
            )
        return manifest

    def _load(self, folder: Path, manifest: ManifestDocument) -> None:
        """Make a session of each graph, as a page will; zeros replace the weights."""
        self.display.stage("load the graphs")
        try:
            check_bundle_loads(folder, manifest, "")
        except OrielError as error:
            self.find(
                "error",
                "a graph can't be loaded",
                f"{error.what}: {error.got}",
                "Export the bundle again, and publish that one.",
            )

    def _index(self, file: Path, group: DashboardGroup, manifest: ManifestDocument) -> None:
        """Check the index of dashboards of a layer, whose ranges a page takes."""
        try:
            document = read_json(file.read_bytes(), group["path"])
            check_listed_index(document, group, manifest, group["path"])
        except ContractError as error:
            self.find(
                "error",
                "an index of dashboards can't be used",
                reason_of(error),
                "Make the dashboards again, and publish the model with them.",
            )

    def _file(self, file: FileDescriptor, pool: ThreadPoolExecutor, kept: Path | None) -> None:
        """Fetch and check a file; keep it below `kept`, where that is a folder."""
        parts: Sequence[_Part] = file.get("chunks") or [file]
        whole = hashlib.sha256()
        complete = True
        content = bytearray()
        for batch in _batches(parts, AT_ONCE):
            for body in pool.map(lambda part: self._part(part, file), batch):
                complete = complete and body is not None
                whole.update(body or b"")
                if kept is not None:
                    content += body or b""
        if complete and f"sha256:{whole.hexdigest()}" != file["digest"]:
            self.find(
                "error",
                "the chunks of a file aren't the file",
                file["path"],
                "Publish it again.",
            )
        if complete and kept is not None:
            place = kept / file["path"]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)

    def _part(self, part: _Part, file: FileDescriptor) -> bytes | None:
        """Fetch and check a chunk, or a file that has none."""
        url, media_type = self._url(part["path"]), str(file["media_type"])
        answer = self._fetch(url, int(part["bytes"]), media_type)
        self.display.add_bytes(int(part["bytes"]))
        if answer is None:
            return None
        if len(answer.body) != part["bytes"]:
            got = "more" if len(answer.body) > part["bytes"] else f"{len(answer.body)} bytes"
            self.find(
                "error",
                "a file has another length than the manifest says",
                f"{got} instead of {part['bytes']} bytes of {url}",
                "Publish it again, and let the host pass bytes on as they are.",
            )
            return None
        if f"sha256:{hashlib.sha256(answer.body).hexdigest()}" != part["digest"]:
            self.find(
                "error",
                "a file holds other bytes than the manifest says",
                url,
                "Publish it again, and let the host pass bytes on as they are.",
            )
            return None
        with self.lock:
            self.report.objects += 1
            self.report.bytes += len(answer.body)
            self.report.wire_bytes += answer.wire_bytes
        self._check_headers(answer, url, media_type, "chunks" in file)
        return answer.body

    def _fetch(self, url: str, max_bytes: int, media_type: str) -> Answer | None:
        """An answer with status 200 that a page may read; None, with why, for any other."""
        try:
            answer = fetch(url, self.origin, max_bytes)
        except FetchError as error:
            self.find(
                "error",
                "a file doesn't arrive",
                f"{url}: {error}",
                "Check the address and the host.",
            )
            return None
        self._check_cors(answer, url)
        if answer.status != 200:
            self.find(
                "error",
                "a file isn't there",
                f"HTTP {answer.status} for {url}",
                "Publish it again, and let the host serve every file below the manifest's folder.",
            )
            return None
        if answer.media_type == "text/html":
            self.find(
                "error",
                "an HTML page came instead of a file",
                url,
                "Let the host answer addresses that it doesn't have with 404, and check the "
                "address.",
            )
            return None
        if is_compressible(media_type):
            compressed = answer.encoding not in ("", "identity")
            if not compressed and len(answer.body) > _MIN_COMPRESSIBLE_BYTES:
                self.find(
                    "advice",
                    "JSON or graphs travel uncompressed",
                    f"{len(answer.body)} bytes of {url}",
                    "Turn compression on for .json and .onnx (nginx: gzip_static on, which sends "
                    "the .gz beside each).",
                )
        if media_type == "application/json" and answer.media_type != media_type:
            self.find(
                "advice",
                "JSON comes as another content type",
                f"{answer.media_type or 'none'} for {url}",
                "Send Content-Type: application/json for .json.",
            )
        return answer

    def _check_cors(self, answer: Answer, url: str) -> None:
        if self.same_origin and not answer.hops:
            return
        allowed = answer.header("Access-Control-Allow-Origin")
        expected = ("*", self.origin, *(["null"] if answer.hops else []))
        hops = [str(hop.get("Access-Control-Allow-Origin", "")).strip() for hop in answer.hops]
        if allowed not in expected or any(hop not in expected for hop in hops):
            wrong = next((hop for hop in hops if hop not in expected), allowed)
            self.find(
                "error",
                f"a page at {self.origin} may not read it (CORS)",
                f"Access-Control-Allow-Origin: {wrong or 'none'} for {url}",
                "Send Access-Control-Allow-Origin: * with every answer (nginx: add_header "
                "Access-Control-Allow-Origin * always; a bucket: a CORS rule for GET and HEAD).",
            )
        elif allowed != "*" and "origin" not in answer.header("Vary").lower():
            self.find(
                "advice",
                "what one page was allowed may be given to another from a cache",
                f"Access-Control-Allow-Origin: {allowed} without Vary: Origin for {url}",
                "Send Access-Control-Allow-Origin: *, or Vary: Origin.",
            )

    def _check_headers(self, answer: Answer, url: str, media_type: str, chunked: bool) -> None:
        if not is_compressible(media_type):
            if answer.encoding not in ("", "identity"):
                self.find(
                    "advice",
                    "weights travel compressed, which makes them no smaller",
                    f"Content-Encoding: {answer.encoding} for {url}",
                    "Compress .json and .onnx alone.",
                )
            elif not answer.header("Content-Length"):
                self.find(
                    "advice",
                    "weights come without a length",
                    url,
                    "Send Content-Length for .bin, so that one that is cut off is seen at once.",
                )
            if answer.media_type.startswith("text/"):
                self.find(
                    "advice",
                    "weights come as text",
                    f"{answer.media_type} for {url}",
                    "Send Content-Type: application/octet-stream for .bin, so that nothing on the "
                    "way changes them.",
                )
        seconds = _seconds(answer)
        if chunked and seconds is not None and seconds < _MIN_IMMUTABLE_S:
            self.find(
                "advice",
                "chunks are cached briefly, though they never change",
                f"{_cache_control(answer)} for {url}",
                f"Send Cache-Control: public, max-age=31536000, immutable for {CHUNKS}/.",
            )

    def _check_range(self, part: _Part) -> None:
        url, size = self._url(part["path"]), int(part["bytes"])
        if size < 2:
            return
        last = min(size - 1, 100)
        try:
            answer = fetch(url, self.origin, size, f"bytes=1-{last}")
        except FetchError as error:
            self.find("advice", "a range doesn't arrive", f"{url}: {error}", _RANGES)
            return
        ranged = answer.header("Content-Range").replace(" ", "")
        if answer.status == 200:
            self.find("advice", "ranges are not served", f"the whole of {url}", _RANGES)
        elif answer.encoding not in ("", "identity"):
            # A range of a compressed body can't be compared.
            return
        elif answer.status != 206 or len(answer.body) != last:
            got = f"HTTP {answer.status} with {len(answer.body)} bytes of {url}"
            self.find("advice", "a range is answered wrongly", got, _RANGES)
        elif ranged not in (f"bytes1-{last}/{size}", f"bytes1-{last}/*"):
            got = f"Content-Range: {answer.header('Content-Range') or 'none'} for {url}"
            self.find("advice", "a range is answered wrongly", got, _RANGES)

    def _check_missing(self) -> None:
        url = self._url(f"{CHUNKS}/{'0' * 64}.bin")
        try:
            answer = fetch(url, self.origin, 1024)
        except FetchError:
            return
        if answer.status < 400:
            self.find(
                "advice",
                "a file that isn't there is answered all the same",
                f"HTTP {answer.status} for {url}",
                "Let the host answer with 404, so that readers can say what is missing.",
            )


_RANGES = "Let the host serve ranges (Accept-Ranges: bytes) of .bin, so that others can resume."


def _batches(parts: Sequence[_Part], size: int) -> Iterator[list[_Part]]:
    """Yield parts in batches of `size`: one batch's data is dropped before the next is fetched."""
    iterator = iter(parts)
    while batch := list(islice(iterator, size)):
        yield batch


def _cache_control(answer: Answer) -> str:
    return f"Cache-Control: {answer.header('Cache-Control') or 'none'}"


def _seconds(answer: Answer) -> int | None:
    """Return the seconds it may be cached without revalidation; None where the browser decides."""
    control = answer.header("Cache-Control").lower()
    if "no-store" in control or "no-cache" in control:
        return 0
    match = re.search(r"\bmax-age=(\d{1,10})", control)
    return int(match[1]) if match else None
