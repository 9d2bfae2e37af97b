"""Names and shapes of the inputs and outputs of attribution taps, from the contract's table. The
same on the page: apps/web/src/contract/attribution_table.ts."""

from __future__ import annotations

from functools import cache

from oriel.contract.activation_names import ModelShape, TensorSpec, contract_table
from oriel.contract.data_files import AttributionPart

TOKENS, SIGNS = "attribution/tokens", "attribution/signs"
"""Names of the inputs. TOKENS: (tokens), int64, token ids. SIGNS: (tokens, directions), float32,
the factor of each token's logit in each direction."""


@cache
def attribution_inputs() -> tuple[TensorSpec, ...]:
    """Return the specifications of the inputs, which the model's tap declares."""
    rows = contract_table()["attribution"]["inputs"]
    return tuple(TensorSpec(row["name"], row["dtype"], tuple(row["shape"])) for row in rows)


def attribution_outputs(
    shape: ModelShape, part: AttributionPart, layer: int | None = None
) -> list[TensorSpec]:
    """Return the specifications of one tap's outputs. layer: the tap's layer; None for the model's
    tap."""
    table, sizes = contract_table(), shape.at(layer)
    dynamic = {*table["dynamic_dimensions"], *table["attribution"]["dimensions"]}
    return [
        TensorSpec(
            _filled(row["name"], layer),
            row["dtype"],
            tuple(d if isinstance(d, int) or d in dynamic else sizes.size(d) for d in row["shape"]),
        )
        for row in table["attribution"]["outputs"]
        if row["part"] == part
    ]


def attribution_name(what: str, layer: int | None = None) -> str:
    """Return the name of the output whose pattern ends in `what`: "heads" of layer 3 is
    attribution/layer_3/heads."""
    rows = contract_table()["attribution"]["outputs"]
    return next(_filled(r["name"], layer) for r in rows if r["name"].endswith(f"/{what}"))


def prefix_of(part: AttributionPart, layer: int | None = None) -> str:
    """Return the prefix of the names of all tensors that a tap computes."""
    rows = contract_table()["attribution"]["outputs"]
    name = next(_filled(row["name"], layer) for row in rows if row["part"] == part)
    return name[: name.rindex("/") + 1]


def _filled(name: str, layer: int | None) -> str:
    return name if layer is None else name.replace("{L}", str(layer))
