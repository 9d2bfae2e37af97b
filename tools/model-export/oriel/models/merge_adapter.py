"""A LoRA adapter added to a checkpoint's weights while they are read, as PEFT merges it:
W + scale * B @ A. adapter_config.py reads its settings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from oriel.checkpoints.tensors import FLOATS, DecodedTensor, StoredTensor, stored_tensors
from oriel.errors import CheckpointError, first_few
from oriel.models.adapter_config import ADAPTER_CONFIG, AdapterConfig, read_adapter_config
from oriel.models.match_parameters import Checkpoint, Wanted

_FILES = ("adapter_model.safetensors", "adapter_model.bin")
_BEFORE = "base_model.model."
_PART = re.compile(
    r"(?P<module>.+)\.(?P<part>lora_(?:embedding_)?[AB])(?:\.default)?(?P<weight>\.weight)?"
)
_OF_ADAPTERS = re.compile(r"(^|\.)(lora_\w+|token_adapter|ia3_\w+|oft_\w+)(\.|$)")


@dataclass
class _Found:
    """The adapter's tensors, by the names of the model's parameters."""

    pairs: dict[str, dict[str, StoredTensor]] = field(default_factory=dict)
    """{parameter: {part: tensor}} of the products."""
    modules: dict[str, str] = field(default_factory=dict)
    """The module's name in the adapter of each of these."""
    whole: dict[str, StoredTensor] = field(default_factory=dict)
    """Parameters that the adapter brings as a whole."""


def merge_adapter(checkpoint: Checkpoint, folder: Path, wanted: Wanted) -> Checkpoint:
    """Return the checkpoint with the adapter of a folder merged into it; values are read and added
    when a tensor is read. CheckpointError for an adapter that isn't plain LoRA, or doesn't fit the
    model."""
    config = read_adapter_config(folder)
    found = _sorted(folder, _adapter_file(folder), wanted)
    tied = wanted.is_tied and wanted.head not in checkpoint.tensors
    _check_ties(folder, found, wanted, tied)
    tensors = dict(checkpoint.tensors)
    for name, stored in found.whole.items():
        _check_form(folder, name, stored, _shape(name, wanted))
        is_copy = any(name.endswith(f"{module}.weight") for module in config.saved_modules)
        if tied and name == wanted.embedding and is_copy and not config.keeps_ties:
            # The head goes on with the weight that both had.
            tensors.setdefault(wanted.head, tensors[wanted.embedding])
        tensors[name] = stored
    for name, parts in found.pairs.items():
        module = found.modules[name]
        tensors[name] = _merged(folder, name, parts, tensors[name], _Scale(config, module, wanted))
    notes = (*checkpoint.notes, _notice(folder, found))
    return Checkpoint(tensors, checkpoint.wrappers, notes)


@dataclass(frozen=True)
class _Scale:
    config: AdapterConfig
    module: str
    wanted: Wanted


def _adapter_file(folder: Path) -> Path:
    for name in _FILES:
        if (folder / name).is_file():
            return folder / name
    raise CheckpointError(
        f"the adapter {folder.name} has no weights",
        expected=f"{_FILES[0]} beside {ADAPTER_CONFIG}",
        next_step="name the folder that PEFT's save_pretrained wrote.",
    )


def _sorted(folder: Path, file: Path, wanted: Wanted) -> _Found:
    found = _Found()
    strange = []
    for stored in stored_tensors([file]):
        # Beside a LoRA of an embedding, PEFT saves the embedding as it was.
        key = stored.key.removeprefix(_BEFORE).replace(".base_layer.", ".")
        match = _PART.fullmatch(key)
        if match is not None:
            module = match["module"]
            name = _parameter(f"{module}.weight", wanted)
            if name is not None:
                found.pairs.setdefault(name, {})[match["part"]] = stored
                found.modules[name] = module
                continue
        elif _OF_ADAPTERS.search(key):
            raise CheckpointError(
                f"the adapter {folder.name} isn't plain LoRA",
                got=stored.key,
                expected="lora_A and lora_B of each module, and no more",
                next_step="merge it with PEFT where it was trained, model.merge_and_unload()."
                "save_pretrained(FOLDER), and export that folder.",
            )
        else:
            name = _parameter(key, wanted)
            if name is not None:
                found.whole[name] = stored
                continue
        strange.append(stored.key)
    if strange or not (found.pairs or found.whole):
        raise CheckpointError(
            f"the adapter {folder.name} doesn't fit the model",
            got=first_few(sorted(strange)) or "no tensors",
            expected=f"parts of its parameters, such as {next(iter(wanted.parameters))}",
            next_step="name the model that it was trained on with --model.",
        )
    return found


