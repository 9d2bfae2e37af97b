"""Train PointPillars for a few steps with MMEngine's own Runner, on generated scenes with one car
each. The detector learns little in them; the checkpoint is what a whole training leaves.

python refined/train_briefly.py CONFIG --output checkpoints/pointpillars.pth
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from oriel.commands.command import Parser  # noqa: E402 - the path comes first
from oriel.commands.run_command import run_command  # noqa: E402
from oriel.errors import OptionError  # noqa: E402
from refined.data_loader import find_config, load_detector  # noqa: E402
from refined.point_clouds import CloudLayout, random_points  # noqa: E402

if TYPE_CHECKING:
    from torch import Tensor

_SCENES, _POINTS = 4, 1_500
CAR = (3.9, 1.6, 1.56)
"""Length, width and height in metres, which the config's anchors have too."""


class Scenes:
    """A data set of clouds, each with points on one car, by index."""

    def __init__(self, layout: CloudLayout) -> None:
        self.layout = layout
        self.metainfo = {"classes": ("Car",)}

    def __len__(self) -> int:
        return _SCENES

    def __getitem__(self, index: int) -> dict[str, object]:
        """Return a scene as mmdet3d's own data sets do, after their pipelines."""
        from mmdet3d.structures import Det3DDataSample, LiDARInstance3DBoxes
        from mmengine.structures import InstanceData

        points, box = scene(self.layout, index)
        sample = Det3DDataSample(metainfo={"sample_idx": index})
        sample.gt_instances_3d = InstanceData(
            bboxes_3d=LiDARInstance3DBoxes(box[None]), labels_3d=box.new_zeros(1).long()
        )
        return {"inputs": {"points": points}, "data_samples": sample}


def scene(layout: CloudLayout, seed: int) -> tuple[Tensor, Tensor]:
    """Return points (points, features) and a car's box (7,): the centre of its floor, its sizes,
    its angle."""
    import torch

    points = random_points(layout, _POINTS, seed)
    low, high = torch.tensor(layout.low), torch.tensor(layout.high)
    size = torch.tensor(CAR)
    floor = low + (high - low) * torch.tensor([0.3 + 0.1 * seed, 0.5, 0.3])
    # A car's sides shine: a fifth of the points lie in its box.
    draw = torch.Generator().manual_seed(100 + seed)
    within = torch.rand((_POINTS // 5, 3), generator=draw) - torch.tensor([0.5, 0.5, 0.0])
    points[: len(within), :3] = floor + within * size
    return points, torch.cat((floor, size, torch.zeros(1)))


def train(config: str, output: Path, steps: int) -> None:
    """Train and write the checkpoint. Raises OptionError for another detector than PointPillars."""
    detector = load_detector(config)
    if type(detector.model).__name__ != "VoxelNet":
        raise OptionError(
            "only PointPillars is trained here",
            got=type(detector.model).__name__,
            expected="a config of VoxelNet with one class of cars",
        )
    from mmengine.config import Config
    from mmengine.runner import Runner

    loader = {
        "batch_size": 2,
        "num_workers": 0,
        "dataset": Scenes(detector.layout),
        "sampler": {"type": "InfiniteSampler", "shuffle": True, "seed": 0},
        "collate_fn": {"type": "pseudo_collate"},
    }
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The libraries warn of features of their own that are to go.
        warnings.simplefilter("ignore")
        runner = Runner(
            model=Config.fromfile(find_config(config)).model,
            work_dir=folder,
            train_dataloader=loader,
            optim_wrapper={"optimizer": {"type": "AdamW", "lr": 1e-3}},
            train_cfg={"by_epoch": False, "max_iters": steps},
            default_hooks={
                "checkpoint": {
                    "type": "CheckpointHook",
                    "by_epoch": False,
                    "interval": steps,
                    "save_param_scheduler": False,
                }
            },
            default_scope="mmdet3d",
            randomness={"seed": 0},
            log_level="ERROR",
        )
        runner.train()
        losses = runner.message_hub.log_scalars["train/loss"].data[0]
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(folder) / f"iter_{steps}.pth", output)
    print(f"{output}: {output.stat().st_size:,} bytes, loss {losses[0]:.2f} to {losses[-1]:.2f}")


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 once the checkpoint is written."""

    def call() -> int:
        parser = Parser(prog="train_briefly.py", description="Train PointPillars for a few steps.")
        parser.add_argument("config")
        parser.add_argument("--output", type=Path, required=True)
        parser.add_argument("--steps", type=int, default=3)
        arguments = parser.parse_args(argv)
        if arguments.steps < 1:
            raise OptionError("--steps is out of range", got=str(arguments.steps), expected="1 up")
        train(arguments.config, arguments.output, arguments.steps)
        return 0

    return run_command(call)


if __name__ == "__main__":
    sys.exit(main())
