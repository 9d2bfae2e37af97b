"""Encoded weights: what a graph says of each weight, how files are laid out, and what they stand
for by hand, by ONNX Runtime's kernels and by its own quantizer. Rounding by itself:
test_rounding.py; graphs over such files: test_quantized_graphs.py."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import tracemalloc
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnxruntime.capi._pybind_state import quantize_matmul_4bits, quantize_matmul_8bits
from thorough import examples

from oriel.bundle.read_bundle import read_bundle
from oriel.contract.documents import Expansion
from oriel.errors import CheckpointError, ContractError
from oriel.graph.attach_weights import WeightLayout, place_weights
from oriel.graph.data_files import ALIGNMENT
from oriel.precision.recipes.recipe import (
    BlockSize,
    bundled_recipe,
    parse_recipe,
)
from oriel.precision.recipes.weight_uses import WeightUse, weight_uses
from oriel.precision.weights.encoded_layout import EncodedFile, EncodedWeight
from oriel.precision.weights.expand_weights import expand_weights
from oriel.precision.weights.write_encoded import write_encoded_file

FIXTURES = Path(__file__).parents[1] / "fixtures"
Array = np.ndarray[Any, np.dtype[Any]]
Floats = np.ndarray[Any, np.dtype[np.float32]]
LOCATION = "model.onnx.data"


@dataclass(frozen=True)
class Made:
    """A file that was encoded, and what it was expanded to."""

    source: dict[str, Floats]
    layout: WeightLayout
    encoded: EncodedFile
    data: bytes
    expanded: bytes

    def weight(self, name: str = "w") -> EncodedWeight:
        found = self.encoded.weight(name)
        assert found is not None
        return found

    def stands_for(self, name: str = "w") -> Floats:
        place = next(place for place in self.layout.weights if place.name == name)
        found = np.frombuffer(self.expanded, "<f4", place.bytes // 4, place.offset)
        return found.reshape(place.shape)

    def part(self, start: int | None, dtype: str, shape: tuple[int, ...]) -> Array:
        assert start is not None
        return np.frombuffer(self.data, dtype, int(np.prod(shape)), start).reshape(shape)


def make(
    folder: Path,
    weights: dict[str, Floats],
    rules: list[dict[str, Any]],
    axes: dict[str, Literal[0, 1]] | None = None,
) -> Made:
    """Encode and expand; matrices are summed over their first axis unless told otherwise."""
    layout = place_weights({name: array.shape for name, array in weights.items()}, ())
    source = np.zeros(layout.bytes, np.uint8)
    for place in layout.weights:
        data = weights[place.name].astype("<f4").tobytes()
        source[place.offset : place.offset + place.bytes] = np.frombuffer(data, np.uint8)
    source.tofile(folder / LOCATION)
    uses = {
        name: WeightUse(array.shape, (axes or {}).get(name, 0) if array.ndim == 2 else None)
        for name, array in weights.items()
    }
    recipe = parse_recipe({"name": "own", "rules": [{"match": "*", **rule} for rule in rules]})
    target = folder / "own.data"
    encoded = write_encoded_file(folder / LOCATION, layout, uses, recipe, target)
    expand_weights(target, encoded.to_expansion(LOCATION), folder / "expanded.data")
    expanded = (folder / "expanded.data").read_bytes()
    return Made(weights, layout, encoded, target.read_bytes(), expanded)


def drawn(*shape: int, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    return (rng.standard_t(4, shape) * 0.05).astype(np.float32)


def blocks(bits: int, block: int = 32, symmetric: bool = True, **more: Any) -> dict[str, Any]:
    return {"treat": "blocks", "bits": bits, "block": block, "symmetric": symmetric, **more}


def channels(**more: Any) -> dict[str, Any]:
    return {"treat": "channels", **more}


EVERY_RULE = [
    *(blocks(bits, block, symmetric) for bits in (4, 8) for block in (16, 128)
      for symmetric in (True, False)),
    channels(signed=True),
    channels(signed=False),
    channels(symmetric=False),
]  # fmt: skip


# What is written.


def by_hand(made: Made, name: str = "w") -> Floats:
    """What an encoded matrix stands for, value by value, by the definition of its layout."""
    weight = made.weight(name)
    rows, columns = weight.shape
    found = np.zeros(weight.shape, np.float32)
    data = made.data
    assert weight.scales is not None
    for row in range(rows):
        for column in range(columns):
            channel, at = (column, row) if weight.axis == 0 else (row, column)
            if weight.layout == "channels":
                group, value = channel, data[weight.values + row * columns + column]
                zero = 128 if weight.zero_points is None else data[weight.zero_points + channel]
                if weight.signed:
                    value, zero = (value + 128) % 256 - 128, 0
            else:
                assert weight.block is not None and weight.bits is not None
                blocks = -(-weight.shape[weight.axis or 0] // weight.block)
                group = channel * blocks + at // weight.block
                row_bytes = blocks * weight.block * weight.bits // 8
                value = nibble(data, weight.values + channel * row_bytes, at, weight.bits)
                zero = 1 << (weight.bits - 1)
                if weight.zero_points is not None:
                    start = weight.zero_points + channel * -(-blocks * weight.bits // 8)
                    zero = nibble(data, start, at // weight.block, weight.bits)
            scale = np.frombuffer(data, "<f2", 1, weight.scales + 2 * group)[0]
            found[row, column] = np.float32(value - zero) * np.float32(scale)
    return found


def nibble(data: bytes, start: int, index: int, bits: int) -> int:
    """The value at an index, of 8 bits, or of 4 bits with the first in the low half."""
    if bits == 8:
        return data[start + index]
    return data[start + index // 2] >> (4 * (index % 2)) & 15


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("rule", EVERY_RULE, ids=str)
def test_what_is_written_stands_for_the_weights(
    rule: dict[str, Any], axis: Literal[0, 1], tmp_path: Path
) -> None:
    """41 values of a channel are three blocks of 16, the last of them cut; 150 are two of 128."""
    shape = (41, 150) if axis == 0 else (150, 41)
    made = make(tmp_path, {"w": drawn(*shape)}, [rule], {"w": axis})
    wanted = by_hand(made)
    assert np.array_equal(made.stands_for(), wanted)
    scales = made.part(made.weight().scales, "<f2", made.weight().scales_shape)
    maximum = np.abs(scales).astype(np.float32).max() / 2
    assert np.abs(wanted - made.source["w"]).max() <= maximum * (1 + 1e-4)
    assert np.abs(wanted - made.source["w"]).max() > 0


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
def test_what_fills_the_last_block_stands_for_zero(
    axis: Literal[0, 1], bits: int, symmetric: bool, tmp_path: Path
) -> None:
    weight = drawn(41, 7) if axis == 0 else drawn(7, 41)
    made = make(tmp_path, {"w": abs(weight)}, [blocks(bits, 16, symmetric)], {"w": axis})
    where = made.weight()
    for channel in range(7):
        zero = 1 << (bits - 1)
        if where.zero_points is not None:
            zero = nibble(made.data, where.zero_points + channel * -(-3 * bits // 8), 2, bits)
        start = where.values + channel * 48 * bits // 8
        assert {nibble(made.data, start, at, bits) for at in range(41, 48)} == {zero}


def test_files_are_laid_out_in_the_order_of_the_weights(tmp_path: Path) -> None:
    weights = {"a": drawn(40, 6), "b": drawn(5), "c": drawn(9, 40), "d": drawn(3, 2)}
    rules = [
        {**blocks(4, 16, symmetric=False), "match": "a"},
        {**channels(symmetric=False), "match": "c"},
        {"match": "[ab]", "treat": "float16"},
    ]
    made = make(tmp_path, weights, rules, {"c": 1})
    position = at = 0
    for weight in made.encoded.weights:
        starts = [weight.scales, weight.zero_points, weight.values]
        sizes = [weight.scale_bytes, weight.zero_point_bytes, weight.value_bytes]
        for start, size in zip(starts, sizes, strict=True):
            if start is None:
                continue
            assert start % ALIGNMENT == 0 and 0 <= start - position < ALIGNMENT
            assert not any(made.data[position:start])
            position = start + size
        assert weight.at % ALIGNMENT == 0 and not any(made.expanded[at : weight.at])
        at = weight.at + 4 * weight.size
    assert [w.layout for w in made.encoded.weights] == ["blocks", "float16", "channels", "float32"]
    assert position == made.encoded.bytes == len(made.data)
    assert at == made.encoded.expanded_bytes == len(made.expanded)
    assert list(made.encoded.digests.values()) == [
        f"sha256:{hashlib.sha256(made.data).hexdigest()}"
    ]
    assert made.encoded.expanded_digest == f"sha256:{hashlib.sha256(made.expanded).hexdigest()}"
    # Weights have their places in the expanded file: those of the file that was encoded.
    assert [w.at for w in made.encoded.weights] == [w.offset for w in made.layout.weights]
    assert np.array_equal(made.stands_for("d"), weights["d"])
    assert np.array_equal(made.stands_for("b"), weights["b"].astype(np.float16))


def test_an_expansion_says_what_its_weights_say(tmp_path: Path) -> None:
    made = make(tmp_path, {"w": drawn(40, 6), "v": drawn(5)}, [blocks(4, 16, symmetric=False)])
    expansion = json.loads(json.dumps(made.encoded.to_expansion(LOCATION)))
    read = tuple(EncodedWeight.from_json(weight) for weight in expansion["weights"])
    assert read == made.encoded.weights
    assert (expansion["path"], expansion["dtype"]) == (LOCATION, "float32")


def test_the_same_weights_make_the_same_file_however_threads_run(tmp_path: Path) -> None:
    weights = {"w": drawn(200, 5000), "t": drawn(5000, 200, seed=1)}
    files = set()
    for turn in range(3):
        folder = tmp_path / str(turn)
        folder.mkdir()
        files.add(
            make(folder, weights, [blocks(4, rounding="mse")], {"t": 1}).encoded.digests["own.data"]
        )
    assert len(files) == 1


# Weights of every size.


@given(
    exponent=st.floats(-12, 4.5), kind=st.sampled_from(["any", "zero", "constant", "one"]),
    rule=st.sampled_from(EVERY_RULE), summed=st.integers(1, 300), channels=st.integers(1, 9),
    axis=st.sampled_from([0, 1]), seed=st.integers(0, 99),
)  # fmt: skip
@settings(
    deadline=None,
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_scale_is_zero_or_infinite_and_no_weight_is_far_off(
    exponent: float, kind: str, rule: dict[str, Any], summed: int, channels: int,
    axis: Literal[0, 1], seed: int, tmp_path: Path,
) -> None:  # fmt: skip
    weight = np.clip(drawn(summed, channels, seed=seed) * 20, -1, 1)
    if kind == "zero":
        weight[:, 0] = 0
    elif kind == "constant":
        weight[:] = weight[:1]
    elif kind == "one":
        weight[1:] = 0
    weight = (weight * np.float64(10) ** exponent).astype(np.float32)
    weight = weight if axis == 0 else np.ascontiguousarray(weight.T)
    made = make(tmp_path, {"w": weight}, [rule], {"w": axis})
    where = made.weight()
    scales = made.part(where.scales, "<f2", where.scales_shape)
    assert np.isfinite(scales).all() and (scales != 0).all()
    errors = np.abs(made.stands_for().astype(np.float64) - weight)
    # Half of the step that the largest weight of a channel asks for, or of float16's smallest.
    step = np.abs(weight).max(axis=axis, keepdims=True) * 2.0 / ((1 << (where.bits or 0)) - 2)
    assert (errors <= step / 2 * (1 + 2e-3) + 2.0**-25).all()
    assert (made.stands_for()[weight == 0] == 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("rule", [*EVERY_RULE[::3], {"treat": "float16"}], ids=str)
def test_a_weight_beyond_float16_scales_is_refused(
    bad: float, rule: dict[str, Any], tmp_path: Path
) -> None:
    weight = drawn(40, 6)
    weight[3, 2] = bad
    with pytest.raises(CheckpointError, match=r"^w doesn't fit .*recipe of your own") as error:
        make(tmp_path, {"w": weight}, [rule])
    assert "\n" not in str(error.value)


def test_the_largest_weight_that_fits_is_kept(tmp_path: Path) -> None:
    for rule, maximum in (
        (blocks(4), 65504 * 7),
        (blocks(8), 65504 * 127),
        (channels(), 65504 * 127),
    ):
        weight = drawn(64, 3)
        weight[5, 1] = -maximum
        made = make(tmp_path, {"w": weight}, [rule])
        assert made.stands_for()[5, 1] == -maximum


# What ONNX Runtime reads in the same bytes.


def multiplied(weight: EncodedWeight, made: Made, rows: Floats, accuracy: int) -> Floats:
    """rows times the encoded matrix, by MatMulNBits."""
    assert weight.block is not None
    arrays = {
        "b": made.part(weight.values, "<u1", weight.values_shape),
        "s": made.part(weight.scales, "<f2", weight.scales_shape).astype(np.float32),
    }
    if weight.zero_points is not None:
        arrays["z"] = made.part(weight.zero_points, "<u1", weight.zero_points_shape)
    return matmul_nbits(arrays, rows, weight.summed, weight.channels, weight, accuracy)


def matmul_nbits(
    arrays: dict[str, Array], rows: Floats, k: int, n: int, weight: EncodedWeight, accuracy: int
) -> Floats:
    """By ONNX Runtime: b, s and perhaps z as the operator's schema has them."""
    node = helper.make_node(
        "MatMulNBits", ["a", *arrays], ["y"], domain="com.microsoft", K=k, N=n, bits=weight.bits,
        block_size=weight.block, accuracy_level=accuracy,
    )  # fmt: skip
    graph = helper.make_graph(
        [node], "g",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, [None, k])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, n])],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )  # fmt: skip
    domains = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=domains, ir_version=10)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found: Floats = session.run(None, {"a": rows})[0]
    return found


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(("bits", "block"), [(4, 16), (4, 32), (4, 128), (8, 32)])
def test_matmulnbits_multiplies_by_what_the_file_expands_to(
    bits: int, block: int, symmetric: bool, axis: Literal[0, 1], tmp_path: Path
) -> None:
    shape = (150, 24) if axis == 0 else (24, 150)
    made = make(tmp_path, {"w": drawn(*shape)}, [blocks(bits, block, symmetric)], {"w": axis})
    matrix = made.stands_for() if axis == 0 else made.stands_for().T
    rows = np.eye(150, dtype=np.float32)
    assert np.allclose(multiplied(made.weight(), made, rows, 1), matrix, rtol=1e-6, atol=1e-8)
    rows = np.random.default_rng(1).normal(size=(5, 150)).astype(np.float32)
    wanted = rows.astype(np.float64) @ matrix
    assert np.allclose(multiplied(made.weight(), made, rows, 1), wanted, atol=1e-5)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("block", [16, 32, 64, 256])
