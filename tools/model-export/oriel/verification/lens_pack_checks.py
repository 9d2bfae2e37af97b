"""Checks that a bundle's lens packs give the predictions that PyTorch computes through the same
maps."""

from __future__ import annotations

from pathlib import Path

from oriel.bundle.reuse_files import reuse_files
from oriel.contract.activation_names import LENS_KINDS, kinds
from oriel.contract.documents import LensPackRecord, Variant
from oriel.contract.manifest import Manifest
from oriel.graph.taps import Tap
from oriel.lenses.pack import LensPack
from oriel.lenses.pack_file import check_pack
from oriel.runtime.onnx_graph import OnnxGraph, with_taps
from oriel.verification.cases import Case, choose_lens_layers
from oriel.verification.checks import GraphFile
from oriel.verification.compare import lens_difference
from oriel.verification.report import Findings
from oriel.verification.variant_comparison import VariantComparison


def check_pack_files(manifest: Manifest, folder: Path, findings: Findings) -> None:
    """Check that each pack's file matches the manifest, and that its taps refer to the right
    tensors in it."""
    for record in manifest.data.get("lens_packs", ()):
        check = f"lens_{record['name']}"
        with findings.guarded(check):
            pack = check_pack(folder, manifest.data, record)
            findings.passed(check, f"{len(pack.maps)} maps, as the manifest says")


def check_lens_packs(
    compared: VariantComparison, graph: GraphFile, variant: Variant, bundle: Path
) -> None:
    """Check every layer that a pack maps, on the smallest case. bundle: the folder of the packs'
    files, which may differ from the graph's folder."""
    manifest = compared.manifest
    for record in manifest.data.get("lens_packs", ()):
        name = f"lens_{record['name']}_runs"
        with compared.findings.guarded(name):
            compared.on_stage(f"read every layer through the lens {record['name']}")
            pack = check_pack(bundle, manifest.data, record)
            if graph.folder != bundle and not (graph.folder / pack.path).exists():
                reuse_files(bundle, graph.folder, [pack.path])
            _check_pack(compared, graph, pack, record, variant)


def _check_pack(
    compared: VariantComparison,
    graph: GraphFile,
    pack: LensPack,
    record: LensPackRecord,
    variant: Variant,
) -> None:
    case = compared.cases.small
    taps = {layer: Tap.from_json(tap) for layer, tap in enumerate(record["taps"][variant["name"]])}
    for group in choose_lens_layers(case, compared.shape, compared.cases.budget):
        layers = [layer for layer in group if layer in taps]
        if not layers:
            continue
        data = with_taps(graph.data, [taps[layer] for layer in layers])
        session = OnnxGraph(graph.folder, data, graph.kind, compared.shape)
        for layer in layers:
            _check_layer(compared, session, case, (pack, record["name"], layer))


def _check_layer(
    compared: VariantComparison, session: OnnxGraph, case: Case, read: tuple[LensPack, str, int]
) -> None:
    pack, lens, layer = read
    names = [kinds()[kind].at(layer) for kind in LENS_KINDS]
    # The lens gives all positions, wherever the logits start.
    got = session.run(compared.cases.ids[case], names, rows=1)
    resid = kinds()["resid_post"].at(layer)
    stream = pack.apply(layer, compared.cases.values(case, [resid])[resid])
    ids, probs = (got[name] for name in names)
    found = lens_difference(ids, probs, compared.cases.reference.lens(stream))
    for kind, gap in zip(LENS_KINDS, found, strict=True):
        error, bound = compared.bounds.activation(kind, gap)
        where = f"{kind} of layer {layer}, {case}"
        compared.findings.measure(f"lens_{lens}_runs", error, bound, where)
