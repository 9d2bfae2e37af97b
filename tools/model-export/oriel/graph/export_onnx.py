"""From a captured model to the decoder graph: trace a few layers, repeat them, name everything.
Weights stay out: parameters are inputs here, and become external data in attach_weights.py."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import onnx_ir as ir
import torch
from onnxscript import optimizer

from oriel.capture.captured_model import CapturedModel, capture_empty, example_inputs
from oriel.capture.failed_pass import failed_pass
from oriel.contract.activation_names import (
    NUM_LOGITS,
    ModelShape,
    input_specs,
)
from oriel.errors import OrielError
from oriel.graph.finish_graph import describe
from oriel.graph.mask_positions import count_from_mask, position_spec
from oriel.graph.plain_graph import cut_to_plain
from oriel.models.model_spec import ModelSpec, with_layers
from oriel.resting_collector import uncollected
from oriel.stage_callback import StageCallback
from oriel.tracing.layers import TRACED_LAYERS, LayersDiffer
from oriel.tracing.output_names import name_outputs
from oriel.tracing.parameter_inputs import parameters_to_inputs
from oriel.tracing.program_to_onnx import program_to_onnx
from oriel.tracing.repeat_layers import repeat_layers


@dataclass(frozen=True)
class TracedGraph:
    """The graphs of a model. Their outputs are everything of the contract; its parameters are
    inputs."""

    decoder: ir.Model
    plain: ir.Model
    parameters: tuple[str, ...]
    layers_traced: int


def trace(spec: ModelSpec, opset: int, on_stage: StageCallback = lambda _: None) -> TracedGraph:
    """Trace, and repeat layers where they are provably alike; all layers are traced otherwise.
    Raises ArchitectureError for a model that can't be traced, with what transformers' own pass says
    of it."""
    try:
        return _traced(spec, opset, on_stage)
    except (OrielError, MemoryError):
        raise
    except Exception as error:
        raise failed_pass(spec, error) from error


def _traced(spec: ModelSpec, opset: int, on_stage: StageCallback) -> TracedGraph:
    architecture, shape = spec.architecture, spec.shape
    if architecture.repeatable(spec.config) and shape.layers > TRACED_LAYERS:
        on_stage(f"trace {TRACED_LAYERS} of {shape.layers} layers")
        decoder = _trace_all(with_layers(spec, TRACED_LAYERS), opset)
        try:
            on_stage(f"repeat them to {shape.layers}")
            repeat_layers(decoder, architecture.blocks, shape.layers)
        except LayersDiffer as difference:
            logging.getLogger(__name__).info("layers differ (%s): tracing all", difference)
        else:
            return _with_plain(decoder, spec, TRACED_LAYERS, on_stage)
    on_stage(f"trace {shape.layers} layers")
    return _with_plain(_trace_all(spec, opset), spec, shape.layers, on_stage)


def _with_plain(
    decoder: ir.Model, spec: ModelSpec, layers_traced: int, on_stage: StageCallback
) -> TracedGraph:
    on_stage("cut the plain graph")
    plain = cut_to_plain(decoder, spec.shape)
    if spec.shape.bidirectional:
        count_from_mask(decoder)
    return TracedGraph(decoder, plain, parameters_of(decoder, spec.shape), layers_traced)


def parameters_of(decoder: ir.Model, shape: ModelShape) -> tuple[str, ...]:
    """Return the inputs of a traced decoder that are the model's parameters."""
    contract = {spec.name for spec in input_specs(shape, "decoder")}
    names = [value.name or "" for value in decoder.graph.inputs]
    return tuple(name for name in names if name not in contract)


def _trace_all(spec: ModelSpec, opset: int) -> ir.Model:
    shape = spec.shape
    captured = capture_empty(spec)
    model = _to_onnx(captured, shape, opset)
    parameters = parameters_to_inputs(model, _parameter_names(captured))
    _name_inputs(model, shape)
    name_outputs(model, captured.state.output_names)
    optimizer.optimize_ir(model)
    _keep_parameter_inputs_used(model, parameters)
    return model


def _to_onnx(captured: CapturedModel, shape: ModelShape, opset: int) -> ir.Model:
    batch, seq, past = (torch.export.Dim(name) for name in ("batch", "seq", "past"))
    flat = {0: batch, 1: seq}
    # torch finds that it is past + seq, which it has no way to be told.
    total = flat if shape.bidirectional else {0: batch, 1: torch.export.Dim.AUTO}
    beside = [{0: batch, 2: past}] * (2 * shape.layers)
    if shape.bidirectional:
        beside = [flat] if shape.token_types else []
    dynamic = (flat, total, flat, beside)
    program = partial(
        torch.export.export, captured, example_inputs(shape), dynamic_shapes=dynamic, strict=False
    )
    with torch.no_grad(), _quiet(), uncollected():
        return program_to_onnx(program, opset)


@contextmanager
def _quiet() -> Iterator[None]:
    """torch's exporter warns of packages that it could use elsewhere; none is of use to the
    reader."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _parameter_names(captured: CapturedModel) -> dict[str, str]:
    """Return {name of an initializer: the parameter's name in the model}."""
    names = {f"model.{name}": name for name, _ in captured.model.named_parameters()}
    # torch may name a tied weight after its other owner.
    tied = {id(p): name for name, p in captured.model.named_parameters()}
    for name, parameter in captured.model.named_parameters(remove_duplicate=False):
        names.setdefault(f"model.{name}", tied[id(parameter)])
    return names


def _name_inputs(model: ir.Model, shape: ModelShape) -> None:
    # num_logits_to_keep is no input of the captured model.
    specs = [spec for spec in input_specs(shape, "decoder") if spec.name != NUM_LOGITS]
    if shape.bidirectional:
        # Here it is, until it is counted: after the two that every graph has.
        specs.insert(2, position_spec())
    for value, spec in zip(list(model.graph.inputs), specs, strict=False):
        describe(value, spec)


def _keep_parameter_inputs_used(model: ir.Model, parameters: tuple[str, ...]) -> None:
    unused = [v.name for v in model.graph.inputs if v.name in parameters and not v.uses()]
    assert not unused, f"the graph doesn't read {unused}"
