"""Points sorted into voxels in plain PyTorch: the one compiled operator of mmcv that a data
preprocessor of pillars calls."""

from __future__ import annotations

import torch
from torch import Tensor


def hard_voxelize_forward(
    points: Tensor,
    voxel_size: Tensor,
    coors_range: Tensor,
    voxels: Tensor,
    coors: Tensor,
    num_points_per_voxel: Tensor,
    voxel_num: Tensor,
    max_points: int,
    max_voxels: int,
    **_: object,
) -> None:
    """Fill `voxels` (voxels, max_points, features), `coors` (voxels, 3) as z, y, x,
    `num_points_per_voxel` (voxels,) and `voxel_num` (), as mmcv's operator of that name does.

    points: (points, features), x, y, z first. voxel_size: (3,). coors_range: (6,), lowest x, y, z
    and highest. Voxels stand in the order of their first point, points in their own; points
    outside the range are left out, and so are those beyond either maximum.
    """
    low, high = coors_range[:3], coors_range[3:]
    grid = torch.round((high - low) / voxel_size).long()
    place = torch.floor((points[:, :3] - low) / voxel_size).long()
    inside = ((place >= 0) & (place < grid)).all(dim=1)
    points, place = points[inside], place[inside]
    key = (place[:, 2] * grid[1] + place[:, 1]) * grid[0] + place[:, 0]
    _, group = torch.unique(key, return_inverse=True)
    count = int(group.max()) + 1 if len(group) else 0
    order = torch.arange(len(group))
    first = torch.full((count,), len(group)).scatter_reduce(0, group, order, "amin")
    rank = torch.argsort(torch.argsort(first))[group]
    # Behind each other by voxel, and within one in the order of the points.
    sorted_by_voxel = torch.argsort(rank, stable=True)
    sizes = torch.bincount(rank, minlength=count)
    starts = torch.cumsum(sizes, 0) - sizes
    within = torch.empty_like(order)
    within[sorted_by_voxel] = order - starts[rank[sorted_by_voxel]]
    kept = (rank < max_voxels) & (within < max_points)
    voxels[rank[kept], within[kept]] = points[kept]
    found = min(count, max_voxels)
    coors[rank[kept]] = place[kept].flip(1).to(coors.dtype)
    num_points_per_voxel[:found] = sizes[:found].clamp(max=max_points).to(torch.int32)
    voxel_num.fill_(found)
