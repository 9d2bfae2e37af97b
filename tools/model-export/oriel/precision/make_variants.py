"""Making of every variant but fp32 from a bundle's float32 graphs and weights file: each encoding
is written once, then the graphs that use it. Other files do the single steps; this one puts them in
order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from oriel.bundle.provenance import Provenance
from oriel.bundle.write_bundle import BundlePaths, write_variant
from oriel.contract.activation_names import LENS_KINDS, ModelShape, parse_name
from oriel.contract.documents import CalibrationRecord, MeasuredText, Variant
from oriel.errors import GraphError, OptionError
from oriel.graph.attach_weights import WeightLayout
from oriel.graph.build_graphs import BuiltGraphs
from oriel.graph.built_graph import BuiltGraph
from oriel.graph.data_files import largest_file
from oriel.graph.select_outputs import select_outputs
from oriel.precision.calibration.calibrate import Calibration
from oriel.precision.calibration.calibration_text import TextCalibration
from oriel.precision.graphs.constant_scales import with_constant_scales
from oriel.precision.graphs.kernel_nodes import check_encoding, check_float16, check_kernels
from oriel.precision.graphs.quantized_graphs import quantized_graphs
from oriel.precision.recipes.recipe import Recipe, bundled_recipe
from oriel.precision.recipes.weight_uses import WeightUse, weight_uses
from oriel.precision.weights.encoded_layout import EncodedFile
from oriel.precision.weights.write_encoded import write_encoded_file
from oriel.precisions import CUSTOM_RECIPE_ENCODINGS, FP32, PRECISIONS, Encoding, Precision
from oriel.progress import StageDisplay


@dataclass(frozen=True)
class VariantInputs:
    """The folder, graphs, recipes and text that variants are made from."""

    folder: Path
    """The variants' folder; the float32 weights file is in it already."""
    paths: BundlePaths
    graphs: BuiltGraphs
    shape: ModelShape
    float32: Variant
    """fp32's record in the manifest."""
    recipes: Mapping[Encoding, Recipe]
    text: TextCalibration
    static_cache: int | None = None
    """Slots of the static graphs' cache, in tokens; None to write no static graphs."""


@dataclass(frozen=True)
class WrittenVariants:
    """Records for the manifest, and digests of files that were hashed while they were written."""

    variants: tuple[Variant, ...]
    digests: Mapping[str, str]


def recipes_for(names: Sequence[str], own: Recipe | None) -> dict[Encoding, Recipe]:
    """Return the recipe of each encoding that these variants are stored in: the user's own, if
    there is one, for all that quantize."""
    found: dict[Encoding, Recipe] = {}
    for name in names:
        encoding = PRECISIONS[name].encoding
        if encoding != FP32.encoding:
            is_own = own is not None and encoding in CUSTOM_RECIPE_ENCODINGS
            found[encoding] = own if is_own and own is not None else bundled_recipe(encoding)
    return found


def provenance_records(
    names: Sequence[str],
    recipes: Mapping[Encoding, Recipe],
    text: TextCalibration,
    shape: ModelShape,
) -> dict[str, Provenance]:
    """Return by name the recipe and calibration of each variant."""
    found: dict[str, Provenance] = {}
    passages: MeasuredText | None = None
    for precision in (PRECISIONS[name] for name in names):
        recipe = recipes.get(precision.encoding)
        calibration: CalibrationRecord | None = None
        if precision.calibrated or (recipe is not None and recipe.calibrated):
            passages = passages or text.passages(shape).to_json()
            calibration = {"text": passages}
            if precision.calibrated:
                calibration["method"] = text.method
        found[precision.name] = Provenance(recipe.data if recipe else None, calibration)
    return found


def make_variants(
    inputs: VariantInputs, names: Sequence[str], display: StageDisplay
) -> WrittenVariants:
    """Write the named variants but fp32.

    Raises GraphError where there is nothing to quantize, RecipeError where a recipe matches
    nothing, OptionError where the text for calibration can't be used.
    """
    wanted = [PRECISIONS[name] for name in names if name != FP32.name]
    uses = weight_uses(inputs.graphs.decoder.model.graph)
    if any(p.encoding in CUSTOM_RECIPE_ENCODINGS for p in wanted):
        _check_quantizable(uses, inputs.paths)
    _check_expandable(inputs.graphs.layout, wanted)
    needs_ranges = any(p.calibrated for p in wanted)
    needs_moments = any(inputs.recipes[p.encoding].calibrated for p in wanted)
    if inputs.text.file is not None and not (needs_ranges or needs_moments):
        raise OptionError(
            "--calibration has nothing to act on",
            got=f"--precision {','.join(p.name for p in wanted)}",
            expected="int8_static, or a recipe that rounds by GPTQ",
            next_step="name one, or leave --calibration out.",
        )
    seen = None
    if needs_ranges or needs_moments:
        display.stage("run the text for calibration")
        seen = inputs.text.run(
            inputs.folder, inputs.graphs, inputs.shape, needs_ranges, needs_moments
        )
    encoded: dict[Encoding, EncodedFile] = {}
    for encoding in dict.fromkeys(p.encoding for p in wanted):
        encoded[encoding] = _encode(inputs, encoding, uses, seen, display)
    records = [_variant(inputs, p, encoded[p.encoding], seen, display) for p in wanted]
    return WrittenVariants(
        tuple(records),
        {name: digest for file in encoded.values() for name, digest in file.digests.items()},
    )


