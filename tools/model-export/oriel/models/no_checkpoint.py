"""Errors where no checkpoint was found: they say what the file, folder or repository holds instead,
and the one step that makes a checkpoint of it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from oriel.contract.json_value import (
    JsonObject,
    JsonValue,
)
from oriel.contract.manifest import FORMAT, MANIFEST
from oriel.errors import CheckpointError, first_few
from oriel.models.adapter_config import ADAPTER_CONFIG
from oriel.models.model_names import cached_model, shown_name

CONFIG = "config.json"
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_INDICES = tuple(f"{name}.index.json" for name in _WEIGHTS)
_MERGE = (
    'python -c "from peft import AutoPeftModelForCausalLM as M; '
    "f='{0}'; M.from_pretrained(f).merge_and_unload().save_pretrained(f + '-merged')\""
)
_SHARD = re.compile(r"(model|pytorch_model)-\d+-of-\d+\.(safetensors|bin)")
_STEP = re.compile(r"(?:checkpoint|ckpt|epoch|step|global_step)[-_.]?\d+")
"""Folders that training programs save on the way."""
_OTHER_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
_BESIDE_WEIGHTS = re.compile(
    r"(training_args|optimizer|scheduler|rng_state.*|scaler)\.(bin|pt|pth)"
)
_FORMATS = {
    ".gguf": ("a GGUF file, {0}", "whose weights are llama.cpp's own"),
    ".ggml": ("a GGML file, {0}", "whose weights are llama.cpp's own"),
    ".onnx": ("an ONNX graph, {0}", "which holds no checkpoint any more"),
    ".h5": ("TensorFlow weights, {0}", ""),
    ".msgpack": ("Flax weights, {0}", ""),
    ".tflite": ("a TensorFlow Lite graph, {0}", "which holds no checkpoint any more"),
    ".mlmodel": ("a Core ML model, {0}", "which holds no checkpoint any more"),
}
_ORIGINAL = "name the checkpoint that it was made of, a folder with config.json and safetensors."
_STEPS = {
    ".h5": "convert it: load it with transformers 4 and from_tf=True, and save_pretrained.",
    ".msgpack": "convert it: load it with transformers 4 and from_flax=True, and save_pretrained.",
}

Description = tuple[str, str]
"""A description of what is there, and the next step."""


def file_as_model(file: Path) -> CheckpointError:
    """Return the error for a --model that is a file."""
    folder = shlex.quote(str(file.parent))
    expected = "a folder with config.json and weights, a Hub id, or demo"
    described = _format_of(file.name, _start_of(file))
    if described is not None:
        got, step = described
    elif (file.parent / CONFIG).is_file():
        got, step = str(file), f"name the folder that holds it: --model {folder}."
    elif file.suffix in _OTHER_WEIGHTS:
        got = f"{file}, weights without a config.json beside them"
        step = "put the model's config.json beside them, and name the folder."
    else:
        got, step = str(file), "name the folder that holds it."
    return CheckpointError("--model is a file", got=got, expected=expected, next_step=step)


def no_config(folder: Path, model: str, is_hub_id: bool) -> CheckpointError:
    """Return the error for a folder without config.json. model: as the user typed it; is_hub_id:
    True if the Hub may have a model of that name."""
    names = _names(folder)
    described = _in_place_of_checkpoint(names, folder)
    weights = [name for name in names if name in (*_WEIGHTS, *_INDICES) or _SHARD.fullmatch(name)]
    if described is None and weights:
        described = (
            f"{weights[0]} without config.json",
            "copy config.json there from the model that it was trained from.",
        )
    if described is None and is_hub_id and "/" not in model:
        return CheckpointError(
            f"a local folder hides the Hub's {model}, and is no checkpoint itself",
            got=f"{folder.resolve()} without config.json",
            expected="a checkpoint there, or no such folder",
            next_step="rename that folder, or run the command from another one, to get the Hub's.",
        )
    got, step = (
        described
        or _other_weights(names)
        or (
            f"{first_few(names)}, and no config.json" if names else "an empty folder",
            "put the whole checkpoint there, or name another one with --model.",
        )
    )
    if described is None and is_hub_id:
        step = f"{step.rstrip('.')}; for the Hub's {model}, run the command from another folder."
    return CheckpointError(
        f"no checkpoint in {folder}",
        got=got,
        expected="config.json beside model.safetensors or pytorch_model.bin",
        next_step=step,
    )


def no_weights(folder: Path) -> CheckpointError:
    """Return the error for a folder with a config.json and no weights of a known name."""
    names = _names(folder)
    got, step = (
        _in_place_of_checkpoint(names, folder)
        or _other_weights(names)
        or (None, "put the checkpoint's weights there, or name another one with --model.")
    )
    return CheckpointError(
        f"no weights in {folder}",
        got=got,
        expected=f"{_WEIGHTS[0]} or {_WEIGHTS[1]}, or their .index.json with shards",
        next_step=step,
    )


def describe_repository(names: Sequence[str]) -> Description | None:
    """Describe what a repository of the Hub holds in place of a checkpoint, by its files' names."""
    return _in_place_of_checkpoint(sorted(names), None) or _other_weights(sorted(names))


