"""The stock PyTorch model as a source of truth: what it computes, observed by forward hooks. It
shares no code with the capture that was exported; only module paths come from the same place."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
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
from oriel.contract.activation_names import kinds, layer_prefix, past_name, present_name
from oriel.errors import CheckpointError
from oriel.models.load_model import LoadedModel, plain_config, without_quantization
from oriel.verification.edits_in_torch import AnyEdits, at_joint, has_joint

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
    return None, {name: loaded.checkpoint.read(name) for name in loaded.checkpoint.tensors}


@dataclass(frozen=True)
class Beside:
    """The inputs of a call beside its tokens."""

    mask: Array
    """(batch, past + seq), int64, 0 for padding."""
    positions: Array
    """(batch, seq), int64."""
    past: Mapping[str, Array]
    """past_key_values.* of every layer, (batch, kv_heads, past, head_dim)."""


class Reference:
    """A checkpoint in float32 with transformers' own eager attention."""

    def __init__(self, loaded: LoadedModel, weights: Mapping[str, Tensor] | None = None) -> None:
        """weights: by the names of the model's parameters; None for the checkpoint's."""
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
            local_files_only=True,
            output_loading_info=True,
        )
        if loading["missing_keys"]:
            raise CheckpointError(
                "transformers found no weights for parts of the model",
                got=", ".join(sorted(loading["missing_keys"])[:3]),
                next_step="download the checkpoint again.",
            )
        self.model = model.eval().requires_grad_(False)
        self.blocks = list(self.model.get_submodule(self.architecture.blocks).children())
        AttentionInterface.register(OBSERVED, _observed_attention)
        AttentionMaskInterface.register(OBSERVED, eager_mask)

    def hold(self, weights: Mapping[str, Array]) -> None:
        """Compute with these weights from now on, in place of the checkpoint's."""
        parameters = dict(self.model.named_parameters())
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
        values: dict[str, Tensor] = {}
        names = set(wanted)
        inside = [edit for edit in edits if edit.kind in _IN_ATTENTION]
        if not inside:
            with self._quietly(ids), self._hooks(names, values, edits):
                values["logits"] = self._forward(ids, beside, values)
        if inside or any(name.endswith(("_q", "_k", "_v", "_attn_scores")) for name in names):
            logits = self.run_observed(ids, names, values, edits, beside)
            values.setdefault("logits", logits)
        return {name: values[name].numpy() for name in wanted}

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

    def _forward(self, ids: Array, beside: Beside | None, values: dict[str, Tensor]) -> Tensor:
        """Call the model and return its logits; with a past, put present.* into the values."""
        if beside is None:
            logits: Tensor = self.model(torch.from_numpy(ids), use_cache=False).logits
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

    def own_outputs(self, ids: Array) -> tuple[list[Array], list[Array], Array]:
        """Return (hidden_states, attentions, logits) as transformers itself returns them."""
        with self._quietly(ids):
            out = self.model(
                torch.from_numpy(ids),
                use_cache=False,
                output_hidden_states=True,
                output_attentions=True,
            )
        hidden = [t.numpy() for t in out.hidden_states]
        return hidden, [t.numpy() for t in out.attentions], out.logits.numpy()

    def own_text(self, count: int, seed: int) -> list[int]:
        """Sample ids that the model itself continues with: text that it expects to read, whatever
        its vocabulary means."""
        draw = torch.Generator().manual_seed(seed)
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
        norm = self.model.get_submodule(self.architecture.final_norm)
        unembed = self.model.get_submodule(self.architecture.unembedding)
        for start in range(0, resid_post.shape[1], _POSITIONS_AT_ONCE):
            part = slice(start, start + _POSITIONS_AT_ONCE)
            with self._quietly(resid_post[:, part, 0]):
                logits = unembed(norm(torch.from_numpy(resid_post[:, part])))
                if self.architecture.finish_logits is not None:
                    logits = self.architecture.finish_logits(self.model.config, logits)
                probs = torch.softmax(logits, dim=-1).numpy()
            yield part, probs

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
            recorder.output(self.model.get_submodule(self.architecture.final_norm), "final_norm")
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _edit(
        self, block: nn.Module, layer: int, edits: AnyEdits, handles: list[RemovableHandle]
    ) -> None:
        """Register the edits of a layer that are made outside of the attention function."""
        a, heads = self.architecture, self.shape.heads

        def reads(path: str, kind: str) -> None:
            def hook(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
                return (at_joint(edits, kind, layer, inputs[0]), *inputs[1:])

            if has_joint(edits, kind, layer):
                module = block.get_submodule(path) if path else block
                handles.append(module.register_forward_pre_hook(hook))

        def gives(path: str, kind: str, factor: float = 1.0) -> None:
            def hook(_module: nn.Module, _inputs: object, out: Output) -> Output:
                first = out[0] if isinstance(out, tuple) else out
                changed = at_joint(edits, kind, layer, first * factor) / factor
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
        if has_joint(edits, "resid_mid", layer):
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
        recorder.output(block.get_submodule(a.attention), "attn_probs", layer, part=1)
        factor = self._multiplier(block)
        ends = ((a.attention, a.attention_end, "attn"), (a.mlp, a.mlp_end, "mlp"))
        for path, end, part in ends:
            recorder.output(block.get_submodule(path), f"{part}_output_raw", layer)
            recorder.output(block.get_submodule(end), f"{part}_output", layer, factor=factor)
        matrix = block.get_submodule(a.attention_output_matrix)
        recorder.input(matrix, "attn_z", layer, heads=self.shape.heads)
        if kinds()["resid_mid"].present_in(self.shape):
            recorder.input(block.get_submodule(a.mlp_norm), "resid_mid", layer)
        recorder.input(block.get_submodule(a.mlp_nonlinearity), "mlp_pre", layer)
        recorder.input(block.get_submodule(a.mlp_output_matrix), "mlp_act", layer)
        if a.mlp_linear is not None:
            recorder.output(block.get_submodule(a.mlp_nonlinearity), "mlp_gate", layer)
            linear = block.get_submodule(a.mlp_linear)
            recorder.output(linear, "mlp_linear", layer, second_half=a.fused_mlp)
        recorder.output(block, "resid_post", layer)


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
            self.values[name] = value if factor == 1.0 else value * factor

        self.handles.append(module.register_forward_hook(hook))


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
    layer, edits = int(module.layer_idx), observer.edits  # type: ignore[arg-type]
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
