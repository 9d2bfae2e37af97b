"""Loading of a model: its config, sizes, tensors and tokenizer files are all checked, and nothing
is run. The tokenizer is opened on first use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.checkpoints.tensors import DecodedTensor
from oriel.contract.activation_names import ModelShape
from oriel.contract.json_value import JsonObject
from oriel.errors import CheckpointError, OrielError
from oriel.models.architectures import REGISTRY, Architecture, describe, find_architecture
from oriel.models.end_tokens import EndTokens, read_end_tokens
from oriel.models.find_checkpoint import FoundCheckpoint
from oriel.models.library_configs import library_configs
from oriel.models.match_parameters import Checkpoint, Wanted, open_checkpoint
from oriel.models.merge_adapter import merge_adapter
from oriel.models.model_names import shown_name
from oriel.models.model_spec import ModelSpec, make_spec, with_own_head
from oriel.models.no_checkpoint import adapter_beside, checkpoints_beside
from oriel.models.quantization import ENTRY, quantization_of
from oriel.models.weight_files import has_mark, weight_files
from oriel.tokenizers.checkpoint_files import json_files, tokenizer_files
from oriel.tokenizers.checkpoint_json import read_object
from oriel.tokenizers.checkpoint_tokenizer import (
    CheckpointTokenizer,
    NoTokenizer,
    read_checkpoint_tokenizer,
)

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

MAX_LAYERS, MAX_SIZE = 1000, 2**31 - 1
"""Largest sizes that a manifest can describe, as in contracts/activations.schema.json."""


@dataclass(frozen=True)
class LoadedModel:
    """A checkpoint that fits its config. Weights stay on disk until they are read."""

    source: FoundCheckpoint
    spec: ModelSpec
    checkpoint: Checkpoint

    @property
    def shape(self) -> ModelShape:
        return self.spec.shape

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def tokenizer_files(self) -> list[Path]:
        """Files that describe its tokenizer; none where there is no vocabulary."""
        return tokenizer_files(self.source.folder)

    @cached_property
    def tokenizer(self) -> CheckpointTokenizer | NoTokenizer:
        """Its own tokenizer, opened on first use; CheckpointError for a damaged file."""
        return read_checkpoint_tokenizer(self.source.folder, self.shape.vocab)

    @cached_property
    def end_tokens(self) -> EndTokens:
        """All tokens that end a text."""
        named = getattr(self.spec.config, "eos_token_id", None)
        return read_end_tokens(self.source.folder, named, self.shape.vocab)

    @cached_property
    def library_configs(self) -> dict[str, bytes]:
        """config.json and generation_config.json of its bundle, for other libraries."""
        return library_configs(self.source.folder, self.spec)

    @property
    def notices(self) -> tuple[str, ...]:
        """Notices about what was read otherwise than it is written, or not at all; one text
        each."""
        adapter = None if self.source.adapter else adapter_beside(self.source.folder)
        said = (adapter, checkpoints_beside(self.source.folder))
        return (*self.checkpoint.notes, *(text for text in said if text))

    @property
    def is_as_saved(self) -> bool:
        """True if transformers can read the folder as it is."""
        files = [self.source.folder / "config.json", *self.source.folder.glob("*.index.json")]
        stored = self.checkpoint.tensors.values()
        computed = any(isinstance(tensor, DecodedTensor) for tensor in stored)
        return not computed and not self.checkpoint.wrappers and not any(map(has_mark, files))


def load_spec(folder: Path) -> ModelSpec:
    """Read config.json; CheckpointError where it contradicts itself or makes no model."""
    architecture = read_architecture(folder)
    quantization_of(folder)
    with config_errors(folder):
        config = export_config(folder)
        architecture.check_config(config)
        architecture = describe(config)
        shape = architecture.shape(config)
    check_sizes(shape, folder)
    with config_errors(folder):
        return make_spec(config, architecture, shape)


def read_architecture(folder: Path) -> Architecture:
    """Return the architecture that config.json names; OrielError where it names none of ours."""
    raw = read_object(folder / "config.json", shown_name(folder))
    model_type = raw.get("model_type")
    if not isinstance(model_type, str):
        likely = _likely_type(raw)
        raise CheckpointError(
            f"config.json in {shown_name(folder)} names no architecture",
            got="no model_type" if model_type is None else f"model_type {model_type!r}",
            expected=f"a model_type, one of {', '.join(sorted(REGISTRY))}",
            next_step=f'its other entries are those of {likely}: if it is one, add "model_type": '
            f'"{likely}" to config.json.'
            if likely
            else "add the model_type of the code that the model was trained with to config.json.",
        )
    return find_architecture(model_type)


@contextmanager
def config_errors(folder: Path) -> Iterator[None]:
    """Raise CheckpointError for whatever an untrusted config makes transformers raise inside: any
    class of exception. An OrielError passes as it is."""
    try:
        yield
    except OrielError:
        raise
    except Exception as error:
        raise _unfit(folder, error) from error


def export_config(folder: Path) -> PreTrainedConfig:
    """Return the config of the model that is exported: config.json's, without the settings that say
    how a call runs. Raises whatever transformers raises."""
    from transformers.utils import logging

    # Problems of a config that matter are reported in one line.
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    config = without_quantization(plain_config(folder))
    # Otherwise a config may name an attention kernel to fetch and run.
    config._attn_implementation = "eager"
    # The caller decides in which form results are returned, whatever was set in training.
    config.return_dict, config.use_cache = True, True
    config.output_attentions = config.output_hidden_states = False
    if hasattr(config, "output_router_logits"):
        config.output_router_logits = False
    return config


def plain_config(folder: Path) -> PreTrainedConfig:
    """Return the config that transformers makes of config.json. A checkpoint of a known model_type
    may still ask for code of its own; that is never run."""
    from transformers import CONFIG_MAPPING

    # Read here, since transformers fails on a byte order mark.
    raw = read_object(folder / "config.json", shown_name(folder))
    config: PreTrainedConfig = CONFIG_MAPPING[str(raw["model_type"])].from_dict(raw)
    return config


def without_quantization(config: PreTrainedConfig) -> PreTrainedConfig:
    """Return the same config without the quantization that its weights were decoded from."""
    vars(config).pop(ENTRY, None)
    return config


def _likely_type(raw: JsonObject) -> str | None:
    """Return the architecture whose config has such entries, if there is one."""
    named = raw.get("architectures")
    for name in named if isinstance(named, list) else []:
        for model_type, architecture in REGISTRY.items():
            if isinstance(name, str) and name.lower() == architecture.model_class.lower():
                return model_type
    for model_type, architecture in REGISTRY.items():
        if architecture.telling_entries and architecture.telling_entries <= raw.keys():
            return model_type
    return None


def _unfit(folder: Path, error: Exception) -> CheckpointError:
    # transformers names the validator that failed before the reason: only the reason is kept.
    reason = re.sub(
        r"^.*?[Vv]alidat\w+ error for .*?: \w+Error: ", "", " ".join(str(error).split())
    )
    if isinstance(error, ZeroDivisionError):
        reason = "a size of 0"
    elif "Padding_idx" in reason:
        reason = "a pad_token_id outside of the vocabulary"
    elif isinstance(error, KeyError):
        reason = f"{reason}, which transformers doesn't know"
    return CheckpointError(
        f"config.json in {shown_name(folder)} doesn't make a model",
        got=reason[:200].rstrip(". ") or type(error).__name__,
        next_step=f"transformers {version('transformers')} itself refuses it: correct that entry, "
        "or download the checkpoint again.",
    )


_NO_SIZES = {
    *("parallel_residual", "gated_mlp", "raw_outputs", "attention_sinks", "bidirectional"),
    *("post_norm", "pooled", "layer_sizes"),
}
"""Entries of a shape that aren't whole numbers."""


