"""examples/itac_ad without its training, which `make examples` runs: the faults that exporters of
such detectors are known for, each of which leaves a file that computes something else."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from checkpoint_files import checked_line
from training_checkpoints import fill
from verify_here import verify_here

from itacad.cli import main
from itacad.export import export_onnx, export_torchscript
from itacad.infer.predict import load_model
from itacad.model.decoders import DECODERS
from itacad.model.detector import Config, Detector
from itacad.model.encoders import ENCODERS
from itacad.signals import auroc
from oriel.errors import CheckpointError, GraphError, ModuleError, OptionError
from oriel.formats import formats_by_name
from oriel.modules import fallbacks
from oriel.modules.verify_module import CaseResult

PAIRS = [(encoder, decoder) for encoder in ENCODERS for decoder in DECODERS]
L, D = 12, 5
SECOND_PHASE = ("encoder2", "decoder2")


def save(folder: Path, encoder: str = "itr", decoder: str = "mlp") -> Detector:
    """Save a detector as training leaves it: its second phase built on the first step, and every
    tensor with values of its own."""
    config = Config(encoder, decoder, L, D)
    model = Detector(config).train()
    model(torch.randn(2, L, D))
    torch.manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn_like(value) * 0.1)
    folder.mkdir(parents=True, exist_ok=True)
    content = {"config": asdict(replace(config, phase2=True)), "state_dict": model.state_dict()}
    torch.save(content, folder / "detector.pt")
    return model.eval()


@pytest.fixture(scope="module", params=PAIRS, ids=[" × ".join(pair) for pair in PAIRS])
def saved(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Detector]:
    folder = tmp_path_factory.mktemp("run")
    return folder, save(folder, *request.param)


def test_every_trained_tensor_is_loaded(saved: tuple[Path, Detector]) -> None:
    """Those of the second phase too, which a new detector doesn't have."""
    folder, trained = saved
    loaded, _, _ = load_model(folder)
    expected = trained.state_dict()
    assert any(name.startswith("encoder2.") for name in expected)
    found = loaded.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_everything_loaded_is_in_eval_mode(saved: tuple[Path, Detector]) -> None:
    model, _, _ = load_model(saved[0])
    assert [name for name, part in model.named_modules() if part.training] == []
    model.export_sanity(L, D, device="cpu")


def test_no_row_depends_on_its_place_in_the_batch(saved: tuple[Path, Detector]) -> None:
    """An encoder that gives a tensor has no [0] to take, and positions are those of features."""
    model = saved[1]
    windows = torch.randn((4, L, D), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        whole = model(windows)
        turned = model(windows.flip(0))
        rows = [model(windows[row : row + 1]) for row in range(4)]
    torch.testing.assert_close(turned["O1"].flip(0), whole["O1"], rtol=1e-5, atol=1e-5)
    alone = torch.cat([row["O1"] for row in rows])
    torch.testing.assert_close(alone, whole["O1"], rtol=1e-5, atol=1e-5)
    by_hand = torch.stack(
        [(o - w).abs().sum() / (L * D) for o, w in zip(whole["O1"], windows, strict=True)]
    )
    torch.testing.assert_close(whole["score"], by_hand, rtol=1e-5, atol=1e-6)


def test_positions_are_those_of_the_features() -> None:
    """Without positions, an encoder of features as tokens gives turned features turned."""
    windows = torch.randn((2, L, D), generator=torch.Generator().manual_seed(2))
    turns = {}
    for name, kind in ENCODERS.items():
        encoder = fill(kind(L)).eval()
        with torch.no_grad():
            one, other = encoder(windows), encoder(windows.flip(2))
        one, other = (x[0] if isinstance(x, tuple) else x for x in (one, other))
        turns[name] = torch.allclose(one.flip(2), other, atol=1e-4)
    assert turns == {"itr": True, "itransformer": False}


def test_parts_built_after_eval_are_in_eval_mode() -> None:
    model = Detector(Config("itr", "mlp", L, D)).eval()
    model.build_phase2()
    assert not any(part.training for part in model.modules())


def test_the_second_phase_works_against_the_first() -> None:
    model = Detector(Config("itr", "mlp", L, D)).train()
    windows = torch.randn(2, L, D)
    gradients = []
    for against in (0.0, 0.5, 1.0):
        model.zero_grad()
        model(windows, against)["O2"].sum().backward()
        gradient = model.decoder.leave.weight.grad
        assert gradient is not None
        gradients.append(gradient.clone())
    assert torch.count_nonzero(gradients[0]) == 0
    torch.testing.assert_close(gradients[1] * 2, gradients[2])


def test_a_part_left_in_training_mode_is_refused(tmp_path: Path) -> None:
    model = save(tmp_path)
    assert model.encoder2 is not None
    model.encoder2.train()
    with pytest.raises(CheckpointError, match="training mode"):
        model.export_sanity(L, D)


def test_a_checkpoint_that_lacks_a_tensor_is_refused_by_name(tmp_path: Path) -> None:
    save(tmp_path)
    content = torch.load(tmp_path / "detector.pt", weights_only=True)
    del content["state_dict"]["decoder2.bias"]
    torch.save(content, tmp_path / "detector.pt")
    with pytest.raises(CheckpointError, match=r"no decoder2\.bias"):
        load_model(tmp_path)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Detector]:
    """A detector of one pair, which no test changes."""
    folder = tmp_path_factory.mktemp("one")
    return folder, save(folder)


