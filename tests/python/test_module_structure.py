"""The parts under an export of a module, without an export: names and patterns of paths, nested
structures, dynamic axes, the second input, the comparison, and what is slim."""

from __future__ import annotations

import math
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import weight_norm
from transformers.utils.generic import ModelOutput

from oriel.errors import ModuleError
from oriel.modules.axes import output_axes, resolve_axes, sizes_in
from oriel.modules.call import CallArguments, call_with, flatten_call
from oriel.modules.compare_outputs import compare_outputs
from oriel.modules.paths import dotted_names, flat_names, matches, path_text
from oriel.modules.second_input import second_input
from oriel.modules.slim import NeededWeights, slim, unused_parts, without
from oriel.modules.structure import flatten, rebuild, tensors_of

part = st.text(max_size=4) | st.integers(0, 12) | st.sampled_from(["a", "A", "a_b", "a.b", "class"])
some_paths = st.lists(
    st.lists(part, min_size=1, max_size=3).map(tuple), unique_by=path_text, min_size=1, max_size=8
)


@given(some_paths)
def test_every_path_gets_an_identifier_of_its_own_whatever_the_order(paths: list[Any]) -> None:
    names = flat_names(paths, "input")
    assert len({name.lower() for name in names.values()}) == len(paths)
    assert all(name.isidentifier() and name.isascii() for name in names.values())
    assert flat_names(paths[::-1], "input") == names


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        ([("inputs", "voxels", 0)], ["inputs_voxels_0"]),
        ([("größe",), ("x y",), ("0",), ("class",), ("self",)], None),
        ([(0, "a")], ["output_0_a"]),
        ([()], ["output"]),
    ],
)
def test_names_are_read_from_paths(paths: list[Any], said: list[str] | None) -> None:
    names = list(flat_names(paths, "output").values())
    if said is None:
        assert names == ["gr_e", "x_y", "output_0", "class_", "self_"]
    else:
        assert names == said


def test_two_paths_of_one_flat_form_get_their_own_digits() -> None:
    paths: list[Any] = [("a.b",), ("a", "b"), ("c",)]
    names = flat_names(paths, "input")
    assert names[("c",)] == "c"
    one, other = names[("a.b",)], names[("a", "b")]
    assert one != other and one.startswith("a_b_") and other.startswith("a_b_")
    # The rule is stated: digits of the SHA-256 of the path's text.
    import hashlib

    assert one == "a_b_" + hashlib.sha256(b'"a.b"').hexdigest()[:8]


def test_an_output_never_has_an_input_s_name() -> None:
    names = flat_names([("score",), ("x",)], "output", ["x"])
    assert names == {("score",): "score", ("x",): "x_output"}


def test_keys_of_one_text_are_refused() -> None:
    with pytest.raises(ModuleError, match=r"two paths have one name; got x\.1 twice"):
        flat_names([("x", 1), ("x", "1")], "input")


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("inputs.voxels.*", ("inputs", "voxels", 3), True),
        ("inputs.voxels.*", ("inputs", "voxels"), False),
        ("inputs.voxels.*", ("inputs", "voxels", 3, "a"), False),
        ("inputs.**", ("inputs", "voxels", 3, "a"), True),
        ("**", (), True),
        (".", (), True),
        ('inputs."a.b"', ("inputs", "a.b"), True),
        ("inputs.a.b", ("inputs", "a.b"), False),
        ('"*"', ("x",), False),
        ('"*"', ("*",), True),
    ],
)
def test_patterns(pattern: str, path: Any, fits: bool) -> None:
    assert matches(pattern, path) is fits


def test_a_pattern_that_is_no_path_is_refused() -> None:
    with pytest.raises(ModuleError, match="pattern can't be read"):
        matches("a..b", ("a",))


Pair = namedtuple("Pair", "left right")


@dataclass
class Frame:
    points: Tensor
    name: str
    made: int = field(init=False, default=0)


@dataclass
class Detections(ModelOutput):
    boxes: Tensor | None = None
    scores: Tensor | None = None


def nested() -> dict[str, Any]:
    frame = Frame(torch.ones(2), "front")
    frame.made = 7
    return {
        "list": [torch.zeros(1), None, [torch.zeros(2)]],
        "pair": Pair(torch.zeros(3), 5),
        "frame": frame,
        "output": Detections(scores=torch.zeros(4)),
        "ordered": OrderedDict(b=torch.zeros(5), a="text"),
        "size": torch.Size([2, 3]),
        "empty": [],
    }


