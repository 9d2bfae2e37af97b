"""oriel split: each network of a training checkpoint as a file of its own, which computes what the
whole module computes."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_files import checked_line
from safetensors.torch import load_file
from torch import Tensor, nn
from training_checkpoints import fill, lightning_like

from oriel.checkpoints.read_checkpoint import read_checkpoint
from oriel.cli import main
from oriel.contract.json_value import JsonObject
from oriel.splitting.components import Component, find_components
from oriel.splitting.network_class import find_config, load_class
from oriel.splitting.split_report import WrittenComponent
from oriel.splitting.write_component import write_component

NETWORK = '''
import torch
from torch import nn

class Generator(nn.Module):
    """(batch, time, features) to the same, with a norm whose buffers matter."""

    def __init__(self, input_dim: int, width: int = 8, blocks: int = 1, bias: bool = True):
        super().__init__()
        self.enter = nn.Conv1d(input_dim, width, 3, padding=1, bias=bias)
        self.blocks = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in range(blocks))
        self.norm = nn.BatchNorm1d(width)
        self.leave = nn.Linear(width, input_dim)

    def forward(self, x):
        h = self.norm(self.enter(x.transpose(1, 2)))
        for block in self.blocks:
            h = h + torch.tanh(block(h))
        return self.leave(h.transpose(1, 2))

class Discriminator(nn.Module):
    """(batch, time, features) to a score."""

    def __init__(self, input_dim: int = 5):
        super().__init__()
        self.score = nn.Linear(input_dim, 1)
'''
FEATURES, WIDTH, BLOCKS = 5, 12, 3
STATISTICS = {
    "A": {"mean": [1.0, 2.0, 3.0, 4.0, 5.0], "std": [0.5, 1.5, 2.5, 0.25, 3.0]},
    "B": {"mean": [-1.0, 0.5, 0.0, 2.0, 1.0], "std": [2.0, 1.0, 0.75, 4.0, 0.5]},
}


class Whole(nn.Module):
    """Four networks, as a GAN's training module holds them."""

    def __init__(self, classes: Any) -> None:
        super().__init__()
        self.generator_A_to_B = classes.Generator(FEATURES, WIDTH, BLOCKS, bias=False)
        self.generator_B_to_A = classes.Generator(FEATURES, WIDTH, BLOCKS, bias=False)
        self.discriminator_A = classes.Discriminator()
        self.discriminator_B = classes.Discriminator()
        self.register_buffer("step", torch.zeros(1))

    def convert(self, features: Tensor, source: str, target: str) -> Tensor:
        """Return (time, features) of the other domain, by the statistics above."""
        of = {(d, k): torch.tensor(v) for d, s in STATISTICS.items() for k, v in s.items()}
        normal = (features - of[source, "mean"]) / of[source, "std"]
        generator = getattr(self, f"generator_{source}_to_{target}")
        out: Tensor = generator(normal[None])[0]
        return out * of[target, "std"] + of[target, "mean"]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("code") / "nets.py"
    file.write_text(NETWORK)
    return file


@pytest.fixture(scope="module")
def whole(network: Path) -> Whole:
    spec = importlib.util.spec_from_file_location("nets_of_the_test", network)
    assert spec is not None and spec.loader is not None
    classes = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(classes)
    module = Whole(classes).eval()
    fill(module)
    return module


