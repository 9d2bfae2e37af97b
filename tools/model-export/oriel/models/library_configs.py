"""Makes config.json of a bundle and of a model of transformers that is converted, and
generation_config.json of those that generate text: from them other libraries (transformers,
Optimum, transformers.js) learn what the model is and how it generates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.contract.json_value import JsonObject, JsonValue
from oriel.contract.library_files import CONFIG, GENERATION_CONFIG
from oriel.contract.strict_json import read_json
from oriel.errors import CheckpointError, ContractError
from oriel.models.model_spec import ModelSpec
from oriel.tokenizers.checkpoint_json import read_object

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_LEFT_OUT = frozenset(
    {
        # Names of code to fetch and run.
        "attn_implementation",
        "auto_map",
        "custom_pipelines",
        "trust_remote_code",
        # The graphs hold plain weights.
        "quantization_config",
        # Files of another folder.
        "transformers.js_config",
    }
)


def library_configs(folder: Path, spec: ModelSpec) -> dict[str, bytes]:
    """Return both files' bytes by name, of an encoder config.json's alone. folder: the
    checkpoint's.

    An entry is the checkpoint's own where it has one, else as transformers fills it in, since other
    libraries don't know its defaults. Names of code, private entries (`_…`, among them paths of the
    machine that trained the model) and what strict JSON can't say are left out.
    """
    ties: JsonObject = {"tie_word_embeddings": spec.ties_embeddings}
    if spec.shape.bidirectional:
        encoder = encoder_config(folder, spec.config, spec.architecture.model_class)
        return {CONFIG: json_bytes({**encoder, **ties})}
    # The graphs hold the language model with its cache, whatever the checkpoint was saved as.
    entries = decoder_config(folder, spec.config, spec.architecture.model_class)
    return {
        CONFIG: json_bytes({**entries, **ties}),
        GENERATION_CONFIG: json_bytes(generation_config(folder, spec.config)),
    }


def decoder_config(folder: Path, config: PreTrainedConfig, model_class: str) -> JsonObject:
    """Return config.json's entries for the files of a model that generates text with a cache, made
    as library_configs says."""
    return {**encoder_config(folder, config, model_class), "use_cache": True}


def encoder_config(folder: Path, config: PreTrainedConfig, model_class: str) -> JsonObject:
    """Return config.json's entries for an encoder's files, made as library_configs says."""
    exported: JsonObject = {
        "architectures": [model_class],
        "output_attentions": False,
        "output_hidden_states": False,
    }
    return {**_filled(folder, config), **exported}


def _filled(folder: Path, config: PreTrainedConfig) -> JsonObject:
    own = read_object(folder / CONFIG)
    # transformers hands entries that it doesn't know on in a form of its own.
    every: JsonObject = json.loads(config.to_json_string(use_diff=False))
    return _shared({name: value for name, value in every.items() if name not in own} | own)


def generation_config(folder: Path, config: PreTrainedConfig) -> JsonObject:
    """Return generation_config.json's entries, made as library_configs says."""
    file = folder / GENERATION_CONFIG
    if file.is_file():
        try:
            return {**_shared(read_object(file)), "use_cache": True}
        except CheckpointError:
            # The end tokens' reader has said so (end_tokens.py); the model generates without it.
            pass
    from transformers import GenerationConfig

    made = GenerationConfig.from_model_config(config)
    return {**_shared(json.loads(made.to_json_string(use_diff=True))), "use_cache": True}


def _shared(entries: Mapping[str, JsonValue]) -> JsonObject:
    """Return the entries that may be handed on to a stranger."""
    kept = {name: _without_code(value) for name, value in entries.items() if _may_stay(name)}
    return {name: value for name, value in kept.items() if _is_strict(name, value)}


def _without_code(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {name: _without_code(inner) for name, inner in value.items() if _may_stay(name)}
    if isinstance(value, list):
        return [_without_code(inner) for inner in value]
    return value


def _may_stay(name: str) -> bool:
    return name not in _LEFT_OUT and not name.startswith("_")


def _is_strict(name: str, value: JsonValue) -> bool:
    try:
        read_json(json.dumps({name: value}), name)
    except (ContractError, ValueError, RecursionError):
        return False
    return True


def json_bytes(entries: JsonObject) -> bytes:
    """Return a file of entries, sorted by their names."""
    return (json.dumps(entries, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()
