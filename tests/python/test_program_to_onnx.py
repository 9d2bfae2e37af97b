"""Programs become the same ONNX graph with and without torch's pass of decompositions, which is
left out where it has nothing to do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from architecture_variants import VARIANTS
from onnxscript import optimizer
from torch import Tensor
from torch.export import Dim, ExportedProgram

from oriel.graph import export_onnx
from oriel.models.architectures import describe
from oriel.models.model_spec import make_spec
from oriel.tracing.program_to_onnx import program_to_onnx

OPSET = 18


class Computed(torch.nn.Module):
    def __init__(self, compute: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.compute = compute

    def forward(self, x: Tensor) -> Tensor:
        return self.compute(x)


def in_place(x: Tensor) -> Tensor:
    doubled = x * 2
    view = doubled[:, :2]
    view.clamp_(-1, 1)
    return doubled.flatten(1) + view.sum()


def written(x: Tensor) -> Tensor:
    held = torch.tensor([0.5, -1.5, 2.5])
    both = (x > 0) & (x < 2) | (x < -2)
    return both.to(torch.int64).to(torch.float32) * held + x.to("cpu").flatten(1, 2).sum()


CASES: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "written by other operators": (written, 1),
    "in place": (in_place, 1),
    "no function": (torch.diff, 2),
}
"""Programs, and how often each is traced."""


@pytest.mark.parametrize("name", CASES)
def test_the_graph_computes_what_the_module_does(name: str) -> None:
    compute, traces = CASES[name]
    module, made = Computed(compute), 0

    def trace() -> ExportedProgram:
        nonlocal made
        made += 1
        shapes = ({0: Dim.AUTO, 1: Dim.AUTO},)
        return torch.export.export(module, (torch.ones(2, 5, 3),), dynamic_shapes=shapes)

    model = program_to_onnx(trace, OPSET)
    assert made == traces
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString())
    x = torch.randn((4, 3, 3), generator=torch.Generator().manual_seed(0)) * 2
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(found, module(x).numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["bloom", "llama"])
def test_models_have_the_operators_that_decomposing_leaves(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = VARIANTS[name]().config
    architecture = describe(config)
    spec = make_spec(config, architecture, architecture.shape(config))
    compared: list[list[str]] = []

    def both(trace: Callable[[], ExportedProgram], opset: int) -> ir.Model:
        once = iter([trace()])
        model = program_to_onnx(lambda: next(once), opset)
        decomposed = torch.onnx.export(
            trace(), dynamo=True, opset_version=opset, optimize=False, verbose=False
        )
        assert decomposed is not None
        compared.extend(map(operators, (model, decomposed.model)))
        return model

    monkeypatch.setattr(export_onnx, "program_to_onnx", both)
    export_onnx.trace(spec, OPSET)
    assert len(compared) == 2
    assert compared[0] == compared[1]


def operators(model: ir.Model) -> list[str]:
    """Return the sorted names of an optimized copy's operators."""
    copy = ir.from_proto(ir.to_proto(model))
    optimizer.optimize_ir(copy)
    return sorted(node.op_type for node in copy.graph)
