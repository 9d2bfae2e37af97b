"""Detectors of pillars as modules that can be exported: the loop over the batch, whose length is
read from the values of the input, becomes one indexed write, so that a file takes any batch."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from oriel.errors import ModuleError, OrielError, reason_of
from oriel.modules.structure import flatten
from refined.data_loader import Batch
from refined.environment import needs_cuda

Voxels = Mapping[str, Tensor]
"""`voxels` (voxels, points, features), `num_points` (voxels,), `coors` (voxels, 4): the sample, z,
y, x."""
Inputs = Mapping[str, Voxels]
DYNAMIC = {"inputs.voxels.*": {0: "voxels"}}


class PillarScatter(nn.Module):
    """Puts the features of pillars at their places in an image, for all samples at once."""

    def __init__(self, channels: int, rows: int, columns: int) -> None:
        super().__init__()
        self.channels, self.rows, self.columns = channels, rows, columns

    def forward(self, features: Tensor, coors: Tensor, samples: int) -> Tensor:
        """features: (voxels, channels). coors: (voxels, 4), the sample, z, y, x, no two alike.
        Returns (samples, channels, rows, columns)."""
        sample, _, row, column = coors.long().unbind(1)
        at = (sample * self.rows + row) * self.columns + column
        flat = features.new_zeros((samples * self.rows * self.columns, self.channels))
        image = flat.index_put((at,), features)
        image = image.view(samples, self.rows, self.columns, self.channels).permute(0, 3, 1, 2)
        # In the detector's own order in memory, by which its convolutions choose how to sum.
        return image.contiguous()


class PillarEncoder(nn.Module):
    """Points to features of pillars, (voxels, channels), as mmdet3d's PillarFeatureNet computes
    them, but without writing over its input: the classic ONNX exporter loses these writes without
    a word, and IREE can't compile them."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        own: Any = encoder
        self.layers: nn.ModuleList = own.pfn_layers
        self.overwrites: bool = own.legacy
        self.size = (own.vx, own.vy, own.vz)
        self.offset = (own.x_offset, own.y_offset, own.z_offset)

    def forward(self, points: Tensor, num_points: Tensor, coors: Tensor) -> Tensor:
        """points: (voxels, points, features). num_points: (voxels,). coors: (voxels, 4)."""
        places = points[:, :, :3]
        means = places.sum(dim=1, keepdim=True) / num_points.type_as(points).view(-1, 1, 1)
        steps = coors.to(points.dtype)[:, [3, 2, 1]].unsqueeze(1)
        to_centre = torch.stack(
            [
                places[:, :, axis] - (steps[:, :, axis] * self.size[axis] + self.offset[axis])
                for axis in range(3)
            ],
            dim=-1,
        )
        # Old configs put the distances to the pillar's centre in the place of x, y and z too.
        first = (to_centre, points[:, :, 3:]) if self.overwrites else (points,)
        features = torch.cat((*first, places - means, to_centre), dim=-1)
        order = torch.arange(points.shape[1], dtype=torch.int, device=points.device)
        held = order.unsqueeze(0) < num_points.int().unsqueeze(1)
        features = features * held.unsqueeze(-1).type_as(features)
        for layer in self.layers:
            features = layer(features, num_points)
        return features.squeeze(1)


