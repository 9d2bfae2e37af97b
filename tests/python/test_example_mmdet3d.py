"""examples/mmdet3d: its own parts in plain PyTorch always; what needs MMDetection3D where
ORIEL_MMDET3D says that it is installed (`make test-detectors`), on detectors of small ranges."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

import oriel
from itacad.model.detector import Config as AnomalyConfig
from itacad.model.detector import Detector as AnomalyDetector
from oriel.errors import GraphError, ModuleError, OptionError
from oriel.formats.format import FlatCall, WriteOptions
from oriel.formats.onnx_file import FORMAT as ONNX
from oriel.modules.compare_outputs import OutputError
from oriel.modules.structure import flatten
from oriel.modules.verify_module import Case, check_results, verify_file
from refined.adapters import PillarScatter, adapter_for
from refined.data_loader import Batch, Detector, find_config, load_detector, two_batches
from refined.environment import NoOperators, use_mmdet3d
from refined.improved_exporter import main
from refined.iree_program import compile_with_iree
from refined.point_clouds import CloudLayout, read_points
from refined.voxelize import hard_voxelize_forward

CONFIGS = {
    "pointpillars": "configs/pointpillars/pointpillars_hv_secfpn_8xb6-160e_kitti-3d-car.py",
    "centerpoint": "configs/centerpoint/"
    "centerpoint_pillar02_second_secfpn_8xb4-cyclic-20e_nus-3d.py",
}
RANGES = {
    # The range in metres, and the rows and columns of pillars in it.
    "pointpillars": ([0, -5.12, -3, 7.68, 5.12, 1], [64, 48]),
    "centerpoint": ([-6.4, -6.4, -5, 6.4, 6.4, 3], [64, 64]),
}
LAYOUT = CloudLayout(4, (0, 1, 2, 3), (0.0, -4.0, -1.0), (8.0, 4.0, 1.0))
needs_mmdet3d = pytest.mark.skipif(
    not os.environ.get("ORIEL_MMDET3D"), reason="make test-detectors installs MMDetection3D"
)


def random_cloud(count: int, seed: int = 0) -> Tensor:
    """Points over a little more than LAYOUT's range, so that some lie outside."""
    draw = torch.Generator().manual_seed(seed)
    scale = torch.tensor([9.0, 9.0, 2.2, 1.0])
    return torch.rand((count, 4), generator=draw) * scale - torch.tensor([0.5, 4.5, 1.1, 0.0])


