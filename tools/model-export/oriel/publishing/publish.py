"""The order of publishing: missing chunks, then the version's manifest, then the newest one's.
Readers find only complete models; an interrupted run is continued where it stopped."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from oriel.bundle.loadable import check_bundle_loads
from oriel.bundle.manifest_text import manifest_text
from oriel.contract.documents import Chunk, FileDescriptor, ManifestDocument, Variant
from oriel.contract.manifest import (
    MANIFEST,
    bundle_folder,
    check_manifest,
    parse_manifest,
    raised_version,
    read_manifest,
)
from oriel.contract.strict_json import read_json
from oriel.errors import ContractError, OrielError, PublishError
from oriel.progress import StageDisplay
from oriel.publishing.cut_file import DEFAULT_CHUNK_BYTES, cut_lengths, tensor_borders
from oriel.publishing.first_pass import (
    Example,
    FirstPass,
    compute_first_pass,
    kept_first_pass,
    prompt_of,
    with_first_pass,
    without_first_pass,
)
from oriel.publishing.leases import publishing
from oriel.publishing.place import Entry, Place
from oriel.publishing.published_names import (
    CACHE_FOREVER,
    CHUNKS,
    PublishedObject,
    chunk_name,
    is_compressible,
    manifest_name,
    manifest_object,
)


@dataclass
class Published:
    """Result of a run."""

    version: str
    manifest: ManifestDocument
    chunks: int = 0
    bytes: int = 0
    """Bytes of all chunks, each counted once."""
    sent: list[str] = field(default_factory=list)
    """Names of objects that were written, in order."""
    sent_bytes: int = 0
    no_first_pass: str | None = None
    """Why there is no first pass although one was wanted."""

    def to_json(self) -> dict[str, object]:
        return {
            "version": self.version,
            "manifest": manifest_name(self.version),
            "chunks": self.chunks,
            "bytes": self.bytes,
            "sent": len(self.sent),
            "sent_bytes": self.sent_bytes,
            "first_pass": self.manifest.get("first_pass"),
        }


def publish(
    bundle: Path,
    place: Place,
    version: str | None,
    display: StageDisplay,
    max_chunk_bytes: int = DEFAULT_CHUNK_BYTES,
    example: Example | None = None,
) -> Published:
    """Publish a bundle. version: None for one that follows from the content. example: the example
    to compute in advance, if any.

    Raises PublishError where the place can't be written, or has that version with other content.
    """
    bundle = bundle_folder(bundle)
    data = read_manifest(bundle).data
    _check_source(bundle, data, place)
    display.stage(f"look at what {place.address} has")
    # First, since this request fails soonest if the place can't be reached.
    entries = place.entries(CHUNKS)
    published = _existing_manifests(place, version)
    existing = _Existing(place, entries, _known_files(published), max_chunk_bytes)
    data, made, without = _with_example(bundle, data, example, published, display)
    files = data["files"]
    whole = existing.whole_files(files)
    if made is not None and made.data is None and made.descriptor["path"] not in whole:
        # A manifest names the first pass, but its file is gone.
        data, made, without = _with_example(bundle, data, example, (), display)
        files = data["files"]
        whole = existing.whole_files(files)
    if len(whole) == len(files):
        # Nothing to read, and at most manifests to send.
        planned = _plan(data, whole, version)
        planned.no_first_pass = without
        if _manifests_are_current(place, planned):
            return planned
    with publishing(place) as renew:
        # Listed again: chunks may have been pruned before the lease was written.
        existing = replace(existing, entries=place.entries(CHUNKS))
        chunks = existing.whole_files(files)
        to_read = [file for file in files if file["path"] not in chunks]
        source = _Source(bundle, data["variants"], made)
        lengths = {file["path"]: source.chunk_lengths(file, existing) for file in to_read}
        sent: list[tuple[str, int]] = []

        def on_sent(item: PublishedObject) -> None:
            sent.append((item.name, len(item.data)))
            renew()

        display.stage(f"send chunks to {place.address}")
        display.expect_bytes(sum(file["bytes"] for file in to_read), "checked and sent")
        missing = _missing(source, to_read, lengths, existing, chunks, display)
        place.put_all(missing, on_sent)
        planned = _plan(data, chunks, version)
        _write_manifests(place, planned, on_sent)
    planned.no_first_pass = without
    planned.sent = [name for name, _ in sent]
    planned.sent_bytes = sum(size for _, size in sent)
    return planned


def _check_source(bundle: Path, data: ManifestDocument, place: Place) -> None:
    if any("chunks" in file for file in data["files"]):
        raise PublishError(
            f"{bundle} is a published model", expected="a bundle", next_step="name the bundle."
        )
    if "://" not in place.address and Path(place.address).resolve() == bundle.resolve():
        raise PublishError(
            "--to is the bundle itself", got=place.address, next_step="name another folder."
        )
    for file in data["files"]:
        path = bundle / file["path"]
        have = path.stat().st_size if path.is_file() else None
        if have != file["bytes"] or have == 0:
            raise PublishError(
                f"{path} isn't the file that the manifest describes",
                got="no file" if have is None else f"{have} bytes",
                expected=f"{file['bytes']} bytes",
                next_step="export the bundle again.",
            )
    check_bundle_loads(bundle, data, "export the bundle again; nothing was sent.")


def _existing_manifests(place: Place, version: str | None) -> list[ManifestDocument]:
    """Read the manifests that are there, of those that this run may write."""
    found: list[ManifestDocument] = []
    for name in [MANIFEST] if version is None else [MANIFEST, manifest_name(version)]:
        raw = place.read(name)
        if raw is None:
            continue
        try:
            found.append(parse_manifest(raw, f"{place.address}, {name}").data)
        except ContractError:
            # Another program's, or of a newer major version: it can't be used.
            continue
    return found


def _known_files(published: Sequence[ManifestDocument]) -> dict[str, list[Chunk]]:
    """Return {digest of a file: its chunks} of manifests that are there: these need no reading."""
    known: dict[str, list[Chunk]] = {}
    for manifest in published:
        for file in manifest["files"]:
            if "chunks" in file:
                known.setdefault(file["digest"], file["chunks"])
    return known


def _with_example(
    bundle: Path,
    data: ManifestDocument,
    example: Example | None,
    published: Sequence[ManifestDocument],
    display: StageDisplay,
) -> tuple[ManifestDocument, FirstPass | None, str | None]:
    """Return the manifest's data with a first pass, the pass, and why there is none: a bundle that
    can't be run here is published without one, unless an example was named."""
    data = without_first_pass(data)
    if example is None:
        return data, None, None
    prompt = prompt_of(data, example)
    made = kept_first_pass(data, prompt, published)
    if made is None:
        display.stage("compute an example beforehand")
        try:
            made = compute_first_pass(bundle, data, prompt)
        except OrielError as error:
            if example.prompt is not None:
                raise
            return data, None, str(error)
    return with_first_pass(data, made), made, None


