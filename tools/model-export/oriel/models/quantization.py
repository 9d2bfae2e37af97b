"""A checkpoint's quantization, as its config.json names it: decoded while the tensors are read, or
refused with what decodes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from oriel.checkpoints.quantized import DECODERS
from oriel.checkpoints.tensors import StoredTensor
from oriel.contract.json_value import JsonObject
from oriel.errors import CheckpointError
from oriel.models.model_names import shown_name
from oriel.tokenizers.checkpoint_json import read_object

ENTRY = "quantization_config"
_LOAD = (
    "python -c \"from transformers import AutoModelForCausalLM as M{1}; f='{0}'; "
    "M.from_pretrained(f{2}).{3}save_pretrained(f + '-plain')\""
)
_COMMANDS = {
    "bitsandbytes": ("", "", "dequantize()."),
    "compressed-tensors": (
        ", CompressedTensorsConfig as C",
        ", quantization_config=C(run_compressed=False)",
        "",
    ),
    "mxfp4": (", Mxfp4Config as C", ", quantization_config=C(dequantize=True)", ""),
}
"""What transformers is called with to write the plain weights of a method."""


def quantization_of(folder: Path) -> JsonObject | None:
    """Return the settings, with their quant_method; None for a checkpoint of plain weights.
    CheckpointError for one of a method that isn't decoded."""
    said = read_object(folder / "config.json", shown_name(folder)).get(ENTRY)
    if said is None:
        return None
    method = said.get("quant_method") if isinstance(said, dict) else None
    if isinstance(said, dict) and isinstance(method, str) and method in DECODERS:
        return said
    raise CheckpointError(
        f"the checkpoint {shown_name(folder)} is quantized",
        got=str(method or ENTRY)[:60],
        expected=f"plain floating-point weights, or {', '.join(sorted(DECODERS))}",
        next_step=_next_step(folder, method),
    )


def _next_step(folder: Path, method: object) -> str:
    if not isinstance(method, str) or method not in _COMMANDS:
        return "export from the original checkpoint."
    command = _LOAD.format(folder, *_COMMANDS[method])
    return f"decode it where its library is installed, and export that folder: {command}"


def decoded(stored: Mapping[str, StoredTensor], folder: Path) -> dict[str, StoredTensor]:
    """Return the tensors of the plain model."""
    settings = quantization_of(folder)
    if settings is None:
        return dict(stored)
    return DECODERS[str(settings["quant_method"])](stored, settings)


def decoding_notice(folder: Path) -> str:
    """Return the notice that weights were decoded."""
    settings = quantization_of(folder) or {}
    return (
        f"The checkpoint's weights are quantized ({settings.get('quant_method')}) and were decoded "
        "to float32. Kernels that compute on the packed weights round differently."
    )