def voxels_of(points: Tensor, max_points: int, max_voxels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Call the operator as mmcv does: into tensors that are large enough."""
    voxels = torch.zeros((max_voxels, max_points, 4))
    coors = torch.zeros((max_voxels, 3), dtype=torch.int)
    counts = torch.zeros((max_voxels,), dtype=torch.int)
    found = torch.zeros((), dtype=torch.long)
    size, span = torch.tensor([0.5, 1.0, 2.0]), torch.tensor([*LAYOUT.low, *LAYOUT.high])
    hard_voxelize_forward(
        points, size, span, voxels, coors, counts, found, max_points, max_voxels, NDim=3
    )
    return voxels[:found], coors[:found], counts[:found]


@pytest.mark.parametrize(("max_points", "max_voxels"), [(3, 400), (40, 20), (2, 7), (5, 1)])
def test_points_are_sorted_into_voxels_one_by_one(max_points: int, max_voxels: int) -> None:
    points = random_cloud(600)
    expected: dict[tuple[int, ...], list[list[float]]] = {}
    for point in points.tolist():
        x, y, z = (
            int(np.floor((np.float32(point[at]) - np.float32(LAYOUT.low[at])) / np.float32(size)))
            for at, size in enumerate((0.5, 1.0, 2.0))
        )
        if not (0 <= x < 16 and 0 <= y < 8 and 0 <= z < 1):
            continue
        if (z, y, x) not in expected and len(expected) == max_voxels:
            continue
        held = expected.setdefault((z, y, x), [])
        if len(held) < max_points:
            held.append(point)
    voxels, coors, counts = voxels_of(points, max_points, max_voxels)
    assert [tuple(row) for row in coors.tolist()] == list(expected)
    assert counts.tolist() == [len(held) for held in expected.values()]
    for voxel, held in zip(voxels, expected.values(), strict=True):
        assert torch.equal(voxel[: len(held)], torch.tensor(held))
        assert not voxel[len(held) :].any()


def test_a_cloud_outside_of_the_range_has_no_voxels() -> None:
    voxels, coors, counts = voxels_of(random_cloud(10) + 100, 3, 5)
    assert len(voxels) == len(coors) == len(counts) == 0


@pytest.mark.parametrize("filled", [(0,), (0, 2), (0, 1, 2)], ids=str)
def test_one_write_for_all_samples_is_the_loop_over_them(filled: tuple[int, ...]) -> None:
    draw = torch.Generator().manual_seed(1)
    rows, columns, channels = 5, 7, 3
    coors = []
    for sample in filled:  # sample 1 may have no voxel at all
        places = torch.randperm(rows * columns, generator=draw)[:9]
        coors += [[sample, 0, int(p) // columns, int(p) % columns] for p in places]
    features = torch.randn((len(coors), channels), generator=draw)
    samples = filled[-1] + 1
    expected = torch.zeros((samples, channels, rows, columns))
    for (sample, _, row, column), feature in zip(coors, features, strict=True):
        expected[sample, :, row, column] = feature
    image = PillarScatter(channels, rows, columns)(features, torch.tensor(coors).int(), samples)
    assert torch.equal(image, expected)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda f: None, "there is no such point cloud"),
        (lambda f: f.write_bytes(b""), "0 bytes"),
        (lambda f: f.write_bytes(bytes(4 * 4 * 3 + 4)), "52 bytes; expected a multiple of 16"),
        (lambda f: f.write_bytes(np.full((5, 4), np.nan, "<f4").tobytes()), "5 of 5 points"),
        (lambda f: f.write_bytes(np.full((5, 4), 900, "<f4").tobytes()), "0 of 5 points"),
    ],
    ids=["absent", "empty", "size", "not finite", "elsewhere"],
)
def test_a_file_that_is_no_point_cloud_is_one_line(tmp_path: Path, write: Any, said: str) -> None:
    file = tmp_path / "cloud.bin"
    write(file)
    with pytest.raises(OptionError) as caught:
        read_points(file, LAYOUT)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_point_cloud_is_read_as_it_was_written(tmp_path: Path) -> None:
    points = random_cloud(50)
    points.numpy().astype("<f4").tofile(tmp_path / "cloud.bin")
    assert torch.equal(read_points(tmp_path / "cloud.bin", LAYOUT), points)


def test_configs_are_found_here_or_in_the_package(tmp_path: Path) -> None:
    inside = tmp_path / "mmdet3d" / ".mim" / "configs" / "second" / "second_kitti.py"
    inside.parent.mkdir(parents=True)
    inside.write_text("model = {}")
    outside = tmp_path / "mmdet3d" / "second_kitti.py"
    outside.write_text("model = {}")
    package = tmp_path / "mmdet3d"
    assert find_config("configs/second/second_kitti.py", package) == inside
    assert find_config(str(outside), package) == outside
    with pytest.raises(OptionError, match=r"nearest is configs/second/second_kitti\.py"):
        find_config("configs/second/second_kiti.py", package)
    with pytest.raises(OptionError, match="no such config"):
        find_config("configs/../../second_kitti.py", package)


def test_without_the_packages_the_way_to_them_is_told(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"scripts/setup_examples\.py mmdet3d"):
        use_mmdet3d(tmp_path)


def test_an_operator_that_is_not_there_says_so_when_it_is_called() -> None:
    operators: Any = NoOperators("mmcv._ext")
    with pytest.raises(
        ModuleError, match=r"compiled for CUDA; got furthest_point_sampling_forward"
    ):
        operators.furthest_point_sampling_forward(torch.zeros(3), m=4)
    assert not hasattr(operators, "__path__")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--device", "cuda:0"], "files are written and compared on the CPU; got --device cuda:0"),
        (["--format", "tflite"], "invalid choice: 'tflite'"),
        ([], "holds something else; got notes.txt"),
    ],
    ids=["device", "format", "folder"],
)
def test_what_is_asked_wrongly_is_one_line_before_anything_is_built(
    tmp_path: Path, flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["no-config.py", "--output", str(tmp_path), *flags]) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


@pytest.fixture(scope="session")
def small_configs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The two detectors' configs with a small range: a forward takes a tenth of a second."""
    folder = tmp_path_factory.mktemp("configs")
    files = {}
    for name, (span, shape) in RANGES.items():
        prefix = "pts_" if name == "centerpoint" else ""
        text = f"""
_base_ = [{str(find_config(CONFIGS[name]))!r}]
model = dict(
    data_preprocessor=dict(voxel_layer=dict(point_cloud_range={span})),
    {prefix}voxel_encoder=dict(point_cloud_range={span}),
    {prefix}middle_encoder=dict(output_shape={shape}),
)
"""
        files[name] = folder / f"{name}.py"
        files[name].write_text(text)
    return files


@pytest.fixture(scope="session")
def pointpillars(small_configs: dict[str, Path]) -> tuple[Detector, Batch, Batch]:
    detector = load_detector(str(small_configs["pointpillars"]))
    return detector, *two_batches(detector, None)


@needs_mmdet3d
def test_voxels_are_those_of_mmdet3ds_own_voxel_generator() -> None:
    use_mmdet3d()
    from mmdet3d.models.task_modules.voxel import VoxelGenerator

    points = random_cloud(600)
    span = [*LAYOUT.low, *LAYOUT.high]
    theirs = VoxelGenerator([0.5, 1.0, 2.0], span, 6, max_voxels=90).generate(points.numpy())
    for ours, other in zip(voxels_of(points, 6, 90), theirs, strict=True):
        assert np.array_equal(ours.numpy(), other)


@needs_mmdet3d
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("samples", [1, 3])
def test_an_adapter_gives_the_detectors_own_numbers(
    small_configs: dict[str, Path], name: str, samples: int
) -> None:
    detector = load_detector(str(small_configs[name]))
    batch, _ = two_batches(detector, None, samples)
    adapter, inputs = adapter_for(detector.model, batch), batch.read_by_network()
    kept = inputs["voxels"]["voxels"].clone()
    with torch.no_grad():
        ours, own = flatten(adapter(inputs)), flatten(adapter.own_output(inputs))
    assert ours.node.keys == own.node.keys
    assert len(ours.tensors) == {"pointpillars": 3, "centerpoint": 36}[name]
    assert {len(tensor) for tensor in ours.tensors} == {samples}
    assert all(torch.equal(a, b) for a, b in zip(ours.tensors, own.tensors, strict=True))
    assert torch.equal(inputs["voxels"]["voxels"], kept)


def save_as_mmengine(detector: Detector, file: Path) -> None:
    """Write what mmengine's Runner does after a step of training: MessageHub, optimizer, meta."""
    from mmengine.logging import MessageHub
    from mmengine.runner import save_checkpoint

    hub = MessageHub.get_instance("mmdet3d_test")
    hub.update_scalar("train/loss", 1.25)
    hub.update_info("iter", 1)
    optimizer = torch.optim.AdamW(detector.model.parameters())
    parts = {"state_dict": detector.model.state_dict(), "optimizer": optimizer.state_dict()}
    save_checkpoint({"meta": {"epoch": 1}, "message_hub": hub.state_dict(), **parts}, str(file))


@pytest.fixture(scope="session")
def trained(
    tmp_path_factory: pytest.TempPathFactory, small_configs: dict[str, Path]
) -> tuple[Detector, Path]:
    """A detector, and a folder with its checkpoint and the files that the command wrote of it."""
    config = str(small_configs["pointpillars"])
    detector = load_detector(config, seed=7)
    draw = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for buffer in detector.model.buffers():  # running means and variances of a training
            if buffer.is_floating_point():
                buffer.copy_(torch.rand(buffer.shape, generator=draw) + 0.5)
    folder = tmp_path_factory.mktemp("trained")
    save_as_mmengine(detector, folder / "trained.pth")
    flags = ["--checkpoint", str(folder / "trained.pth"), "--output", str(folder / "out")]
    more = ["--format", "both", "--use-random-data", "--device", "cpu", "--verbose"]
    assert main([config, *flags, *more]) == 0
    return detector, folder


def own_numbers(detector: Detector, samples: int) -> tuple[dict[str, dict[str, Tensor]], Any]:
    """Return a batch's inputs, and what the detector itself makes of copies of them."""
    batch, _ = two_batches(detector, None, samples)
    inputs = batch.read_by_network()
    model: Any = detector.model
    with torch.no_grad():
        return inputs, model({"voxels": {k: v.clone() for k, v in inputs["voxels"].items()}}, None)


@needs_mmdet3d
def test_a_trained_detector_goes_from_its_checkpoint_to_files_of_any_batch(
    trained: tuple[Detector, Path],
) -> None:
    detector, folder = trained
    metadata = json.loads((folder / "out" / "metadata.json").read_text())
    assert metadata["export_success"] == {"pt2": True, "onnx": True}
    assert metadata["checkpoint"]["file"] == "trained.pth"
    assert any("mmengine.logging.history_buffer.HistoryBuffer" in n for n in metadata["notes"])
    assert metadata["config"]["model"]["type"] == "VoxelNet"
    assert metadata["tensor_count"] == 3
    signature = metadata["signature"]
    assert [row["dynamic_axes"] for row in signature["inputs"]] == [{"0": "voxels"}] * 3
    assert {row["path"]: row["text"] for row in signature["constants"]} == {
        "data_samples": "None",
        "mode": "'tensor'",
    }
    inputs, expected = own_numbers(detector, samples=1)
    for file in ("model.pt2", "model.onnx"):
        got: Any = oriel.open_module(folder / "out" / file)(inputs)
        assert type(got) is tuple
        for ours, own in zip(got, expected, strict=True):
            bound = 1e-4 * float(own[0].abs().max())
            torch.testing.assert_close(ours[0], own[0], rtol=0, atol=bound)


@needs_mmdet3d
def test_iree_compiles_the_file_for_any_batch(trained: tuple[Detector, Path]) -> None:
    detector, folder = trained
    run = compile_with_iree(folder / "out" / "model.onnx")
    for samples in (1, 3):
        inputs, expected = own_numbers(detector, samples)
        got = run([tensor.numpy() for tensor in flatten(inputs).tensors])
        for ours, (own,) in zip(got, expected, strict=True):
            bound = 1e-4 * float(own.abs().max())
            torch.testing.assert_close(torch.from_numpy(ours), own, rtol=0, atol=bound)


@needs_mmdet3d
@pytest.mark.parametrize(("encoder", "decoder"), [("itr", "mlp"), ("itransformer", "tranad")])
def test_iree_compiles_the_detector_of_anomalies(
    tmp_path: Path, encoder: str, decoder: str
) -> None:
    """By dynamo: of the classic exporter's file IREE doesn't know the rank of a Transpose."""
    torch.manual_seed(3)
    detector = AnomalyDetector(AnomalyConfig(encoder, decoder)).eval()
    example = torch.randn((2, 16, 8))
    axes = {"W": {0: "batch"}}
    out = tmp_path / "out"
    oriel.export_module(detector, (example,), formats=("onnx",), dynamic=axes, out=out)
    windows = torch.randn((3, 16, 8))
    with torch.no_grad():
        expected = detector(windows).values()
    got = compile_with_iree(out / "model.onnx")([windows.numpy()])
    for ours, own in zip(got, expected, strict=True):
        bound = 1e-4 * float(own.abs().max())
        torch.testing.assert_close(torch.from_numpy(ours), own, rtol=0, atol=bound)


@needs_mmdet3d
def test_what_iree_cannot_compile_is_one_line(tmp_path: Path) -> None:
    text = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.STRING, [2]) for n in "ab"]
    node = onnx.helper.make_node("StringNormalizer", ["a"], ["b"])
    graph = onnx.helper.make_graph([node], "main_graph", text[:1], text[1:])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "model.onnx")
    with pytest.raises(GraphError, match=r"IREE can't compile model\.onnx; got ") as caught:
        compile_with_iree(tmp_path / "model.onnx")
    assert "\n" not in str(caught.value)