@pytest.fixture(scope="module")
def checkpoint(whole: Whole, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In a folder that the slash of its metric made; the statistics are one folder up."""
    folder = tmp_path_factory.mktemp("run")
    file = folder / "epoch=1-val" / "loss=0.10.ckpt"
    file.parent.mkdir()
    torch.save(lightning_like(whole.state_dict(), Path("data")), file)
    (folder / "normalization_params.json").write_text(json.dumps(STATISTICS))
    return file


FLAGS = ["--no-discriminators", "--create-inference-script"]


@pytest.fixture(scope="module")
def folder(checkpoint: Path, network: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("split") / "exported"
    flags = [*FLAGS, "--network", f"{network}:Generator"]
    assert main(["split", str(checkpoint), "--output-dir", str(output), *flags]) == 0
    return output


def test_every_file_stands_there_and_no_discriminator(folder: Path) -> None:
    networks = ("generator_A_to_B", "generator_B_to_A", "other_tensors")
    names = {name + end for name in networks for end in (".pth", ".safetensors")}
    documents = {"model_config.json", "normalization_params.json", "inference_example.py"}
    assert {file.name for file in folder.iterdir()} == names | documents | {"network.py"}
    modes = {file.stat().st_mode for file in folder.iterdir()}
    assert len(modes) == 1, "who may read one file may read them all"


@pytest.mark.parametrize("way", ["A_to_B", "B_to_A"])
def test_a_file_holds_exactly_its_network(folder: Path, whole: Whole, way: str) -> None:
    expected = getattr(whole, f"generator_{way}").state_dict()
    plain = torch.load(folder / f"generator_{way}.pth", weights_only=True)
    for found in (load_file(folder / f"generator_{way}.safetensors"), plain):
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_the_report_counts_what_is_there(folder: Path, whole: Whole, checkpoint: Path) -> None:
    config = json.loads((folder / "model_config.json").read_text())
    generator = whole.generator_A_to_B
    row = config["components"]["generator_A_to_B"]
    assert row["tensors"] == len(generator.state_dict())
    assert row["parameters"] == sum(p.numel() for p in generator.parameters())
    assert config["left_out"].keys() == {"discriminator_A", "discriminator_B"}
    for name, file in config["files"].items():
        assert file["bytes"] == (folder / name).stat().st_size
    kept = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    assert config["saved_share"] == pytest.approx(1 - kept / checkpoint.stat().st_size, abs=1e-6)
    assert {row["place"] for row in config["foreign_objects"]} >= {"message_hub"}


def test_the_config_builds_the_network(folder: Path) -> None:
    """Only input_dim is required, and the checkpoint's width of 40 is of something else."""
    config = json.loads((folder / "model_config.json").read_text())
    expected = {"input_dim": FEATURES, "width": WIDTH, "blocks": BLOCKS, "bias": False}
    assert config["generator_config"] == expected
    assert set(config["generator_config_sources"].values()) == {"shapes"}


def run_example(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    command = [sys.executable, "inference_example.py", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_example_runs_in_its_folder(folder: Path) -> None:
    done = run_example(folder)
    assert done.returncode == 0, done.stderr
    for way in ("A_to_B", "B_to_A"):
        assert f"{way}: (64, 5) -> (64, 5)" in done.stdout
        assert f"{way}: (2, 64, 5) -> (2, 64, 5)" in done.stdout


@pytest.mark.parametrize("shape", [(9, FEATURES), (3, 11, FEATURES)])
def test_the_example_gives_the_whole_modules_numbers(
    folder: Path, whole: Whole, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(folder))
    spec = importlib.util.spec_from_file_location("example", folder / "inference_example.py")
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    features = torch.randn(shape, generator=torch.Generator().manual_seed(3)) * 2 + 1
    rows = features if features.dim() == 3 else features[None]
    for source, target in (("A", "B"), ("B", "A")):
        found = example.convert(features.numpy(), f"{source}_to_{target}")
        with torch.no_grad():
            expected = torch.stack([whole.convert(row, source, target) for row in rows])
        assert found.shape == features.shape
        torch.testing.assert_close(found.reshape(expected.shape), expected, rtol=1e-5, atol=1e-5)
    sys.modules.pop("network", None)


def test_a_file_of_features_is_converted(folder: Path, whole: Whole, tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(7, FEATURES)).astype(np.float32)
    np.save(tmp_path / "in.npy", features)
    done = run_example(folder, "B_to_A", str(tmp_path / "in.npy"), str(tmp_path / "out.npy"))
    assert done.returncode == 0, done.stderr
    with torch.no_grad():
        expected = whole.convert(torch.from_numpy(features), "B", "A")
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, rtol=1e-5, atol=1e-5)


# --- settings ---------------------------------------------------------------------------------


def test_stored_settings_come_before_shapes(network: Path, whole: Whole) -> None:
    tensors = whole.generator_A_to_B.state_dict()
    stored: JsonObject = {
        "input_dim": FEATURES,
        "width": WIDTH,
        "blocks": BLOCKS,
        "bias": False,
        "rate": 0.1,
    }
    config = find_config(load_class(f"{network}:Generator"), tensors, stored)
    assert config.arguments == {k: v for k, v in stored.items() if k != "rate"}
    assert set(config.sources.values()) == {"checkpoint"}


def test_settings_of_another_network_are_not_believed(network: Path, whole: Whole) -> None:
    tensors = whole.generator_A_to_B.state_dict()
    config = find_config(load_class(f"{network}:Generator"), tensors, {"width": 64, "blocks": 9})
    assert config.arguments["width"] == WIDTH
    assert config.arguments["blocks"] == BLOCKS


def test_defaults_that_json_does_not_have_stay_with_the_class(
    whole: Whole, checkpoint: Path, tmp_path: Path
) -> None:
    """A class may have an infinite limit or a layer's class as default: what the config leaves out
    is the class's own default again."""
    settings = 'bias: bool = True, limit: float = float("inf"), norm: type = nn.BatchNorm1d'
    code = NETWORK.replace("bias: bool = True", settings).replace(
        "nn.BatchNorm1d(width)", "norm(width)"
    )
    (tmp_path / "net.py").write_text(code)
    flags = ["--output-dir", str(tmp_path / "out"), "--network", f"{tmp_path / 'net.py'}:Generator"]
    assert main(["split", str(checkpoint), *flags]) == 0
    text = (tmp_path / "out" / "model_config.json").read_text(encoding="utf-8")
    config = json.loads(text, parse_constant=lambda name: pytest.fail(name))["generator_config"]
    assert config == {"input_dim": FEATURES, "width": WIDTH, "blocks": BLOCKS, "bias": False}
    generator = load_class(f"{tmp_path / 'net.py'}:Generator").make(**config)
    generator.load_state_dict(whole.generator_A_to_B.state_dict())


# --- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("G_AB.0.w G_BA.0.w D_A.w D_B.w", "G_AB:g:A_to_B G_BA:g:B_to_A D_A:d D_B:d"),
        ("netG_A.w.x netD_A.w.x", "netG_A:g:A_to_B netD_A:d"),
        ("gen_A2B.w.x disc_B.w.x", "gen_A2B:g:A_to_B disc_B:d"),
        ("model.generator_b_to_a.w model.critic.w", "generator_b_to_a:g:B_to_A critic:d"),
        ("generators.0.a generators.1.a encoder.a", "generators_0:g generators_1:g encoder:o"),
        ("module.0.w module.1.w", "module:o"),
        ("decoder.w.x design.w.x loose", "decoder:o design:o other_tensors:o"),
        ("G._orig_mod.0.w D.module.0.w", "G:g D:d"),
    ],
)
def test_networks_are_found_by_their_names(names: str, expected: str) -> None:
    tensors = {name: torch.ones(1) for name in names.split()}
    found = find_components(tensors)
    shown = [
        f"{c.name}:{c.role[0]}"
        + (f":{c.direction}" if c.role == "generator" and c.direction else "")
        for c in found
    ]
    assert shown == expected.split()
    assert {c.prefix + name for c in found for name in c.tensors} == tensors.keys()


