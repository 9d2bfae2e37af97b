"""Traced graphs on disk, kept from one export to the next under the digest of all that decides
them. ORIEL_TRACE_CACHE names another folder; empty, it keeps nothing."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import platformdirs

FOLDER = "ORIEL_TRACE_CACHE"
"""The environment variable that names the folder."""
_PACKAGES = ("torch", "transformers", "onnx", "onnx_ir", "onnxscript")
"""Their versions decide every graph."""
_DIGEST_BYTES = 32
_MOST_KEPT = 100
_MOST_BYTES = 64 * 2**20
"""Largest size of one file, which has no weights: GPT-2 small's is 1 MB."""


def kept_graph(decides: Mapping[str, object], sources: Sequence[str]) -> Path | None:
    """Return the place of the graph that these facts decide; None where nothing is kept.

    decides: what makes it another graph, beside the versions of packages. sources: folders of this
    package whose code does.
    """
    named = os.environ.get(FOLDER)
    if named == "":
        return None
    default = Path(platformdirs.user_cache_dir("oriel")) / "traced_graphs"
    described = {
        **decides,
        "python": platform.python_version(),
        "packages": [importlib.metadata.version(name) for name in _PACKAGES],
        "sources": _digest_of_sources(sources),
    }
    text = json.dumps(described, sort_keys=True, default=repr)
    key = hashlib.sha256(text.encode()).hexdigest()
    return (Path(named) if named else default) / f"{key}.graph"


def _digest_of_sources(folders: Sequence[str]) -> str:
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parents[1]
    for name in folders:
        for file in sorted((package / name).rglob("*.py")):
            digest.update(file.relative_to(package).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def read_kept(file: Path) -> bytes | None:
    """Return what was written; None where the file isn't there or isn't as it was written."""
    try:
        if file.stat().st_size > _MOST_BYTES:
            return None
        held = file.read_bytes()
        # The oldest unused are removed first.
        os.utime(file)
    except OSError:
        return None
    digest, packed = held[:_DIGEST_BYTES], held[_DIGEST_BYTES:]
    return packed if hashlib.sha256(packed).digest() == digest else None


def write_kept(file: Path, packed: bytes) -> None:
    """Keep a graph, and remove those that went unused longest. Raises OSError."""
    if len(packed) + _DIGEST_BYTES > _MOST_BYTES:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    # Another export may write the same file now: each writes its own and renames it.
    part = file.with_suffix(f".{os.getpid()}.part")
    try:
        part.write_bytes(hashlib.sha256(packed).digest() + packed)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    kept = sorted(file.parent.glob("*.graph"), key=lambda each: each.stat().st_mtime)
    for old in kept[:-_MOST_KEPT]:
        old.unlink(missing_ok=True)
