"""Specs of encoders from transformers, such as BERT: what a spec file would say follows from their
config. decoder_spec.py has those of models that generate text."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from oriel.contract.library_files import CONFIG
from oriel.errors import ArchitectureError
from oriel.models.find_checkpoint import FoundCheckpoint
from oriel.models.library_configs import encoder_config
from oriel.modules.decoder_spec import DECODER_ENDINGS
from oriel.modules.library_folder import TextReader, library_folder
from oriel.modules.pretrained_model import layers_of, load_pretrained, model_class_of
from oriel.modules.spec import ModuleSpec, NamedSpec

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_OUTPUTS: Mapping[str, tuple[str, ...]] = {
    "ForMaskedLM": ("logits",),
    "ForQuestionAnswering": ("start_logits", "end_logits"),
    "ForSequenceClassification": ("logits",),
    "ForTokenClassification": ("logits",),
    "Model": ("last_hidden_state",),
}
"""{end of the class' name: its outputs}, under the names that Optimum and transformers.js read."""
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_AXES = {0: "batch_size", 1: "sequence_length"}
_BATCH, _LENGTH, _PADDING = 2, 7, 2
_SEED = 7
_LARGEST_BATCH, _LARGEST_LENGTH = 8, 256
"""For formats that plan their memory: logits of 8 × 256 tokens of BERT are 250 MB."""
_LONGEST = 512
"""Tokens of a text for a model that names no largest number."""


def encoder_spec(found: FoundCheckpoint, config: PreTrainedConfig) -> NamedSpec:
    """Return the spec of a checkpoint. Raises ArchitectureError for a model that is no encoder of a
    known task."""
    model_class = model_class_of(config, found.folder)
    outputs = _outputs_of(model_class.__name__)
    named = inspect.signature(model_class.forward).parameters
    inputs = [name for name in _INPUTS if name in named]
    reader = _reader(config)
    spec = ModuleSpec(
        build=partial(load_pretrained, model_class, found.folder),
        inputs=partial(_example, inputs, config),
        dynamic=dict.fromkeys(inputs, _AXES),
        outputs=outputs,
        largest={_AXES[0]: _LARGEST_BATCH, _AXES[1]: min(_LARGEST_LENGTH, reader.context_length)},
        layers=layers_of(config),
        config=json.loads(config.to_json_string(use_diff=False)),
    )
    told = {CONFIG: encoder_config(found.folder, config, model_class.__name__)}
    library = library_folder(found.folder, told, reader)
    return NamedSpec(found.name, found.folder / "config.json", spec, library)


def _reader(config: PreTrainedConfig) -> TextReader:
    pad = getattr(config, "pad_token_id", None)
    pad = pad if isinstance(pad, int) and 0 <= pad < int(config.vocab_size) else 0
    longest = int(getattr(config, "max_position_embeddings", 0) or _LONGEST)
    # RoBERTa's positions begin behind the padding token's id.
    behind = longest - pad - 1
    return TextReader(int(config.vocab_size), behind if behind > 1 else longest, pad)


def _outputs_of(name: str) -> tuple[str, ...]:
    for ending, outputs in _OUTPUTS.items():
        if name.endswith(ending):
            return outputs
    raise ArchitectureError(
        "the model is for no task that is known",
        got=name,
        expected=f"a class that ends in {', '.join([*_OUTPUTS, *DECODER_ENDINGS])}",
        next_step="write a spec file that builds the model: docs/modules.md.",
    )


def _example(inputs: list[str], config: PreTrainedConfig) -> dict[str, Tensor]:
    """Return token ids of two texts, the first with padding behind it."""
    draw = torch.Generator().manual_seed(_SEED)
    size = (_BATCH, _LENGTH)
    mask = torch.ones(size, dtype=torch.long)
    mask[0, -_PADDING:] = 0
    kinds = int(getattr(config, "type_vocab_size", 0) or 1)
    made = {
        "input_ids": torch.randint(0, int(config.vocab_size), size, generator=draw),
        "attention_mask": mask,
        "token_type_ids": torch.randint(0, kinds, size, generator=draw),
    }
    return {name: made[name] for name in inputs}
