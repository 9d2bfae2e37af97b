"""Search for the folder that --model names: the bundled model's, a local one, or one of the Hub.
hub.py asks the Hub and downloads."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from oriel.errors import CheckpointError, HubError, OptionError, first_few
from oriel.models.adapter_config import ADAPTER_CONFIG
from oriel.models.hub import DownloadDisplay, fetch_from_hub
from oriel.models.model_names import cached_model, folder_id, model_name, safe_name
from oriel.models.no_checkpoint import file_as_model, no_config

DEMO = "demo"
DEFAULT_HUB_MODEL = "gpt2"

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
    """Notice that the user must not miss: which model was taken in place of which."""
    adapter: Path | None = None
    """Folder of the LoRA adapter that is merged into it."""


def demo_folder() -> Path:
    """Return the bundled model's folder."""
    return Path(__file__).parent / "demo" / "weights"


def local_gpt2_folder() -> Path:
    """Return tools/model-export/models/gpt2, where a checkpoint may be put by hand."""
    return Path(__file__).resolve().parents[2] / "models" / "gpt2"


def find_checkpoint(
    model: str | None,
    revision: str | None = None,
    display: DownloadDisplay | None = None,
    with_weights: bool = True,
) -> FoundCheckpoint:
    """Resolve --model. Without one: the local gpt2 folder, else gpt2 from the Hub or its cache,
    else, with a note, the bundled model. A model named explicitly never turns into another.

    with_weights: False to download no weights of a model that is named.
    """
    if model is None:
        if revision is not None:
            raise OptionError(
                "--revision without --model",
                got=revision,
                next_step=f"name the model as well, such as --model {DEFAULT_HUB_MODEL}.",
            )
        return _default_checkpoint(display)
    folder = _as_folder(model)
    if (model == DEMO or folder is not None) and revision is not None:
        raise OptionError(
            "--revision is for models of the Hub",
            got=f"--model {model}, which is {'bundled' if model == DEMO else 'a local folder'}",
            next_step="leave --revision out.",
        )
    if model == DEMO:
        return _bundled()
    if folder is not None:
        return _local(folder, model)
    if not _is_hub_id(model):
        raise CheckpointError(
            "no such checkpoint",
            got=repr(model),
            expected="an existing folder, a Hub id such as org/name, or demo",
            next_step="check the path.",
        )
    return _from_hub(model, revision, display, with_weights)


def with_adapter(found: FoundCheckpoint, adapter: Path | None) -> FoundCheckpoint:
    """Return the same checkpoint with an adapter of a local folder, named after both."""
    if adapter is None:
        return found
    if not (adapter / ADAPTER_CONFIG).is_file():
        inner = sorted(file.parent.name for file in adapter.glob(f"*/{ADAPTER_CONFIG}"))
        raise CheckpointError(
            "--adapter names no adapter",
            got=f"{adapter}{f', with {first_few(inner)} inside' if inner else ''}",
            expected=f"a folder with {ADAPTER_CONFIG} and adapter_model.safetensors",
            next_step=f"name one, such as --adapter {shlex.quote(str(adapter / inner[-1]))}."
            if inner
            else "check the path.",
        )
    name = safe_name(f"{found.name}-{folder_id(adapter)}")
    return replace(found, name=name, adapter=adapter)


def _as_folder(model: str) -> Path | None:
    """Return the existing folder that a --model names, if it names one; CheckpointError for a
    file."""
    try:
        folder = Path(model).expanduser()
        if model and folder.is_dir():
            return folder
        is_file = bool(model) and folder.exists()
    except (OSError, RuntimeError, ValueError):
        # The name is too long, or that of an unknown user's home: it is no folder in any case.
        return None
    if is_file:
        raise file_as_model(folder)
    return None


def _default_checkpoint(display: DownloadDisplay | None) -> FoundCheckpoint:
    if local_gpt2_folder().is_dir():
        return _local(local_gpt2_folder(), str(local_gpt2_folder()))
    try:
        return _from_hub(DEFAULT_HUB_MODEL, None, display)
    except HubError as error:
        note = (
            f"This is NOT GPT-2: {error.what} ({error.got}), so the small bundled model was "
            f"exported in its place. For GPT-2, connect, or put its files in "
            f"tools/model-export/models/gpt2/, and run again. To choose the bundled model and "
            f"see no notice, say --model {DEMO}."
        )
        return replace(_bundled(), note=note)


def _bundled() -> FoundCheckpoint:
    return FoundCheckpoint(demo_folder(), DEMO, "bundled", DEMO)


def _local(folder: Path, model: str) -> FoundCheckpoint:
    """Return the checkpoint in a local folder; model: as the user typed it."""
    if not (folder / "config.json").is_file():
        raise no_config(folder, model, _is_hub_id(model))
    called = folder_id(folder)
    name = model_name(called, is_hub_id=cached_model(folder) is not None)
    return FoundCheckpoint(folder, name, "folder", called[:256] or name)


def _from_hub(
    model: str, revision: str | None, display: DownloadDisplay | None, with_weights: bool = True
) -> FoundCheckpoint:
    folder = fetch_from_hub(model, revision, display, with_weights)
    # A snapshot's folder is named by its commit.
    return FoundCheckpoint(folder, model_name(model, is_hub_id=True), "hub", model, folder.name)


def _is_hub_id(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)?", text, re.ASCII) is not None