class PillarDetector(nn.Module):
    """A detector's network from voxels to the head's maps, as its `mode='tensor'` gives them."""

    prefix = ""
    """Of the names of the detector's parts."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector
        encoder: Any = self.part("voxel_encoder")
        usual = type(encoder).__name__ == "PillarFeatureNet" and not encoder._with_distance
        usual = usual and encoder._with_cluster_center and encoder._with_voxel_center
        self.encoder = PillarEncoder(encoder) if usual else encoder
        old: Any = self.part("middle_encoder")
        self.scatter = PillarScatter(old.in_channels, old.ny, old.nx)

    def part(self, name: str) -> nn.Module:
        """Return a part of the detector: its backbone, neck or another."""
        found: nn.Module = getattr(self.detector, f"{self.prefix}{name}")
        return found

    def forward(self, inputs: Inputs, data_samples: None = None, mode: str = "tensor") -> object:
        """Return what the head makes of a batch of voxels: for PointPillars a tuple of lists of
        maps. The network reads nothing of data samples, and of the modes this is the one that has
        no boxes to sort out."""
        voxels = inputs["voxels"]
        # As the detector does: voxels stand sample by sample, so that the last is of the last one.
        samples = cast(int, voxels["coors"][-1, 0].item()) + 1
        torch._check(samples >= 1)  # type: ignore[no-untyped-call]
        # Another encoder than PillarFeatureNet may write over its input.
        points = voxels["voxels"].clone()
        features = self.encoder(points, voxels["num_points"], voxels["coors"])
        image = self.scatter(features, voxels["coors"], samples)
        maps = self.part("backbone")(image)
        return self.part("bbox_head")(self.part("neck")(maps))

    def own_output(self, inputs: Inputs) -> object:
        """Return what the detector itself makes of copies of the same inputs."""
        model: Any = self.detector
        return model(copy.deepcopy(inputs), None, mode="tensor")


class PointPillars(PillarDetector):
    """VoxelNet with pillars. Returns (class scores, boxes, directions), a list of maps each."""


class CenterPoint(PillarDetector):
    """CenterPoint with pillars, whose `mode='tensor'` takes no inputs and so raises TypeError.
    Returns a tuple over the tasks, of lists over the levels, of dicts of maps."""

    prefix = "pts_"

    def own_output(self, inputs: Inputs) -> object:
        """Return what the detector's own parts make of copies of the same inputs."""
        model: Any = self.detector
        _, maps = model.extract_feat(copy.deepcopy(inputs), None)
        return model.pts_bbox_head(maps)


ADAPTERS: Mapping[str, type[PillarDetector]] = {
    "VoxelNet": PointPillars,
    "CenterPoint": CenterPoint,
}


def adapter_for(detector: nn.Module, batch: Batch) -> PillarDetector:
    """Return a detector's adapter. Raises ModuleError for a detector that needs CUDA operators,
    found by calling it, and for one without an adapter."""
    adapter = ADAPTERS.get(type(detector).__name__)
    if adapter is not None:
        middle = getattr(detector, f"{adapter.prefix}middle_encoder", None)
        if type(middle).__name__ == "PointPillarsScatter":
            return adapter(detector)
    call: Any = detector
    try:
        with torch.no_grad():
            call(batch.inputs, batch.data_samples, mode="tensor")
    except OrielError:
        raise
    except Exception as error:
        if "cuda" in str(error).lower():
            # Some of mmcv's functions make tensors of CUDA before they call the operator.
            raise needs_cuda(f"{type(error).__name__}: {reason_of(error)}") from error
        # Whatever else the detector's code raises is told in one line too.
        raise ModuleError(
            f"{type(detector).__name__} has no adapter, and fails in mode='tensor'",
            got=f"{type(error).__name__}: {reason_of(error)}",
            expected=f"one of {', '.join(ADAPTERS)} with a PointPillarsScatter",
            next_step="write an adapter in refined/adapters.py.",
        ) from error
    raise ModuleError(
        f"there is no adapter for {type(detector).__name__}",
        expected=f"one of {', '.join(ADAPTERS)} with a PointPillarsScatter",
        next_step="write one in refined/adapters.py.",
    )


def largest_difference(adapter: PillarDetector, inputs: Inputs) -> float:
    """Return the largest difference of the adapter's outputs to the detector's own, over the
    largest value of each output."""
    with torch.no_grad():
        ours, own = flatten(adapter(inputs)), flatten(adapter.own_output(inputs))
    pairs = list(zip(ours.tensors, own.tensors, strict=True))
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)
