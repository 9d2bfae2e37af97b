"""Split a checkpoint into its networks, compare them with the whole model, and write each
generator's programs.

    python scripts/export_models.py --checkpoint checkpoints/last.ckpt \
        --output-dir exported_models --no-discriminators --create-inference-script
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

EXAMPLE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(EXAMPLE)]

from cyclegan.data import domain  # noqa: E402 - the path comes first
from cyclegan.generator import Generator  # noqa: E402
from cyclegan.networks import CycleGan  # noqa: E402
from cyclegan.programs import PROGRAMS, export_programs  # noqa: E402
from oriel.checkpoints.load_strictly import load_strictly  # noqa: E402
from oriel.checkpoints.read_checkpoint import read_checkpoint  # noqa: E402
from oriel.cli import main as oriel  # noqa: E402
from oriel.commands.run_command import run_command  # noqa: E402
from oriel.errors import OrielError  # noqa: E402

PROGRAMS_FOLDER = "programs"


def main(argv: list[str] | None = None) -> int:
    """Return 0 where everything that was written computes what the whole model computes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("--no-discriminators", action="store_true")
    parser.add_argument("--create-inference-script", action="store_true")
    arguments = parser.parse_args(argv)
    return run_command(lambda: export(arguments))


def export(arguments: argparse.Namespace) -> int:
    """Split, compare, write the programs, compare them too."""
    output: Path = arguments.output_dir
    _remove_own_programs(output)
    flags = [
        "--create-inference-script" if arguments.create_inference_script else "",
        "--no-discriminators" if arguments.no_discriminators else "",
    ]
    network = f"{EXAMPLE / 'cyclegan' / 'generator.py'}:Generator"
    command = ["split", str(arguments.checkpoint), "--output-dir", str(output)]
    code = oriel([*command, "--network", network, *filter(None, flags)])
    if code != 0:
        return code
    config = json.loads((output / "model_config.json").read_text(encoding="utf-8"))
    whole = whole_model(arguments.checkpoint, output, config)
    if arguments.create_inference_script:
        compare_with_whole(whole, output)
    for way, name in config["directions"].items():
        generator = Generator(**config["generator_config"]).eval()
        weights = torch.load(output / f"{name}.pth", weights_only=True)
        load_strictly(generator, weights)
        folder = output / PROGRAMS_FOLDER / name
        draw = torch.Generator().manual_seed(1)
        width = config["features"][way]
        print(export_programs(generator, folder, torch.randn((2, 24, width), generator=draw)))
    return 0


def whole_model(checkpoint: Path, output: Path, config: dict[str, dict[str, int]]) -> CycleGan:
    """Return the model as it was trained, every tensor loaded strictly."""
    whole = CycleGan(**config["generator_config"])
    load_strictly(whole, read_checkpoint(checkpoint).tensors, "model.")
    statistics = output / "normalization_params.json"
    if statistics.is_file():
        whole.use_statistics(json.loads(statistics.read_text(encoding="utf-8")))
    return whole.eval()


def compare_with_whole(whole: CycleGan, output: Path) -> None:
    """Run the exported example in its folder on raw features of both shapes, both directions, and
    compare with the whole model. Raises OrielError where they differ."""
    for way, convert in (("A_to_B", whole.convert_A_to_B), ("B_to_A", whole.convert_B_to_A)):
        raw = domain(way[0], 3, 50, seed=11)
        for features in (raw, raw[0]):
            with torch.no_grad():
                expected = convert(features if features.dim() == 3 else features[None])
            expected = expected.reshape(features.shape)
            found = run_example(output, way, features.numpy())
            error = float(np.abs(found - expected.numpy()).max())
            print(f"{way} {tuple(features.shape)}: largest difference to the whole model {error}")
            if found.shape != expected.shape or error > 1e-4:
                raise OrielError(
                    f"{way} isn't the whole model's",
                    got=f"a difference of {error}",
                    expected="at most 0.0001",
                )


def run_example(output: Path, way: str, features: np.ndarray) -> np.ndarray:
    """Return what inference_example.py makes of a file of features, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.npy", Path(folder) / "out.npy"
        np.save(source, features)
        command = [sys.executable, "inference_example.py", way, str(source), str(target)]
        subprocess.run(command, cwd=output, check=True)
        out: np.ndarray = np.load(target)
        return out


def _remove_own_programs(output: Path) -> None:
    """Remove the programs of an earlier run, which oriel split would take for someone else's, and
    nothing that isn't one."""
    folder = output / PROGRAMS_FOLDER
    files = [file for file in folder.rglob("*") if file.is_file()]
    if folder.is_dir() and all(file.name in PROGRAMS for file in files):
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
