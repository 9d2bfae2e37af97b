"""Verification by layers, for models that don't fit this machine's memory: PyTorch's modules read
their weights when they run, and each layer of a graph is run by itself on what PyTorch gives to it.
A layer's errors are then its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from oriel.contract.activation_names import LENS_KINDS, TensorSpec, kinds, parse_name
from oriel.contract.data_files import GraphKind
from oriel.contract.documents import Variant
from oriel.contract.variant_graphs import cached_graph, tapped_graph
from oriel.graph.taps import Tap
from oriel.models.load_model import LoadedModel
from oriel.precisions import CUSTOM_RECIPE_ENCODINGS
from oriel.runtime.onnx_graph import Arrays, OnnxGraph, SessionSettings, with_taps
from oriel.verification.checks import GraphFile
from oriel.verification.compare import lens_difference, with_router_probs
from oriel.verification.opened_variant import OpenedVariant
from oriel.verification.stored_weights import (
    StoredWeight,
    weights_of_expansion,
    weights_of_graph,
)
from oriel.verification.variant_comparison import VariantComparison
from oriel.verification.weight_checks import oriented_like
from oriel.verification.weights_on_demand import reference_reading

_SETTINGS = SessionSettings(prepack=False, in_parts="always")
_COPIES = 2
"""Of the float32 weights, that a verification of the whole holds: PyTorch's and the runtime's."""


def fits_in_memory(parameters: int) -> bool:
    """Return whether a model of so many parameters can be verified as a whole on this machine."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return True
    return _COPIES * 4 * parameters < memory


class LayerReference:
    """PyTorch's model with the weights that a variant stands for, read when a module runs."""

    def __init__(
        self,
        loaded: LoadedModel,
        variant: Variant,
        opened: OpenedVariant,
        graphs: Mapping[GraphKind, GraphFile],
    ) -> None:
        self._loaded = loaded
        self.rounded = variant.get("encoding") in CUSTOM_RECIPE_ENCODINGS
        self._stored: Mapping[str, Callable[[], StoredWeight]] = {}
        if self.rounded and opened.expanded is not None and opened.expanded.is_file():
            self._stored = weights_of_expansion(variant["expansion"], opened.expanded)
        elif self.rounded and "plain" in graphs:
            self._stored = weights_of_graph(graphs["plain"].model, opened.folder)
        self.model = reference_reading(loaded, self._read)

    def _read(self, name: str) -> Tensor:
        wanted = self._loaded.checkpoint.read_float32(name)
        if name not in self._stored:
            return wanted
        turned = oriented_like(self._stored[name]().values, wanted.numpy())
        # Another shape is a finding of the comparison of weights.
        if turned is None:
            return wanted
        return torch.from_numpy(np.array(turned, dtype=np.float32, order="C"))


def check_layers(
    compared: VariantComparison, variant: Variant, graphs: Mapping[GraphKind, GraphFile]
) -> None:
    """Compare every activation of every layer, each computed from PyTorch's input of that layer;
    then the outputs of the other graphs, which run part by part from the first token on."""
    findings, case = compared.findings, compared.cases.small
    findings.passed(
        "by_layers",
        f"{case} tokens; each layer ran by itself, on what PyTorch gives to it: edits and "
        "longer texts are left to a machine with more memory",
    )
    compared.on_stage("run PyTorch, which reads its weights module by module")
    names = with_router_probs([spec.name for spec in compared.inner])
    compared.cases.values(case, names)
    kind = cached_graph(variant)[0]
    tapped = graphs.get("open") or graphs.get("interactive")
    if tapped is not None:
        assert tapped.path == tapped_graph(variant)["path"]
        with findings.guarded(f"{kind}_runs"):
            taps = [Tap.from_json(tap) for tap in variant["taps"]]
            _check_each_layer(compared, tapped, taps, kind)
            findings.passed(f"{kind}_runs")
    for other in graphs.values():
        if other.kind in ("plain", "decoder"):
            compared.on_stage(f"run the {other.kind} graph part by part")
            with findings.guarded(f"{other.kind}_whole"):
                _check_outputs(compared, other)
                findings.passed(f"{other.kind}_whole", f"every output, {case}")


def _check_each_layer(
    compared: VariantComparison, graph: GraphFile, taps: Sequence[Tap], kind: GraphKind
) -> None:
    shape, case = compared.shape, compared.cases.small
    session = OnnxGraph(
        graph.folder, with_taps(graph.data, taps), graph.kind, shape, settings=_SETTINGS
    )
    fed = session.feeds(compared.cases.ids[case])
    want = compared.cases.values(case, [spec.name for spec in compared.inner])
    entered = kinds()["resid_pre"]

    def check(specs: Sequence[TensorSpec], given: Arrays) -> None:
        wanted = [spec.name for spec in specs if spec.name not in given]
        got = session.call(wanted, fed | given) | {
            name: value for name, value in given.items() if name in {s.name for s in specs}
        }
        compared.compare_with_reference(kind, case, specs, got)

    first = [s for s in compared.inner if s.name == kinds()["embedding_sum"].at()]
    check(first, {})
    for layer in range(shape.layers):
        compared.on_stage(f"compare layer {layer} of {shape.layers}")
        name = entered.at(layer)
        given = {name: want[name]} if layer else {}
        check(_of_layer(compared.inner, layer), given)
        _check_lens(compared, session, fed, layer, kind)
    last = kinds()["resid_post"].at(shape.layers - 1)
    rest = [s for s in compared.inner if _layer_of(s) is None and s not in first]
    check(rest, {last: want[last]})


def _check_lens(
    compared: VariantComparison, session: OnnxGraph, fed: Arrays, layer: int, kind: GraphKind
) -> None:
    case, stream = compared.cases.small, kinds()["resid_post"].at(layer)
    value = compared.cases.values(case, [stream])[stream]
    names = [kinds()[each].at(layer) for each in LENS_KINDS]
    got = session.call(names, fed | {stream: value})
    specs = [spec for spec in compared.lens if spec.name in names]
    compared.check_values(kind, case, specs, got)
    if all(name in got for name in names):
        read = compared.cases.reference.lens(value)
        found = lens_difference(got[names[0]], got[names[1]], read)
        for name, gap in zip(names, found, strict=True):
            compared.add(kind, name, gap, case)


def _check_outputs(compared: VariantComparison, graph: GraphFile) -> None:
    """Compare what a graph gives by itself, without a cache, from the tokens on."""
    case = compared.cases.small
    session = OnnxGraph(graph.folder, graph.data, graph.kind, compared.shape, settings=_SETTINGS)
    known = {spec.name: spec for spec in compared.inner}
    specs = [known[name] for name in session.outputs if name in known]
    got = session.run(compared.cases.ids[case], [spec.name for spec in specs])
    compared.compare_with_reference(graph.kind, case, specs, got)


def _layer_of(spec: TensorSpec) -> int | None:
    found = parse_name(spec.name)
    return None if found is None else found[1]


def _of_layer(specs: Sequence[TensorSpec], layer: int) -> list[TensorSpec]:
    return [spec for spec in specs if _layer_of(spec) == layer]
