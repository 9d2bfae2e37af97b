"""Checks that a bundle's dictionaries have the files that the manifest describes, and that each
variant's features are those of the activation that it computes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from oriel.arrays import Array
from oriel.bundle.reuse_files import reuse_files
from oriel.contract.activation_names import kinds
from oriel.contract.dictionaries import features_name
from oriel.contract.documents import DictionaryRecord, Variant
from oriel.contract.manifest import Manifest
from oriel.dictionaries.dictionary_file import Dictionary, token_rows
from oriel.dictionaries.listed_dictionary import check_dictionary
from oriel.graph.taps import Tap
from oriel.runtime.onnx_graph import OnnxGraph, with_taps
from oriel.verification.checks import GraphFile
from oriel.verification.report import Findings
from oriel.verification.variant_comparison import VariantComparison

BOUND = 3e-5
"""Largest error of a feature, over the largest value that features are chosen from. The same for
all variants: each computes features in float32 from the activation that it has."""


def check_dictionary_files(manifest: Manifest, folder: Path, findings: Findings) -> None:
    """Check that each dictionary's file matches the manifest, and that its taps refer to the right
    tensors in it."""
    for record in manifest.data.get("dictionaries", ()):
        check = f"dictionary_{record['name']}"
        with findings.guarded(check):
            found = check_dictionary(folder, manifest.data, record)
            said = found.description
            findings.passed(
                check, f"{int(said['features'])} features of {said['reads']['kind']}, as it says"
            )


def check_dictionaries(
    compared: VariantComparison, graph: GraphFile, variant: Variant, bundle: Path
) -> None:
    """Compare features with NumPy's, computed in float64 from the activation that the same run of
    the graph gives; other checks compare that with PyTorch's. bundle: the folder of the
    dictionaries' files, which may differ from the graph's folder."""
    manifest = compared.manifest
    taps = [Tap.from_json(tap) for tap in variant["taps"]]
    for record in manifest.data.get("dictionaries", ()):
        name = f"dictionary_{record['name']}_runs"
        with compared.findings.guarded(name):
            compared.on_stage(f"compute the features of {record['name']}")
            dictionary = check_dictionary(bundle, manifest.data, record)
            if graph.folder != bundle and not (graph.folder / dictionary.path).exists():
                reuse_files(bundle, graph.folder, [dictionary.path])
            own = [*taps, Tap.from_json(record["taps"][variant["name"]])]
            rows, features = _run(compared, graph, record, own)
            error = feature_error(dictionary, rows, features)
            compared.findings.measure(name, error, BOUND, str(compared.cases.small))


def _run(
    compared: VariantComparison, graph: GraphFile, record: DictionaryRecord, taps: Sequence[Tap]
) -> tuple[Array, Array]:
    """Return the rows (batch, seq, width) that a dictionary reads in the smallest case, and its
    features (batch, seq, features)."""
    reads = record["description"]["reads"]
    names = [kinds()[reads["kind"]].at(int(reads["layer"])), features_name(record["name"])]
    wanted = [tap for tap in taps if {spec.name for spec in tap.outputs} & set(names)]
    session = OnnxGraph(graph.folder, with_taps(graph.data, wanted), graph.kind, compared.shape)
    got = session.run(compared.cases.ids[compared.cases.small], names, rows=1)
    rows, features = (got[name] for name in names)
    return token_rows(rows), features


def feature_error(dictionary: Dictionary, rows: Array, features: Array) -> float:
    """Return the largest error of features (…, features) of rows (…, width), over the largest
    absolute value of x @ encoder_weight + encoder_bias; infinite where numbers aren't finite or too
    many are above 0.

    A value that is nearer than `BOUND` to where a feature begins may be kept or left out, since
    sums in another order may fall on the other side.
    """
    description = dictionary.description
    if not bool(np.isfinite(features).all()):
        return float("inf")
    weight, bias = (
        dictionary.wide(part).astype(np.float64) for part in ("encoder_weight", "encoder_bias")
    )
    sums = rows.astype(np.float64) @ weight + bias
    scale = float(np.abs(sums).max()) or 1.0
    above = np.maximum(sums, 0)
    if description["activation"] == "relu":
        return float(np.abs(features - above).max()) / scale
    if description["activation"] == "jumprelu":
        begin = dictionary.wide("threshold").astype(np.float64)
    else:
        k = int(description["k"])
        if int((features > 0).sum(axis=-1).max()) > k:
            return float("inf")
        begin = -np.partition(-above, k - 1, axis=-1)[..., k - 1 : k]
    kept, left_out = np.abs(features - above), np.abs(features)
    gap = sums - begin
    error = np.where(gap > 0, kept, left_out)
    error = np.where(np.abs(gap) <= BOUND * scale, np.minimum(kept, left_out), error)
    return float(error.max()) / scale
