"""A graph without its weights, beside the contract's document of it. Building one is
build_graphs.py's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from oriel.contract.activation_names import TensorSpec
from oriel.contract.documents import ActivationsDocument
from oriel.graph.taps import value_info


@dataclass(frozen=True)
class BuiltGraph:
    """A graph without its weights, and the contract's document of it."""

    model: onnx.ModelProto
    document: ActivationsDocument


def set_outputs(model: onnx.ModelProto, specs: Sequence[TensorSpec]) -> None:
    """Make these, and only these, the graph's outputs."""
    del model.graph.output[:]
    model.graph.output.extend(value_info(spec) for spec in specs)
    outputs = {spec.name for spec in specs}
    kept = [info for info in model.graph.value_info if info.name not in outputs]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)
