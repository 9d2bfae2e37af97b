"""Checks of a variant's taps that no schema can express: each gives an activation of the model,
none is given twice, and a tap's bytes hold only what they may. The same rules in TypeScript:
apps/web/src/contract/validate_ports.ts and validate_tap_bytes.ts."""

from __future__ import annotations

from oriel.contract.activation_contract import check_output_specs
from oriel.contract.activation_names import ModelShape
from oriel.contract.documents import Variant
from oriel.contract.tap_bytes import TapError, check_tap_bytes
from oriel.contract.variant_graphs import tapped_graph
from oriel.errors import ContractError


def check_taps(variant: Variant, what: str) -> None:
    """Check a variant's taps. Raises ContractError where an output doesn't follow from the model's
    sizes, is given by two taps, or is one of the open graph's own, and where a tap's bytes hold
    anything else."""
    document = tapped_graph(variant)["activations"]
    given = [output for tap in variant["taps"] for output in tap["outputs"]]
    shape = ModelShape.from_json(document["model"])
    names = check_output_specs(given, shape, document["contract_version"], f"{what}, taps")
    for output in document["outputs"]:
        if output["name"] in names:
            raise ContractError(
                f"{what}: a tap gives {output['name']}, which the graph gives already",
                next_step="export it again.",
            )
    for tap in variant["taps"]:
        try:
            check_tap_bytes(tap)
        except TapError as error:
            raise ContractError(
                f"{what}: the tap of {tap['outputs'][0]['name']} is unsound",
                got=str(error),
                next_step="export it again.",
            ) from error
