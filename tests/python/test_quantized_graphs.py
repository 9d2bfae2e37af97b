"""Graphs over encoded weights: each kernel against weights decoded value by value, and whole
bundles, sound and damaged, before verification."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from test_verification import Bundle

from oriel.bundle.read_bundle import read_bundle
from oriel.contract.manifest import read_manifest
from oriel.contract.variant_graphs import graphs_of
from oriel.doctor.variant_sizes import variant_sizes
from oriel.graph.build_graphs import BuiltGraphs
from oriel.models.load_model import load_spec
from oriel.precision.calibration.calibrate import ActivationRanges
from oriel.precision.graphs.kernel_nodes import check_encoding, check_kernels
from oriel.precision.graphs.quantized_graphs import quantized_graphs
from oriel.precision.kernels.block_kernels import gather_blocks, multiply_blocks
from oriel.precision.kernels.channel_kernels import gather_channels
from oriel.precision.kernels.dynamic_int8 import multiply_dynamically
from oriel.precision.kernels.graph_edit import CONTRIB, GraphEdit
from oriel.precision.kernels.static_int8 import multiply_statically
from oriel.precision.kernels.two_digit_int8 import multiply_in_two_digits
from oriel.precision.recipes.recipe import (
    BlockSize,
    parse_recipe,
)
from oriel.precision.recipes.weight_uses import weight_uses
from oriel.precision.weights.encoded_layout import EncodedFile, EncodedWeight
from oriel.precision.weights.write_encoded import write_encoded_file
from oriel.verification.report import Report, VariantReport
from oriel.verification.stored_weights import from_graph

Floats = np.ndarray[Any, np.dtype[np.float32]]
QUANTIZED = ("int8", "int8_static", "int4")
DATA = "weights.data"


# One weight, made byte by byte and decoded byte by byte.


class HandMade:
    """An encoded weight of random bytes, and what it stands for by the definition of its layout."""

    def __init__(self, folder: Path, shape: tuple[int, int], axis: Literal[0, 1]) -> None:
        self.folder, self.shape, self.axis = folder, shape, axis
        self.rng = np.random.default_rng(sum(shape) + axis)
        self.summed, self.channels = shape[axis], shape[1 - axis]
        self.content = bytearray()
        self.stands_for: Floats = np.zeros(shape, np.float32)

    def put(self, array: np.ndarray[Any, Any]) -> int:
        self.content += bytes(-len(self.content) % 64)
        at = len(self.content)
        self.content += array.tobytes()
        return at

    def set(self, channel: int, place: int, value: np.float32) -> None:
        self.stands_for[(place, channel) if self.axis == 0 else (channel, place)] = value

    def channels_of_8(self, *, signed: bool = False, zeros: bool = False) -> EncodedWeight:
        scales = self.rng.uniform(0.001, 0.1, self.channels).astype(np.float16)
        zero_points = self.rng.integers(90, 170, self.channels, dtype=np.uint8)
        low, kind = (-128, np.int8) if signed else (0, np.uint8)
        values = self.rng.integers(low, low + 256, self.shape).astype(kind)
        for i in range(self.shape[0]):
            for j in range(self.shape[1]):
                channel = j if self.axis == 0 else i
                middle = int(zero_points[channel]) if zeros else 0 if signed else 128
                difference = np.float32(int(values[i, j]) - middle)
                self.stands_for[i, j] = difference * np.float32(scales[channel])
        return EncodedWeight(
            "w",
            self.shape,
            0,
            "channels",
            scales=self.put(scales),
            zero_points=self.put(zero_points) if zeros else None,
            values=self.put(values),
            axis=self.axis,
            bits=8,
            signed=signed,
        )

    def blocks_of(
        self, bits: Literal[4, 8], block: BlockSize, *, zeros: bool = False
    ) -> EncodedWeight:
        count = -(-self.summed // block)
        top = 2**bits
        scales = self.rng.uniform(0.001, 0.1, (self.channels, count)).astype(np.float16)
        points = self.rng.integers(0, top, (self.channels, count))
        middles = points if zeros else np.full_like(points, top // 2)
        numbers = self.rng.integers(0, top, (self.channels, count, block))
        for channel in range(self.channels):
            for place in range(self.summed):
                group = place // block
                number = numbers[channel, group, place % block] - middles[channel, group]
                value = np.float32(number) * np.float32(scales[channel, group])
                self.set(channel, place, value)
            # What fills the last block up stands for nothing.
            for place in range(self.summed, count * block):
                numbers[channel, place // block, place % block] = middles[channel, place // block]
        return EncodedWeight(
            "w",
            self.shape,
            0,
            "blocks",
            scales=self.put(scales),
            zero_points=self.put(packed(points, bits)) if zeros else None,
            values=self.put(packed(numbers, bits)),
            axis=self.axis,
            bits=bits,
            block=block,
        )

    def run(self, operator: str, values: np.ndarray[Any, Any], edit: Edit) -> Floats:
        """What a graph of one MatMul or Gather gives once it is edited."""
        is_gather = operator == "Gather"
        kind = TensorProto.INT64 if is_gather else TensorProto.FLOAT
        # A table whose rows are gathered is multiplied with turned round.
        turned = not is_gather and self.axis == 1
        nodes = [helper.make_node("Transpose", ["w"], ["turned"], "turn", perm=[1, 0])]
        table = ["w", "x"] if is_gather else ["x", "turned" if turned else "w"]
        node = helper.make_node(operator, table, ["y"], "last")
        graph = helper.make_graph(
            [*nodes, node] if turned else [node],
            "one",
            [helper.make_tensor_value_info("x", kind, [None] * values.ndim)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 3)],
            [numpy_helper.from_array(np.zeros(self.shape, np.float32), "w")],
        )
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid(CONTRIB, 1)]
        model = ir.serde.deserialize_model(
            helper.make_model(graph, opset_imports=opsets, ir_version=10)
        )
        edit(GraphEdit(model.graph, DATA), model.graph[-1])
        if turned:
            model.graph.remove(model.graph.node("turn"), safe=True)
        del model.graph.initializers["w"]
        model.graph.sort()
        (self.folder / DATA).write_bytes(self.content)
        file = self.folder / "one.onnx"
        file.write_bytes(ir.serde.serialize_model(model).SerializeToString())
        onnx.checker.check_model(str(file))
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        (found,) = session.run(["y"], {"x": values})
        result: Floats = found
        return result

    def factor(self, rows: int = 7) -> Floats:
        """(2, rows, summed), of which one row is much larger than the others."""
        values = self.rng.normal(0.3, 1, (2, rows, self.summed)).astype(np.float32)
        values[0, 0] *= 8
        return values

    @property
    def matrix(self) -> Floats:
        """(summed, channels)."""
        return self.stands_for if self.axis == 0 else self.stands_for.T


Edit = Callable[[GraphEdit, ir.Node], None]


def packed(numbers: np.ndarray[Any, Any], bits: int) -> np.ndarray[Any, Any]:
    """The low half of a byte first, along the last axis."""
    if bits == 8:
        return numbers.astype(np.uint8)
    rows = []
    for row in numbers.reshape(-1, numbers.shape[-1]):
        padded = [*row.tolist(), *[0] * (len(row) % 2)]
        rows.append([padded[i] | padded[i + 1] << 4 for i in range(0, len(padded), 2)])
    return np.array(rows, np.uint8)


def assert_rounded(
    found: Floats, factor: Floats, matrix: Floats, half_step: np.ndarray[Any, Any] | float
) -> None:
    """No result is farther from the exact product than half a step of each factor can make it."""
    exact = factor.astype(np.float64) @ matrix.astype(np.float64)
    maximum = (np.broadcast_to(half_step, factor.shape) @ np.abs(matrix)) * 1.01 + 1e-4
    assert found.shape == exact.shape
    assert (np.abs(found - exact) <= maximum).all(), float((np.abs(found - exact) / maximum).max())
    # And the bound means something: the results are far larger than it.
    assert np.abs(exact).max() > 10 * maximum.min()


CHANNELS = [
    pytest.param({}, id="uint8"),
    pytest.param({"signed": True}, id="int8"),
    pytest.param({"zeros": True}, id="zero points"),
]
AXES = pytest.mark.parametrize("axis", [0, 1])
SHAPE = (40, 23)


@AXES
@pytest.mark.parametrize("form", CHANNELS)
def test_dynamic_int8(tmp_path: Path, axis: Literal[0, 1], form: dict[str, bool]) -> None:
    made = HandMade(tmp_path, SHAPE, axis)
    weight, x = made.channels_of_8(**form), made.factor()
    found = made.run("MatMul", x, lambda e, n: multiply_dynamically(e, n, weight))
    step = (max(x.max(), 0) - min(x.min(), 0)) / 255
    # A step for the zero point, which is rounded as well.
    assert_rounded(found, x, made.matrix, step)


@AXES
@pytest.mark.parametrize("form", CHANNELS)
def test_static_int8_cuts_off_what_calibration_never_saw(
    tmp_path: Path, axis: Literal[0, 1], form: dict[str, bool]
) -> None:
    made = HandMade(tmp_path, SHAPE, axis)
    weight, x = made.channels_of_8(**form), made.factor()
    low, high = -1.25, 3.5
    found = made.run("MatMul", x, lambda e, n: multiply_statically(e, n, weight, (low, high)))
    step = (high - low) / 255
    zero = round(-low / step)
    cut = np.clip(x, -zero * step, (255 - zero) * step)
    assert np.abs(x - cut).max() > 1
    assert_rounded(found, cut, made.matrix, step / 2)


@AXES
@pytest.mark.parametrize("form", CHANNELS)
def test_two_digits(tmp_path: Path, axis: Literal[0, 1], form: dict[str, bool]) -> None:
    made = HandMade(tmp_path, SHAPE, axis)
    weight, x = made.channels_of_8(**form), made.factor()
    found = made.run("MatMul", x, lambda e, n: multiply_in_two_digits(e, n, weight))
    assert_rounded(found, x, made.matrix, np.abs(x).max() / 127 / 254 / 2)
    nothing = np.zeros_like(x)
    still = made.run("MatMul", nothing, lambda e, n: multiply_in_two_digits(e, n, weight))
    assert not still.any()


@AXES
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("block", [16, 32])
def test_blocks(
    tmp_path: Path, axis: Literal[0, 1], zeros: bool, bits: Literal[4, 8], block: BlockSize
) -> None:
    """40 and 23 are no multiples of a block: the last is filled up."""
    made = HandMade(tmp_path, SHAPE, axis)
    weight, x = made.blocks_of(bits, block, zeros=zeros), made.factor()
    found = made.run("MatMul", x, lambda e, n: multiply_blocks(e, n, weight))
    steps = np.zeros_like(x)
    for start in range(0, made.summed, block):
        part = np.abs(x[..., start : start + block])
        steps[..., start : start + block] = part.max(axis=-1, keepdims=True) / 127 / 2
    assert_rounded(found, x, made.matrix, steps)


ROWS = np.array([[3, 0, 39], [17, 17, 38]])


@pytest.mark.parametrize("form", CHANNELS)
def test_rows_of_channels(tmp_path: Path, form: dict[str, bool]) -> None:
    made = HandMade(tmp_path, SHAPE, 1)
    weight = made.channels_of_8(**form)
    found = made.run("Gather", ROWS, lambda e, n: gather_channels(e, n, weight))
    np.testing.assert_array_equal(found, made.stands_for[ROWS])


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("block", [16, 32])
def test_rows_of_blocks(tmp_path: Path, zeros: bool, bits: Literal[4, 8], block: BlockSize) -> None:
    made = HandMade(tmp_path, SHAPE, 1)
    weight = made.blocks_of(bits, block, zeros=zeros)
    found = made.run("Gather", ROWS, lambda e, n: gather_blocks(e, n, weight))
    np.testing.assert_array_equal(found, made.stands_for[ROWS])
    # Verification decodes the same rows, without what fills their last block up.
    graph = onnx.load(tmp_path / "one.onnx", load_external_data=False)
    (stored,) = from_graph(graph, tmp_path)
    np.testing.assert_array_equal(stored.values, made.stands_for)


# Whole graphs.


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_sizes_told_before_an_export_are_those_of_the_files(
    kind: str, request: pytest.FixtureRequest
) -> None:
    spec = load_spec(request.getfixturevalue(f"tiny_{kind}_checkpoint"))
    manifest = read_manifest(request.getfixturevalue(f"quantized_{kind}_bundle")).data
    written = {file["path"]: file["bytes"] for file in manifest["files"]}
    found = {size.name: size for size in variant_sizes(spec)}
    assert list(found) == [variant["name"] for variant in manifest["variants"]]
    for variant in manifest["variants"]:
        (weights,) = variant["weights"]
        size = found[variant["name"]]
        assert size.bytes == written[weights]
        expansion = variant.get("expansion")
        assert size.read_bytes == (expansion["bytes"] if expansion else written[weights])


@pytest.mark.parametrize("name", ["quantized_gpt2_bundle", "quantized_llama_bundle"])
def test_every_variant_agrees_with_pytorch(name: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(name)
    checkpoint: Path = request.getfixturevalue(
        name.replace("quantized", "tiny")[:-6] + "checkpoint"
    )
    report = Bundle(folder, checkpoint).verify()
    assert report.passed, report.failures
    assert [v.name for v in report.variants] == [
        *("fp32", "f16", "q8", "q4", "fp16", "int8", "int8_static", "int4")
    ]
    assert [v.rounded for v in report.variants] == [False, False, True, True, False, *[True] * 3]
    for variant in report.variants[5:]:
        checks = {check.name: check for check in variant.checks}
        assert {"products", "nodes", "cached_vs_uncached", "plain_select"} <= checks.keys()
        assert checks["products"].error is not None


def optimized(folder: Path, name: str) -> Counter[str]:
    """Operators of a graph as ONNX Runtime runs it."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    onnxruntime.InferenceSession(folder / name, options, providers=["CPUExecutionProvider"])
    model = onnx.load(folder / "optimized.onnx", load_external_data=False)
    return Counter(node.op_type for node in model.graph.node)


