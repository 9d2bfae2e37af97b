"""oriel convert: a spec in, verified files out, which a caller then opens and calls as the module
itself, in a process that never saw the module's code."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from module_specs.nested import Boxes, Detector, example

import oriel
from oriel.cli import main
from oriel.errors import ModuleError
from oriel.modules.check_metadata import check_metadata
from oriel.modules.open_module import OpenedModule, open_module

SPECS = Path(__file__).parent / "module_specs"
FORMATS = ("ts", "pt2", "onnx")


@pytest.fixture(scope="module")
def detector() -> Detector:
    torch.manual_seed(0)
    return Detector().eval()


@pytest.fixture(scope="module")
def exported(detector: Detector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The detector in all formats, by the command, from a checkpoint. Shared."""
    folder = tmp_path_factory.mktemp("detector")
    torch.save(detector.state_dict(), folder / "weights.pth")
    arguments = [f"{SPECS / 'nested.py'}:DETECTOR", "--checkpoint", str(folder / "weights.pth")]
    arguments += ["--format", ",".join(FORMATS), "--output", str(folder / "out")]
    assert main(["convert", *arguments]) == 0
    return folder / "out"


@pytest.fixture(scope="module", params=FORMATS)
def opened(request: pytest.FixtureRequest, exported: Path) -> OpenedModule:
    return open_module(exported / f"model.{request.param}", types=[Boxes])


def other_call() -> tuple[Any, ...]:
    """A call of other sizes and other values."""
    inputs, scale = copy.deepcopy(example())
    inputs["voxels"] = [torch.randn(9, 3), torch.randn(2, 3)]  # type: ignore[index]
    inputs["counts"] = (torch.arange(9),)  # type: ignore[index]
    return inputs, scale


def test_a_file_gives_what_the_module_gives_in_the_caller_s_own_classes(
    opened: OpenedModule, detector: Detector
) -> None:
    for call in (example(), other_call()):
        got: Any = opened(*call)
        with torch.no_grad():
            want: Any = detector(*call)
        assert list(got) == list(want) == ["boxes", "counts"]
        assert type(got["boxes"]) is Boxes
        assert type(got["counts"]) is tuple
        assert got["boxes"].label == "car" and got["counts"][1] is None
        torch.testing.assert_close(got["boxes"].corners, want["boxes"].corners)
        torch.testing.assert_close(got["boxes"].scores, want["boxes"].scores)
        assert torch.equal(got["counts"][0], want["counts"][0])


def test_without_the_caller_s_class_a_plain_dict_comes_back(exported: Path) -> None:
    got: Any = open_module(exported / "model.ts")(*example())
    assert type(got["boxes"]) is dict
    assert list(got["boxes"]) == ["corners", "scores", "label"]


def test_a_dict_in_another_order_is_the_same_call(opened: OpenedModule) -> None:
    inputs, scale = example()
    turned = OrderedDict(reversed(list(inputs.items())))  # type: ignore[attr-defined]
    got: Any = opened(turned, scale)
    want: Any = opened(inputs, scale)
    assert torch.equal(got["boxes"].corners, want["boxes"].corners)
    assert torch.equal(got["counts"][0], want["counts"][0])


def changed(**parts: object) -> tuple[Any, ...]:
    inputs, scale = example()
    return {**inputs, **parts}, scale  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (changed(image=torch.zeros(2)), r"inputs\.image; got a tensor; expected None"),
        (changed(image=0), r"inputs\.image; got 0"),
        (changed(shift=None), r"inputs\.shift; got None; expected a list"),
        (changed(shift=[3.0]), r"inputs\.shift\.0; got a float; expected a tensor"),
        (changed(shift=[]), r"inputs\.shift; got 0 parts; expected 1 parts"),
        (changed(extra=1), r"inputs; got also extra"),
        (changed(shift=[torch.zeros(5)]), r"inputs\.shift\.0 doesn't fit; got float32 \[5\]"),
        (changed(shift=[torch.zeros(4).double()]), r"got float64 \[4\]; expected float32 \[4\]"),
        (changed(counts=(torch.arange(7),)), r"int64 \[voxels\] with \{'voxels': \d\}|voxels"),
        ((example()[0], 0.25), r"scale; got 0\.25; expected 0\.5"),
        ((example()[0], 0.5, torch.ones(6, 5)), r"mask; got a tensor; expected None"),
        ((), r"inputs|no"),
    ],
)
def test_a_call_of_another_structure_is_refused_with_its_path(
    opened: OpenedModule, call: tuple[Any, ...], said: str
) -> None:
    with pytest.raises(ModuleError, match=said):
        opened(*call)


