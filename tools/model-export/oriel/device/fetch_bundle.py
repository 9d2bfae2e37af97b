"""Copies the files that a device check needs into a folder, from a web address or a local folder,
and checks each against its digest."""

from __future__ import annotations

import hashlib
import urllib.parse
from collections.abc import Callable, Collection
from pathlib import Path

from oriel.contract.documents import Chunk, FileDescriptor, Variant
from oriel.contract.limits import limits
from oriel.contract.manifest import MANIFEST, MAX_BYTES, Manifest, parse_manifest, read_manifest
from oriel.contract.variant_graphs import tapped_graph
from oriel.errors import BundleError
from oriel.progress import StageDisplay
from oriel.publishing.check_url import DEFAULT_ORIGIN, manifest_url
from oriel.publishing.fetch_url import FetchError, fetch

_Part = Chunk | FileDescriptor
Read = Callable[[str, int], bytes]
"""Reads a file beside the manifest, given its path and size in bytes; returns at most one byte more
than the size."""


def is_address(place: str) -> bool:
    """Return whether a place is an http(s) address rather than a folder."""
    return place.startswith(("http://", "https://"))


def open_manifest(place: str) -> tuple[Manifest, Read]:
    """Return the manifest at an address or in a folder, and a function that reads its files.

    Raises BundleError if there is no manifest, ContractError if it is invalid.
    """
    if is_address(place):
        url = manifest_url(place)
        return parse_manifest(_fetched(url, MAX_BYTES), url), lambda path, size: _fetched(
            _beside(url, path), size
        )
    folder = Path(place)
    folder = folder if folder.is_dir() or not folder.name else folder.parent
    return read_manifest(folder), lambda path, size: _read_file(folder / path, size)


def bring_variant(
    manifest: Manifest, variant: Variant, read: Read, target: Path, display: StageDisplay
) -> None:
    """Copy a variant's open graph, weights and reference pass to `target`, except files that are
    already there. Raises BundleError if a file doesn't match the manifest."""
    paths = [tapped_graph(variant)["path"], *variant["weights"]]
    if "reference_pass" in variant:
        paths.append(variant["reference_pass"]["path"])
    files = [manifest.file(path) for path in paths if not (target / path).exists()]
    display.expect_bytes(sum(int(file["bytes"]) for file in files), "fetched and checked")
    passed = {variant["reference_pass"]["path"]} if "reference_pass" in variant else set()
    for file in files:
        _bring(file, read, target / file["path"], display, passed)


def _bring(
    file: FileDescriptor, read: Read, to: Path, display: StageDisplay, passes: Collection[str]
) -> None:
    limit = limits()["reference_pass"]["bytes"]
    if file["path"] in passes and file["bytes"] > limit:
        raise BundleError(
            f"{file['path']} is too large for a reference pass",
            got=f"{file['bytes']} bytes",
            expected=f"at most {limit}",
            next_step="export the bundle again.",
        )
    whole = hashlib.sha256()
    parts: list[_Part] = list(file.get("chunks", [])) or [file]
    to.parent.mkdir(parents=True, exist_ok=True)
    with to.open("wb") as handle:
        for part in parts:
            raw = read(part["path"], int(part["bytes"]))
            whole.update(raw)
            handle.write(raw)
            display.add_bytes(len(raw))
    found = f"sha256:{whole.hexdigest()}"
    if found != file["digest"]:
        raise BundleError(
            f"{file['path']} holds other bytes than the manifest says",
            got=found,
            expected=file["digest"],
            next_step="publish or export it again; check-url says more of a host.",
        )


def _beside(url: str, path: str) -> str:
    """Return the address of a file beside the manifest, with the query of the manifest's
    address."""
    there = urllib.parse.urlsplit(urllib.parse.urljoin(url, path))
    return urllib.parse.urlunsplit(there._replace(query=urllib.parse.urlsplit(url).query))


def _fetched(url: str, size: int) -> bytes:
    try:
        answer = fetch(url, DEFAULT_ORIGIN, size)
    except FetchError as error:
        raise BundleError(
            f"{url} can't be fetched",
            got=str(error),
            next_step="check the address and the network, then try again.",
        ) from error
    if answer.status != 200:
        raise BundleError(
            f"{url} can't be fetched",
            got=f"status {answer.status}",
            expected="200",
            next_step=f"name a folder's address, or its {MANIFEST}.",
        )
    return answer.body


def _read_file(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as handle:
            return handle.read(size + 1)
    except OSError as error:
        raise BundleError(
            f"{path} can't be read", got=error.strerror or str(error), next_step="export it again."
        ) from error