def test_onnx_runtime_fuses_what_is_meant_to_be_fused(
    quantized_gpt2_bundle: Path, tmp_path: Path
) -> None:
    """4 matrices in each of 4 layers, and the vocabulary; the attention's own products and what
    turns heads are left, and no scale or table is cast or turned in each run."""
    folder = shutil.copytree(quantized_gpt2_bundle, tmp_path / "bundle")
    plain = optimized(folder, "model.onnx")
    attention = 2 * 4
    dynamic = optimized(folder, "model_int8.onnx")
    assert dynamic["DynamicQuantizeMatMul"] == 16 and dynamic["MatMulIntegerToFloat"] == 1
    static = optimized(folder, "model_int8_static.onnx")
    assert static["MatMulIntegerToFloat"] == 17 and static["QuantizeLinear"] == 16 + 2
    blocks = optimized(folder, "model_int4.onnx")
    assert blocks["MatMulNBits"] == 17
    for found in (dynamic, static, blocks):
        assert found["MatMul"] + found["FusedMatMul"] == attention
        assert found["Transpose"] <= plain["Transpose"]
        assert found["Cast"] <= plain["Cast"] + 3
        assert found["MatMulInteger"] == found["DynamicQuantizeLinear"] == 0


def test_variants_of_an_encoding_read_one_file(quantized_gpt2_bundle: Path) -> None:
    manifest = read_manifest(quantized_gpt2_bundle)
    by_encoding: dict[str, set[str]] = {}
    for variant in manifest.variants:
        (weights,) = variant["weights"]
        by_encoding.setdefault(variant["encoding"], set()).add(weights)
        for record in graphs_of(variant).values():
            path = quantized_gpt2_bundle / record["path"]
            model = onnx.load(path, load_external_data=False)
            said = variant.get("expansion", {}).get("path", weights)
            found = {
                entry.value
                for tensor in model.graph.initializer
                for entry in tensor.external_data
                if entry.key == "location"
            }
            assert found == {said}
    assert by_encoding == {
        "f32": {"model.onnx.data"},
        "f16": {"model_f16.onnx.data"},
        "q8": {"model_q8.onnx.data"},
        "q4": {"model_q4.onnx.data"},
    }


