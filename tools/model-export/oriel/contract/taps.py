"""Checks of a variant's taps that no schema can express: each gives an activation of the model, no
activation has two taps, attribution taps have the inputs and outputs of the contract's table, and a
tap's bytes hold only what is allowed. The same rules in TypeScript:
apps/web/src/contract/validate_ports.ts and validate_tap_bytes.ts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from oriel.contract.activation_contract import check_output_specs
from oriel.contract.activation_names import ModelShape
from oriel.contract.attribution_names import (
    attribution_inputs,
    attribution_outputs,
    prefix_of,
)
from oriel.contract.data_files import AttributionPart
from oriel.contract.documents import AttributionRecord, Variant
from oriel.contract.tap_bytes import TapError, check_attribution_bytes, check_tap_bytes
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
        with _unsound(f"{what}: the tap of {tap['outputs'][0]['name']}"):
            check_tap_bytes(tap)
    if "attribution" in variant:
        _check_attribution(variant["attribution"], "open" in variant, shape, what)


def _check_attribution(
    attribution: AttributionRecord, has_joints: bool, shape: ModelShape, what: str
) -> None:
    with _unsound(f"{what}: attribution"):
        if not has_joints:
            raise TapError("it is of no open graph")
        if any(shape.at(layer).experts for layer in range(shape.layers)):
            raise TapError("the model has experts")
        for part in ("layers", "neurons"):
            if len(attribution[part]) != shape.layers:
                raise TapError(
                    f"it has {part} of {len(attribution[part])} of {shape.layers} layers"
                )
    _check_attribution_tap(attribution["model"], shape, "model", None, what)
    for layer in range(shape.layers):
        _check_attribution_tap(attribution["layers"][layer], shape, "layer", layer, what)
        _check_attribution_tap(attribution["neurons"][layer], shape, "neurons", layer, what)


def _check_attribution_tap(
    tap: str, shape: ModelShape, part: AttributionPart, layer: int | None, what: str
) -> None:
    inputs = attribution_inputs() if part == "model" else ()
    outputs = attribution_outputs(shape, part, layer)
    with _unsound(f"{what}: the tap of {outputs[0].name}"):
        check_attribution_bytes(
            tap,
            prefix_of(part, layer),
            [spec.to_json() for spec in inputs],
            [spec.to_json() for spec in outputs],
        )


@contextmanager
def _unsound(what: str) -> Iterator[None]:
    try:
        yield
    except TapError as error:
        raise ContractError(
            f"{what} is unsound", got=str(error), next_step="export it again."
        ) from error