def test_the_metadata_says_what_was_exported(exported: Path, detector: Detector) -> None:
    data = check_metadata(json.loads((exported / "metadata.json").read_text("utf-8")), "it")
    assert data["tensor_count"] == 4
    rows = {row["path"]: row for row in data["signature"]["inputs"]}
    assert list(rows) == [
        "inputs.voxels.0",
        "inputs.voxels.1",
        "inputs.counts.0",
        "inputs.shift.0",
    ]
    assert rows["inputs.voxels.0"]["shape"] == [6, 3]
    assert rows["inputs.voxels.0"]["dynamic_axes"] == {"0": "voxels"}
    assert rows["inputs.counts.0"]["dtype"] == "int64"
    assert rows["inputs.counts.0"]["range"] == [1, 6]
    assert data["signature"]["output_map"] == {
        "boxes.corners": "boxes_corners",
        "boxes.scores": "boxes_scores",
        "counts.0": "counts_0",
    }
    outputs = {row["path"]: row for row in data["signature"]["outputs"]}
    assert outputs["boxes.scores"]["dynamic_axes"] == {"0": "voxels"}
    constants = {row["path"]: row["text"] for row in data["signature"]["constants"]}
    assert constants == {"inputs.image": "None", "scale": "0.5", "mask": "None"}
    assert data["config"] == {"classes": 1}
    assert data["checkpoint"] is not None and data["checkpoint"]["file"] == "weights.pth"
    assert data["export_success"] == dict.fromkeys(FORMATS, True)
    left = {part["name"]: part["bytes"] for part in data["left_out"]}
    assert left == {"training_only": 4 * (50 * 60 + 60)}
    for row in data["exports"]:
        assert (exported / str(row["file"])).stat().st_size == row["bytes"]
        first, second, one = row["verification"]
        assert [shape[0] for shape in second["input_shapes"]] == [7, 6, 7, 4]
        assert [shape[0] for shape in one["input_shapes"]] == [1, 1, 1, 4]
        assert first["passed"] and second["passed"] and one["passed"]


def test_the_opset_is_the_one_in_the_file(exported: Path) -> None:
    data = json.loads((exported / "metadata.json").read_text("utf-8"))
    held = onnx.load(exported / "model.onnx").opset_import
    assert data["opset"] == {entry.domain: entry.version for entry in held}[""]


@pytest.mark.parametrize("name", ["model.pt2", "model.ts"])
def test_unused_weights_are_not_in_the_file(exported: Path, name: str) -> None:
    # The branch alone weighs 12,240 bytes; with everything else the program takes about that too.
    unused = 4 * (50 * 60 + 60)
    import zipfile

    with zipfile.ZipFile(exported / name) as archive:
        sizes = [entry.file_size for entry in archive.infolist()]
    assert unused - 4 * 60 not in sizes


def test_a_pt2_loads_in_a_process_that_never_saw_the_model_s_code(exported: Path) -> None:
    code = (
        "import sys, torch; p = torch.export.load(sys.argv[1]).module();"
        "o = p(torch.ones(7, 3), torch.ones(2, 3), torch.arange(7), torch.ones(4));"
        "assert [tuple(t.shape) for t in o] == [(7, 4), (7,), (7,)], o;"
        "assert not {'nested', 'module_specs', 'oriel'} & set(sys.modules)"
    )
    command = [sys.executable, "-I", "-c", code, str(exported / "model.pt2")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_package_offers_it_without_importing_torch() -> None:
    code = "import sys, oriel; assert 'torch' not in sys.modules; print(oriel.export_module)"
    package = Path(oriel.__file__).parents[1]
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(package)}
    )
    assert done.returncode == 0, done.stderr
    assert "export_module" in done.stdout


@pytest.mark.parametrize("name", ["metadata.json", "model.onnx", "model.pt2", "model.ts"])
def test_inspect_draws_the_same_structure_of_every_file(
    exported: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(exported / name)]) == 0
    shown = capsys.readouterr().out
    for line in (
        "inputs: 4 tensors",
        "0: float32 [voxels, 3] as inputs_voxels_0",
        "image: None (constant)",
        "scale: 0.5 (constant)",
        "outputs: 3 tensors",
        "scores: float32 [voxels] as boxes_scores",
    ):
        assert line in shown
    if name in ("model.onnx", "model.pt2"):
        assert "weights:" in shown and "head: 24 values" in shown


def test_inspect_shows_a_checkpoint_by_its_parts(
    exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(exported.parent / "weights.pth")]) == 0
    shown = capsys.readouterr().out
    assert "weights: 8 tensors" in shown
    assert "training_only: 3,060 values" in shown
    assert "weight: float32 [60, 50]" in shown
