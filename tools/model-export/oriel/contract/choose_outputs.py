"""From layers and kinds to the contract names that a plain graph gives."""

from __future__ import annotations

from oriel.contract.activation_names import ModelShape, contract_table, kinds
from oriel.errors import OptionError


def choose_outputs(
    shape: ModelShape, layers: tuple[int, ...], wanted: tuple[str, ...] | None
) -> list[str]:
    """Names of the wanted kinds in the layers, in the order of computation.

    wanted None: the contract's defaults. attn_probs is always among them, as the contract asks.
    Raises OptionError for a layer or a kind that the model doesn't have.
    """
    unknown = [layer for layer in layers if layer >= shape.layers]
    if unknown:
        raise OptionError(
            "--layers names a layer that the model doesn't have",
            got=", ".join(map(str, unknown[:8])) + (" and more" if len(unknown) > 8 else ""),
            expected=f"0 to {shape.layers - 1}",
            next_step="layers count from 0.",
        )
    chosen = wanted or tuple(contract_table()["defaults"]["activations"])
    rows = [k for k in kinds().values() if k.kind in (*chosen, "attn_probs")]
    absent = [k.kind for k in rows if not k.present_in(shape)]
    if absent:
        raise OptionError(
            "--activations names what this architecture doesn't have",
            got=", ".join(absent),
            next_step="leave it out.",
        )
    before = [k.at() for k in rows if k.kind == "embedding_sum"]
    inside = [
        k.at(layer) for layer in layers for k in rows if k.per_layer and k.present_in(shape, layer)
    ]
    after = [k.at() for k in rows if k.kind == "final_norm"]
    return before + inside + after
