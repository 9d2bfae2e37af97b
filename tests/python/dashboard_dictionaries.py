"""Random dictionaries for tests: their arrays by a seed, and a bundle that gets them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from oriel.arrays import Array
from oriel.contract.manifest import read_manifest
from oriel.dictionaries.bundle_dictionaries import add_dictionary
from oriel.dictionaries.dictionary_file import dictionary_bytes, parse_dictionary

_WIDTHS = {"mlp_act": 52}
"""Numbers of an activation at a token in the tiny GPT-2 of dashboards, where they aren't 24."""


def random_arrays(
    *,
    seed: int,
    reads: tuple[str, int],
    writes: tuple[str, int],
    features: int,
    activation: str = "relu",
    k: int | None = None,
) -> dict[str, Array]:
    """Return a dictionary's tensors, float32; every fifth feature is dead. reads, writes: kind and
    layer. k: of topk, which changes no tensor."""
    draw = np.random.default_rng(seed)
    width_in, width_out = (_WIDTHS.get(kind, 24) for kind, _ in (reads, writes))
    made = {
        "encoder_weight": draw.normal(size=(width_in, features)),
        "encoder_bias": np.where(
            np.arange(features) % 5 == 4, -1e3, draw.normal(size=features) / 9
        ),
        "decoder_weight": draw.normal(size=(features, width_out)),
        "decoder_bias": draw.normal(size=width_out),
    }
    if activation == "jumprelu":
        made["threshold"] = draw.uniform(0.01, 0.1, size=features)
    return {name: np.asarray(values, dtype=np.float32) for name, values in made.items()}


def add_random(bundle: Path, name: str, **form: Any) -> None:
    """Add a dictionary of `random_arrays` of these arguments to a bundle."""
    manifest = read_manifest(bundle)
    weights, shape = manifest.data["model"]["weights_digest"], manifest.shape
    reads, writes = (
        {"kind": kind, "layer": layer} for kind, layer in (form["reads"], form["writes"])
    )
    description: Any = {
        "kind": "sae" if reads == writes else "transcoder",
        "weights": weights,
        "reads": reads,
        "writes": writes,
        "features": form["features"],
        "activation": form.get("activation", "relu"),
        "source": "random numbers",
        **({"k": form["k"]} if "k" in form else {}),
    }
    data = dictionary_bytes(description, random_arrays(**form))
    add_dictionary(bundle, parse_dictionary(data, Path(name), shape, weights), name)
