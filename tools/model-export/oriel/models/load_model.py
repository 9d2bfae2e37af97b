"""From --model to a LoadedModel: config, sizes, tensors and tokenizer files, all checked, nothing
run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oriel.contract.activation_names import ModelShape
from oriel.errors import ArchitectureError, CheckpointError
from oriel.models.architectures import Architecture, find_architecture
from oriel.models.checkpoint import Checkpoint, open_checkpoint, read_json, weight_files
from oriel.models.find_checkpoint import FoundCheckpoint

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


@dataclass(frozen=True)
class LoadedModel:
    """A checkpoint that fits its config. Weights stay on disk until they are read."""

    source: FoundCheckpoint
    config: Any
    architecture: Architecture
    shape: ModelShape
    checkpoint: Checkpoint

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def tokenizer_files(self) -> list[Path]:
        """tokenizer.json and its config, or nothing where the checkpoint lacks one of them."""
        files = [self.source.folder / name for name in TOKENIZER_FILES]
        return files if all(file.is_file() for file in files) else []

    @property
    def tied_embeddings(self) -> bool:
        return bool(getattr(self.config, "tie_word_embeddings", False))


def load_config(folder: Path) -> tuple[Any, Architecture, ModelShape]:
    """The config, its architecture and its sizes; CheckpointError where they contradict
    themselves."""
    from transformers import AutoConfig

    raw = read_json(folder / "config.json")
    model_type = raw.get("model_type")
    if not isinstance(model_type, str):
        raise CheckpointError(
            f"config.json in {folder.name} names no architecture",
            expected="a model_type",
            next_step="download the checkpoint again.",
        )
    architecture = find_architecture(model_type)
    try:
        # Checkpoints of one model_type may still want code of their own; that is never run.
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        architecture.check_config(config)
        shape = architecture.shape(config)
    except ArchitectureError:
        raise
    except Exception as error:  # noqa: BLE001 - a stranger's config fails in any class
        raise CheckpointError(
            f"config.json in {folder.name} doesn't make a model",
            got=" ".join(str(error).split())[:200],
            next_step="download the checkpoint again.",
        ) from error
    _check_sizes(shape, folder)
    return config, architecture, shape


def _check_sizes(shape: ModelShape, folder: Path) -> None:
    sizes: dict[str, Any] = dict(shape.to_json())
    for name, size in sizes.items():
        if name != "parallel_residual" and (not isinstance(size, int) or size < 1):
            raise CheckpointError(
                f"config.json in {folder.name} gives a size that can't be",
                got=f"{name} {size!r}",
                expected="a whole number of 1 or more",
            )
    if shape.heads % shape.kv_heads:
        raise CheckpointError(
            f"config.json in {folder.name} contradicts itself",
            got=f"{shape.heads} heads over {shape.kv_heads} key heads",
            expected="a multiple",
        )


def load_model(found: FoundCheckpoint) -> LoadedModel:
    """Read the config, and match every tensor of the checkpoint to a parameter of the model."""
    from oriel.models.parameters import expected_parameters

    weight_files(found.folder)
    config, architecture, shape = load_config(found.folder)
    try:
        expected = expected_parameters(config, architecture)
    except (ValueError, RuntimeError, TypeError, KeyError) as error:
        raise CheckpointError(
            f"config.json in {found.folder.name} doesn't make a model",
            got=" ".join(str(error).split())[:200],
            next_step="download the checkpoint again.",
        ) from error
    checkpoint = open_checkpoint(
        found.folder, expected, architecture.base_prefix, architecture.ignored_weights
    )
    return LoadedModel(found, config, architecture, shape, checkpoint)
