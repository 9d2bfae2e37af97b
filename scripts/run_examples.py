"""Run every example from training to verified files, as its README says, and end with the time of
each step; exit code 1 at the first step that fails."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from setup_python import ROOT, venv_python

EXAMPLES = ROOT / "examples"
POINTPILLARS = "configs/pointpillars/pointpillars_hv_secfpn_8xb6-160e_kitti-3d-car.py"
CENTERPOINT = "configs/centerpoint/centerpoint_pillar02_second_secfpn_8xb4-cyclic-20e_nus-3d.py"
TRAINED = "checkpoints/pointpillars.pth"


@dataclass(frozen=True)
class Step:
    """A command, and the folder under examples/ that it runs in."""

    folder: str
    command: str


STEPS = (
    Step("cyclegan", "python scripts/train.py"),
    Step(
        "cyclegan",
        "python scripts/export_models.py --checkpoint checkpoints/last.ckpt "
        "--output-dir exported_models --no-discriminators --create-inference-script",
    ),
    Step("cyclegan/exported_models", "python inference_example.py"),
    Step("itac_ad", "itacad train --out runs/demo"),
    Step(
        "itac_ad", "itacad export --ckpt runs/demo --format ts --L 16 --D 8 --out exports/model.ts"
    ),
    Step(
        "itac_ad",
        "itacad export --ckpt runs/demo --format onnx --L 16 --D 8 --out exports/model.onnx",
    ),
    Step("itac_ad", "python test_export.py"),
    Step(
        "mmdet3d",
        f"python refined/simple_exporter.py {POINTPILLARS} --output exported/pointpillars",
    ),
    Step("mmdet3d", f"python refined/train_briefly.py {POINTPILLARS} --output {TRAINED}"),
    Step(
        "mmdet3d",
        f"python refined/improved_exporter.py {POINTPILLARS} --checkpoint {TRAINED} "
        "--output exported/trained --format both --use-random-data --device cpu --verbose",
    ),
    Step(
        "mmdet3d",
        f"python refined/compare_iree.py {POINTPILLARS} --checkpoint {TRAINED} "
        "--exported exported/trained",
    ),
    Step(
        "mmdet3d", f"python refined/simple_exporter.py {CENTERPOINT} --output exported/centerpoint"
    ),
)


def main() -> int:
    """Run the steps in their order; a word chooses those of the examples that it names."""
    chosen = sys.argv[1:]
    # `python` is .venv's, as after `source .venv/bin/activate`.
    environment = {**os.environ, "PATH": f"{venv_python().parent}{os.pathsep}{os.environ['PATH']}"}
    took: list[tuple[float, Step]] = []
    for step in STEPS:
        if chosen and Path(step.folder).parts[0] not in chosen:
            continue
        print(f"examples/{step.folder}$ {step.command}", flush=True)
        started = time.monotonic()
        done = subprocess.run(
            step.command.split(), cwd=EXAMPLES / step.folder, env=environment, check=False
        )
        took.append((time.monotonic() - started, step))
        if done.returncode != 0:
            print(f"examples: exit code {done.returncode}: see above", file=sys.stderr)
            return 1
    for seconds, step in took:
        print(f"{seconds:6.1f} s  {step.folder}: {' '.join(step.command.split()[:2])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