def _check_quantizable(uses: Mapping[str, WeightUse], paths: BundlePaths) -> None:
    if not any(use.quantizable for use in uses.values()):
        raise GraphError(
            f"{paths.plain()} has nothing to quantize",
            got="no matrix that a MatMul or a Gather reads",
            expected="a transformer's graph",
            next_step="name another graph.",
        )


def _check_expandable(layout: WeightLayout, wanted: Sequence[Precision]) -> None:
    """Raise OptionError for weights that readers expand, where they are too many: what they are
    expanded into is one file."""
    expanded = [precision.name for precision in wanted if precision.expanded]
    if expanded and len(layout.starts) > 1:
        instead = [p.name for p in PRECISIONS.values() if not p.expanded and p.kernels != "fp32"]
        raise OptionError(
            f"{' and '.join(expanded)} would be expanded into more than a file holds",
            got=f"{layout.bytes / 1e9:.1f} GB of float32",
            expected=f"at most {largest_file() / 1e9:.1f} GB",
            next_step=f"name {', '.join(instead)}, which compute on the weights as they travel.",
        )


def _encode(
    inputs: VariantInputs,
    encoding: Encoding,
    uses: Mapping[str, WeightUse],
    seen: Calibration | None,
    display: StageDisplay,
) -> EncodedFile:
    recipe = inputs.recipes[encoding]
    display.stage(f"encode the weights as {encoding}")
    display.expect_bytes(inputs.graphs.layout.bytes, f"encoded as {encoding}")
    encoded = write_encoded_file(
        inputs.folder / inputs.paths.weights(),
        inputs.graphs.layout,
        uses,
        recipe,
        inputs.folder / inputs.paths.weights(encoding),
        seen.moments if seen is not None and recipe.calibrated else None,
        display.add_bytes,
        encoding,
    )
    check_encoding(encoded, uses)
    return encoded


def _variant(
    inputs: VariantInputs,
    precision: Precision,
    encoded: EncodedFile,
    seen: Calibration | None,
    display: StageDisplay,
) -> Variant:
    """Write the variant's graphs, if it has its own; return its record."""
    display.stage(f"make {precision.name}")
    if precision.expanded:
        record = _expanded(inputs, precision, encoded)
    else:
        graphs, nodes = _graphs(inputs, precision, encoded, seen)
        if precision.kernels == "int4":
            wide = with_constant_scales(graphs.decoder, inputs.folder)
            graphs = replace(graphs, decoder=wide)
        record = write_variant(inputs.folder, inputs.paths, precision, graphs, inputs.static_cache)
        record["weights"] = list(encoded.digests)
        record["nodes"] = nodes
    record["recipe"] = encoded.recipe.data
    if seen is not None and (precision.calibrated or encoded.recipe.calibrated):
        calibration = seen.record.copy()
        if not precision.calibrated:
            # The method by which ranges were determined says nothing about a variant without any.
            calibration.pop("method", None)
        record["calibration"] = calibration
    return record


def _expanded(inputs: VariantInputs, precision: Precision, encoded: EncodedFile) -> Variant:
    shared = inputs.float32.copy()
    # The reference pass belongs to the original weights.
    shared.pop("reference_pass", None)
    return {
        **shared,
        "name": precision.name,
        "precision": precision.name,
        "kernels": precision.kernels,
        "encoding": precision.encoding,
        "weights": [encoded.path],
        "expansion": encoded.to_expansion(inputs.paths.weights()),
    }


def _graphs(
    inputs: VariantInputs, precision: Precision, encoded: EncodedFile, seen: Calibration | None
) -> tuple[BuiltGraphs, dict[str, int]]:
    """Return the variant's graphs, and the manifest's `nodes` of the decoder graph."""
    source = inputs.graphs
    lens = [name for name in map(_chosen, (source.plain, source.decoder)) if _has_lens(name)]
    if lens:
        # The logit lens' nodes are copies of others: they are copied again after those are
        # replaced.
        source = replace(
            source, plain=_without_lens(source.plain), decoder=_without_lens(source.decoder)
        )
    made = _converted(source, inputs.shape, precision, encoded, seen)
    pairs = ((made.plain, source.plain), (made.decoder, source.decoder))
    for new, old in pairs:
        graph, float_graph = new.model.graph, old.model.graph
        if precision.kernels == "fp16":
            nodes = check_float16(graph, float_graph)
        else:
            nodes = check_kernels(graph, float_graph, encoded, precision.kernels)
    if lens:
        plain = select_outputs(made.plain, _chosen(inputs.graphs.plain))
        decoder = select_outputs(made.decoder, _chosen(inputs.graphs.decoder))
        made = replace(made, plain=plain, decoder=decoder)
    return made, nodes


def _chosen(built: BuiltGraph) -> list[str]:
    """Return the activations that a graph gives besides logits."""
    names = [spec["name"] for spec in built.document["outputs"]]
    return [name for name in names if name != "logits" and parse_name(name) is not None]


def _has_lens(names: Sequence[str]) -> bool:
    return any(name.endswith(LENS_KINDS) for name in names)


def _without_lens(built: BuiltGraph) -> BuiltGraph:
    return select_outputs(built, [n for n in _chosen(built) if not n.endswith(LENS_KINDS)])


def _converted(
    source: BuiltGraphs,
    shape: ModelShape,
    precision: Precision,
    encoded: EncodedFile,
    seen: Calibration | None,
) -> BuiltGraphs:
    if precision.kernels == "fp16":
        from oriel.precision.graphs.to_fp16 import convert_graphs

        return convert_graphs(source, shape, encoded)
    assert precision.kernels != "fp32"
    ranges = None if seen is None else seen.ranges
    return quantized_graphs(source, shape, encoded, precision.kernels, ranges)
