"""A variant of a bundle, run by ONNX Runtime with every tap open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from oriel.arrays import Array
from oriel.contract.activation_names import cache_output_specs, input_specs, past_name
from oriel.contract.data_files import GraphKind
from oriel.contract.documents import ProofArtifact
from oriel.contract.manifest import MANIFEST, read_manifest
from oriel.contract.variant_graphs import cached_graph, graphs_of
from oriel.errors import GraphError, OptionError
from oriel.graph.taps import Tap
from oriel.proof.artifact import Artifact, Tensors, versions_of
from oriel.proof.contract_ports import PAST, contract_port, inner_ports, is_text_input, lens_ports
from oriel.proof.onnx_ports import onnx_ports
from oriel.runtime.onnx_graph import OnnxGraph, with_taps
from oriel.runtime.weight_folders import choose_variant
from oriel.verification.opened_variant import opened_variant
from oriel.verification.report import Findings


class BundleArtifact(Artifact):
    """One variant: its graph with a cache, whose outputs are the contract's activations."""

    kind = "bundle"
    runtime, provider = "ONNX Runtime", "CPUExecutionProvider"

    def __init__(self, place: str, graph: GraphKind | None = None) -> None:
        """graph: the one to run; None for the one with a cache."""
        self.place = place
        self._folder, name = split_place(place)
        self._manifest = read_manifest(self._folder)
        self._variant = choose_variant(self._manifest.variants, name or None, place)
        shape = self._manifest.shape
        self._kind, self._graph = cached_graph(self._variant)
        if graph is not None and graph != self._kind:
            self._kind, self._graph = graph, graphs_of(self._variant)[graph]
        specs = input_specs(shape, self._kind)
        taken = [spec for spec in specs if is_text_input(spec.name)]
        self.inputs = [contract_port(spec) for spec in taken]
        present = [contract_port(spec) for spec in cache_output_specs(shape)]
        tapped = {spec["name"] for tap in self._variant["taps"] for spec in tap["outputs"]}
        lens = [port for port in lens_ports(shape) if port.name in tapped]
        self.outputs = [*inner_ports(shape), *lens, *present]
        if self._kind == "plain":
            _, given = onnx_ports(self._folder / self._graph["path"])
            held = {port.name for port in given}
            self.outputs = [port for port in self.outputs if port.name in held]
        self.vocabulary, self.longest = shape.vocab, shape.context_length
        self.variant = self.precision = self._variant["name"]

    def run(self, calls: Sequence[Tensors], wanted: Sequence[str]) -> list[dict[str, Tensor]]:
        with self._session() as session:
            return [self._call(session, call, wanted) for call in calls]

    @contextmanager
    def _session(self) -> Iterator[OnnxGraph]:
        findings = Findings()
        with opened_variant(self._folder, self._variant, findings) as opened:
            failed = [c.detail for c in findings.checks.values() if c.verdict == "failed"]
            if failed:
                raise GraphError(f"{self.place} can't be opened", got=failed[0])
            graph = (opened.folder / self._graph["path"]).read_bytes()
            taps = [Tap.from_json(tap) for tap in self._variant["taps"]]
            known = {port.name for port in self.outputs}
            opened_taps = [t for t in taps if {s.name for s in t.outputs} <= known]
            # A plain graph gives what was chosen for it; taps belong to the others.
            data = graph if self._kind == "plain" else with_taps(graph, opened_taps)
            yield OnnxGraph(opened.folder, data, self._kind, self._manifest.shape)

    def _call(self, session: OnnxGraph, call: Tensors, wanted: Sequence[str]) -> dict[str, Tensor]:
        feeds = {name: tensor.numpy() for name, tensor in call.items()}
        past = {name: values for name, values in feeds.items() if name.startswith(PAST)}
        mask = feeds.get("attention_mask") if self._kind == "decoder" else None
        _check_positions(feeds, mask)
        got = session.run(feeds["input_ids"], wanted, past=past, mask=mask)
        return {name: torch.from_numpy(got[name]) for name in wanted}

    def files(self) -> tuple[Path, Sequence[Path]]:
        paths = [MANIFEST, self._graph["path"], *self._variant["weights"]]
        return self._folder, [self._folder / path for path in dict.fromkeys(paths)]

    def record(self) -> ProofArtifact:
        record = super().record()
        # Verification runs the static graph call by call; a proof's calls are single passes.
        assert self._kind != "static"
        record["graph"] = self._kind
        return record

    def versions(self) -> dict[str, str]:
        return versions_of(("onnxruntime",))


def _check_positions(feeds: Mapping[str, Array], mask: Array | None) -> None:
    """Raise OptionError for positions that the mask doesn't say: graphs are run with counted
    ones."""
    given = feeds.get("position_ids")
    if given is None:
        return
    total = given.shape[1] + (feeds[past_name(0, "key")].shape[2] if mask is None else 0)
    seen = np.ones((len(given), total), dtype=np.int64) if mask is None else mask
    counted = np.maximum(seen.cumsum(axis=1) - 1, 0)[:, -given.shape[1] :]
    if not np.array_equal(given, counted):
        raise OptionError(
            "a bundle is run with each text's positions counted from 0",
            got=f"position_ids {given[0].tolist()[:8]}",
            expected=f"{counted[0].tolist()[:8]}, as the mask says",
        )


def is_bundle(place: str) -> bool:
    """Return whether a place is a bundle's folder, or one with a variant behind a colon."""
    return (split_place(place)[0] / MANIFEST).is_file()


def split_place(place: str) -> tuple[Path, str]:
    """Return the folder and the name of the variant; no name where there is none."""
    if (Path(place) / MANIFEST).is_file():
        return Path(place), ""
    folder, colon, name = place.rpartition(":")
    return (Path(folder), name) if colon and folder else (Path(place), "")
