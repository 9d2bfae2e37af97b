"""Checks the attribution taps: each part's share must equal what PyTorch's modules compute from the
part, and the shares must sum to the logit. The parts are the graph's own activations. They are
checked without an edit and with heads, MLPs and neurons scaled, so that rounding kernels don't hide
a wrong share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from oriel.arrays import Array
from oriel.contract.activation_names import kinds
from oriel.contract.attribution_names import SIGNS, TOKENS, attribution_name
from oriel.graph.attribution import AttributionTaps
from oriel.graph.taps import Tap
from oriel.runtime.joint_edit import JointEdit, JointEdits
from oriel.runtime.onnx_graph import Arrays, OnnxGraph, closings_of, with_taps
from oriel.verification.checks import GraphFile
from oriel.verification.compare import difference
from oriel.verification.reference_cases import SEED
from oriel.verification.run_reference import Reference
from oriel.verification.variant_comparison import VariantComparison

CHECK = "attribution"
_SIGNS = np.array([[1, -1], [0, 1]], dtype=np.float32)
"""(tokens, directions) for two tokens: the first direction is the first token's logit, the second
is the second token's logit minus the first's."""
_SCALED = ("attn_z", "mlp_act", "mlp_output")


def check_attribution(
    compared: VariantComparison, graph: GraphFile, attribution: AttributionTaps, taps: list[Tap]
) -> None:
    """Check the shares of every part in two directions, on a small case."""
    compared.on_stage("attribute logits to parts")
    rng = np.random.default_rng(SEED)
    shape, layers = compared.shape, range(compared.shape.layers)
    tokens = rng.choice(shape.vocab, 2, replace=shape.vocab < 2)
    parts = {"final_norm", kinds()["resid_pre"].at(0), kinds()["resid_post"].at(shape.layers - 1)}
    by_layer = ("attn_z", "attn_output", "mlp_act", "mlp_output")
    parts |= {kinds()[kind].at(layer) for kind in by_layer for layer in layers}
    tapped = with_taps(graph.data, [tap for tap in taps if parts & {s.name for s in tap.outputs}])
    tapped += attribution.joined() + b"".join(attribution.neurons)
    for edits in ((), _scaled(compared, rng)):
        session = OnnxGraph(graph.folder, tapped, graph.kind, shape, closings=closings_of(edits))
        feeds = session.feeds(compared.cases.ids[compared.cases.small], edits, rows=1)
        feeds |= {TOKENS: tokens.astype(np.int64), SIGNS: _SIGNS}
        got = session.call(session.outputs, feeds)
        with torch.inference_mode():
            want = dict(_shares(compared.cases.reference, got, tokens))
        where = "heads, neurons and MLPs scaled" if edits else "without an edit"
        for name, share in want.items():
            error = _error(name, got[name], share, want)
            compared.findings.measure(CHECK, error, compared.bounds.of(CHECK), f"{name}, {where}")
        logits = got[attribution_name("logits")]
        gap = difference(_sum(got, shape.layers), logits)
        compared.findings.measure("attribution_sum", gap.relative, 1e-4, where)


def _error(name: str, got: Array, want: Array, others: Mapping[str, Array]) -> float:
    """Return the error relative to the largest share. attention_rest is a difference of larger
    numbers, so its error is relative to the heads' shares; a bias may be 0 everywhere, so its error
    is relative to at least 1."""
    found = difference(got, want)
    if name == attribution_name("bias"):
        return found.absolute / max(found.scale, 1)
    if name.endswith("/attention_rest"):
        heads = others[name.replace("attention_rest", "heads")].sum(axis=1)
        return found.absolute / max(found.scale, float(np.abs(heads).max()))
    return found.relative


def _scaled(compared: VariantComparison, rng: np.random.Generator) -> JointEdits:
    """Return random scales of each head, neuron and MLP in every layer."""
    edits = []
    for layer in range(compared.shape.layers):
        for kind in _SCALED:
            spec = kinds()[kind].spec(compared.shape, layer)
            sizes = [size if isinstance(size, int) else 1 for size in spec.shape]
            scale = rng.uniform(0.8, 1.2, sizes).astype(np.float32)
            edits.append(JointEdit(kind, layer, "scale", {"scale": scale}))
    return tuple(edits)


def _sum(got: Arrays, layers: int) -> Array:
    total: Array = got[attribution_name("embedding")] + got[attribution_name("bias")]
    for layer in range(layers):
        total = total + got[attribution_name("heads", layer)].sum(axis=1)
        total = total + got[attribution_name("attention_rest", layer)]
        total = total + got[attribution_name("mlp", layer)]
    return total


def _shares(reference: Reference, got: Arrays, tokens: Array) -> Iterator[tuple[str, Array]]:
    """Yield (output name, share) of every part, computed by the model's modules."""
    a, model = reference.architecture, reference.model
    values = {name: torch.from_numpy(value) for name, value in got.items()}
    unembedding: Tensor = model.get_submodule(a.unembedding).weight
    directions = unembedding[torch.from_numpy(tokens)].T @ torch.from_numpy(_SIGNS)
    norm = model.get_submodule(a.final_norm)
    last = values[kinds()["resid_post"].at(len(reference.blocks) - 1)]

    def share(part: Tensor) -> Array:
        found: Array = (_normed(norm, part, last) @ directions).numpy()
        return found

    yield attribution_name("embedding"), share(values[kinds()["resid_pre"].at(0)])
    bias = getattr(norm, "bias", None)
    zero = torch.zeros(len(directions)) if bias is None else bias
    yield attribution_name("bias"), (zero @ directions).numpy()
    yield attribution_name("logits"), (values["final_norm"] @ directions).numpy()
    for layer, block in enumerate(reference.blocks):
        of = {kind: values[kinds()[kind].at(layer)] for kind in ("attn_z", "mlp_act")}
        matrix = block.get_submodule(a.attention_output_matrix)
        nothing = torch.zeros_like(of["attn_z"])
        beside = matrix(_side_by_side(nothing))
        by_head = []
        for head in range(nothing.shape[1]):
            alone = nothing.clone()
            alone[:, head] = of["attn_z"][:, head]
            by_head.append(matrix(_side_by_side(alone)) - beside)
        heads = np.stack([share(part) for part in by_head], axis=1)
        yield attribution_name("heads", layer), heads
        output = values[kinds()["attn_output"].at(layer)]
        yield attribution_name("attention_rest", layer), share(output) - heads.sum(axis=1)
        yield attribution_name("mlp", layer), share(values[kinds()["mlp_output"].at(layer)])
        matrix = block.get_submodule(a.mlp_output_matrix)
        count = of["mlp_act"].shape[-1]
        writes = matrix(torch.eye(count)) - matrix(torch.zeros(1, count))
        # Each neuron's output vector, with each position's divisor.
        each = _normed(norm, writes[None, None], last[..., None, :]) @ directions
        yield attribution_name("neurons", layer), (of["mlp_act"][..., None] * each).numpy()


