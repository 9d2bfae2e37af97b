"""A language model as a function of flat named inputs to flat named outputs: everything of the
contract, with padding, and with a cache where it has one. Tracing it is graph/export_onnx.py's
business."""

from __future__ import annotations

import copy
from collections.abc import (
    Callable,
    Sequence,
)

import torch
import transformers
from torch import Tensor, nn
from transformers.initialization import no_init_weights

from oriel.capture import attention
from oriel.capture.capture_state import CaptureState
from oriel.capture.experts import Router, make_experts_dense
from oriel.capture.plain_matrices import make_matrices_plain
from oriel.contract.activation_names import (
    LENS_KINDS,
    ModelShape,
    all_activations,
    cache_output_specs,
    kinds,
)
from oriel.errors import ArchitectureError, first_few
from oriel.models.architectures import Architecture
from oriel.models.architectures.classifier import Classifier
from oriel.models.model_spec import ModelSpec

Inputs = tuple[Tensor, ...]
"""Positional arguments of a module."""
Output = Tensor | tuple[Tensor, ...]


class CapturedModel(nn.Module):
    """Outputs, in order: every activation computed, then present.{L}.key and .value, which a
    bidirectional model has not."""

    state: CaptureState

    def __init__(self, model: nn.Module, spec: ModelSpec) -> None:
        super().__init__()
        self.model = model
        self.shape = spec.shape
        self.state = CaptureState(has_cache=not spec.shape.bidirectional)
        begins = spec.architecture.first_position
        self.first_position = 0 if begins is None else begins(spec.config)
        self.classifier, self.config = spec.architecture.classifier, spec.config
        self.base = spec.architecture.base_prefix.rstrip(".")
        self._hook(spec.architecture)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        position_ids: Tensor,
        beside: list[Tensor],
    ) -> list[Tensor]:
        """input_ids and position_ids (batch, seq), attention_mask (batch, past + seq), all int64;
        beside: key, value of each layer, (batch, kv_heads, past, head_dim), or in a bidirectional
        model token_type_ids (batch, seq), int64, if it has them."""
        state = self.state
        state.values = {}
        if self.shape.bidirectional:
            return self._both_ways(input_ids, attention_mask, position_ids, beside)
        past = beside
        pairs = list(zip(past[0::2], past[1::2], strict=True))
        cache = attention.CaptureCache(pairs, state.record)
        # transformers leaves logits of all positions where logits_to_keep is 0, its default.
        logits = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=True,
        ).logits
        state.record("logits", None, logits)
        self._check_complete()
        present = [t for pair in cache.present for t in pair]
        state.output_names = [*state.values, *(s.name for s in cache_output_specs(self.shape))]
        return [*state.values.values(), *present]

    def _both_ways(
        self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor, types: list[Tensor]
    ) -> list[Tensor]:
        """Run a model that has no cache."""
        state = self.state
        named = {"token_type_ids": types[0]} if types else {}
        named |= {"input_ids": input_ids, "attention_mask": attention_mask}
        named |= {"position_ids": position_ids + self.first_position}
        if self.classifier is None:
            state.record("logits", None, self.model(**named).logits)
        else:
            self.model.get_submodule(self.base)(**named)
            self._classify(self.classifier, attention_mask)
        self._check_complete()
        state.output_names = list(state.values)
        return list(state.values.values())

    def _classify(self, head: Classifier, mask: Tensor) -> None:
        """Make logits of final_norm by a head over labels. transformers' own heads read a text's
        first row, which is padding's where that stands before the text; this one its first
        token's. mask: (batch, seq), int64."""
        rows = self.state.values[kinds()["final_norm"].at()]
        if head.pools is not None:
            weights = head.pools(mask, self.config)
            rows = (rows * weights[:, :, None]).sum(dim=1)
        rows = head.reads(self.model, rows)
        if head.pools is not None:
            self.state.record("pooled", None, rows)
        self.state.record("logits", None, self.model.get_submodule(head.matrix)(rows))

    def _check_complete(self) -> None:
        """Raise ArchitectureError unless the pass recorded what the contract has for this model."""
        wanted = {s.name: s for s in all_activations(self.shape) if not s.name.endswith(LENS_KINDS)}
        found = self.state.values
        wrong = [f"no {name}" for name in wanted if name not in found]
        wrong += [name for name in found if name not in wanted]
        pairs = [
            (name, _sizes(found[name], s.shape), s.shape)
            for name, s in wanted.items()
            if name in found
        ]
        wrong += [
            f"{name} ({_text(size)}), not ({_text(want)})"
            for name, size, want in pairs
            if size != want
        ]
        if wrong:
            raise ArchitectureError(
                f"{type(self.model).__name__} doesn't give the activations of the contract",
                got=first_few(wrong),
                expected="each of them, in its shape",
                next_step="correct the paths and sizes in its file in oriel/models/architectures.",
            )

    def _hook(self, a: Architecture) -> None:
        state = self.state
        blocks = self.model.get_submodule(a.blocks)
        assert isinstance(blocks, nn.ModuleList)
        for layer, block in enumerate(blocks):
            _hook_block(block, layer, a, state)
            if self.shape.at(layer).experts:
                _hook_router(block, layer, a, state)
            else:
                _hook_mlp(block, layer, a, state)
            if self.shape.post_norm:
                block.get_submodule(a.mlp_norm).register_forward_hook(
                    _writes(state, "resid_mid", layer)
                )
            elif kinds()["resid_mid"].present_in(self.shape):
                block.get_submodule(a.mlp_norm).register_forward_pre_hook(
                    _reads(state, "resid_mid", layer)
                )
        a.norm_module(self.model).register_forward_hook(
            lambda _m, _i, out: state.record("final_norm", None, out)
        )