@pytest.mark.parametrize("name", ["quantized_gpt2_bundle", "quantized_llama_bundle"])
def test_int4_has_one_kernel_that_not_every_runtime_knows(
    name: str, request: pytest.FixtureRequest
) -> None:
    """Rows of the embedding are decoded by standard operators: builds of ONNX Runtime Web with
    WebGPU have no GatherBlockQuantized for the CPU, and none before 1.23 reads 8 bits with it."""
    folder: Path = request.getfixturevalue(name)
    for file in folder.glob("model_int4*.onnx"):
        graph = onnx.load(file, load_external_data=False).graph
        assert {n.op_type for n in graph.node if n.domain not in ("", "ai.onnx")} == {"MatMulNBits"}


def test_the_manifest_counts_what_computes_on_encoded_weights(
    quantized_gpt2_bundle: Path, quantized_llama_bundle: Path
) -> None:
    gpt2, llama = read_manifest(quantized_gpt2_bundle), read_manifest(quantized_llama_bundle)
    # Llama: 7 matrices in each of 4 layers, and an unembedding of its own.
    assert gpt2.variant("int8")["nodes"] == {"Gather": 2, "MatMulInteger": 17}
    assert llama.variant("int8")["nodes"] == {"Gather": 1, "MatMulInteger": 29}
    assert gpt2.variant("int8_static")["nodes"] == {"Gather": 2, "MatMul": 16, "MatMulInteger": 1}
    assert llama.variant("fp16")["nodes"] == {"Gather": 1, "MatMul": 29}
    assert sum(gpt2.variant("int4")["nodes"].values()) == 17 + 2
    assert llama.variant("int4")["nodes"] == {"Gather": 1, "MatMulNBits": 29}
    for manifest in (gpt2, llama):
        assert all("nodes" not in manifest.variant(name) for name in ("fp32", "q8", "q4"))
    # GPT-2's table of 101 × 24; int8's is of bytes, and that of 32 × 24 positions is made wide.
    sizes = [gpt2.variant(n)["largest_weight"] for n in ("fp32", "f16", "q8", "fp16", "int8")]
    assert sizes == [101 * 24 * 4, 101 * 24 * 4, 101 * 24 * 4, 101 * 24 * 2, 32 * 24 * 4]


