"""Checks a variant's reference pass: its numbers must be PyTorch's, the variant must stay within
its bounds, and the bounds must not be too wide."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np

from oriel.contract.activation_names import ModelShape
from oriel.contract.documents import ReferencePassRecord, Variant
from oriel.contract.variant_graphs import tapped_graph
from oriel.errors import ContractError
from oriel.precisions import FP32
from oriel.reference_pass.compare_pass import PassComparison, compare_pass
from oriel.reference_pass.pass_file import read_pass
from oriel.runtime.every_activation import every_activation
from oriel.verification.error_bounds import Bounds, device_bounds, model_bounds, of_labels
from oriel.verification.report import Findings
from oriel.verification.run_reference import Reference
from oriel.verification.torch_activations import torch_activations

CHECK = "reference_pass"


def check_stored_pass(
    variant: Variant, bundle: Path, weights: Path, reference: Reference, findings: Findings
) -> None:
    """Check the reference pass of a variant, if it has one.

    weights: the folder of the graphs' data files. reference: PyTorch's model, with the encoding's
    weights for encodings of few bits and otherwise the checkpoint's.
    """
    record = variant.get("reference_pass")
    if record is None:
        return
    with findings.guarded(CHECK):
        stored = read_pass((bundle / record["path"]).read_bytes(), record, reference.shape)
        shape = reference.shape
        largest = float(np.abs(stored.values["logits"]).max())
        problems = _wide_bounds(variant, record, shape, largest)
        exact = _with_bounds(record, _bounds_of_torch(variant, record, shape))
        if shape.labels:
            exact["bounds"]["logits"] = of_labels(exact["bounds"]["logits"], largest)
        torch = torch_activations(reference, stored.ids)
        problems += _departure("PyTorch", compare_pass(torch, stored, exact))
        graph = (bundle / tapped_graph(variant)["path"]).read_bytes()
        native = every_activation(variant, graph, weights, stored.ids)
        compared = compare_pass(native, stored, record)
        problems += _departure("ONNX Runtime", compared)
        nearest = f"{compared.worst.error:.2g} ({compared.worst.name})"
        findings.differences(CHECK, problems, f"{compared.compared} activations, to {nearest}")


def _wide_bounds(
    variant: Variant, record: ReferencePassRecord, shape: ModelShape, largest: float
) -> list[str]:
    """Return one line for a wrong measure, or for each bound that is wider than allowed. largest:
    of the pass's logits, without their signs."""
    bounds = device_bounds(variant["precision"], variant.get("kernels"), shape)
    if bounds is None:
        return [f"no bounds are set for {variant['precision']}"]
    ours = "norm" if bounds.by_norm else "largest"
    if record["measure"] != ours:
        return [f"its measure is {record['measure']}, not {ours}"]
    allowed = {kind: bounds.on_any_device(kind) for kind in record["bounds"]}
    if shape.labels:
        allowed["logits"] = of_labels(allowed["logits"], largest)
    return [
        f"{kind} may be off by {bound:.2g}, not {allowed[kind]:.2g}"
        for kind, bound in record["bounds"].items()
        if bound > allowed[kind]
    ]


def _bounds_of_torch(variant: Variant, record: ReferencePassRecord, shape: ModelShape) -> Bounds:
    """Return the bounds between the stored numbers and PyTorch as verification runs it. Both use
    the same weights, except for float16, for which verification uses the checkpoint's."""
    computed_alike = record["reference"] == "pytorch" and variant.get("encoding") != "f16"
    found = model_bounds(FP32.name if computed_alike else variant["precision"], shape)
    if found is None:
        raise ContractError(f"no bounds are set for {variant['precision']}")
    return found


def _with_bounds(record: ReferencePassRecord, bounds: Bounds) -> ReferencePassRecord:
    changed = {
        **record,
        "measure": "norm" if bounds.by_norm else "largest",
        "bounds": {kind: bounds.relative(kind) for kind in record["bounds"]},
    }
    return cast(ReferencePassRecord, changed)


def _departure(what: str, found: PassComparison) -> list[str]:
    first = found.first
    if first is None:
        return []
    return [f"{what} departs at {first.name}: {first.error:.2g}, bound {first.bound:.2g}"]