def test_prefixes_can_be_named(checkpoint: Path) -> None:
    tensors = read_checkpoint(checkpoint).tensors
    found = find_components(tensors, ["generator_A_to_B.blocks", "generator_A_to_B"])
    assert len(found[0].tensors) == 2 * BLOCKS
    assert sum(len(component.tensors) for component in found) == len(tensors)


# --- what is refused --------------------------------------------------------------------------


def split_error(
    capsys: pytest.CaptureFixture[str], checkpoint: Path, output: Path, *flags: str
) -> str:
    """The line of a split that fails and writes nothing."""
    before = sorted(output.parent.rglob("*"))
    assert main(["split", str(checkpoint), "--output-dir", str(output), *flags]) == 2
    assert sorted(output.parent.rglob("*")) == before
    return checked_line(capsys.readouterr().err.strip().splitlines()[-1])


def test_a_name_in_a_checkpoint_is_no_path(tmp_path: Path) -> None:
    torch.save({"../../evil.weight": torch.ones(1), "/tmp/x.w": torch.ones(1)}, tmp_path / "m.pt")
    output = tmp_path / "deep" / "er" / "out"
    assert main(["split", str(tmp_path / "m.pt"), "--output-dir", str(output)]) == 0
    assert {file.parent for file in tmp_path.rglob("*.safetensors")} == {output}