@pytest.mark.parametrize("bits", [4, 8])
def test_onnx_runtimes_own_quantizer_packs_as_this_reader_reads(
    bits: int, block: BlockSize, symmetric: bool, tmp_path: Path
) -> None:
    """Its bytes, put into a file of ours, expand to what its kernel multiplies by; and the error is
    about that of our own rounding to nearest."""
    k, n = 208, 11
    source = drawn(k, n)
    count = -(-k // block)
    values = np.zeros((n, count, block * bits // 8), np.uint8)
    scales = np.zeros((n, count), np.float32)
    zeros = np.zeros((n, -(-count * bits // 8)), np.uint8)
    quantize = quantize_matmul_4bits if bits == 4 else quantize_matmul_8bits
    quantize(values, source, scales.reshape(-1), zeros.reshape(-1), block, n, k, symmetric)
    # A file of ours has float16 scales.
    halves = scales.astype("<f2")
    data = bytearray()
    starts = []
    for array in (halves, *([] if symmetric else [zeros]), values):
        data += bytes(-len(data) % 64)
        starts.append(len(data))
        data += array.tobytes()
    weight = EncodedWeight(
        "w", (k, n), 0, "blocks", starts[-1], starts[0], None if symmetric else starts[1],
        0, 4 if bits == 4 else 8, None, block,
    )  # fmt: skip
    arrays: dict[str, Array] = {"b": values, "s": halves.astype(np.float32)}
    if not symmetric:
        arrays["z"] = zeros
    wanted = matmul_nbits(arrays, np.eye(k, dtype=np.float32), k, n, weight, 1)
    (tmp_path / "theirs.data").write_bytes(data)
    expansion: Expansion = {
        "path": LOCATION,
        "bytes": 4 * k * n,
        "digest": "",
        "dtype": "float32",
        "weights": [weight.to_json()],
    }
    with pytest.raises(ContractError, match="doesn't expand"):
        expand_weights(tmp_path / "theirs.data", expansion, tmp_path / "expanded.data")
    found = np.fromfile(tmp_path / "expanded.data", "<f4").reshape(k, n)
    assert np.allclose(found, wanted, rtol=1e-6, atol=1e-8)
    made = make(tmp_path, {"w": source}, [blocks(bits, block, symmetric)])
    ours, theirs = (np.square(a - source).sum() for a in (made.stands_for(), found))
    assert 0.6 * theirs < ours < 1.4 * theirs


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("rule", EVERY_RULE[-3:], ids=str)
def test_channels_are_what_dequantizelinear_reads(
    rule: dict[str, Any], axis: Literal[0, 1], tmp_path: Path
) -> None:
    made = make(tmp_path, {"w": drawn(40, 24)}, [rule], {"w": axis})
    weight = made.weight()
    kind = "<i1" if weight.signed else "<u1"
    zeros = np.full(weight.channels, 0 if weight.signed else 128, kind)
    if weight.zero_points is not None:
        zeros = made.part(weight.zero_points, kind, (weight.channels,))
    arrays = {
        "x": made.part(weight.values, kind, weight.shape),
        "s": made.part(weight.scales, "<f2", (weight.channels,)).astype(np.float32),
        "z": zeros,
    }
    node = helper.make_node("DequantizeLinear", list(arrays), ["y"], axis=1 - axis)
    graph = helper.make_graph(
        [node], "g", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [40, 24])],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    assert np.array_equal(session.run(None, {})[0], made.stands_for())


# Reading.


def fixture_cases() -> list[dict[str, Any]]:
    text = (FIXTURES / "encoded_weights.json").read_text(encoding="utf-8")
    cases: list[dict[str, Any]] = json.loads(text)["cases"]
    return cases


@pytest.mark.parametrize("case", fixture_cases(), ids=lambda case: case["name"])
def test_fixtures_expand_to_what_they_were_made_for(case: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "encoded").write_bytes(base64.b64decode(case["encoded"]))
    expand_weights(tmp_path / "encoded", case["expansion"], tmp_path / "expanded")
    assert (tmp_path / "expanded").read_bytes() == base64.b64decode(case["expanded"])


def test_fixtures_are_those_that_their_script_makes() -> None:
    script = "import make_encoded_fixtures as made; print(made.text(), end='')"
    command = [sys.executable, "-c", script]
    found = subprocess.run(command, cwd=FIXTURES, capture_output=True, check=True, text=True)
    assert found.stdout == (FIXTURES / "encoded_weights.json").read_text(encoding="utf-8")


def test_a_file_that_was_changed_does_not_expand(tmp_path: Path) -> None:
    made = make(tmp_path, {"w": drawn(40, 6)}, [blocks(4)])
    changed = bytearray(made.data)
    changed[made.weight().values + 7] ^= 1
    (tmp_path / "own.data").write_bytes(changed)
    expansion = made.encoded.to_expansion(LOCATION)
    with pytest.raises(ContractError, match=r"own\.data doesn't expand to what its manifest says"):
        expand_weights(tmp_path / "own.data", expansion, tmp_path / "again.data")
    (tmp_path / "own.data").write_bytes(made.data[:-1])
    with pytest.raises(ContractError, match="the encoded weights end before w"):
        expand_weights(tmp_path / "own.data", expansion, tmp_path / "again.data")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"axis": None}, "blocks without axis"),
        ({"scales": None}, "blocks without scales"),
        ({"bits": None, "block": None}, "blocks without bits, block"),
        ({"shape": [40]}, "blocks without a second axis"),
        ({"layout": "channels", "bits": 4}, "channels without 8 bits"),
    ],
)
def test_a_description_that_lacks_something_is_refused(
    changes: dict[str, Any], told: str, tmp_path: Path
) -> None:
    data: Any = make(tmp_path, {"w": drawn(40, 6)}, [blocks(4)]).weight().to_json()
    data = {key: value for key, value in (data | changes).items() if value is not None}
    with pytest.raises(ContractError, match=f"how w is encoded; got {told}"):
        EncodedWeight.from_json(data)


# Memory.


@pytest.mark.parametrize("rule", [blocks(4, rounding="mse"), channels()], ids=str)
def test_memory_is_that_of_a_weight_and_not_of_the_model(
    rule: dict[str, Any], tmp_path: Path
) -> None:
    """64 MiB of float32 in 16 weights; NumPy tells tracemalloc what it allocates."""
    layout = place_weights({f"w{i}": (1024, 1024) for i in range(16)}, ())
    np.zeros(layout.bytes, np.uint8).tofile(tmp_path / LOCATION)
    uses = {weight.name: WeightUse(weight.shape, 0) for weight in layout.weights}
    recipe = parse_recipe({"name": "own", "rules": [{"match": "*", **rule}]})
    tracemalloc.start()
    try:
        target = tmp_path / "own.data"
        encoded = write_encoded_file(tmp_path / LOCATION, layout, uses, recipe, target)
        expand_weights(target, encoded.to_expansion(LOCATION), tmp_path / "expanded.data")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 24 * 2**20


# What a graph does with its weights.


def external(name: str, *shape: int) -> TensorProto:
    tensor = TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    return tensor


def uses_in(*nodes: onnx.NodeProto, outputs: tuple[str, ...] = ("y",)) -> dict[str, WeightUse]:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(list(nodes), "g", [], values, [external("w", 8, 6), external("v", 6)])
    graph.initializer.append(onnx.numpy_helper.from_array(np.zeros((2, 2), np.float32), "constant"))
    return weight_uses(graph)


def test_a_weight_is_used_as_the_graph_reads_it() -> None:
    node = helper.make_node
    turn = node("Transpose", ["w"], ["wt"], perm=[1, 0])
    found = uses_in(node("MatMul", ["x", "w"], ["p"]), node("Add", ["p", "v"], ["y"]))
    assert found == {
        "w": WeightUse((8, 6), 0, multiplied=True, factors=("x",)),
        "v": WeightUse((6,), None),
    }
    assert uses_in(turn, node("MatMul", ["x", "wt"], ["y"]))["w"].axis == 1
    assert uses_in(node("Gather", ["w", "ids"], ["y"]))["w"] == WeightUse((8, 6), 1, gathered=True)
    tied = uses_in(
        turn, node("Gather", ["w", "ids"], ["e"]), node("MatMul", ["x", "wt"], ["y"]),
        node("MatMul", ["x2", "wt"], ["y2"]),
    )["w"]  # fmt: skip
    assert tied == WeightUse((8, 6), 1, True, True, ("x", "x2"))
    assert tied.quantizable


@pytest.mark.parametrize(
    "nodes",
    [
        [helper.make_node("MatMul", ["w", "x"], ["y"])],
        [helper.make_node("Gather", ["w", "ids"], ["y"], axis=1)],
        [helper.make_node("Mul", ["w", "x"], ["y"])],
        [
            helper.make_node("MatMul", ["x", "w"], ["p"]),
            helper.make_node("Gather", ["w", "ids"], ["y"]),
        ],
        [
            helper.make_node("MatMul", ["x", "w"], ["p"]),
            helper.make_node("Relu", ["w"], ["y"]),
        ],
        [helper.make_node("Transpose", ["w"], ["y"], perm=[1, 0])],
        [],
    ],
)
def test_what_no_quantized_kernel_reads_is_not_quantizable(nodes: list[onnx.NodeProto]) -> None:
    assert not uses_in(*nodes)["w"].quantizable


def test_every_matrix_of_a_model_is_understood(tiny_gpt2_bundle: Path) -> None:
    bundle = read_bundle(tiny_gpt2_bundle / "model.onnx")
    uses = weight_uses(bundle.graphs.decoder.model.graph)
    assert uses.keys() == {weight.name for weight in bundle.graphs.layout.weights}
    matrices = {name for name, use in uses.items() if len(use.shape) == 2}
    assert {name for name, use in uses.items() if use.quantizable} == matrices
    tied = uses["transformer.wte.weight"]
    assert (tied.axis, tied.gathered, tied.multiplied) == (1, True, True)
    assert uses["transformer.h.1.mlp.c_fc.weight"].axis == 0
    positions = uses["transformer.wpe.weight"]
    assert (positions.gathered, positions.multiplied, positions.factors) == (True, False, ())


def test_f16_is_every_weight_rounded_to_float16(tiny_gpt2_bundle: Path, tmp_path: Path) -> None:
    bundle = read_bundle(tiny_gpt2_bundle / "model.onnx")
    uses = weight_uses(bundle.graphs.decoder.model.graph)
    source = tiny_gpt2_bundle / LOCATION
    target = tmp_path / "model_f16.onnx.data"
    layout = bundle.graphs.layout
    encoded = write_encoded_file(source, layout, uses, bundled_recipe("f16"), target)
    wide = np.fromfile(source, "<f4")
    for old, new in zip(layout.weights, encoded.weights, strict=True):
        count = old.bytes // 4
        narrow = np.fromfile(target, "<f2", count, offset=new.values)
        assert np.array_equal(narrow, wide[old.offset // 4 :][:count].astype(np.float16))