def adapter_beside(folder: Path) -> str | None:
    """Return a notice about an adapter that lies beside a whole model, if there is one."""
    if not (folder / ADAPTER_CONFIG).is_file():
        return None
    return (
        f"An adapter lies beside the model in {shown_name(folder)} ({ADAPTER_CONFIG}); it was not "
        "applied, the whole model was exported. To export a model with an adapter, say --adapter "
        f"{shlex.quote(str(folder))}; where it isn't plain LoRA, merge them first: "
        f"{_MERGE.format(folder)}, and export that folder."
    )


def checkpoints_beside(folder: Path) -> str | None:
    """Return a notice about the steps that a training program saved inside a model's folder, if
    there are any: the folder's own weights were taken."""
    inner = [name for name in _checkpoints_in(folder, _names(folder)) if _STEP.fullmatch(name)]
    if not inner:
        return None
    last = shlex.quote(str(folder / inner[-1]))
    return (
        f"{shown_name(folder)} holds the training's steps {first_few(inner)} beside its own "
        f"weights; its own were taken. For another, name it: --model {last}."
    )


def _names(folder: Path) -> list[str]:
    with suppress(OSError):
        return sorted(path.name for path in folder.iterdir())
    return []


def _in_place_of_checkpoint(names: Sequence[str], folder: Path | None) -> Description | None:
    """Describe what the folder holds in place of a checkpoint; the surest signs are tried first."""
    found = set(names)
    dangling = [n for n in names if folder is not None and _leads_nowhere(folder / n)]
    if folder is not None and dangling:
        model = cached_model(folder)
        place = (folder / dangling[0]).readlink().name[:12]
        return (
            f"{dangling[0]}, a link to a file that is gone ({place}…)",
            f"download it again: hf download {model}."
            if model
            else "copy the files themselves there.",
        )
    if ADAPTER_CONFIG in found or "adapter_model.safetensors" in found:
        base = _base_of(folder)
        return (
            f"an adapter{f' ({base[1]}) of {base[0]}' if base else ''}, which is no whole model",
            _with_adapter(folder, base),
        )
    if folder is not None and _json(folder / MANIFEST).get("format") == FORMAT:
        return "a bundle that was exported already", _ORIGINAL
    inner = [] if folder is None else _checkpoints_in(folder, names)
    if folder is not None and inner:
        shown = ", ".join(inner[:3]) + (" and more" if len(inner) > 3 else "")
        return (
            f"folders with checkpoints: {shown}",
            f"name one, such as --model {shlex.quote(str(folder / inner[-1]))}.",
        )
    if "model_index.json" in found:
        return "a diffusers pipeline", "name a language model with --model."
    if "zero_to_fp32.py" in found or any(re.fullmatch(r"global_step\d+", n) for n in names):
        return (
            "a DeepSpeed checkpoint in parts",
            "run `python zero_to_fp32.py . merged` in it, and export the folder merged with its "
            "config.json.",
        )
    if any(name.endswith(".distcp") or name.startswith("pytorch_model_fsdp") for name in names):
        return "an FSDP checkpoint in parts", "join them with `accelerate merge-weights`."
    if any(re.fullmatch(r"consolidated\.\d+\.pth", name) for name in names):
        return (
            "Llama's weights as Meta gave them out, consolidated.*.pth",
            "convert them with transformers' convert_llama_weights_to_hf.py.",
        )
    formats = [described for name in names if (described := _format_of(name, b""))]
    return formats[0] if formats else None