def _hook_block(block: nn.Module, layer: int, a: Architecture, state: CaptureState) -> None:
    caller = block.get_submodule(a.attention_caller)
    caller.oriel_state, caller.oriel_layer = state, layer  # type: ignore[assignment]

    def writes(kind: str) -> Callable[[nn.Module, Inputs, Output], None]:
        return _writes(state, kind, layer)

    def enters(_module: nn.Module, inputs: Inputs) -> None:
        if layer == 0:
            state.record("embedding_sum", None, inputs[0])
        state.record("resid_pre", layer, inputs[0])

    block.register_forward_pre_hook(enters)
    for path, end, kind in (
        (a.attention, a.attention_added, "attn_output"),
        (a.mlp, a.mlp_added, "mlp_output"),
    ):
        part = block.get_submodule(path)
        if end is not None:
            part.register_forward_hook(writes(f"{kind}_raw"))
            part = block.get_submodule(end)
        elif a.residual_multiplier is not None:
            part.register_forward_hook(writes(f"{kind}_raw"))
            part.register_forward_hook(_multiplies(getattr(block, a.residual_multiplier)))
        part.register_forward_hook(writes(kind))
    if a.residual_multiplier is not None:
        # The hooks have multiplied already.
        setattr(block, a.residual_multiplier, 1.0)
    block.register_forward_hook(writes("resid_post"))


def _hook_mlp(block: nn.Module, layer: int, a: Architecture, state: CaptureState) -> None:
    """Record what is inside the one MLP of a layer."""
    for path, kind in ((a.mlp_nonlinearity, "mlp_pre"), (a.mlp_output_matrix, "mlp_act")):
        block.get_submodule(path).register_forward_pre_hook(_reads(state, kind, layer))
    if a.mlp_linear is not None:
        gate = _writes(state, "mlp_gate", layer)
        block.get_submodule(a.mlp_nonlinearity).register_forward_hook(gate)
        half = _writes_half(state, layer)
        linear = half if a.fused_mlp else _writes(state, "mlp_linear", layer)
        block.get_submodule(a.mlp_linear).register_forward_hook(linear)


def _hook_router(block: nn.Module, layer: int, a: Architecture, state: CaptureState) -> None:
    """Record what the router of a layer with experts gives."""
    assert a.router is not None, f"{a.model_type} has experts and no router"

    def hook(_module: nn.Module, _inputs: Inputs, output: tuple[Tensor, ...]) -> None:
        for kind, value in zip(Router.GIVES, output, strict=True):
            state.record(kind, layer, value)

    block.get_submodule(a.router).register_forward_hook(hook)


