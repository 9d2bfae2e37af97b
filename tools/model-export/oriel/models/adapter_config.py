"""The adapter_config.json of a LoRA adapter, as PEFT writes it: what scales each product, and
whether the adapter is plain LoRA at all."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from oriel.contract.json_value import JsonObject, JsonValue
from oriel.errors import CheckpointError
from oriel.tokenizers.checkpoint_json import read_object

ADAPTER_CONFIG = "adapter_config.json"
_OF_PLAIN_LORA = frozenset(
    {
        *("alpha_pattern", "auto_mapping", "base_model_name_or_path", "bias", "corda_config"),
        *("ensure_weight_tying", "eva_config", "exclude_modules", "fan_in_fan_out"),
        *("inference_mode", "init_lora_weights", "layers_pattern", "layers_to_transform"),
        *("loftq_config", "lora_alpha", "lora_dropout", "lora_ga_config", "megatron_config"),
        *("megatron_core", "modules_to_save", "peft_type", "peft_version", "qalora_group_size"),
        *("r", "rank_pattern", "revision", "runtime_config", "target_modules", "task_type"),
        "use_rslora",
    }
)
"""Entries that change nothing of the sum W + scale * B @ A but its scale, or that only say how
training began. Any other entry that is set asks for more."""
_OF_ANOTHER_BASE = re.compile(r"(pissa|corda|olora|mica|loftq|lora_ga)", re.IGNORECASE)
"""Initializations that change the base model's own weights."""
_PATTERN = re.compile(r"\^?[\w.]+")
_MAX_RANK = 2**20


@dataclass(frozen=True)
class AdapterConfig:
    """The settings of a plain LoRA adapter."""

    rank: int
    alpha: float
    by_root: bool
    """True if alpha is divided by the root of the rank (rsLoRA), and not by the rank."""
    ranks: Mapping[str, float]
    alphas: Mapping[str, float]
    """{end of a module's name: value} of modules with their own."""
    saved_modules: tuple[str, ...]
    """Ends of the names of modules that were trained as a whole, in copies of their own."""
    keeps_ties: bool
    """True if copies of tied modules are tied to each other."""

    def rank_of(self, module: str) -> int:
        return int(_own(self.ranks, module, self.rank))

    def scale_of(self, module: str) -> float:
        """Return what B @ A is multiplied with (Hu et al., 2021, section 4.1; Kalajdzievski, 2023,
        for the root)."""
        rank = self.rank_of(module)
        alpha = _own(self.alphas, module, self.alpha)
        return alpha / math.sqrt(rank) if self.by_root else alpha / rank


def _own(values: Mapping[str, float], module: str, default: float) -> float:
    for pattern, value in values.items():
        name = pattern.removeprefix("^")
        is_end = not pattern.startswith("^") and module.endswith(f".{name}")
        if module == name or is_end:
            return value
    return default


def read_adapter_config(folder: Path) -> AdapterConfig:
    """Read the config; CheckpointError for an adapter that isn't plain LoRA."""
    said = read_object(folder / ADAPTER_CONFIG)
    kind = said.get("peft_type")
    if kind != "LORA":
        raise _not_plain(folder, f"peft_type {kind!r}")
    for name, value in sorted(said.items()):
        if name not in _OF_PLAIN_LORA and value not in (None, False, [], {}, ""):
            raise _not_plain(folder, f"{name}: {value!r}"[:80])
    start = said.get("init_lora_weights")
    if isinstance(start, str) and _OF_ANOTHER_BASE.match(start):
        raise _not_plain(folder, f"init_lora_weights: {start!r}, which changes the base model")
    rank, alpha = said.get("r"), said.get("lora_alpha")
    if isinstance(rank, bool) or not isinstance(rank, int) or not 1 <= rank <= _MAX_RANK:
        raise _unreadable("r", rank)
    saved = said.get("modules_to_save") or []
    if not isinstance(saved, list):
        raise _unreadable("modules_to_save", saved)
    return AdapterConfig(
        rank,
        _number("lora_alpha", alpha),
        bool(said.get("use_rslora")),
        _pattern(said, "rank_pattern"),
        _pattern(said, "alpha_pattern"),
        tuple(map(str, saved)),
        bool(said.get("ensure_weight_tying")),
    )


def _number(name: str, value: JsonValue) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise _unreadable(name, value)
    return value


def _pattern(said: JsonObject, name: str) -> dict[str, float]:
    """Return a pattern's values. Regular expressions beyond the end of a module's name are not run:
    a stranger's may take forever."""
    given = said.get(name) or {}
    if not isinstance(given, dict):
        raise _unreadable(name, given)
    for key, value in given.items():
        if not _PATTERN.fullmatch(key) or (name == "rank_pattern" and _number(name, value) < 1):
            raise _unreadable(name, key)
    return {key: _number(name, value) for key, value in given.items()}


def _not_plain(folder: Path, got: str) -> CheckpointError:
    return CheckpointError(
        f"the adapter {folder.name} isn't plain LoRA",
        got=got,
        expected="W + scale * B @ A, and no more",
        next_step="merge it with PEFT where it was trained, model.merge_and_unload()."
        "save_pretrained(FOLDER), and export that folder.",
    )


def _unreadable(name: str, got: JsonValue) -> CheckpointError:
    return CheckpointError(
        f"the adapter's {name} can't be read",
        got=repr(got)[:80],
        next_step=f"correct it in {ADAPTER_CONFIG}, or download the adapter again.",
    )