@pytest.fixture(scope="module")
def exported(saved: tuple[Path, Detector]) -> tuple[Path, Detector]:
    """The folder of one pair's model.ts and model.onnx, and the detector."""
    folder, trained = saved
    with pytest.MonkeyPatch.context() as patch:
        verify_here(patch)
        export_torchscript(folder, L, D, folder / "model.ts")
        export_onnx(folder, L, D, folder / "model.onnx")
    return folder, trained


def test_files_give_the_detectors_numbers(exported: tuple[Path, Detector]) -> None:
    """For one window too, which is what most callers have."""
    folder, trained = exported
    script = formats_by_name()["ts"].open(folder / "model.ts")
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    for batch in (1, 5):
        windows = torch.randn((batch, L, D), generator=torch.Generator().manual_seed(batch))
        given = windows.numpy()
        with torch.no_grad():
            expected = trained(windows)
            by_script = [value.numpy() for value in script([windows])]
        by_onnx = session.run(["O1", "score"], {"W": given})
        for o1, score in (by_script, by_onnx):
            np.testing.assert_allclose(o1, expected["O1"], rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(score, expected["score"], rtol=1e-4, atol=1e-6)
            by_hand = [np.abs(o - w).sum() / (L * D) for o, w in zip(o1, given, strict=True)]
            np.testing.assert_allclose(score, by_hand, rtol=1e-5)


def test_onnx_says_opset_17_and_no_dynamic_time(exported: tuple[Path, Detector]) -> None:
    graph = onnx.load(exported[0] / "model.onnx")
    assert [o.version for o in graph.opset_import if o.domain == ""] == [17]
    onnx.checker.check_model(graph)
    sizes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.graph.input, *graph.graph.output)
    }
    assert sizes == {"W": ["batch", L, D], "O1": ["batch", L, D], "score": ["batch"]}


def test_what_only_training_needs_stays_out(exported: tuple[Path, Detector]) -> None:
    folder, trained = exported
    kept = [v for n, v in trained.state_dict().items() if n[:8] not in SECOND_PHASE]
    values = sum(value.numel() for value in kept)
    graph = onnx.load(folder / "model.onnx").graph
    # Sizes of reshapes and the positions come on top.
    assert 0 <= sum(int(np.prod(i.dims)) for i in graph.initializer) - values < 1000
    assert (folder / "model.ts").stat().st_size < values * 4 + 100_000


def test_a_file_that_is_not_the_detector_is_not_written(
    one: tuple[Path, Detector], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def differs(*_: object) -> list[CaseResult]:
        raise ModuleError("the file's O1 is not the module's")

    monkeypatch.setattr(fallbacks, "verify_file", differs)
    with pytest.raises(GraphError, match=r"m\.ts isn't the detector; got .*O1 is not the module's"):
        export_torchscript(one[0], L, D, tmp_path / "out" / "m.ts")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_command_says_how_a_file_was_written_and_compared(
    one: tuple[Path, Detector], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "exports" / "model.ts"
    flags = ["--ckpt", str(one[0]), "--format", "ts", "--L", str(L), "--D", str(D)]
    assert main(["export", *flags, "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert [file.name for file in out.parent.iterdir()] == ["model.ts"]
    assert f"{out.stat().st_size:,} bytes, by trace" in shown
    assert "a second input (batch 3): O1 off by" in shown and "score off by" in shown
    assert "left script, freeze: " in shown
    second = sum(v.nbytes for n, v in one[1].state_dict().items() if n[:8] in SECOND_PHASE)
    assert f"{second:,} bytes saved" in shown


def test_windows_of_other_sizes_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path)
    out = tmp_path / "out" / "m.onnx"
    flags = ["--ckpt", str(tmp_path), "--format", "onnx", "--out", str(out)]
    assert main(["export", *flags, "--L", "16", "--D", "8"]) == 2
    line = checked_line(capsys.readouterr().err.strip())
    assert "got L=16, D=8; expected L=12, D=5" in line
    assert not out.exists()
    with pytest.raises(OptionError):
        Detector(Config("gru", "mlp"))


def test_another_models_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"w": torch.ones(2)}}, tmp_path / "detector.pt")
    with pytest.raises(CheckpointError, match="isn't a detector's"):
        load_model(tmp_path)


def test_places_that_can_not_be_written_are_told_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path)
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "m.ts"
    flags = ["--ckpt", str(tmp_path), "--format", "ts", "--L", str(L), "--D", str(D)]
    assert main(["export", *flags, "--out", str(place)]) == 2
    assert main(["train", "--out", str(place)]) == 2
    for line in capsys.readouterr().err.strip().splitlines():
        assert "a file where a folder is needed" in checked_line(line)


def test_auroc_counts_pairs_by_hand() -> None:
    # Of 3 × 2 pairs, 4 are in order and 1 is tied.
    assert auroc(torch.tensor([1.0, 2.0, 5.0]), torch.tensor([2.0, 6.0])) == pytest.approx(4.5 / 6)
