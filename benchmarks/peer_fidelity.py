"""Measures the fidelity of transformers.js' q8: Optimum's graph against PyTorch, by the code and on
the text that Oriel's own variants were measured with; and plots all. precision.py starts it as a
process, since one that has loaded PyTorch would distort the peak memory of those that it starts.

python peer_fidelity.py BUNDLE MODEL_QUANTIZED.onnx PLOT.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from native_speed import Model

from oriel.contract.manifest import read_manifest
from oriel.fidelity.agreement_curve import AgreementCurve
from oriel.fidelity.distributions import Predictions
from oriel.fidelity.fidelity_bounds import fidelity_bounds
from oriel.fidelity.measure import prepare
from oriel.fidelity.measure_bundle import Measured, measured_variants
from oriel.fidelity.plot import draw
from oriel.fidelity.pytorch_reference import open_reference
from oriel.fidelity.record import Fidelity
from oriel.fidelity.reference_values import ReferenceModel

NAME = "transformers.js q8"


def measure_peer(bundle: Path, graph: Path) -> tuple[Measured, AgreementCurve]:
    """Measure a graph that Optimum made of the checkpoint that `bundle` was exported from: only
    predictions, since it gives no activations."""
    manifest = read_manifest(bundle)
    model = Model(str(graph), threads=2)
    found = Predictions()

    def pytorch() -> ReferenceModel:
        return open_reference(manifest, None)

    with prepare(manifest, bundle, [], pytorch) as measurement:
        values = measurement.values
        for index, ids in enumerate(values.passages.ids):
            logits: npt.NDArray[np.float32] = model.run(ids, last_only=False)["logits"][0]
            found.add(ids, values.logits(index), logits)
    fidelity = Fidelity(
        values.kind,
        values.passages.to_json(),
        found.kl_mean,
        found.kl_p99,
        found.top1,
        found.top5,
        found.perplexity,
        found.reference_perplexity,
        (),
        measurement.curve.fair(fidelity_bounds("q8"), found.top1),
    )
    measured = Measured(NAME, "q8", graph.stat().st_size, "int8", fidelity, lossy=False)
    return measured, measurement.curve


def main(bundle: Path, graph: Path, plot: Path) -> None:
    """Draw the bundle's variants, which have been measured, with the peer's; print the peer's."""
    peer, curve = measure_peer(bundle, graph)
    manifest = read_manifest(bundle)
    variants = [*measured_variants(manifest), peer]
    plot.write_text(draw(variants, manifest.data["model"]["name"], curve), encoding="utf-8")
    print(json.dumps(peer.to_json(curve)))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
