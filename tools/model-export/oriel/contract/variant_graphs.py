"""The graphs of a variant: plain, decoder and open since contract 2.0, and optionally static since
2.1; two graphs before."""

from __future__ import annotations

from collections.abc import Iterator

from oriel.contract.data_files import GraphKind
from oriel.contract.documents import GraphRecord, Variant


def graphs_of(variant: Variant) -> dict[GraphKind, GraphRecord]:
    """Return the records of a variant's graphs by their kind."""
    found: dict[GraphKind, GraphRecord] = {"plain": variant["plain"]}
    if "decoder" in variant:
        found["decoder"] = variant["decoder"]
    if "open" in variant:
        found["open"] = variant["open"]
    if "static" in variant:
        found["static"] = variant["static"]
    if "interactive" in variant:
        found["interactive"] = variant["interactive"]
    return found


def paths_read_by(variant: Variant) -> Iterator[str]:
    """Yield the paths of a variant's graphs and of the weights that they read."""
    yield from variant["weights"]
    yield from (record["path"] for record in graphs_of(variant).values())
    if "expansion" in variant:
        yield variant["expansion"]["path"]


def tapped_graph(variant: Variant) -> GraphRecord:
    """Return the graph that taps are made for, which has no activation among its outputs: the open
    graph; in contract 1.x the interactive one."""
    return variant["open"] if "open" in variant else variant["interactive"]


def static_cache_of(variant: Variant) -> int | None:
    """Return the slots of a variant's static cache, in tokens; None if it has no static graph."""
    return cache_length_of(variant["static"]) if "static" in variant else None


def cache_length_of(static: GraphRecord) -> int:
    """Return the slots of a static graph's cache, in tokens."""
    # JSON Schema accepts 64.0 as an integer.
    return int(static["activations"]["cache_length"])


def cached_graph(variant: Variant) -> tuple[GraphKind, GraphRecord]:
    """Return the closed graph that has a cache, and its kind: the decoder graph; in contract 1.x
    the interactive one."""
    if "decoder" in variant:
        return "decoder", variant["decoder"]
    return "interactive", variant["interactive"]