@needs_mmdet3d
def test_a_checkpoint_of_another_detector_is_one_line(
    tmp_path: Path, small_configs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    other = load_detector(str(small_configs["centerpoint"]))
    save_as_mmengine(other, tmp_path / "other.pth")
    flags = ["--checkpoint", str(tmp_path / "other.pth"), "--output", str(tmp_path / "out")]
    assert main([str(small_configs["pointpillars"]), *flags]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: the checkpoint is of another model than VoxelNet; got no ")
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


@needs_mmdet3d
def test_an_adapter_that_is_not_the_detector_is_refused(
    tmp_path: Path,
    small_configs: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    right = PillarScatter.forward

    def shifted(self: PillarScatter, features: Tensor, coors: Tensor, samples: int) -> Tensor:
        return right(self, features, coors, samples).roll(1, 2)

    monkeypatch.setattr(PillarScatter, "forward", shifted)
    out = tmp_path / "out"
    assert main([str(small_configs["pointpillars"]), "--output", str(out)]) == 2
    assert "the adapter PointPillars isn't the detector; got " in capsys.readouterr().err
    assert not out.exists()


@needs_mmdet3d
def test_a_point_cloud_becomes_batches_of_the_real_structure(
    tmp_path: Path, pointpillars: tuple[Detector, Batch, Batch]
) -> None:
    detector, *_ = pointpillars
    points = random_cloud(900)
    points[:, 0] += 1
    points.numpy().astype("<f4").tofile(tmp_path / "000000.bin")
    example, second = two_batches(detector, tmp_path / "000000.bin")
    assert torch.equal(example.inputs["points"][0], points)  # type: ignore[index]
    voxels: Any = example.inputs["voxels"]
    assert set(voxels) == {"voxels", "num_points", "coors", "voxel_centers"}
    assert int(voxels["coors"][-1, 0]) == 1 and len(example.data_samples) == 2
    samples: Any = second.data_samples
    assert [sample.metainfo["sample_idx"] for sample in samples] == [0, 1, 2]
    assert len(second.read_by_network()["voxels"]["voxels"]) != len(voxels["voxels"])


@needs_mmdet3d
@pytest.mark.parametrize(
    ("config", "called"),
    [
        ("configs/votenet/votenet_8xb8_scannet-3d.py", "TypeError: type torch.cuda.IntTensor"),
        ("configs/second/second_hv_secfpn_8xb6-80e_kitti-3d-car.py", "get_indice_pairs_3d_forward"),
    ],
    ids=["VoteNet", "SECOND"],
)
def test_a_detector_of_cuda_operators_is_one_line(
    tmp_path: Path, config: str, called: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([config, "--output", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert f"error: the detector calls an operator that is compiled for CUDA; got {called}" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


class Usual(torch.nn.Module):
    """What the usual script exports: the detector, called with tensors."""

    def __init__(self, detector: torch.nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, voxels: Tensor, num_points: Tensor, coors: Tensor) -> tuple[Tensor, ...]:
        held = {"voxels": voxels.clone(), "num_points": num_points, "coors": coors}
        return flatten(self.detector({"voxels": held}, None, mode="tensor")).tensors


@needs_mmdet3d
def test_the_classic_exporters_file_of_pointpillars_is_rejected(
    tmp_path: Path, pointpillars: tuple[Detector, Batch, Batch]
) -> None:
    detector, *batches = pointpillars
    usual = Usual(detector.model).eval()
    inputs = [list(batch.read_by_network()["voxels"].values()) for batch in batches]
    with torch.no_grad():
        names = ("the example", "a second input")
        cases = [Case(n, x, usual(*x)) for n, x in zip(names, inputs, strict=True)]
    outputs = ["scores", "boxes", "directions"]
    axes = [{0: "voxels"}] * 3
    call = FlatCall(usual, inputs[0], ["voxels", "num_points", "coors"], outputs, axes, [{}] * 3)
    options = WriteOptions("{}", opset=17)
    classic = next(way for way in ONNX.ways(call, options) if way.name == "classic")
    classic.write(call, tmp_path / "usual.onnx", options)  # raises nothing

    results = verify_file("onnx", tmp_path / "usual.onnx", outputs, cases[:1])
    found: list[OutputError] = results[0].outputs
    for output in found:
        print(f"{output.name}: relative {output.relative}, absolute {output.absolute}")
    assert all(output.relative is not None and output.relative > 0.05 for output in found)
    assert all(not output.passed for output in found)
    with pytest.raises(ModuleError, match="is not the module's, on the example"):
        check_results(results)
