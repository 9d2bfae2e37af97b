"""Compare dictionaries that oriel add-dictionary converts with SAELens' own of the same folders,
and print the largest differences of features and of what they rebuild, as shares of the largest.

For each architecture that is supported it makes a SAELens dictionary of seeded random weights,
saves it with save_model, opens the folder with load_from_disk, and converts the folder. It exits
with 1 where a feature fires in one and not in the other, or a value differs by more than 1e-5. It
passed with sae-lens 6.54.12 and transformer-lens 3.2.1, with differences of at most 4e-7.

python -m venv VENV && VENV/bin/pip install sae-lens && PYTHONPATH=tools/model-export \
    VENV/bin/python benchmarks/peer/sae_lens_features.py
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sae_lens import SAE
from sae_lens.registry import get_sae_class
from sae_lens.saes.sae import SAEMetadata

from oriel.contract.activation_names import ModelShape
from oriel.dictionaries.dictionary_file import parse_dictionary
from oriel.dictionary_layouts import find_layout
from oriel.dictionary_layouts.layout import Request

WIDTH, HEADS, FEATURES, TOKENS = 24, 3, 61, 500
SHAPE = ModelShape(4, WIDTH, HEADS, HEADS, WIDTH // HEADS, 52, 101, 32)
WEIGHTS = "sha256:" + "0" * 64
STREAM, HEAD_MIX = "blocks.1.hook_resid_pre", "blocks.2.attn.hook_z"


@dataclass(frozen=True)
class Case:
    """A dictionary of SAELens: its architecture, and settings that aren't its defaults."""

    architecture: str
    settings: dict[str, Any] = field(default_factory=dict)
    hook: str = STREAM
    dtype: str = "float32"
    centered: bool = False
    factor: float | None = None
    """Number that activations were multiplied with, in activation_scaler.json as in checkpoints."""


CASES = (
    Case("standard"),
    Case("standard", {"apply_b_dec_to_input": False}),
    Case("standard", {"reshape_activations": "hook_z"}, HEAD_MIX),
    Case("standard", centered=True),
    Case("standard", dtype="float16"),
    Case("standard", dtype="bfloat16"),
    Case("jumprelu"),
    Case("jumprelu", {"apply_b_dec_to_input": False}),
    Case("jumprelu", {"normalize_activations": "expected_average_only_in"}, factor=1.7),
    Case("topk", {"k": 7}),
    Case("topk", {"k": 7, "rescale_acts_by_decoder_norm": True}),
    Case("gated"),
    Case("transcoder", {"d_out": WIDTH, "apply_b_dec_to_input": False}),
    Case("jumprelu_transcoder", {"d_out": WIDTH, "apply_b_dec_to_input": False}),
)


def saved(case: Case, folder: Path) -> None:
    """Save a dictionary of random weights, every tensor filled."""
    sae_class, config_class = get_sae_class(case.architecture)
    named = {"model_name": "tiny", "hook_name": case.hook}
    if "transcoder" in case.architecture:
        named["hook_name_out"] = "blocks.1.hook_mlp_out"
    if case.centered:
        named["model_from_pretrained_kwargs"] = {"center_writing_weights": True}
    config = config_class(d_in=WIDTH, d_sae=FEATURES, dtype=case.dtype, **case.settings)
    config.metadata = SAEMetadata(**named)
    sae = sae_class(config)
    generator = torch.Generator().manual_seed(CASES.index(case))
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
    sae.save_model(folder)
    if case.factor is not None:
        (folder / "activation_scaler.json").write_text(json.dumps({"scaling_factor": case.factor}))


def theirs(case: Case, folder: Path, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return SAELens' features and what they rebuild, in float32."""
    sae = SAE.load_from_disk(folder, dtype="float32")
    if case.factor is not None:
        sae.fold_activation_norm_scaling_factor(case.factor)
    given = rows - rows.mean(-1, keepdim=True) if case.centered else rows
    if case.hook == HEAD_MIX:
        given = given.reshape(-1, HEADS, WIDTH // HEADS)
    with torch.no_grad():
        features = sae.encode(given)
        return features, sae.decode(features).reshape(len(rows), -1)


def differences(case: Case, folder: Path) -> tuple[float, float, float]:
    """Return the share of features that fire in one alone, and the largest differences of features
    and of rebuilt rows, as shares of the largest."""
    saved(case, folder)
    rows = torch.randn(TOKENS, WIDTH, generator=torch.Generator().manual_seed(99)) + 0.3
    features, rebuilt = (each.numpy() for each in theirs(case, folder, rows))
    request = Request(folder, SHAPE, WEIGHTS)
    data = find_layout(folder).file_bytes(request)
    dictionary = parse_dictionary(data, folder, SHAPE, WEIGHTS)
    ours = dictionary.features(rows.numpy())
    return (
        float(((ours > 0) != (features > 0)).mean()),
        float(np.abs(ours - features).max() / np.abs(features).max()),
        float(np.abs(dictionary.rebuild(ours) - rebuilt).max() / np.abs(rebuilt).max()),
    )


def main() -> int:
    worst = 0.0
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            found = differences(case, Path(folder) / "sae")
        worst = max(worst, *found)
        name = f"{case.architecture} {case.settings or ''} {case.dtype} {case.hook}"
        print(f"{name}{' centered' if case.centered else ''}")
        print("  fire in one alone {:.1e}, features {:.1e}, rebuilt rows {:.1e}".format(*found))
    return 0 if worst <= 1e-5 else 1


if __name__ == "__main__":
    sys.exit(main())
