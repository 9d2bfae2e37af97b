"""Which folder a --model stands for: the bundled model, a local folder, or the Hub's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from oriel.errors import CheckpointError, HubError

DEMO = "demo"
DEFAULT_HUB_MODEL = "gpt2"
HUB_TIMEOUT_S = 4.0
_WANTED = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")

SourceKind = Literal["hub", "folder", "bundled"]


@dataclass(frozen=True)
class FoundCheckpoint:
    """A folder with a checkpoint, and where it came from."""

    folder: Path
    name: str
    kind: SourceKind
    id: str
    revision: str | None = None
    note: str | None = None
    """Something the user must not miss: what was taken instead of what."""


def demo_folder() -> Path:
    """The bundled model's folder."""
    return Path(__file__).parent / "demo" / "weights"


def local_gpt2_folder() -> Path:
    """tools/model-export/models/gpt2, where a checkpoint may be put by hand."""
    return Path(__file__).resolve().parents[2] / "models" / "gpt2"


def find_checkpoint(model: str | None, revision: str | None = None) -> FoundCheckpoint:
    """Resolve --model. Without one: the local gpt2 folder, else gpt2 from the Hub or its cache,
    else, with a note, the bundled model. A model named explicitly never turns into another."""
    if model is None:
        return _default_checkpoint(revision)
    if model == DEMO:
        return _bundled()
    folder = Path(model).expanduser()
    if folder.is_dir():
        return _local(folder)
    if folder.exists():
        raise CheckpointError(
            "--model is a file",
            got=model,
            expected="a folder with config.json and weights, a Hub id, or demo",
            next_step="name the folder that holds it.",
        )
    if not _is_hub_id(model):
        raise CheckpointError(
            "no such checkpoint",
            got=model,
            expected="an existing folder, a Hub id such as org/name, or demo",
            next_step="check the path.",
        )
    return _from_hub(model, revision)


def _default_checkpoint(revision: str | None) -> FoundCheckpoint:
    if local_gpt2_folder().is_dir():
        return _local(local_gpt2_folder())
    try:
        return _from_hub(DEFAULT_HUB_MODEL, revision)
    except HubError as error:
        note = (
            f"{DEFAULT_HUB_MODEL} could not be had from the Hub ({error.got}); "
            "this is the small bundled model instead. For GPT-2, connect, or put its files in "
            "tools/model-export/models/gpt2/, and run again."
        )
        demo = _bundled()
        return FoundCheckpoint(demo.folder, demo.name, demo.kind, demo.id, note=note)


def _bundled() -> FoundCheckpoint:
    return FoundCheckpoint(demo_folder(), DEMO, "bundled", DEMO)


def _local(folder: Path) -> FoundCheckpoint:
    if not (folder / "config.json").is_file():
        raise CheckpointError(
            f"no checkpoint in {folder}",
            got="no config.json",
            expected="config.json beside model.safetensors or pytorch_model.bin",
            next_step="put the whole checkpoint there, or name another folder with --model.",
        )
    name = safe_name(folder.resolve().name)
    return FoundCheckpoint(folder, name, "folder", folder.resolve().name)


def safe_name(text: str) -> str:
    """A folder name and URL part for a model: letters, digits, '.', '_' and '-'."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "model"


def _is_hub_id(text: str) -> bool:
    return re.fullmatch(r"[\w][\w.-]*(/[\w][\w.-]*)?", text) is not None


def _from_hub(model: str, revision: str | None) -> FoundCheckpoint:
    """A snapshot in the Hub's own cache; the Hub is asked first, for a few seconds at most."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    unreachable: str | None = None
    patterns = [*_WANTED, "*.safetensors", "*.safetensors.index.json"]
    try:
        info = HfApi().model_info(model, revision=revision, timeout=HUB_TIMEOUT_S)
        names = [s.rfilename for s in info.siblings or []]
        if not any(n.endswith(".safetensors") and "/" not in n for n in names):
            patterns += ["pytorch_model*.bin", "pytorch_model.bin.index.json"]
        top = [n for n in names if "/" not in n and any(Path(n).match(p) for p in patterns)]
        folder = snapshot_download(model, revision=info.sha, allow_patterns=top)
        return FoundCheckpoint(
            Path(folder), safe_name(model.rpartition("/")[2]), "hub", model, info.sha
        )
    except (RepositoryNotFoundError, RevisionNotFoundError, GatedRepoError) as error:
        raise HubError(
            f"the Hub doesn't give out {model}",
            got=type(error).__name__.removesuffix("Error"),
            expected="a public model, or one your token may read",
            next_step="check --model, --revision and `hf auth login`.",
        ) from error
    except HFValidationError as error:
        raise CheckpointError("not a Hub id", got=model, next_step="check --model.") from error
    except Exception as error:  # noqa: BLE001 - no connection shows in a dozen classes of two libraries
        unreachable = type(error).__name__
    try:
        cached = snapshot_download(
            model, revision=revision, local_files_only=True, allow_patterns=patterns
        )
    except (LocalEntryNotFoundError, OSError, ValueError) as error:
        raise HubError(
            f"{model} is not in the local cache and the Hub can't be reached",
            got=unreachable,
            expected="a connection, or a local folder",
            next_step="connect, name a folder with --model, or use --model demo.",
        ) from error
    revision_found = Path(cached).name
    name = safe_name(model.rpartition("/")[2])
    return FoundCheckpoint(Path(cached), name, "hub", model, revision_found)
