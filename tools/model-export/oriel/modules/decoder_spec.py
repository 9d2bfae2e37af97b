"""Specs of models of transformers that generate text, such as GPT-2 and Llama: one step with an
explicit past, under the names that Optimum and transformers.js read."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from oriel.contract.library_files import CONFIG, GENERATION_CONFIG
from oriel.errors import ArchitectureError
from oriel.models.find_checkpoint import FoundCheckpoint
from oriel.models.library_configs import decoder_config, generation_config
from oriel.modules.library_folder import LibraryFolder, TextReader, library_folder
from oriel.modules.pretrained_model import layers_of, load_pretrained, model_class_of
from oriel.modules.spec import ModuleSpec, NamedSpec

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

    from oriel.modules.decoder_step import CacheShape, DecoderStep, PairOf

DECODER_ENDINGS = ("ForCausalLM", "LMHeadModel")
_TWO_TEXTS = "ForConditionalGeneration"
_BATCH, _NEW, _PAST = "batch_size", "sequence_length", "past_sequence_length"
_TOTAL = f"{_PAST} + {_NEW}"
_PAIR = {0: _BATCH, 2: _PAST}
_DYNAMIC: Mapping[str, Mapping[int, str]] = {
    "input_ids": {0: _BATCH, 1: _NEW},
    "attention_mask": {0: _BATCH, 1: _TOTAL},
    "position_ids": {0: _BATCH, 1: _NEW},
    "past_key_values.*.*": _PAIR,
}
_PADDING = 2
_SEED = 7
_LARGEST_BATCH, _LARGEST_NEW, _LARGEST_PAST = 8, 128, 2048
"""For formats that plan their memory: logits of 8 × 128 tokens of GPT-2 are 206 MB."""


def is_decoder(class_name: str) -> bool:
    """Return whether a class of transformers generates text, by its name."""
    return class_name.endswith((*DECODER_ENDINGS, _TWO_TEXTS))


def decoder_spec(found: FoundCheckpoint, config: PreTrainedConfig) -> NamedSpec:
    """Return the spec of a checkpoint. Raises ArchitectureError for a model that writes a text to
    another one."""
    model_class = model_class_of(config, found.folder)
    if model_class.__name__.endswith(_TWO_TEXTS) or config.is_encoder_decoder:
        raise ArchitectureError(
            "the model reads one text and writes another",
            got=model_class.__name__,
            expected=f"a class that ends in {' or '.join(DECODER_ENDINGS)}",
            next_step="write a spec file that builds the part you need: docs/modules.md.",
        )
    step = _Step(model_class, found.folder)
    dynamic = {name: axes for name, axes in _DYNAMIC.items() if step.takes(name)}
    longest = int(getattr(config, "max_position_embeddings", None) or _LARGEST_PAST)
    spec = ModuleSpec(
        build=lambda: step.module,
        inputs=partial(step.inputs, (2, 3, 5)),
        dynamic=dynamic,
        cases={
            "two texts from their beginning, one padded": partial(step.inputs, (2, 6, 0)),
            "a token behind two texts, one padded": partial(step.inputs, (2, 1, 6)),
            "the first token of one text": partial(step.inputs, (1, 1, 0)),
        },
        largest={
            _BATCH: _LARGEST_BATCH,
            _NEW: min(_LARGEST_NEW, longest),
            _PAST: min(_LARGEST_PAST, longest),
        },
        dotted_names=True,
        layers=layers_of(config),
        config=json.loads(config.to_json_string(use_diff=False)),
    )
    library = _library(found.folder, config, model_class.__name__)
    return NamedSpec(found.name, found.folder / CONFIG, spec, library)


def _library(folder: Path, config: PreTrainedConfig, model_class: str) -> LibraryFolder:
    """Return the files that other libraries open the model by, and how it reads text."""
    text = config.get_text_config()
    vocab = int(text.vocab_size)
    named = (getattr(text, name, None) for name in ("pad_token_id", "eos_token_id"))
    pads = [token for token in named if isinstance(token, int) and 0 <= token < vocab]
    longest = int(getattr(text, "max_position_embeddings", None) or _LARGEST_PAST)
    reader = TextReader(vocab, longest, pads[0] if pads else 0, pads_before=True)
    configs = {
        CONFIG: decoder_config(folder, config, model_class),
        GENERATION_CONFIG: generation_config(folder, config),
    }
    return library_folder(folder, configs, reader)


class _Step:
    """The module of a checkpoint, loaded on first use, and inputs for it."""

    def __init__(self, model_class: type[PreTrainedModel], folder: Path) -> None:
        self._class = model_class
        self._folder = folder

    def takes(self, name: str) -> bool:
        """Return whether the model has a use for an input."""
        known = inspect.signature(self._class.forward).parameters
        return name != "position_ids" or name in known

    @cached_property
    def module(self) -> DecoderStep:
        from oriel.modules.decoder_step import DecoderStep

        model = load_pretrained(
            self._class,
            self._folder,
            dtype=torch.float32,
            # One that every runtime computes alike, rows of padding too.
            attn_implementation="eager",
        )
        step = DecoderStep(model)
        step.eval()
        return step

    @cached_property
    def _cache(self) -> CacheShape:
        from oriel.modules.decoder_step import cache_shape

        return cache_shape(self.module.model)

    def inputs(self, sizes: tuple[int, int, int]) -> dict[str, object]:
        """Return a call with a past that the model itself made of random tokens; the first of
        several texts begins with padding.

        sizes: of the batch, of the tokens and of the past.
        """
        batch, new, past = sizes
        draw = torch.Generator().manual_seed(_SEED + past)
        vocab = int(self.module.model.config.get_text_config().vocab_size)
        ids = torch.randint(0, vocab, (batch, past + new), generator=draw)
        mask = torch.ones_like(ids)
        if batch > 1:
            mask[0, :_PADDING] = 0
        places = (mask.cumsum(1) - 1).clamp(min=0) if self.takes("position_ids") else None

        def call(first: int, end: int, before: list[PairOf]) -> dict[str, object]:
            return {
                "input_ids": ids[:, first:end].contiguous(),
                "attention_mask": mask[:, :end].contiguous(),
                "position_ids": None if places is None else places[:, first:end].contiguous(),
                "past_key_values": before,
            }

        before = self._cache.empty(batch)
        if past:
            with torch.no_grad():
                before = self.module(**call(0, past, before))["present"]
        return call(past, past + new, before)