@dataclass(frozen=True)
class _Existing:
    """The chunks that the place has, and the files that its manifests cut into chunks."""

    place: Place
    entries: Mapping[str, Entry]
    known: Mapping[str, list[Chunk]]
    """{digest of a file: its chunks}"""
    max_chunk_bytes: int

    def has(self, chunk: Chunk, media_type: str) -> bool:
        """Return True if the place has the chunk in its whole length."""
        entry = self.entries.get(chunk["path"])
        if entry is None:
            return False
        compressed = self.place.compresses and is_compressible(media_type)
        return compressed or entry.bytes == chunk["bytes"]

    def whole_files(self, files: Sequence[FileDescriptor]) -> dict[str, list[Chunk]]:
        """Return {path: chunks} of the files whose chunks are all at the place."""
        return {file["path"]: self.known[file["digest"]] for file in files if self._has_file(file)}

    def _has_file(self, file: FileDescriptor) -> bool:
        """Return True if the place has each chunk, none too large, under its digest's name."""
        chunks = self.known.get(file["digest"])
        return chunks is not None and all(
            chunk["bytes"] <= self.max_chunk_bytes
            and chunk["path"] == chunk_name(chunk["digest"], file["path"])
            and self.has(chunk, file["media_type"])
            for chunk in chunks
        )


@dataclass(frozen=True)
class _Source:
    """The files to publish: the bundle's, and the first pass that was computed for it."""

    bundle: Path
    variants: Sequence[Variant]
    first_pass: FirstPass | None

    def open(self, path: str) -> BinaryIO:
        made = self.first_pass
        if made is not None and made.data is not None and path == made.descriptor["path"]:
            return io.BytesIO(made.data)
        return (self.bundle / path).open("rb")

    def chunk_lengths(self, file: FileDescriptor, existing: _Existing) -> list[int]:
        """Return the lengths of the file's chunks: as it was cut before, if it was."""
        known, max_bytes = existing.known.get(file["digest"]), existing.max_chunk_bytes
        if known is not None and all(chunk["bytes"] <= max_bytes for chunk in known):
            return [chunk["bytes"] for chunk in known]
        borders = tensor_borders(self.bundle, self.variants, file["path"])
        return cut_lengths(file["bytes"], borders, max_bytes)