def check_sizes(shape: ModelShape, folder: Path) -> None:
    """Raise CheckpointError for sizes that no manifest can describe."""
    for name, size in shape.to_json().items():
        if name in _NO_SIZES:
            continue
        maximum = MAX_LAYERS if name == "layers" else MAX_SIZE
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= maximum:
            raise CheckpointError(
                f"config.json in {shown_name(folder)} gives a size that can't be",
                got=f"{name} {size!r}",
                expected=f"a whole number from 1 to {maximum}",
                next_step="correct it, or download the checkpoint again.",
            )
    if shape.heads % shape.kv_heads:
        raise CheckpointError(
            f"config.json in {shown_name(folder)} contradicts itself",
            got=f"{shape.heads} heads over {shape.kv_heads} key heads",
            expected="a multiple",
            next_step="correct it, or download the checkpoint again.",
        )


def wanted_tensors(spec: ModelSpec) -> Wanted:
    """Return the parameters that the model needs, with their names in checkpoints."""
    a = spec.architecture
    embedding, head = f"{a.token_embedding}.weight", f"{a.unembedding}.weight"
    return Wanted(
        spec.parameters,
        a.base_prefix,
        a.ignored_weights,
        a.renamed_weights,
        embedding,
        head,
        spec.linear,
    )


def load_model(found: FoundCheckpoint) -> LoadedModel:
    """Read the config, and match every tensor of the checkpoint to a parameter of the model."""
    weight_files(found.folder)
    spec = load_spec(found.folder)
    wanted = wanted_tensors(spec)
    checkpoint = open_checkpoint(found.folder, wanted)
    if found.adapter is not None:
        checkpoint = merge_adapter(checkpoint, found.adapter, wanted)
    if set(checkpoint.tensors) != set(spec.parameters):
        # The head is a weight of its own, whatever the config says.
        spec = with_own_head(spec)
    for file in json_files(found.folder):
        read_object(file)
    return LoadedModel(found, spec, checkpoint)
