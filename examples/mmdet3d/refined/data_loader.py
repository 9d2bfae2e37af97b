"""A config's detector, and batches for it: what its own data preprocessor makes of point clouds.

    python refined/data_loader.py CONFIG [--points FILE.bin]

prints a batch's structure.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

EXAMPLE = Path(__file__).resolve().parents[1]
if str(EXAMPLE) not in sys.path:
    sys.path.insert(0, str(EXAMPLE))

from oriel.contract.json_value import JsonObject  # noqa: E402 - the path comes first
from oriel.errors import ModuleError, OptionError, OrielError, reason_of  # noqa: E402
from refined.environment import package_folder, use_mmdet3d  # noqa: E402
from refined.point_clouds import CloudLayout, random_points, read_points, thinned  # noqa: E402

_RANDOM_POINTS = 2_000
"""Of each sample: enough for pillars of one point and of many, and quick."""


@dataclass(frozen=True)
class Batch:
    """A batch as the detector's data preprocessor gives it."""

    inputs: Mapping[str, object]
    """`points`, a tensor for each sample, and `voxels`: a dict of tensors."""
    data_samples: Sequence[object]
    """A Det3DDataSample with its metadata for each sample."""

    def read_by_network(self) -> dict[str, dict[str, Tensor]]:
        """Return the inputs without the raw points and the voxels' centres, which no network of
        pillars reads."""
        voxels = cast(Mapping[str, Tensor], self.inputs["voxels"])
        return {"voxels": {name: voxels[name] for name in ("voxels", "num_points", "coors")}}


@dataclass(frozen=True)
class Detector:
    """A detector as its config builds it."""

    config: Path
    model: nn.Module
    settings: JsonObject
    """The config's `model`."""
    layout: CloudLayout


def find_config(name: str, package: Path | None = None) -> Path:
    """Return a config's file: a path here, or `configs/…` in the installed package. package: the
    folder of mmdet3d; by default the installed one's. Raises OptionError where neither is there."""
    here = Path(name)
    if here.is_file():
        return here
    package = package or package_folder()
    if package is None:
        use_mmdet3d()  # says how it is installed
        raise OptionError("mmdet3d isn't installed", got="no package")
    configs = (package / ".mim").resolve()
    found = (configs / name).resolve()
    if found.is_file() and found.is_relative_to(configs / "configs"):
        return found
    known = [file.relative_to(configs).as_posix() for file in configs.glob("configs/*/*.py")]
    close = difflib.get_close_matches(name, known, 1, 0.5)
    raise OptionError(
        "there is no such config",
        got=name,
        expected="a Python file here, or one of mmdet3d's",
        next_step=f"the nearest is {close[0]}."
        if close
        else "such as configs/pointpillars/pointpillars_hv_secfpn_8xb6-160e_kitti-3d-car.py.",
    )