def _side_by_side(z: Tensor) -> Tensor:
    return z.transpose(1, 2).flatten(2)


def _normed(norm: nn.Module, part: Tensor, stream: Tensor) -> Tensor:
    """Return a part of the stream after the norm, without its bias and with the divisor of the
    whole stream."""
    weight = getattr(norm, "weight", None)
    # A norm without a weight is OLMo's, LayerNorm with the usual epsilon.
    weight, epsilon = (torch.ones(()), 1e-5) if weight is None else (weight, _epsilon(norm))
    if isinstance(norm, nn.LayerNorm) or not hasattr(norm, "weight"):
        divisor = (stream.var(dim=-1, unbiased=False, keepdim=True) + epsilon).sqrt()
        centred: Tensor = (part - part.mean(dim=-1, keepdim=True)) / divisor * weight
        return centred
    # A root mean square leaves ones as they are, so they show what it multiplies with: the weight,
    # or in Gemma 1 + weight.
    ones = torch.ones(stream.shape[-1])
    weight = norm(ones) * (1 + epsilon) ** 0.5
    found: Tensor = part / (stream.pow(2).mean(dim=-1, keepdim=True) + epsilon).sqrt() * weight
    return found


def _epsilon(norm: nn.Module) -> float:
    """Return what a norm adds to the mean square, under any of its names."""
    return float(getattr(norm, "variance_epsilon", None) or norm.eps)  # type: ignore[arg-type]