def _writes(
    state: CaptureState, kind: str, layer: int
) -> Callable[[nn.Module, Inputs, Output], None]:
    """Return a hook that records what a module gives, the first of several."""

    def hook(_module: nn.Module, _inputs: Inputs, output: Output) -> None:
        state.record(kind, layer, output[0] if isinstance(output, tuple) else output)

    return hook


def _multiplies(factor: float) -> Callable[[nn.Module, Inputs, Output], Output]:
    """Return a hook that multiplies a module's output, the first of several."""

    def hook(_module: nn.Module, _inputs: Inputs, output: Output) -> Output:
        if isinstance(output, tuple):
            return (output[0] * factor, *output[1:])
        return output * factor

    return hook


def _writes_half(state: CaptureState, layer: int) -> Callable[[nn.Module, Inputs, Tensor], None]:
    """Return a hook that records the second half of a fused matrix's output as mlp_linear."""

    def hook(_module: nn.Module, _inputs: Inputs, output: Tensor) -> None:
        state.record("mlp_linear", layer, output.chunk(2, dim=-1)[1])

    return hook


def _sizes(value: Tensor, shape: Sequence[int | str]) -> tuple[int | str, ...]:
    """Return the value's sizes, under their names where the contract names them."""
    if value.dim() != len(shape):
        return tuple(map(str, value.shape))
    pairs = zip(value.shape, shape, strict=True)
    return tuple(name if isinstance(name, str) else size for size, name in pairs)


def _text(sizes: Sequence[int | str]) -> str:
    return ", ".join(map(str, sizes))


def _reads(state: CaptureState, kind: str, layer: int) -> Callable[[nn.Module, Inputs], None]:
    """Return a hook that records what a module is given."""

    def hook(_module: nn.Module, inputs: Inputs) -> None:
        state.record(kind, layer, inputs[0])

    return hook


def build_empty(spec: ModelSpec) -> nn.Module:
    """Make the model with unset weights but true buffers: enough to trace, at no cost."""
    attention.register()
    config, a = copy.deepcopy(spec.config), spec.architecture
    # A model without the interface knows no implementation of ours.
    config._attn_implementation = attention.NAME if a.through_interface is None else "eager"
    with no_init_weights():
        model = getattr(transformers, a.model_class)(config)
        model.tie_weights()
    replace_modules(model, a)
    empty: nn.Module = model.eval().requires_grad_(False)
    return empty


def replace_modules(model: transformers.PreTrainedModel, a: Architecture) -> None:
    """Put the architecture's modules in the place of those of transformers that can't be captured;
    all attention goes through the interface then."""
    if a.before_capture is not None:
        a.before_capture(model)
    blocks = model.get_submodule(a.blocks)
    for layer, block in list(blocks.named_children()):
        if a.own_block is not None:
            block = a.own_block(block, model.config)
            blocks.set_submodule(layer, block)
        if a.through_interface is not None:
            own = block.get_submodule(a.attention_caller)
            made = a.through_interface(own, model.config, int(layer))
            block.set_submodule(a.attention_caller, made)
    model.config._attn_implementation = attention.NAME


def capture_empty(spec: ModelSpec) -> CapturedModel:
    """Make a model to trace: plain matrices, hooks in place, weights unset."""
    model = build_empty(spec)
    a = spec.architecture
    make_experts_dense(model, a)
    make_matrices_plain(model, a.token_embedding, a.unembedding)
    return CapturedModel(model, spec)


def example_inputs(shape: ModelShape) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """Inputs to trace with: no dynamic dimension is 1, or tracing would freeze it."""
    batch, seq, past = 2, 3, 0 if shape.bidirectional else 5
    flat = (batch, shape.kv_heads, past, shape.head_dim)
    cache = [torch.zeros(flat) for _ in range(shape.layers) for _ in "kv"]
    tokens = torch.zeros(batch, seq, dtype=torch.int64)
    if shape.bidirectional:
        cache = [torch.zeros_like(tokens)] if shape.token_types else []
    mask = torch.ones(batch, past + seq, dtype=torch.int64)
    return tokens, mask, torch.zeros_like(tokens), cache
