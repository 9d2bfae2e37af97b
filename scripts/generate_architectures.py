"""Writes the table of docs/architectures.md: what was compared with transformers for each
architecture, and which settings are refused. The tests' own lists are its source.

    .venv/bin/python scripts/generate_architectures.py [--check]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "python"))

from architecture_variants import REFUSED, VARIANTS, Variant  # noqa: E402

from oriel.contract.activation_names import ModelShape  # noqa: E402
from oriel.models.architectures import REGISTRY, Architecture  # noqa: E402

DOCUMENT = ROOT / "docs" / "architectures.md"
START, END = "<!-- table: generated -->", "<!-- end -->"


def main(argv: list[str] | None = None) -> int:
    """Write the table, or with --check return 1 if it is not the one in the document."""
    parser = argparse.ArgumentParser(description="Write the table of docs/architectures.md.")
    parser.add_argument("--check", action="store_true", help="only compare")
    only_compare = parser.parse_args(argv).check
    old = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = old.partition(START)
    _, _, after = rest.partition(END)
    new = f"{before}{START}\n{table()}{END}{after}"
    if only_compare:
        return int(new != old)
    DOCUMENT.write_text(new, encoding="utf-8")
    return 0


def table() -> str:
    """Return the rows in Markdown, sorted by model_type."""
    lines = [
        "| model_type | heads | tested with | blocks | refused |",
        "|---|---|---|---|---|",
    ]
    for model_type, architecture in sorted(REGISTRY.items()):
        variants = [v for v in VARIANTS.values() if v.config().model_type == model_type]
        tested = "; ".join(_settings(variant) for variant in variants)
        shapes = [architecture.shape(variant.config()) for variant in variants]
        told = [said for v, said in REFUSED if v.config().model_type == model_type]
        refused = ", ".join(f"`{said}`" for said in dict.fromkeys(told))
        heads = _heads(architecture, shapes)
        lines.append(f"| `{model_type}` | {heads} | {tested} | {_blocks(shapes)} | {refused} |")
    return "\n".join(lines) + "\n"


def _heads(architecture: Architecture, shapes: list[ModelShape]) -> str:
    """Return the heads with which such a checkpoint is read."""
    both_ways = any(shape.bidirectional for shape in shapes)
    labels = [
        "labels of tokens" if head.pools is None else "labels of texts"
        for head in architecture.classifiers
    ]
    return ", ".join(["masked LM" if both_ways else "causal LM", *labels])


def _settings(variant: Variant) -> str:
    """Return the settings of a tiny config that aren't transformers' defaults."""
    if not variant.settings:
        return "defaults"
    return ", ".join(f"`{name}={_value(value)}`" for name, value in variant.settings.items())


def _value(value: object) -> str:
    return str(value).replace("'", "").replace("|", "\\|")


def _blocks(shapes: list[ModelShape]) -> str:
    """Return the properties that the contract's sizes have for any of these models."""
    found = [
        ("bidirectional", any(shape.bidirectional for shape in shapes)),
        ("norms in the stream", any(shape.post_norm for shape in shapes)),
        ("segments", any(shape.token_types for shape in shapes)),
        ("parallel", any(shape.parallel_residual for shape in shapes)),
        ("gated MLP", any(shape.gated_mlp for shape in shapes)),
        ("raw outputs", any(shape.raw_outputs for shape in shapes)),
        ("window", any(shape.window for shape in shapes)),
        ("windows by layer", any(sizes.window for shape in shapes for sizes in shape.layer_sizes)),
        ("experts", any(shape.experts for shape in shapes)),
        ("one MLP in some layers", any(_is_mixed(shape) for shape in shapes)),
    ]
    return ", ".join(name for name, has in found if has)


def _is_mixed(shape: ModelShape) -> bool:
    """Return whether some layers have experts and others one MLP."""
    return len({shape.at(layer).experts > 0 for layer in range(shape.layers)}) == 2


if __name__ == "__main__":
    sys.exit(main())
