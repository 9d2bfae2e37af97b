"""A checkpoint of a language model, run by PyTorch for all that a bundle of it gives."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from oriel.arrays import Array
from oriel.contract.activation_names import (
    LENS_KINDS,
    cache_output_specs,
    input_specs,
    kinds,
    parse_name,
    past_name,
)
from oriel.models.find_checkpoint import find_checkpoint
from oriel.models.load_model import LoadedModel, load_model
from oriel.models.weight_files import weight_files
from oriel.proof.artifact import Artifact, Tensors, versions_of
from oriel.proof.contract_ports import contract_port, inner_ports, is_text_input, lens_ports
from oriel.verification.cases import OWN_TEXT, text_ids
from oriel.verification.reference_cases import SEED
from oriel.verification.run_reference import Beside, Reference


class CheckpointArtifact(Artifact):
    """The stock model with transformers' own cache: padded texts, and texts that go on. Its lens
    orders the whole vocabulary, likeliest first, so that any number of tokens is held to it."""

    kind = "checkpoint"
    runtime = "PyTorch, eager, float32"

    def __init__(self, place: str, loaded: LoadedModel | None = None) -> None:
        """loaded: the model of that place, where it is open already."""
        self.place = place
        self._loaded = load_model(find_checkpoint(place)) if loaded is None else loaded
        shape = self._loaded.shape
        specs = [spec for spec in input_specs(shape, "decoder") if is_text_input(spec.name)]
        self.inputs = [contract_port(spec) for spec in specs]
        present = [contract_port(spec) for spec in cache_output_specs(shape)]
        self.outputs = [*inner_ports(shape), *lens_ports(shape), *present]
        self.vocabulary, self.longest = shape.vocab, shape.context_length

    @cached_property
    def _reference(self) -> Reference:
        return Reference(self._loaded)

    @cached_property
    def text(self) -> Sequence[int]:
        """Token ids of English, or of what the model itself writes."""
        return text_ids(self._loaded) or self._reference.own_text(OWN_TEXT, SEED)

    def run(self, calls: Sequence[Tensors], wanted: Sequence[str]) -> list[dict[str, Tensor]]:
        return [self._call(call, wanted) for call in calls]

    def _call(self, call: Tensors, wanted: Sequence[str]) -> dict[str, Tensor]:
        feeds = {name: tensor.numpy() for name, tensor in call.items()}
        beside = self._beside(feeds)
        read = _layers_read(wanted)
        streams = {layer: kinds()["resid_post"].at(layer) for layer in read}
        direct = [name for name in wanted if not name.endswith(LENS_KINDS)]
        names = list(dict.fromkeys([*direct, *streams.values()]))
        got = self._reference.run(feeds["input_ids"], names, beside=beside)
        found = {name: torch.from_numpy(got[name]) for name in direct}
        for layer, stream in streams.items():
            ids, probs = self._lens(got[stream])
            found[kinds()["lens_ids"].at(layer)] = ids
            found[kinds()["lens_probs"].at(layer)] = probs
        return {name: found[name] for name in wanted}

    def _beside(self, feeds: Mapping[str, Array]) -> Beside:
        """Return what a call has beside its ids; one of ids alone has no padding and no past."""
        batch, length = feeds["input_ids"].shape
        shape = self._loaded.shape
        if shape.bidirectional:
            mask = feeds.get("attention_mask", np.ones_like(feeds["input_ids"]))
            return Beside(mask, np.maximum(mask.cumsum(axis=1) - 1, 0), {})
        empty = np.zeros((batch, shape.kv_heads, 0, shape.head_dim), dtype=np.float32)
        parts = [past_name(at, part) for at in range(shape.layers) for part in ("key", "value")]
        past = {name: feeds.get(name, empty) for name in parts}
        seen = np.ones((batch, past[parts[0]].shape[2] + length), dtype=np.int64)
        mask = feeds.get("attention_mask", seen)
        counted = np.maximum(mask.cumsum(axis=1) - 1, 0)[:, -length:]
        return Beside(mask, feeds.get("position_ids", counted), past)

    def _lens(self, stream: Array) -> tuple[Tensor, Tensor]:
        """Return ids and probabilities (batch, seq, vocab) of a stream (batch, seq, hidden)."""
        parts = [probs for _, probs in self._reference.lens(stream)]
        ordered = torch.from_numpy(np.concatenate(parts, axis=1)).sort(descending=True)
        return ordered.indices, ordered.values

    def files(self) -> tuple[Path, Sequence[Path]]:
        folder = self._loaded.source.folder
        return folder, [folder / "config.json", *weight_files(folder)]

    def versions(self) -> dict[str, str]:
        return versions_of(("torch", "transformers"))


def _layers_read(names: Collection[str]) -> list[int]:
    """Return the layers whose lens is among these names."""
    parsed = [parse_name(name) for name in names if name.endswith(LENS_KINDS)]
    return sorted({found[1] for found in parsed if found is not None and found[1] is not None})
