"""Point clouds: from a file in the layout of KITTI's, or at random."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from oriel.errors import OptionError

_MAX_BYTES = 256 << 20
"""A sweep has two megabytes; a file of another kind may have any number."""


@dataclass(frozen=True)
class CloudLayout:
    """What a config says of the points that its detector takes."""

    stored: int
    """Numbers of each point in a file: x, y, z, reflectivity, and for nuScenes the time."""
    used: tuple[int, ...]
    """The positions of those that the detector takes."""
    low: tuple[float, float, float]
    """The lowest x, y and z, in metres."""
    high: tuple[float, float, float]


def read_points(file: Path, layout: CloudLayout) -> Tensor:
    """Return the points of a .bin file of little-endian float32, (points, features used). Raises
    OptionError for a file that can't be one, or has no point within the detector's range."""
    whole = 4 * layout.stored
    if not file.is_file():
        raise OptionError(
            "there is no such point cloud", got=str(file), expected="a .bin file of float32"
        )
    size = file.stat().st_size
    if size == 0 or size % whole or size > _MAX_BYTES:
        raise OptionError(
            f"{file.name} is no point cloud of this detector's",
            got=f"{size:,} bytes",
            expected=f"a multiple of {whole}, {layout.stored} float32 for each point, and at most "
            f"{_MAX_BYTES:,}",
            next_step="convert it to the layout of the config's data set.",
        )
    values = np.fromfile(file, dtype="<f4").reshape(-1, layout.stored)
    if not np.isfinite(values).all():
        raise OptionError(
            f"{file.name} holds numbers that aren't finite",
            got=f"{int((~np.isfinite(values)).any(1).sum())} of {len(values)} points",
            expected="coordinates in metres",
            next_step="remove these points, or convert the file to float32.",
        )
    points = torch.from_numpy(values[:, list(layout.used)].astype(np.float32))
    low, high = torch.tensor(layout.low), torch.tensor(layout.high)
    inside = ((points[:, :3] >= low) & (points[:, :3] < high)).all(1)
    if int(inside.sum()) < 2:
        raise OptionError(
            f"{file.name} has no points where the detector looks",
            got=f"{int(inside.sum())} of {len(points)} points",
            expected=f"some with x, y, z from {list(layout.low)} to {list(layout.high)} metres",
            next_step="convert the file to the coordinates of the config's data set.",
        )
    return points


def random_points(layout: CloudLayout, count: int, seed: int) -> Tensor:
    """Return points over the whole range, (points, features used), half of them in clumps as of
    cars, so that pillars hold one point and many."""
    draw = torch.Generator().manual_seed(seed)
    low, high = torch.tensor(layout.low), torch.tensor(layout.high)
    places = torch.rand((count, 3), generator=draw)
    clumps = torch.rand((12, 3), generator=draw)[torch.arange(count // 2) % 12]
    places[: count // 2] = clumps + 0.01 * torch.randn((count // 2, 3), generator=draw)
    others = torch.rand((count, len(layout.used) - 3), generator=draw)
    return torch.cat((low + places.clamp(0, 0.999) * (high - low), others), dim=1)


def thinned(points: Tensor, seed: int) -> Tensor:
    """Return three of five points, in their order, moved by centimetres: another cloud of the same
    scene."""
    draw = torch.Generator().manual_seed(seed)
    kept = torch.rand(len(points), generator=draw) < 0.6
    kept[:2] = True
    moved = points[kept].clone()
    moved[:, :3] += 0.02 * torch.randn((len(moved), 3), generator=draw)
    return moved