def _other_weights(names: Sequence[str]) -> Description | None:
    shards = [name for name in names if _SHARD.fullmatch(name)]
    if shards:
        stem, suffix = re.sub(r"-\d+-of-\d+", "", shards[0]), shards[0]
        return (
            f"{len(shards)} shards such as {suffix}, and no index of them",
            f"put {stem}.index.json there, which came with them.",
        )
    other = [
        name
        for name in names
        if name.endswith(_OTHER_WEIGHTS)
        and name not in _WEIGHTS
        and not _BESIDE_WEIGHTS.fullmatch(name)
    ]
    if not other:
        return None
    suitable = _WEIGHTS[0] if other[0].endswith(".safetensors") else _WEIGHTS[1]
    return other[0], f"if it holds the whole model's state dict, rename it to {suitable}."


def _format_of(name: str, start: bytes) -> Description | None:
    """Describe a file of weights that needs a conversion to become a checkpoint, if it is one."""
    suffix = ".gguf" if start.startswith(b"GGUF") else Path(name).suffix.lower()
    if suffix not in _FORMATS or name.startswith("."):
        return None
    what, why = _FORMATS[suffix]
    return f"{what.format(name)}{', ' if why else ''}{why}", _STEPS.get(suffix, _ORIGINAL)


def _start_of(file: Path) -> bytes:
    with suppress(OSError), file.open("rb") as opened:
        return opened.read(4)
    return b""


def _leads_nowhere(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def _checkpoints_in(folder: Path, names: Sequence[str]) -> list[str]:
    """Return the inner folders that are checkpoints, those of later steps last; snapshots of a
    cache too."""
    inner = [name for name in names if (folder / name / CONFIG).is_file()]
    if not inner and (folder / "snapshots").is_dir():
        inner = [f"snapshots/{name}" for name in _names(folder / "snapshots")]
    return sorted(inner, key=lambda n: [int(d) for d in re.findall(r"\d{1,9}", n)][-1:])


def _base_of(folder: Path | None) -> tuple[str, str] | None:
    """Return the base model of an adapter and the adapter's kind, if they are known."""
    said = {} if folder is None else _json(folder / ADAPTER_CONFIG)
    base, kind = said.get("base_model_name_or_path"), said.get("peft_type")
    return (base[:100], str(kind or "PEFT")[:20]) if isinstance(base, str) and base else None


def _with_adapter(folder: Path | None, base: tuple[str, str] | None) -> str:
    """Return the step that exports an adapter with its base model."""
    place = "FOLDER" if folder is None else shlex.quote(str(folder))
    if base is None or base[1] == "LORA":
        model = shlex.quote(base[0]) if base else "BASE"
        return f"name its base model, and it as the adapter: --model {model} --adapter {place}."
    return f"merge it: {_MERGE.format(folder or 'ADAPTER')}, and export that folder."


def _json(file: Path) -> JsonObject:
    with suppress(OSError, ValueError, RecursionError):
        loaded: JsonValue = json.loads(file.read_text(encoding="utf-8-sig"))
        if isinstance(loaded, dict):
            return loaded
    return {}
