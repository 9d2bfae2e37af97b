"""The stock PyTorch model as a source of truth: what it computes, observed by forward hooks. It
shares no code with the capture that was exported; only module paths come from the same place."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache
from transformers.masking_utils import eager_mask
from transformers.utils.logging import disable_progress_bar

from oriel.arrays import Array
from oriel.contract.activation_names import (
    activation_spec,
    kinds,
    layer_prefix,
    past_name,
    present_name,
)
from oriel.errors import CheckpointError
from oriel.models.expert_weights import read_joined, separate_tensors
from oriel.models.load_model import LoadedModel, plain_config, without_quantization
from oriel.verification.edits_in_torch import AnyEdits, at_joint, has_joint
from oriel.verification.observed_attention import observed

Arrays = dict[str, Array]

OBSERVED = "oriel_observed_eager"
Output = Tensor | tuple[Tensor, ...]
_IN_ATTENTION = ("q", "k", "v", "attn_scores", "attn_probs")
"""Joints inside the attention function."""
_POSITIONS_AT_ONCE = 128
"""Positions of one lens read at a time: a row is as long as the vocabulary."""
_SMALL_WORK = 128 * 1024
"""Elements of the residual stream below which a pass runs on one thread."""


def _folder_or_weights(
    loaded: LoadedModel,
) -> tuple[Path | None, dict[str, Tensor] | None]:
    """Return the folder, which transformers reads by itself. Where it can't, since the weights'
    names have a wrapper's prefix or a file has a byte order mark, return the weights by their own
    names instead."""
    if loaded.is_as_saved:
        return loaded.source.folder, None
    stock = loaded.spec.stock_parameters.items()
    return None, {name: read_joined(name, s, loaded.checkpoint.read) for name, s in stock}


@dataclass(frozen=True)
class Beside:
    """The inputs of a call beside its tokens."""

    mask: Array
    """(batch, past + seq), int64, 0 for padding."""
    positions: Array
    """(batch, seq), int64."""
    past: Mapping[str, Array]
    """past_key_values.* of every layer, (batch, kv_heads, past, head_dim); none where the model has
    no cache."""


class Reference:
    """A checkpoint in float32 with transformers' own eager attention."""

    def __init__(self, loaded: LoadedModel, weights: Mapping[str, Tensor] | None = None) -> None:
        """weights: by the names of transformers' parameters; None for the checkpoint's."""
        self.architecture, self.shape = loaded.spec.architecture, loaded.shape
        disable_progress_bar()  # type: ignore[no-untyped-call]
        model_class = getattr(transformers, self.architecture.model_class)
        config = without_quantization(plain_config(loaded.source.folder))
        # Configs may ask for tuples; the code below reads outputs by name.
        config.return_dict = True
        folder = None
        if weights is None:
            folder, weights = _folder_or_weights(loaded)
        model, loading = model_class.from_pretrained(
            folder,
            config=config,
            state_dict=weights,
            dtype=torch.float32,
            attn_implementation="eager",
            # Its kernel for several experts at once refuses some widths.
            experts_implementation="eager",
            local_files_only=True,
            output_loading_info=True,
        )
        unread = {name for name, _ in self.architecture.copied_weights}
        missing = set(loading["missing_keys"]) - unread
        if missing:
            raise CheckpointError(
                "transformers found no weights for parts of the model",
                got=", ".join(sorted(missing)[:3]),
                next_step="download the checkpoint again.",
            )
        self.model = model.eval().requires_grad_(False)
        if self.architecture.mend_eager is not None:
            self.architecture.mend_eager(self.model)
        self._fed: tuple[int, ...] = ()
        """(batch, seq) of the pass that runs."""
        self.blocks = list(self.model.get_submodule(self.architecture.blocks).children())
        for layer, block in enumerate(self.blocks):
            caller = block.get_submodule(self.architecture.attention_caller)
            caller.oriel_layer = layer
        AttentionInterface.register(OBSERVED, _observed_attention)
        AttentionMaskInterface.register(OBSERVED, eager_mask)

    def hold(self, weights: Mapping[str, Array]) -> None:
        """Compute with these weights from now on, in place of the checkpoint's."""
        parameters = separate_tensors(dict(self.model.named_parameters()))
        for name, values in weights.items():
            parameters[name].copy_(torch.from_numpy(np.array(values)))

    def run(
        self,
        ids: Array,
        wanted: Collection[str],
        edits: AnyEdits = (),
        beside: Beside | None = None,
    ) -> Arrays:
        """Compute the wanted activations, by contract name, of ids (batch, seq): at position 0
        without padding, or as `beside` says; then also present.*, the keys and values of all.

        Attention scores are those before the mask. For logit lens names see `lens`.
        """
        if self.shape.pooled and beside is not None and not beside.mask[:, 0].all():
            return self._run_padded_behind(ids, wanted, edits, beside)
        values: dict[str, Tensor] = {}
        names = set(wanted)
        inside = [edit for edit in edits if edit.kind in _IN_ATTENTION]
        if not inside:
            with self._quietly(ids), self._hooks(names, values, edits):
                values["logits"] = self._forward(ids, beside, values)
        if inside or any(name.endswith(("_q", "_k", "_v", "_attn_scores")) for name in names):
            logits = self.run_observed(ids, names, values, edits, beside)
            values.setdefault("logits", logits)
        whole = ("pooled", "logits") if self.shape.pooled else ()
        return {
            name: (values[name] if name in whole else _as_rows(values[name], ids)).numpy()
            for name in wanted
        }

    def _run_padded_behind(
        self, ids: Array, wanted: Collection[str], edits: AnyEdits, beside: Beside
    ) -> Arrays:
        """Run texts that are padded before their tokens with that padding behind them, and put the
        rows back: transformers' own classifiers read a text's first row, whatever it is."""
        starts = beside.mask.argmax(axis=1)
        mask, positions = (_rolled(each, -starts, (1,)) for each in (beside.mask, beside.positions))
        got = self.run(_rolled(ids, -starts, (1,)), wanted, edits, Beside(mask, positions, {}))
        tokens = ("sequence_length", "total_sequence_length")
        for name, value in got.items():
            spec = activation_spec(name, self.shape)
            assert spec is not None, name
            axes = [axis for axis, size in enumerate(spec.shape) if size in tokens]
            got[name] = _rolled(value, starts, axes)
        return got

    def run_observed(
        self,
        ids: Array,
        names: Collection[str],
        values: dict[str, Tensor],
        edits: AnyEdits = (),
        beside: Beside | None = None,
    ) -> Tensor:
        """Run a pass that records and edits what the attention function gets: q, k, v and scores.

        Returns its logits, which must be those of the stock pass.
        """
        if self.architecture.through_interface is not None:
            return self._run_products(ids, names, values, edits, beside)
        config = self.model.config
        config.oriel_observer = _Observer(set(names), values, edits)
        self.model.set_attn_implementation(OBSERVED)
        try:
            # Where nothing inside is edited, the other pass has recorded the rest.
            rest = {name for name in names if name not in values}
            with self._quietly(ids), self._hooks(rest, values, edits):
                return self._forward(ids, beside, values)
        finally:
            self.model.set_attn_implementation("eager")
            del config.oriel_observer

    def _run_products(
        self,
        ids: Array,
        names: Collection[str],
        values: dict[str, Tensor],
        edits: AnyEdits,
        beside: Beside | None,
    ) -> Tensor:
        """Do the same in a model without the interface."""
        caller = self.architecture.attention_caller
        modules = [block.get_submodule(caller) for block in self.blocks]
        rest = {name for name in names if name not in values}
        with (
            self._quietly(ids),
            self._hooks(rest, values, edits),
            observed(modules, self.shape, names, values, edits),
        ):
            return self._forward(ids, beside, values)

    def _forward(self, ids: Array, beside: Beside | None, values: dict[str, Tensor]) -> Tensor:
        """Call the model and return its logits; with a past, put present.* into the values."""
        self._fed = ids.shape
        if beside is None or self.shape.bidirectional:
            logits: Tensor = self.model(**self._without_cache(ids, beside)).logits
            return logits
        cache = DynamicCache()
        layers = range(self.shape.layers)
        for layer in layers:
            key, value = (beside.past[past_name(layer, part)] for part in ("key", "value"))
            cache.update(torch.from_numpy(key), torch.from_numpy(value), layer)
        out = self.model(
            torch.from_numpy(ids),
            attention_mask=torch.from_numpy(beside.mask),
            position_ids=torch.from_numpy(beside.positions),
            past_key_values=cache,
            use_cache=True,
        )
        for layer in layers:
            held = out.past_key_values.layers[layer]
            values[present_name(layer, "key")] = held.keys
            values[present_name(layer, "value")] = held.values
        logits = out.logits
        return logits

    def _without_cache(self, ids: Array, beside: Beside | None) -> dict[str, Tensor | bool]:
        """Return the model's arguments for a call without a cache; without `beside`, no token is
        padding."""
        tokens = torch.from_numpy(ids)
        if not self.shape.bidirectional:
            return {"input_ids": tokens, "use_cache": False}
        counted = np.arange(ids.shape[1])[None].repeat(len(ids), axis=0)
        begins = self.architecture.first_position
        first = 0 if begins is None else begins(self.model.config)
        # Otherwise some count padding, and others skip every token that has its id.
        positions = torch.from_numpy(counted if beside is None else beside.positions) + first
        mask = np.ones_like(ids) if beside is None else beside.mask
        return {
            "input_ids": tokens,
            "attention_mask": torch.from_numpy(mask),
            "position_ids": positions,
        }

    def own_outputs(self, ids: Array) -> tuple[list[Array], list[Array], Array]:
        """Return (hidden_states, attentions, logits) as transformers itself returns them."""
        with self._quietly(ids):
            out = self.model(
                **self._without_cache(ids, None), output_hidden_states=True, output_attentions=True
            )
        hidden = [t.numpy() for t in out.hidden_states]
        return hidden, [t.numpy() for t in out.attentions], out.logits.numpy()

    def own_text(self, count: int, seed: int) -> list[int]:
        """Sample ids that the model itself continues with: text that it expects to read, whatever
        its vocabulary means. A model that continues no text gives random ids."""
        draw = torch.Generator().manual_seed(seed)
        if self.shape.bidirectional:
            many = min(count, self.shape.context_length)
            drawn: list[int] = torch.randint(self.shape.vocab, (many,), generator=draw).tolist()
            return drawn
        ids = [int(torch.randint(self.shape.vocab, (1,), generator=draw))]
        cache = None
        with torch.no_grad():
            while len(ids) < min(count, self.shape.context_length):
                out = self.model(torch.tensor([ids[-1:]]), past_key_values=cache, use_cache=True)
                cache = out.past_key_values
                probabilities = out.logits[0, -1].softmax(-1)
                ids.append(int(torch.multinomial(probabilities, 1, generator=draw)))
        return ids

    def lens(self, resid_post: Array) -> Iterator[tuple[slice, Array]]:
        """Yield softmax(unembedding(final norm)) of resid_post (batch, seq, hidden), some positions
        at a time: (positions, probabilities (batch, positions, vocab))."""
        a = self.architecture
        # Where blocks end with a norm, the stream is normed already.
        paths = ([] if a.final_norm is None else [a.final_norm]) + list(a.logits_modules)
        head = nn.Sequential(*map(self.model.get_submodule, paths))
        for start in range(0, resid_post.shape[1], _POSITIONS_AT_ONCE):
            part = slice(start, start + _POSITIONS_AT_ONCE)
            # Nothing of a part is kept while the next one is computed.
            yield part, self._lens_of(head, resid_post[:, part])

    def _lens_of(self, head: nn.Module, resid_post: Array) -> Array:
        with self._quietly(resid_post[..., 0]):
            logits = head(torch.from_numpy(resid_post))
            if self.architecture.finish_logits is not None:
                logits = self.architecture.finish_logits(self.model.config, logits)
            return torch.softmax(logits, dim=-1).numpy()

    @contextmanager
    def _quietly(self, ids: Array) -> Iterator[None]:
        """Run without gradients, and small work on one thread, since on a busy machine several
        threads would spend their time waiting for each other."""
        before = torch.get_num_threads()
        if ids.size * self.shape.hidden < _SMALL_WORK:
            torch.set_num_threads(1)
        try:
            with torch.inference_mode():
                yield
        finally:
            torch.set_num_threads(before)

    @contextmanager
    def _hooks(self, names: set[str], values: dict[str, Tensor], edits: AnyEdits) -> Iterator[None]:
        """Register edits first, then recorders, so that recorded values are those used."""
        handles: list[RemovableHandle] = []
        recorder = _Recorder(names, values, handles)
        try:
            for layer, block in enumerate(self.blocks):
                self._edit(block, layer, edits, handles)
                self._record_block(block, layer, recorder)
            recorder.output(self.architecture.norm_module(self.model), "final_norm")
            if self.shape.pooled:
                recorder.input(self.model.get_submodule(self.architecture.unembedding), "pooled")
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _edit(
        self, block: nn.Module, layer: int, edits: AnyEdits, handles: list[RemovableHandle]
    ) -> None:
        """Register the edits of a layer that are made outside of the attention function."""
        a, heads = self.architecture, self.shape.heads

        def edited(kind: str, value: Tensor) -> Tensor:
            # Some models lay texts end to end.
            rows = value.reshape(*self._fed, value.shape[-1])
            return at_joint(edits, kind, layer, rows).reshape(value.shape)

        def reads(path: str, kind: str) -> None:
            def hook(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
                return (edited(kind, inputs[0]), *inputs[1:])

            if has_joint(edits, kind, layer):
                module = block.get_submodule(path) if path else block
                handles.append(module.register_forward_pre_hook(hook))

        def gives(path: str, kind: str, factor: float = 1.0) -> None:
            def hook(_module: nn.Module, _inputs: object, out: Output) -> Output:
                first = out[0] if isinstance(out, tuple) else out
                changed = edited(kind, first * factor) / factor
                return (changed, *out[1:]) if isinstance(out, tuple) else changed

            if has_joint(edits, kind, layer):
                module = block.get_submodule(path) if path else block
                handles.append(module.register_forward_hook(hook))

        def mixes(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            flat = inputs[0]
            mix = flat.reshape(*flat.shape[:2], heads, -1).transpose(1, 2)
            changed = at_joint(edits, "attn_z", layer, mix)
            return (changed.transpose(1, 2).reshape(flat.shape), *inputs[1:])

        multiplier = self._multiplier(block)
        reads("", "resid_pre")
        gives(a.attention_end, "attn_output", multiplier)
        if has_joint(edits, "attn_z", layer):
            matrix = block.get_submodule(a.attention_output_matrix)
            handles.append(matrix.register_forward_pre_hook(mixes))
        if self.shape.post_norm:
            gives(a.mlp_norm, "resid_mid")
        elif has_joint(edits, "resid_mid", layer):
            self._edit_between(block, layer, edits, handles)
        reads(a.mlp_output_matrix, "mlp_act")
        gives(a.mlp_end, "mlp_output", multiplier)
        gives("", "resid_post")

    def _edit_between(
        self, block: nn.Module, layer: int, edits: AnyEdits, handles: list[RemovableHandle]
    ) -> None:
        """Edit the stream between attention and MLP, which both the norm and the sum behind it
        read: no module gives it, so attention's output is changed by as much."""
        entered: list[Tensor] = []
        factor = self._multiplier(block)

        def hook(_module: nn.Module, _inputs: object, out: Output) -> Output:
            stream, first = entered.pop(), out[0] if isinstance(out, tuple) else out
            changed = at_joint(edits, "resid_mid", layer, stream + first * factor) - stream
            changed = changed / factor
            return (changed, *out[1:]) if isinstance(out, tuple) else changed

        handles.append(block.register_forward_pre_hook(lambda _m, x: entered.append(x[0])))
        attention = block.get_submodule(self.architecture.attention_end)
        handles.append(attention.register_forward_hook(hook))

    def _multiplier(self, block: nn.Module) -> float:
        """Return the factor of what attention and MLP give on its way to the stream."""
        name = self.architecture.residual_multiplier
        return 1.0 if name is None else float(getattr(block, name))

    def _record_block(self, block: nn.Module, layer: int, recorder: _Recorder) -> None:
        a = self.architecture
        if layer == 0:
            recorder.input(block, "embedding_sum")
        recorder.input(block, "resid_pre", layer)
        recorder.output(block.get_submodule(a.attention_caller), "attn_probs", layer, part=1)
        factor = self._multiplier(block)
        ends = ((a.attention, a.attention_end, "attn"), (a.mlp, a.mlp_end, "mlp"))
        for path, end, part in ends:
            recorder.output(block.get_submodule(path), f"{part}_output_raw", layer)
            recorder.output(block.get_submodule(end), f"{part}_output", layer, factor=factor)
        matrix = block.get_submodule(a.attention_output_matrix)
        recorder.input(matrix, "attn_z", layer, heads=self.shape.heads)
        if self.shape.post_norm:
            recorder.output(block.get_submodule(a.mlp_norm), "resid_mid", layer)
        elif kinds()["resid_mid"].present_in(self.shape):
            recorder.input(block.get_submodule(a.mlp_norm), "resid_mid", layer)
        recorder.output(block, "resid_post", layer)
        if self.shape.at(layer).experts:
            assert a.router is not None, f"{a.model_type} has experts and no router"
            recorder.routing(block.get_submodule(a.mlp), block.get_submodule(a.router), layer)
            return
        recorder.input(block.get_submodule(a.mlp_nonlinearity), "mlp_pre", layer)
        recorder.input(block.get_submodule(a.mlp_output_matrix), "mlp_act", layer)
        if a.mlp_linear is not None:
            recorder.output(block.get_submodule(a.mlp_nonlinearity), "mlp_gate", layer)
            linear = block.get_submodule(a.mlp_linear)
            recorder.output(linear, "mlp_linear", layer, second_half=a.fused_mlp)


def _rolled(value: Array, shifts: Array, axes: Sequence[int]) -> Array:
    """Return the tensor with each text of the batch shifted along these axes, around their ends."""
    texts = zip(value, shifts, strict=True)
    moved = [np.roll(text, [shift] * len(axes), [a - 1 for a in axes]) for text, shift in texts]
    return np.stack(moved) if axes else value


def _as_rows(value: Tensor, ids: Array) -> Tensor:
    """Return (batch, seq, …) of what some models lay end to end, (batch * seq, …)."""
    return value.reshape(*ids.shape, value.shape[-1]) if value.dim() == 2 else value


@dataclass(frozen=True)
class _Recorder:
    """Hooks that keep only the wanted values, since attention of long texts is large."""

    names: set[str]
    values: dict[str, Tensor]
    handles: list[RemovableHandle]

    def input(
        self, module: nn.Module, kind: str, layer: int | None = None, heads: int | None = None
    ) -> None:
        """Record the module's first argument; with `heads`, its last axis is split into heads."""
        name = kinds()[kind].at(layer)
        if name not in self.names:
            return

        def hook(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            value = inputs[0]
            if heads is not None:
                value = value.reshape(*value.shape[:2], heads, -1).transpose(1, 2)
            self.values[name] = value

        self.handles.append(module.register_forward_pre_hook(hook))

    def output(
        self,
        module: nn.Module,
        kind: str,
        layer: int | None = None,
        *,
        part: int = 0,
        factor: float = 1.0,
        second_half: bool = False,
    ) -> None:
        """Record the module's result, or the given part of it where it is a tuple; times a factor,
        or only the second half of its last axis."""
        name = kinds()[kind].at(layer)
        if name not in self.names:
            return

        def hook(_module: nn.Module, _inputs: object, out: Tensor | tuple[Tensor, ...]) -> None:
            value = out[part] if isinstance(out, tuple) else out
            value = value.chunk(2, dim=-1)[1] if second_half else value
            # A block may add to it in place.
            kept = value.clone() if kind == "mlp_output" else value
            self.values[name] = kept if factor == 1.0 else kept * factor

        self.handles.append(module.register_forward_hook(hook))

    def routing(self, mlp: nn.Module, router: nn.Module, layer: int) -> None:
        """Record what a router gives: of all tokens of all texts in one row, which `mlp` knows as
        (batch, seq, hidden)."""
        given: list[tuple[Tensor, ...]] = []

        def keep(_module: nn.Module, _inputs: object, out: tuple[Tensor, ...]) -> None:
            given.append(out)

        def record(_module: nn.Module, inputs: tuple[Tensor, ...], _out: object) -> None:
            logits, weights, ids = given.pop()
            found = {
                "router_logits": logits,
                "router_probs": logits.softmax(dim=-1),
                "expert_ids": ids,
                "expert_weights": weights,
            }
            for kind, value in found.items():
                name = kinds()[kind].at(layer)
                if name in self.names:
                    self.values[name] = value.reshape(*inputs[0].shape[:2], -1)

        self.handles.append(router.register_forward_hook(keep))
        self.handles.append(mlp.register_forward_hook(record))


@dataclass(frozen=True)
class _Observer:
    """Collects the arguments that the observed attention was called with, after edits."""

    names: set[str]
    values: dict[str, Tensor]
    edits: AnyEdits

    def __deepcopy__(self, memo: object) -> _Observer:
        # transformers copies configs; recorded values must still arrive in this object.
        return self


def _observed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    **rest: object,
) -> tuple[Tensor, Tensor]:
    """Run the architecture's own eager attention, and record its inputs; where scores or
    probabilities are edited, the textbook's."""
    observer: _Observer = module.config.oriel_observer  # type: ignore[union-attr, assignment]
    layer, edits = int(module.oriel_layer), observer.edits  # type: ignore[arg-type]
    prefix = layer_prefix(layer)
    query = at_joint(edits, "q", layer, query)
    key, value = at_joint(edits, "k", layer, key), at_joint(edits, "v", layer, value)
    count = query.shape[-2]
    # Keys and values of the past come first.
    fed = {"q": query, "k": key[..., -count:, :], "v": value[..., -count:, :]}
    for kind, tensor in fed.items():
        if prefix + kind in observer.names:
            observer.values[prefix + kind] = tensor
    groups = query.shape[1] // key.shape[1]
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = query @ key.repeat_interleave(groups, dim=1).transpose(-1, -2) * scale
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
        rest["softcap"] = softcap
    if f"{prefix}attn_scores" in observer.names:
        observer.values[f"{prefix}attn_scores"] = at_joint(edits, "attn_scores", layer, scores)
    if has_joint(edits, "attn_scores", layer) or has_joint(edits, "attn_probs", layer):
        if attention_mask is not None:
            lowest = torch.finfo(scores.dtype).min
            scores = scores.masked_fill(attention_mask < 0, lowest)
        scores = at_joint(edits, "attn_scores", layer, scores)
        probs = at_joint(edits, "attn_probs", layer, scores.softmax(-1))
        mixed = probs @ value.repeat_interleave(groups, dim=1)
        return mixed.transpose(1, 2), probs
    own = sys.modules[type(module).__module__].eager_attention_forward
    result: tuple[Tensor, Tensor] = own(
        module, query, key, value, attention_mask, scaling=scaling, **rest
    )
    return result