def _parameter(key: str, wanted: Wanted) -> str | None:
    """Return the parameter that a name in the adapter means, if there is one."""
    for name in (wanted.renamed_key(key), wanted.renamed_key(f"{wanted.base_prefix}{key}")):
        if name in wanted.parameters or name == wanted.head:
            return name
    return None


def _shape(name: str, wanted: Wanted) -> tuple[int, ...]:
    return tuple(wanted.parameters.get(name, wanted.parameters[wanted.embedding]))


def _check_ties(folder: Path, found: _Found, wanted: Wanted, tied: bool) -> None:
    """Raise CheckpointError for a product added to a weight that the embedding and the head share:
    merged into it, it would change both."""
    shared = [name for name in (wanted.embedding, wanted.head) if name in found.pairs]
    if tied and shared:
        raise CheckpointError(
            f"the adapter {folder.name} changes one of two tied weights",
            got=f"a LoRA of {shared[0]}, which is {wanted.embedding} and {wanted.head} at once",
            expected="none on either, or embeddings that aren't tied",
            next_step="merge it with PEFT, look at whether both should change, and export the "
            "merged folder.",
        )


def _check_form(folder: Path, name: str, stored: StoredTensor, shape: tuple[int, ...]) -> None:
    if stored.shape != shape:
        raise CheckpointError(
            f"{name} in the adapter {folder.name} has the wrong shape",
            got=str(list(stored.shape)),
            expected=str(list(shape)),
            next_step="name the model that it was trained on with --model; if its vocabulary was "
            "enlarged, that model as it was then.",
        )
    if stored.dtype not in FLOATS:
        raise CheckpointError(
            f"{name} in the adapter {folder.name} is quantized or not floating point",
            got=stored.dtype,
            expected="F64, F32, F16 or BF16",
            next_step="save the adapter again in one of these.",
        )


def _merged(
    folder: Path, name: str, parts: Mapping[str, StoredTensor], base: StoredTensor, scale: _Scale
) -> DecodedTensor:
    is_table = "lora_embedding_A" in parts
    names = ("lora_embedding_A", "lora_embedding_B") if is_table else ("lora_A", "lora_B")
    if set(parts) != set(names):
        raise CheckpointError(
            f"the adapter {folder.name} lacks a part",
            got=f"{', '.join(sorted(parts))} of {scale.module}",
            expected=" and ".join(names),
            next_step="download the adapter again.",
        )
    rank = scale.config.rank_of(scale.module)
    shape = _shape(name, scale.wanted)
    # A Linear's weight is (out, in); Conv1D's and a table's have the axes the other way round.
    turned = is_table or not (name in scale.wanted.linear or name == scale.wanted.head)
    outputs, inputs = (shape[1], shape[0]) if turned else (shape[0], shape[1])
    first, second = (parts[part] for part in names)
    _check_form(folder, f"{scale.module}.{names[0]}", first, (rank, inputs))
    _check_form(folder, f"{scale.module}.{names[1]}", second, (outputs, rank))
    add = partial(_add, scale=scale.config.scale_of(scale.module), turned=turned)
    sum_of = (base, first, second)
    return DecodedTensor(base.file, base.key, "F32", shape, parts=sum_of, decode=add)


def _add(tensors: Sequence[Tensor], scale: float, turned: bool) -> Tensor:
    """Return the weight with the product added, float32."""
    weight, first, second = (tensor.to(torch.float32) for tensor in tensors)
    product = second @ first
    return weight + (product.t() if turned else product) * scale


def _notice(folder: Path, found: _Found) -> str:
    whole = f" and {len(found.whole)} whole" if found.whole else ""
    return (
        f"The LoRA adapter {folder.name} was merged into {len(found.pairs)} weights{whole}, in "
        "float32. The tokenizer is the base model's."
    )
