"""Specs of encoders from transformers, such as BERT: what a spec file would say follows from their
config. Models that generate text have a cache, which `oriel export` gives them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from oriel.errors import ArchitectureError, CheckpointError, first_few, reason_of
from oriel.models.find_checkpoint import find_checkpoint
from oriel.models.hub import DownloadDisplay
from oriel.models.library_configs import encoder_config
from oriel.models.load_model import plain_config
from oriel.models.weight_files import weight_files
from oriel.modules.library_folder import library_folder
from oriel.modules.spec import ModuleSpec, NamedSpec

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

_OUTPUTS: Mapping[str, tuple[str, ...]] = {
    "ForMaskedLM": ("logits",),
    "ForQuestionAnswering": ("start_logits", "end_logits"),
    "ForSequenceClassification": ("logits",),
    "ForTokenClassification": ("logits",),
    "Model": ("last_hidden_state",),
}
"""{end of the class' name: its outputs}, under the names that Optimum and transformers.js read."""
_GENERATE = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_AXES = {0: "batch_size", 1: "sequence_length"}
_BATCH, _LENGTH, _PADDING = 2, 7, 2
_SEED = 7


def is_model(place: str) -> bool:
    """Return whether a place is a checkpoint of transformers, or a name on the Hub, and no spec."""
    path = Path(place)
    if path.is_dir():
        return (path / "config.json").is_file()
    is_path = path.exists() or ":" in place or path.suffix == ".py"
    # A name on the Hub is not below a folder that is here: that is a spec's path with a mistake.
    return not is_path and (len(path.parts) == 1 or not path.parent.exists())


def encoder_spec(place: str, display: DownloadDisplay | None = None) -> NamedSpec:
    """Return the spec of a folder or Hub id. Raises OrielError for a model that is no encoder of a
    known task."""
    found = find_checkpoint(place, None, display)
    config = plain_config(found.folder)
    model_class = _model_class(config, found.folder)
    outputs = _outputs_of(model_class.__name__)
    named = inspect.signature(model_class.forward).parameters
    inputs = [name for name in _INPUTS if name in named]
    spec = ModuleSpec(
        build=partial(_load, model_class, found.folder),
        inputs=partial(_example, inputs, config),
        dynamic=dict.fromkeys(inputs, _AXES),
        outputs=outputs,
        config=json.loads(config.to_json_string(use_diff=False)),
    )
    told = encoder_config(found.folder, config, model_class.__name__)
    library = library_folder(found.folder, told, int(config.vocab_size))
    return NamedSpec(found.name, found.folder / "config.json", spec, library)


def _model_class(config: PreTrainedConfig, folder: Path) -> type[PreTrainedModel]:
    import transformers

    names = list(config.architectures or ())
    found = getattr(transformers, names[0], None) if len(names) == 1 else None
    if not (isinstance(found, type) and issubclass(found, transformers.PreTrainedModel)):
        raise ArchitectureError(
            f"{folder.name}/config.json names no model of transformers",
            got=f"architectures {names}",
            expected="one class, such as BertForSequenceClassification",
            next_step="write a spec file that builds the model: docs/modules.md.",
        )
    return found


def _outputs_of(name: str) -> tuple[str, ...]:
    if name.endswith(_GENERATE):
        raise ArchitectureError(
            "the model generates text, and needs a cache",
            got=name,
            expected="an encoder",
            next_step="export its ONNX files with their cache: oriel export --model ….",
        )
    for ending, outputs in _OUTPUTS.items():
        if name.endswith(ending):
            return outputs
    raise ArchitectureError(
        "the model is for no task that is known",
        got=name,
        expected=f"a class that ends in {', '.join(_OUTPUTS)}",
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


def _load(model_class: type[PreTrainedModel], folder: Path) -> nn.Module:
    """Load the model, and hold it to its class: every tensor is there, and no other."""
    weight_files(folder)
    load: Callable[..., Any] = model_class.from_pretrained
    try:
        model, told = load(
            folder,
            local_files_only=True,
            output_loading_info=True,
            # Told below, with their names.
            ignore_mismatched_sizes=True,
        )
    except Exception as error:
        # An untrusted checkpoint may raise any class of exception.
        raise CheckpointError(
            f"{folder.name} can't be loaded as a {model_class.__name__}", got=reason_of(error)
        ) from error
    problems = {
        "missing": told["missing_keys"],
        "unexpected": told["unexpected_keys"],
        "of another shape": [str(row[0]) for row in told["mismatched_keys"]],
    }
    for what, names in problems.items():
        if names:
            raise CheckpointError(
                f"{folder.name} is no checkpoint of a {model_class.__name__}",
                got=f"{what}: {first_few(sorted(names))}",
                expected="each tensor of the class, and no other",
            )
    loaded: nn.Module = model
    return loaded