def test_a_structure_is_rebuilt_exactly() -> None:
    flat = flatten(nested())
    assert [tuple(t.shape) for t in flat.tensors] == [(1,), (2,), (3,), (2,), (4,), (5,)]
    fresh = [torch.full_like(t, at) for at, t in enumerate(flat.tensors)]
    got: Any = rebuild(flat.node, fresh, flat.types)
    assert list(got) == list(nested())
    assert got["list"][1] is None and float(got["list"][2][0][0]) == 1
    assert type(got["pair"]) is Pair and got["pair"].right == 5
    assert type(got["frame"]) is Frame and got["frame"].made == 7
    assert type(got["output"]) is Detections and got["output"].boxes is None
    assert float(got["output"]["scores"][0]) == 4
    assert list(got["ordered"].items())[1] == ("a", "text")
    assert type(got["size"]) is torch.Size and got["empty"] == []


def test_without_the_classes_plain_containers_come_back() -> None:
    flat = flatten(nested())
    got: Any = rebuild(flat.node, flat.tensors, {})
    assert type(got["pair"]) is tuple
    assert got["frame"]["name"] == "front"
    assert list(got["output"]) == ["scores"]


def test_tensors_are_found_whatever_the_order_of_keys() -> None:
    flat = flatten(nested())
    turned = dict(reversed(list(nested().items())))
    found = tensors_of(flat.node, turned, "the input")
    assert [t.shape for t in found] == [t.shape for t in flat.tensors]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": {(1, 2): torch.ones(1)}}, r"a key of a can't stand in a file; got \(1, 2\)"),
        ({True: torch.ones(1)}, "got True, a bool"),
        ({"s": torch.ones(2, 2).to_sparse()}, "s is no dense tensor; got sparse_coo"),
    ],
)
def test_values_that_no_file_can_hold_are_refused(value: Any, said: str) -> None:
    with pytest.raises(ModuleError, match=said):
        flatten(value)


def test_a_list_that_holds_itself_is_refused() -> None:
    own: list[Any] = [torch.ones(1)]
    own.append(own)
    with pytest.raises(ModuleError, match="nested too deeply, or holds itself"):
        flatten(own)


class Opaque:
    def __init__(self, value: object) -> None:
        self.value = value


@pytest.mark.parametrize(
    ("exported", "given", "same"),
    [
        (math.nan, math.nan, True),
        (1, 1.0, False),
        (1, True, False),
        ("a", "a", True),
        (np.arange(3000), np.arange(3000), True),
        # Their reprs are alike: numpy leaves the middle out.
        (np.arange(3000), np.where(np.arange(3000) == 1500, 0, np.arange(3000)), False),
        ({"x", "y", "z"}, {"z", "y", "x"}, True),
        (torch.float16, torch.float32, False),
        (Opaque(1), Opaque(1), True),
        (Opaque(1), FilePath("x"), False),
        (FilePath("a"), FilePath("b"), False),
    ],
)
def test_constants_are_compared(exported: object, given: object, same: bool) -> None:
    node = flatten({"x": exported}).node
    if same:
        assert tensors_of(node, {"x": given}, "the input") == []
    else:
        with pytest.raises(ModuleError, match="doesn't match what was exported, at x"):
            tensors_of(node, {"x": given}, "the input")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"x": torch.ones(2, 0)}, r"x has no values; got the shape \[2, 0\]"),
        ({"x": 5}, "hold no tensor; got 5"),
        ({"x": torch.ones(1), "o": Opaque(torch.ones(1))}, "the object at o hides a tensor"),
        ({"x": torch.ones(1), "o": Opaque([torch.ones(1)])}, "the object at o hides a tensor"),
    ],
)
def test_examples_that_prove_nothing_are_refused(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ModuleError, match=said):
        flatten_call(arguments)


def test_arguments_that_do_not_fit_are_told_with_the_parameters() -> None:
    module = nn.Linear(2, 2)
    with pytest.raises(ModuleError, match=r"missing a required argument.*Linear\.forward"):
        CallArguments().bound_to(module.forward)


def test_a_module_is_called_with_its_hooks() -> None:
    """The old weight norm computes the weight in a hook: forward alone sees a stale one."""
    with pytest.warns(FutureWarning, match="weight_norm"):
        module = weight_norm(nn.Linear(3, 3, bias=False))
    x = torch.ones(1, 3)
    with torch.no_grad():
        before = module(x)
        module.get_parameter("weight_g").mul_(2)
        got: Any = call_with(module.forward, {"input": x})
        torch.testing.assert_close(got, before * 2)


def axes_of(dynamic: Any, **tensors: Tensor) -> Any:
    return resolve_axes(dynamic, [(name,) for name in tensors], list(tensors.values()))


