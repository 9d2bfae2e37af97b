"""What no schema can say of the outputs that a variant's taps name. What a tap's bytes may hold is
graph/tap_check.py's. The same rules in TypeScript: apps/web/src/contract/validate_taps.ts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oriel.contract.activation_contract import check_output_specs
from oriel.contract.activation_names import ModelShape
from oriel.errors import ContractError


def check_tap_outputs(variant: Mapping[str, Any], what: str) -> None:
    """Raises ContractError where an output doesn't follow from the model's sizes, is given by two
    taps, or is one of the interactive graph's own."""
    document = variant["interactive"]["activations"]
    given = [output for tap in variant["taps"] for output in tap["outputs"]]
    shape = ModelShape.from_json(document["model"])
    names = check_output_specs(given, shape, document["contract_version"], f"{what}, taps")
    for output in document["outputs"]:
        if output["name"] in names:
            raise ContractError(
                f"{what}: a tap gives {output['name']}, which the graph gives already",
                next_step="export it again.",
            )
