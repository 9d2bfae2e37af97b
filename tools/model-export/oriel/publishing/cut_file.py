"""Cuts weights files into chunks at tensors' borders, so that versions and variants share chunks
that are the same in both. Borders depend only on offsets and sizes, never on values."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from pathlib import Path

from oriel.contract.documents import Variant
from oriel.contract.variant_graphs import graphs_of

DEFAULT_CHUNK_BYTES = 8 * 1024 * 1024
"""Largest chunk by default; some hosts refuse files over 25 MiB."""
MIN_OWN_CHUNK_BYTES = 3 * 1024 * 1024
"""Smallest size of a tensor that begins a chunk of its own: each chunk is a request and a file in
the browser's cache, which cost more than the bytes of a small one."""


def cut_lengths(size: int, borders: Iterable[int], max_bytes: int) -> list[int]:
    """Return the lengths of a file's chunks, each 1 to `max_bytes` bytes; their sum is `size`.

    A large tensor begins a chunk, and small ones that follow join it while they fit: a change
    before it shifts no border after it. A tensor larger than that is cut into pieces of
    `max_bytes`, counted from its beginning.
    """
    large = min(MIN_OWN_CHUNK_BYTES, max_bytes)
    starts = sorted({0, *(border for border in borders if 0 < border < size)})
    ends: list[int] = []
    begin = riding = 0
    for start, end in zip(starts, [*starts[1:], size], strict=True):
        stands_alone = end - start >= large
        if start > begin and (stands_alone or end - begin > max_bytes or riding >= large):
            ends.append(start)
            begin, riding = start, 0
        while end - begin > max_bytes:
            begin += max_bytes
            ends.append(begin)
        riding = 0 if stands_alone else riding + end - start
    if size > begin:
        ends.append(size)
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def tensor_borders(folder: Path, variants: Sequence[Variant], path: str) -> set[int]:
    """Return byte offsets at which tensors of a weights file begin; none for any other file.

    Offsets of an encoded file are in the manifest, and a weight's scales stay with its values;
    those of a file that graphs read as it is are in the graphs.
    """
    found: set[int] = set()
    reading = [variant for variant in variants if path in variant["weights"]]
    for variant in reading:
        for weight in variant["expansion"]["weights"] if "expansion" in variant else ():
            parts = (weight.get("scales"), weight.get("zero_points"), weight["values"])
            found.add(min(offset for offset in parts if offset is not None))
    if found or not reading:
        return found
    graphs = {r["path"] for variant in reading for r in graphs_of(variant).values()}
    for graph in sorted(graphs):
        found |= _external_offsets(folder, graph, path)
    return found


def _external_offsets(folder: Path, graph: str, path: str) -> set[int]:
    import onnx

    from oriel.errors import GraphError
    from oriel.graph.external_data import check_external_data

    try:
        model = onnx.load(folder / graph, load_external_data=False)
    except Exception as error:  # protobuf's own errors have no common class that is public
        raise GraphError(
            f"{folder / graph} can't be read as ONNX", next_step="export the bundle again."
        ) from error
    check_external_data(model, str(folder / graph))
    offsets: set[int] = set()
    for tensor in model.graph.initializer:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        if posixpath.join(posixpath.dirname(graph), entries.get("location", "")) == path:
            offsets.add(int(entries.get("offset", "0")))
    return offsets