def load_detector(name: str, seed: int = 0) -> Detector:
    """Build a config's detector with random weights, in eval mode on the CPU. Raises OptionError
    for a config that isn't there or can't be read, ModuleError for one that builds no detector."""
    file = find_config(name)
    use_mmdet3d()
    from mmdet3d.registry import MODELS
    from mmengine.config import Config

    try:
        config: Any = Config.fromfile(file)
    except Exception as error:
        # A config is a Python file, which may raise anything.
        raise OptionError(
            f"{file.name} can't be read as a config",
            got=f"{type(error).__name__}: {reason_of(error)}",
            expected="a Python file that mmengine reads",
        ) from error
    if "model" not in config:
        raise OptionError(
            f"{file.name} describes no model",
            got=f"the keys {', '.join(list(config)[:5])}",
            expected="a key `model`",
            next_step="name the config of a whole detector.",
        )
    settings = json.loads(json.dumps(config.model.to_dict(), default=str))
    torch.manual_seed(seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model: nn.Module = MODELS.build(config.model)
    except OrielError:
        raise
    except Exception as error:
        # So may the constructors of its parts.
        raise ModuleError(
            f"{file.name} can't be built",
            got=f"{type(error).__name__}: {reason_of(error)}",
            next_step="it may need a package that isn't here.",
        ) from error
    return Detector(file, model.eval(), settings, _layout(config))


def _layout(config: Any) -> CloudLayout:  # noqa: ANN401 - mmengine's configs are untyped
    pipeline = config.get("test_pipeline") or []
    loaders = [step for step in pipeline if step["type"] == "LoadPointsFromFile"]
    stored = loaders[0].get("load_dim", 6) if loaders else 4
    used = loaders[0].get("use_dim", stored) if loaders else stored
    layer = (config.model.get("data_preprocessor") or {}).get("voxel_layer") or {}
    span = layer.get("point_cloud_range") or config.get("point_cloud_range")
    span = span or [-3, -3, -1, 3, 3, 2]  # a room: its detectors take any
    positions = range(used) if isinstance(used, int) else used
    return CloudLayout(stored, tuple(positions), tuple(span[:3]), tuple(span[3:]))


def make_batch(detector: Detector, clouds: Sequence[Tensor]) -> Batch:
    """Return what the detector's data preprocessor makes of point clouds, (points, features) each.
    Raises ModuleError where it needs CUDA, or fails."""
    from mmdet3d.structures import Det3DDataSample, LiDARInstance3DBoxes

    samples = [
        Det3DDataSample(
            metainfo={
                "sample_idx": at,
                "num_pts_feats": cloud.shape[1],
                "box_type_3d": LiDARInstance3DBoxes,
            }
        )
        for at, cloud in enumerate(clouds)
    ]
    data = {"inputs": {"points": list(clouds)}, "data_samples": samples}
    preprocess: Any = getattr(detector.model, "data_preprocessor")  # noqa: B009 - untyped
    try:
        made = preprocess(data, training=False)
    except OrielError:
        raise
    except Exception as error:
        raise ModuleError(
            f"the data preprocessor of {detector.config.name} fails on point clouds",
            got=f"{type(error).__name__}: {reason_of(error)}",
            expected="a detector of point clouds alone",
        ) from error
    return Batch(made["inputs"], made["data_samples"])


def two_batches(detector: Detector, points: Path | None, samples: int = 2) -> tuple[Batch, Batch]:
    """Return a batch to export with, and another with more samples and other numbers of voxels to
    verify with. points: a file, which all samples are made from; None for random ones."""
    if points is not None:
        cloud = read_points(points, detector.layout)
        clouds = [cloud, *(thinned(cloud, seed) for seed in range(2 * samples))]
    else:
        # As many in each: detectors of raw points stack them.
        clouds = [
            random_points(detector.layout, _RANDOM_POINTS, seed) for seed in range(2 * samples + 1)
        ]
    return make_batch(detector, clouds[:samples]), make_batch(detector, clouds[samples:])


def main(argv: Sequence[str] | None = None) -> int:
    """Print a batch's structure."""
    from oriel.commands.command import Parser
    from oriel.commands.run_command import run_command

    def call() -> int:
        parser = Parser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
        parser.add_argument("config")
        parser.add_argument("--points", type=Path)
        arguments = parser.parse_args(argv)
        detector = load_detector(arguments.config)
        batch, _ = two_batches(detector, arguments.points)
        print(f"{detector.config.name}: {type(detector.model).__name__}")
        for name, value in batch.inputs.items():
            rows = value.items() if isinstance(value, Mapping) else enumerate(cast(Any, value))
            for key, tensor in rows:
                print(f"inputs.{name}.{key}: {tensor.dtype} {list(tensor.shape)}")
        print(f"data_samples: {len(batch.data_samples)} × {type(batch.data_samples[0]).__name__}")
        return 0

    return run_command(call)


if __name__ == "__main__":
    sys.exit(main())