def test_odd_texts_of_a_checkpoint_are_written_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = {"clip": float("inf"), "loss": float("nan"), "name": "\ud800", "\ud800": 1}
    content = {
        "state_dict": {"net.w\ud800": torch.ones(1)},
        "hyper_parameters": odd,
        "\x1b[2J": Path("x"),
        "object": type("Odd", (), {"__reduce__": lambda self: (Path, ("y",))})(),
    }
    torch.save(content, tmp_path / "m.pt")
    output = tmp_path / "out"
    assert main(["split", str(tmp_path / "m.pt"), "--output-dir", str(output)]) == 0
    text = (output / "model_config.json").read_text(encoding="utf-8")
    config = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert config["generator_config"]["clip"] == "inf"
    assert load_file(output / "net.safetensors").keys() == {"w?"}
    assert "\x1b" not in capsys.readouterr().out


def test_two_networks_of_one_file_name_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"net/a.w": torch.ones(1), "net:a.w": torch.ones(1)}, tmp_path / "m.pt")
    line = split_error(capsys, tmp_path / "m.pt", tmp_path / "out")
    assert "two networks would be written to one file" in line


def test_a_folder_of_something_else_stays(
    checkpoint: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "thesis.txt").write_text("all of it")
    assert "holds something else; got thesis.txt" in split_error(capsys, checkpoint, output)
    (output / "thesis.txt").unlink()
    assert main(["split", str(checkpoint), "--output-dir", str(output)]) == 0
    assert main(["split", str(checkpoint), "--output-dir", str(output)]) == 0, "its own is replaced"
    (output / "notes.txt").write_text("mine")
    assert "holds something else; got notes.txt" in split_error(capsys, checkpoint, output)


def test_a_file_that_comes_meanwhile_is_not_lost(
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "out"
    output.mkdir()

    def write_late(component: Component, folder: Path) -> WrittenComponent:
        (output / "thesis.txt").write_text("mine")
        return write_component(component, folder)

    monkeypatch.setattr("oriel.splitting.split.write_component", write_late)
    assert main(["split", str(checkpoint), "--output-dir", str(output)]) == 2
    assert "holds something else; got thesis.txt" in checked_line(capsys.readouterr().err.strip())
    assert [file.name for file in output.iterdir()] == ["thesis.txt"]


def test_absent_statistics_are_said_and_the_example_runs(
    whole: Whole, network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"state_dict": whole.state_dict()}, tmp_path / "m.ckpt")
    flags = [*FLAGS, "--network", f"{network}:Generator"]
    assert (
        main(["split", str(tmp_path / "m.ckpt"), "--output-dir", str(tmp_path / "o"), *flags]) == 0
    )
    assert "Pass --normalization FILE" in capsys.readouterr().err
    assert not (tmp_path / "o" / "normalization_params.json").exists()
    assert (tmp_path / "o" / "inference_example.py").is_file()


