"""Names of objects at a published place, and how long each may be cached. One place holds one
model in all its versions: manifest.json, manifest-<version>.json, chunks/<sha256>.<ending>."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from oriel.contract.manifest import MANIFEST

CHUNKS = "chunks"
PUBLISHING = "publishing-"
PRUNING = "pruning-"
"""First parts of the names of leases: see leases.py."""

CACHE_FOREVER = "public, max-age=31536000, immutable"
CACHE_SHORTLY = "public, max-age=60, must-revalidate"

VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
_MANIFEST = re.compile(rf"manifest(?:-{VERSION.pattern})?\.json")
_CHUNK = re.compile(rf"{CHUNKS}/[0-9a-f]{{64}}(?:\.[a-z]+)?(?:\.gz)?")
_ENDINGS = {".onnx": ".onnx", ".json": ".json"}
_COMPRESSIBLE = {"application/json", "application/x-onnx"}


@dataclass(frozen=True)
class PublishedObject:
    """An object to write to a place under a name."""

    name: str
    data: bytes
    media_type: str
    cache_control: str

    @property
    def compressible(self) -> bool:
        return is_compressible(self.media_type)


def is_compressible(media_type: str) -> bool:
    """Return whether gzip makes it much smaller: graphs and JSON, not weights."""
    return media_type in _COMPRESSIBLE


def chunk_name(digest: str, path: str) -> str:
    """Return the name of a chunk with that digest, of the bundle's file at `path`."""
    ending = _ENDINGS.get(PurePosixPath(path).suffix, ".bin")
    return f"{CHUNKS}/{digest.removeprefix('sha256:')}{ending}"


def is_chunk_name(name: str) -> bool:
    """Return whether chunk_name made this name, or it is that of a compressed copy."""
    return _CHUNK.fullmatch(name) is not None


def manifest_name(version: str) -> str:
    """Return the name of a version's manifest, which is permanent; MANIFEST is the newest one's."""
    return f"manifest-{version}.json"


def is_manifest_name(name: str) -> bool:
    """Return whether it is manifest.json or the manifest of a version."""
    return _MANIFEST.fullmatch(name) is not None


def manifest_object(name: str, text: str) -> PublishedObject:
    """Return a manifest as the object to publish."""
    cache = CACHE_SHORTLY if name == MANIFEST else CACHE_FOREVER
    return PublishedObject(name, text.encode(), "application/json", cache)