@pytest.mark.parametrize("size", [0, 1])
def test_a_size_that_torch_takes_for_a_constant_is_refused(size: int) -> None:
    with pytest.raises(ModuleError, match=rf"axis batch of x is {size} in the example.*constant"):
        axes_of({"x": {0: "batch"}}, x=torch.ones(size, 3))


@pytest.mark.parametrize(
    ("dynamic", "said"),
    [
        ({"y": {0: "n"}}, "matches no tensor; got y"),
        ({"x": {2: "n"}}, r"x has no axis 2; got the shape \[2, 3\]"),
        ({"x": {-3: "n"}}, "x has no axis -3"),
        ({"x": {0: "n", 1: "n"}}, "axis n has two sizes.*got 2 in x, 3 in x"),
        ({"x": {0: "1 n"}}, "no usable name"),
        ({"x": {0: "n + 1"}}, "no usable name"),
        ({"x": {0: "n", 1: "n + m"}}, "sum of axes that aren't there; got m; expected some of n"),
        ({"x": {0: "n", 1: "n + n"}}, r"n \+ n isn't that sum in the example; got 3; .* 2 \+ 2"),
    ],
)
def test_axes_that_cannot_be_are_refused(dynamic: Any, said: str) -> None:
    with pytest.raises(ModuleError, match=said):
        axes_of(dynamic, x=torch.ones(2, 3))


def test_matches_of_different_sizes_get_an_axis_each() -> None:
    paths: list[Any] = [("v", 0), ("v", 1), ("n", 0), ("n", 1)]
    tensors = [torch.ones(5, 3), torch.ones(7, 3), torch.ones(5), torch.ones(7)]
    axes = resolve_axes({"v.*": {0: "voxels"}, "n.*": {-1: "voxels"}}, paths, tensors)
    assert axes.of_tensors == tuple({0: f"voxels_{at}"} for at in (0, 1, 0, 1))
    assert axes.sizes == {"voxels_0": 5, "voxels_1": 7}
    starred = resolve_axes({"v.*": {0: "voxels_*"}}, paths[:2], [tensors[0]] * 2)
    assert list(starred.sizes) == ["voxels_0", "voxels_1"]


def test_a_second_input_has_other_sizes_and_keeps_rows_together() -> None:
    rows = torch.arange(6)
    tensors = [rows.clone(), torch.stack([rows, rows * 10], 1), torch.rand(6, 4)]
    axes = axes_of({"**": {0: "n"}}, a=tensors[0], b=tensors[1], c=tensors[2])
    assert axes.second_sizes() == {"n": 7}
    a, b, c = second_input(tensors, axes, axes.second_sizes())
    assert a.shape == (7,) and set(a.tolist()) <= set(range(6))
    assert torch.equal(b, torch.stack([a, a * 10], 1))
    assert c.shape == (7, 4) and float(c.min()) >= 0 and float(c.max()) <= 1
    assert not torch.equal(c, tensors[2][a])


def test_a_sum_of_axes_follows_them() -> None:
    old, new = torch.arange(2), torch.arange(10, 13)
    axes = axes_of(
        {"old": {0: "old"}, "all": {0: "old + new"}, "new": {0: "new"}},
        **{"old": old, "all": torch.cat([old, new]), "new": new},
    )
    assert axes.sizes == {"old": 2, "new": 3} and axes.sums == {"old + new": 5}
    other = axes.second_sizes()
    a, both, b = second_input([old, torch.cat([old, new]), new], axes, other)
    assert torch.equal(both, torch.cat([a, b])) and both.shape == (3 + 5,)
    assert sizes_in(axes, [a, both, b]) == other
    with pytest.raises(
        ModuleError, match=r"old \+ new isn't that sum in one input; got 7; .*3 \+ 5"
    ):
        sizes_in(axes, [a, both[1:], b])
    named = output_axes([torch.ones(5, 2)], [torch.ones(8, 3)], axes, other)
    assert named == ({0: "old + new", 1: "old"},)


def test_names_with_dots_are_the_paths() -> None:
    paths: list[Any] = [("past", 0, "key"), ("x",)]
    assert list(dotted_names(paths, "input").values()) == ["past.0.key", "x"]
    assert dotted_names([("x",)], "output", ["x"]) == {("x",): "x_output"}
    with pytest.raises(ModuleError, match='a path makes no name with dots; got "a b"'):
        dotted_names([("a b",)], "input")


def test_no_two_axes_change_alike() -> None:
    axes = axes_of({"x": {0: "batch", 1: "time"}}, x=torch.ones(2, 2))
    assert axes.second_sizes() == {"batch": 3, "time": 4}
    named = output_axes([torch.ones(2, 5, 2)], [torch.ones(4, 5, 3)], axes, axes.second_sizes())
    assert named == ({0: "time", 2: "batch"},)