def test_statistics_in_the_checkpoint_are_found(whole: Whole, tmp_path: Path) -> None:
    statistics = {d: {k: np.array(v) for k, v in s.items()} for d, s in STATISTICS.items()}
    content = {"state_dict": whole.state_dict(), "hyper_parameters": {"stats": statistics}}
    torch.save(content, tmp_path / "m.ckpt")
    assert main(["split", str(tmp_path / "m.ckpt"), "--output-dir", str(tmp_path / "o")]) == 0
    assert json.loads((tmp_path / "o" / "normalization_params.json").read_text()) == STATISTICS


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s["A"]["std"].__setitem__(0, 0.0), "a deviation that isn't above 0"),
        (lambda s: s["A"]["std"].__setitem__(4, -3.0), "a deviation that isn't above 0"),
        (lambda s: s["B"]["std"].__setitem__(0, float("inf")), "aren't finite"),
        (lambda s: s["B"]["mean"].pop(), "4 means and 5 deviations"),
        (lambda s: s["B"]["mean"].__setitem__(0, float("nan")), "aren't finite"),
        (lambda s: s.pop("B"), "holds no statistics"),
    ],
)
def test_statistics_that_can_not_be_right_are_refused(
    change: Callable[[Any], object],
    said: str,
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    statistics = json.loads(json.dumps(STATISTICS))
    change(statistics)
    (tmp_path / "s.json").write_text(json.dumps(statistics))
    flags = ("--normalization", str(tmp_path / "s.json"))
    assert said in split_error(capsys, checkpoint, tmp_path / "out", *flags)


OTHER_CODE = {
    "raises": ("raise ValueError('no')", "can't be run; got ValueError: no"),
    "no class": ("from torch import nn\nclass Net(nn.Module): pass", "has no network Generator"),
    "another network": (
        "from torch import nn\nclass Generator(nn.Linear):\n"
        "    def __init__(self, width: int = 2): super().__init__(width, width)",
        "the checkpoint is of another model than Generator",
    ),
    "a setting nobody knows": (
        NETWORK.replace("width: int = 8", "width: int, kind: str"),
        "doesn't say kind of Generator",
    ),
    "code of its project": (
        f"import training_checkpoints\n{NETWORK}",
        "doesn't run in its folder; got ModuleNotFoundError",
    ),
}


def test_both_generators_must_be_of_the_class(
    whole: Whole, network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {
        k: v for k, v in whole.state_dict().items() if k != "generator_B_to_A.norm.running_var"
    }
    torch.save(state, tmp_path / "m.ckpt")
    flags = ("--network", f"{network}:Generator")
    line = split_error(capsys, tmp_path / "m.ckpt", tmp_path / "out", *flags)
    assert "no norm.running_var" in line


@pytest.mark.parametrize("case", OTHER_CODE)
def test_a_class_that_does_not_fit_is_told_in_a_line(
    case: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = OTHER_CODE[case]
    (tmp_path / "net.py").write_text(code)
    flags = ["--create-inference-script", "--network", f"{tmp_path / 'net.py'}:Generator"]
    assert said in split_error(capsys, checkpoint, tmp_path / "out", *flags)


def test_a_missing_class_is_said(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert main(["split", str(checkpoint), "--output-dir", str(output), *FLAGS]) == 0
    assert "Pass --network FILE.py:CLASS" in capsys.readouterr().err
    done = run_example(output)
    assert done.returncode == 1
    assert "--network FILE.py:CLASS" in done.stderr


def test_nothing_but_discriminators(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"D_A.w": torch.ones(1)}, tmp_path / "m.pt")
    line = split_error(capsys, tmp_path / "m.pt", tmp_path / "out", "--no-discriminators")
    assert "leaves nothing; got D_A" in line
