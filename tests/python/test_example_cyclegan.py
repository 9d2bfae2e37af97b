"""examples/cyclegan without its training, which `make examples` runs: the split of a checkpoint in
the form of its own."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import torch
from training_checkpoints import fill, lightning_like

from cyclegan import generator
from cyclegan.data import FEATURES, domain, statistics_of
from cyclegan.generator import Generator
from cyclegan.networks import CycleGan
from oriel.checkpoints.load_strictly import load_strictly
from oriel.checkpoints.read_checkpoint import read_checkpoint
from oriel.cli import main


def test_the_generators_file_needs_torch_alone() -> None:
    tree = ast.parse(Path(generator.__file__).read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    assert modules | names == {"__future__", "torch"}


def test_a_split_generator_is_the_whole_models(tmp_path: Path) -> None:
    trained = CycleGan(FEATURES, 12, 3)
    fill(trained).eval()
    state = {f"model.{name}": value for name, value in trained.state_dict().items()}
    torch.save(lightning_like(state, Path("data")), tmp_path / "last.ckpt")
    raw = {name: domain(name, 4, 20, seed=1) for name in ("A", "B")}
    statistics = statistics_of(raw)
    (tmp_path / "normalization_params.json").write_text(json.dumps(statistics))
    output = tmp_path / "out"
    network = f"{generator.__file__}:Generator"
    flags = ["--output-dir", str(output), "--network", network, "--no-discriminators"]
    assert main(["split", str(tmp_path / "last.ckpt"), *flags]) == 0
    config = json.loads((output / "model_config.json").read_text())
    assert config["generator_config"] == {"input_dim": FEATURES, "hidden_dim": 12, "n_blocks": 3}
    assert config["features"] == {"A_to_B": FEATURES, "B_to_A": FEATURES}

    whole = CycleGan(**config["generator_config"])
    load_strictly(whole, read_checkpoint(tmp_path / "last.ckpt").tensors, "model.")
    whole.eval().use_statistics(statistics)
    alone = Generator(**config["generator_config"]).eval()
    load_strictly(alone, torch.load(output / "generator_A_to_B.pth", weights_only=True))
    mean, deviation = (torch.tensor(statistics["A"][kind]) for kind in ("mean", "std"))
    out_mean, out_deviation = (torch.tensor(statistics["B"][kind]) for kind in ("mean", "std"))
    with torch.no_grad():
        found = alone((raw["A"] - mean) / deviation) * out_deviation + out_mean
        assert torch.equal(found, whole.convert_A_to_B(raw["A"]))