# A no-op can't pass.


@pytest.fixture(scope="module")
def encoded(
    tiny_gpt2_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[BuiltGraphs, EncodedFile]:
    bundle = read_bundle(tiny_gpt2_bundle)
    uses = weight_uses(bundle.graphs.decoder.model.graph)
    rule = {"match": "*", "treat": "channels", "bits": 8}
    recipe = parse_recipe({"name": "q8", "rules": [rule]})
    target = tmp_path_factory.mktemp("encoded") / "model_q8.onnx.data"
    source = tiny_gpt2_bundle / "model.onnx.data"
    return bundle.graphs, write_encoded_file(source, bundle.graphs.layout, uses, recipe, target)


def test_a_graph_that_computes_on_nothing_encoded_is_refused(
    encoded: tuple[BuiltGraphs, EncodedFile],
) -> None:
    graphs, file = encoded
    graph = graphs.decoder.model.graph
    with pytest.raises(AssertionError, match="is computed on by"):
        check_kernels(graph, graph, file, "int8")


def test_a_weight_that_was_left_in_float32_is_refused(
    encoded: tuple[BuiltGraphs, EncodedFile], tiny_gpt2_bundle: Path
) -> None:
    graphs, file = encoded
    shape = read_bundle(tiny_gpt2_bundle).shape
    made = quantized_graphs(graphs, shape, file, "int8")
    graph = made.decoder.model.graph
    assert check_kernels(graph, graphs.decoder.model.graph, file, "int8")["MatMulInteger"] == 17
    uses = weight_uses(graphs.decoder.model.graph)
    check_encoding(file, uses)
    lazy = EncodedFile(**{**vars(file), "weights": tuple(map(as_float32, file.weights))})
    with pytest.raises(AssertionError, match="its recipe says channels"):
        check_encoding(lazy, uses)
    large = EncodedFile(**{**vars(file), "bytes": 4 * file.bytes})
    with pytest.raises(AssertionError, match="its recipe implies"):
        check_encoding(large, uses)
    with pytest.raises(AssertionError, match="its encoding asks for"):
        check_kernels(graph, graphs.decoder.model.graph, lazy, "int8")


def as_float32(weight: EncodedWeight) -> EncodedWeight:
    return EncodedWeight(weight.name, weight.shape, weight.at, "float32", weight.values)


def test_static_kernels_without_ranges_are_a_defect(
    encoded: tuple[BuiltGraphs, EncodedFile], tiny_gpt2_bundle: Path
) -> None:
    graphs, file = encoded
    shape = read_bundle(tiny_gpt2_bundle).shape
    with pytest.raises(AssertionError, match="need ranges"):
        quantized_graphs(graphs, shape, file, "int8_static")
    with pytest.raises(KeyError):
        quantized_graphs(graphs, shape, file, "int8_static", ActivationRanges("minmax", {}))


# Damaged variants.


@pytest.fixture
def bundle(quantized_gpt2_bundle: Path, tiny_gpt2_checkpoint: Path, tmp_path: Path) -> Bundle:
    return Bundle(shutil.copytree(quantized_gpt2_bundle, tmp_path / "bundle"), tiny_gpt2_checkpoint)


def keep(bundle: Bundle, *names: str) -> None:
    """Leave only these variants and fp32, so that no others are verified."""
    data = bundle.manifest()
    data["variants"] = [v for v in data["variants"] if v["name"] in ("fp32", *names)]
    bundle.write_manifest(data)


def variant_of(report: Report, name: str) -> VariantReport:
    return next(variant for variant in report.variants if variant.name == name)


def failed(report: Report, name: str) -> set[str]:
    """Checks and activations of a variant that failed."""
    variant = variant_of(report, name)
    checks = {check.name for check in variant.checks if check.verdict != "passed"}
    return checks | {row.name for row in variant.activations if row.verdict != "passed"}


def part_of(bundle: Bundle, variant: str, initializer: str) -> np.ndarray[Any, Any]:
    """A part of an encoded weight in its file, to be written to."""
    path = bundle.folder / f"model_{variant}.open.onnx"
    model = onnx.load(path, load_external_data=False)
    tensor = next(t for t in model.graph.initializer if t.name == initializer)
    said = {entry.key: entry.value for entry in tensor.external_data}
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    file = bundle.folder / said["location"]
    shape = tuple(tensor.dims)
    return np.memmap(file, dtype=dtype, mode="r+", offset=int(said["offset"]), shape=shape)


WEIGHT = "transformer.h.2.attn.c_proj.weight"
"""24 by 24, so that nothing but its values says which way round it is."""
READERS = {"q8": ("q8", "int8", "int8_static"), "q4": ("q4", "int4")}


@pytest.mark.parametrize(("encoding", "through"), [("q8", "int8"), ("q4", "int4")])
def test_one_wrong_scale(bundle: Bundle, encoding: str, through: str) -> None:
    """In the file; the decoder graph of int4 has scales of its own."""
    keep(bundle, "f16", *READERS[encoding])
    part_of(bundle, through, f"{WEIGHT}/scales").reshape(-1)[5] *= 2
    report = bundle.sign().verify()
    for variant in READERS[encoding]:
        assert any("weights" in name for name in failed(report, variant)), variant
    others = {v.name for v in report.variants} - set(READERS[encoding])
    assert all(not failed(report, variant) for variant in others)


@pytest.mark.parametrize(("encoding", "through"), [("q8", "int8"), ("q4", "int4")])
def test_one_corrupt_layer(bundle: Bundle, encoding: str, through: str) -> None:
    keep(bundle, *READERS[encoding])
    values = part_of(bundle, through, "transformer.h.1.mlp.c_fc.weight/values")
    values[...] = np.random.default_rng(0).integers(0, 256, values.shape, dtype=np.uint8)
    report = bundle.sign().verify()
    for variant in READERS[encoding]:
        assert any("weights" in name for name in failed(report, variant)), variant


@pytest.mark.parametrize(("encoding", "through"), [("q8", "int8"), ("q4", "int4")])
def test_a_swapped_axis(bundle: Bundle, encoding: str, through: str) -> None:
    """The values are those of the other way round, in a weight that is square."""
    keep(bundle, *READERS[encoding])
    values = part_of(bundle, through, f"{WEIGHT}/values")
    flat = values.reshape(24, -1)
    if through == "int8":
        flat[...] = flat.T.copy()
    else:
        halves = np.stack([flat & 15, flat >> 4], axis=-1).reshape(24, -1)
        halves[:, :24] = halves[:, :24].T.copy()
        flat[...] = halves[:, 0::2] | halves[:, 1::2] << 4
    report = bundle.sign().verify()
    for variant in READERS[encoding]:
        assert failed(report, variant), variant


def change(bundle: Bundle, variant: str, edit: Callable[[onnx.GraphProto], None]) -> set[str]:
    """Edit the graphs of a variant; what fails then, and that nothing else does."""
    keep(bundle, variant)
    for kind in ("", ".plain", ".open"):
        bundle.change(f"model_{variant}{kind}.onnx", edit)
    report = bundle.verify()
    others = {v.name for v in report.variants} - {variant}
    assert all(not failed(report, name) for name in others)
    return failed(report, variant)


def replace_constant(graph: onnx.GraphProto, name: str, value: np.generic) -> None:
    tensor = next(t for t in graph.initializer if t.name == name)
    tensor.CopyFrom(numpy_helper.from_array(np.asarray(value), name))


def test_a_wrong_zero_point_of_weights_in_the_graph(bundle: Bundle) -> None:
    found = change(bundle, "int8", lambda g: replace_constant(g, "oriel/uint8_128", np.uint8(127)))
    assert "products" in found


def test_a_wrong_zero_point_of_activations(bundle: Bundle) -> None:
    """Of one product, by one step: that hides in the noise of the whole, and not in its own."""

    def edit(graph: onnx.GraphProto) -> None:
        tensor = next(t for t in graph.initializer if t.name.endswith("/zero_point"))
        value = numpy_helper.to_array(tensor)
        name = f"{tensor.name}/moved"
        graph.initializer.append(numpy_helper.from_array(np.asarray(value + 1, np.uint8), name))
        node = next(
            n for n in graph.node if n.op_type == "QuantizeLinear" and tensor.name in n.input
        )
        node.input[2] = name

    assert change(bundle, "int8_static", edit) == {"products"}


@pytest.mark.parametrize("variant", QUANTIZED)
def test_scales_of_another_layer(bundle: Bundle, variant: str) -> None:
    """Both layers' weights are sound, but each product takes the other's scales."""

    def edit(graph: onnx.GraphProto) -> None:
        wrong = "transformer.h.3.attn.c_proj.weight/scales/Cast"
        right = f"{WEIGHT}/scales/Cast"
        # The cast is in the graph before either reader; in the decoder graph it may be a constant.
        casts = [n for n in graph.node if right in n.output or wrong in n.output]
        if casts:
            casts[0].input[0], casts[1].input[0] = casts[1].input[0], casts[0].input[0]
            return
        scales = [t for t in graph.initializer if t.name in (right, wrong)]
        scales[0].name, scales[1].name = scales[1].name, scales[0].name

    assert "products" in change(bundle, variant, edit)


def test_blocks_read_with_another_size(bundle: Bundle) -> None:
    def edit(graph: onnx.GraphProto) -> None:
        for node in graph.node:
            if node.op_type == "MatMulNBits" and f"{WEIGHT}/values" in node.input:
                for attribute in node.attribute:
                    if attribute.name == "block_size":
                        attribute.i = 16

    assert change(bundle, "int4", edit)


def test_an_encoded_file_that_expands_to_something_else(bundle: Bundle) -> None:
    keep(bundle, "q4", "int4")
    data = bundle.manifest()
    q4 = next(v for v in data["variants"] if v["name"] == "q4")
    q4["expansion"]["digest"] = "sha256:" + "0" * 64
    bundle.write_manifest(data)
    report = bundle.verify()
    assert "expansion" in failed(report, "q4")
    assert not failed(report, "int4")


def test_an_expansion_that_puts_a_weight_elsewhere(bundle: Bundle) -> None:
    """Two weights of one shape change places."""
    keep(bundle, "q8")
    data = bundle.manifest()
    q8 = next(v for v in data["variants"] if v["name"] == "q8")
    weights = {w["name"]: w for w in q8["expansion"]["weights"]}
    one, other = weights[WEIGHT], weights[WEIGHT.replace("h.2", "h.1")]
    one["at"], other["at"] = other["at"], one["at"]
    bundle.write_manifest(data)
    assert {"expansion", "plain_weights", "decoder_weights", "open_weights"} <= failed(
        bundle.verify(), "q8"
    )


def test_a_count_of_kernels_that_is_made_up(bundle: Bundle) -> None:
    keep(bundle, "int4")
    data = bundle.manifest()
    int4 = next(v for v in data["variants"] if v["name"] == "int4")
    int4["nodes"]["MatMulNBits"] += 1
    bundle.write_manifest(data)
    assert failed(bundle.verify(), "int4") == {"nodes"}