def _missing(
    source: _Source,
    files: Sequence[FileDescriptor],
    lengths: Mapping[str, Sequence[int]],
    existing: _Existing,
    chunks: dict[str, list[Chunk]],
    display: StageDisplay,
) -> Iterator[PublishedObject]:
    """Read every file once, yield the chunks that the place lacks, and fill `chunks`.

    Raises PublishError where a file isn't the one that the manifest describes.
    """
    given: set[str] = set()
    with ThreadPoolExecutor(1) as beside:
        for file in files:
            path, media_type = file["path"], file["media_type"]
            described = chunks.setdefault(path, [])
            whole = hashlib.sha256()
            with source.open(path) as handle:
                for part in _parts(handle, lengths[path]):
                    # Hashing releases the interpreter's lock, so other threads run.
                    meanwhile = beside.submit(whole.update, part)
                    digest = f"sha256:{hashlib.sha256(part).hexdigest()}"
                    meanwhile.result()
                    name = chunk_name(digest, path)
                    chunk: Chunk = {"path": name, "bytes": len(part), "digest": digest}
                    described.append(chunk)
                    display.add_bytes(len(part))
                    if name in given or existing.has(chunk, media_type):
                        continue
                    given.add(name)
                    yield PublishedObject(name, part, media_type, CACHE_FOREVER)
            if f"sha256:{whole.hexdigest()}" != file["digest"]:
                raise PublishError(
                    f"{source.bundle / path} was changed after it was exported",
                    got=f"sha256:{whole.hexdigest()}",
                    expected=file["digest"],
                    next_step="export the bundle again.",
                )


def _parts(handle: BinaryIO, lengths: Sequence[int]) -> Iterator[bytes]:
    for length in lengths:
        part = handle.read(length)
        if len(part) != length:
            raise PublishError(
                f"{handle.name} became shorter while it was read",
                next_step="wait until the export has ended, and publish again.",
            )
        yield part


def _plan(
    data: ManifestDocument, chunks: Mapping[str, list[Chunk]], version: str | None
) -> Published:
    """Return the manifest to publish, with its version's name."""
    files: list[FileDescriptor] = [
        {**file, "chunks": chunks[file["path"]]} for file in data["files"]
    ]
    manifest: ManifestDocument = {
        **data,
        "manifest_version": raised_version(data["manifest_version"]),
        "files": files,
    }
    if version is None:
        # In one form for ever, whatever the file's: the same content keeps its name.
        content = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
        version = hashlib.sha256(content.encode()).hexdigest()[:12]
    named: dict[str, object] = {}
    for key, value in manifest.items():
        named[key] = value
        if key == "contract_version":
            named["version"] = version
    checked = check_manifest(named, "the published manifest").data
    sizes = {chunk["path"]: chunk["bytes"] for file in files for chunk in file["chunks"]}
    return Published(version, checked, len(sizes), sum(sizes.values()))


def _manifests_are_current(place: Place, planned: Published) -> bool:
    names = (manifest_name(planned.version), MANIFEST)
    return all(_says(place, name, planned.manifest) for name in names)


def _says(place: Place, name: str, manifest: ManifestDocument) -> bool:
    """Return whether a manifest that is there says the same, however it is formatted: versions that
    earlier releases published are indented."""
    there = place.read(name)
    if there is None:
        return False
    try:
        return read_json(there, name) == manifest
    except ContractError:
        return False


def _write_manifests(
    place: Place, planned: Published, on_sent: Callable[[PublishedObject], None]
) -> None:
    text = manifest_text(planned.manifest)
    kept = manifest_object(manifest_name(planned.version), text)
    if place.create(kept):
        on_sent(kept)
    elif not _says(place, kept.name, planned.manifest):
        raise PublishError(
            f"{place.address} has a version {planned.version} already, with other content",
            expected="a version that never changes",
            next_step="publish under another --version; nothing that visitors see was changed.",
        )
    newest = manifest_object(MANIFEST, text)
    if not _says(place, MANIFEST, planned.manifest):
        place.put(newest)
        on_sent(newest)