def test_a_fifth_of_a_small_head_is_an_error() -> None:
    """Absolute, 20 % of 0.01 is 2e-3: within any bound that suits outputs near 100."""
    large, small = torch.full((4,), 100.0), torch.full((4,), 0.01)
    one, two = compare_outputs(["large", "small"], [large + 1e-3, small * 1.2], [large, small])
    assert one.passed and two.absolute is not None and two.absolute < 3e-3
    assert not two.passed and two.relative == pytest.approx(0.2, rel=1e-3)


@pytest.mark.parametrize(
    ("got", "want", "passed"),
    [
        (torch.tensor([1.0, math.nan]), torch.tensor([1.0, math.nan]), True),
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0, math.nan]), False),
        (torch.tensor([math.inf]), torch.tensor([-math.inf]), False),
        (torch.tensor([1]), torch.tensor([2]), False),
        (torch.tensor([1]), torch.tensor([1]), True),
        (torch.tensor([1]), torch.tensor([1.0]), False),
        (torch.ones(2, 1), torch.ones(1, 2), False),
        (torch.tensor([1e-9]), torch.tensor([0.0]), True),
        (torch.tensor([1e-3]), torch.tensor([0.0]), False),
        (torch.tensor([1 + 1j]), torch.tensor([1 - 1j]), False),
        (torch.tensor([True]), torch.tensor([False]), False),
    ],
)
def test_outputs_are_compared(got: Tensor, want: Tensor, passed: bool) -> None:
    (row,) = compare_outputs(["x"], [got], [want])
    assert row.passed is passed


def test_another_number_of_outputs_fails() -> None:
    rows = compare_outputs(["a", "b"], [torch.ones(1)], [torch.ones(1), torch.ones(1)])
    assert not any(row.passed for row in rows)


class Parts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used = nn.Linear(2, 2)
        self.functional = nn.Linear(2, 2)
        self.norm = nn.BatchNorm1d(2)
        self.branch = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        self.token = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.linear(self.used(x), self.functional.weight, self.functional.bias)
        y: Tensor = self.norm(x)
        return y

    def other(self, x: Tensor) -> Tensor:
        y: Tensor = self.branch(x)
        return y


def test_what_no_operator_reads_is_left_out_and_nothing_else() -> None:
    """A weight that is passed to a function is used, though its module is never called."""
    module = Parts().eval()
    weights = NeededWeights(module)
    with weights, torch.no_grad():
        module.other(torch.ones(2, 2))
        weights.need([module(torch.ones(2, 2))])
    left = {row.name: row.bytes for row in unused_parts(module, weights.has)}
    assert left == {"branch": 4 * 2 * (4 + 2), "token": 12}
    unread = [row.name for row in unused_parts(module, weights.was_read)]
    assert unread == ["token"], "the branch ran, though for nothing"


def test_a_weight_that_decides_a_branch_or_is_written_in_place_is_needed() -> None:
    module = nn.ParameterDict({name: nn.Parameter(torch.ones(2)) for name in "abcd"})
    weights = NeededWeights(module)
    with weights, torch.no_grad():
        out = torch.zeros(2)
        if module["a"].sum().item() > 0:
            out[0] = module["b"][1]
        torch.add(module["c"], 1, out=out)
        torch.zeros(2).copy_(module["d"])
        weights.need([out])
    assert [row.name for row in unused_parts(module, weights.has)] == ["d"]


def test_weights_are_back_after_a_block_without_them() -> None:
    module = Parts()
    before = module.state_dict()
    with without(module, unused_parts(module, lambda _: False)):
        assert module.state_dict() == {}
    after = module.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_submodule_and_a_method_are_chosen() -> None:
    whole = nn.ModuleDict({"a": Parts(), "b": nn.Linear(3, 3)})
    chosen = slim(whole, submodule="a", method="other")
    assert chosen.module is whole["a"] and chosen.method == "other"
    assert [(row.name, row.bytes) for row in chosen.left_out] == [("b", 4 * 12)]


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"submodule": "c"}, "no submodule c; expected one of used"),
        ({"method": "encode"}, "Parts has no method encode; expected one of"),
        ({"drop": ["c.*"]}, r"drop matches nothing: c\.\*"),
    ],
)
def test_a_choice_that_is_not_there_is_refused(choice: Any, said: str) -> None:
    with pytest.raises(ModuleError, match=said):
        slim(Parts(), **choice)


def test_a_dropped_part_that_is_needed_is_told_by_name() -> None:
    chosen = slim(Parts(), drop=["used"])
    with pytest.raises(ModuleError, match="the part used was dropped"):
        chosen.module(torch.ones(2, 2))
