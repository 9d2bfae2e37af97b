"""The text of inference_example.py, which runs inside the folder that `oriel split` writes: with
torch and NumPy alone, on the CPU, and without Oriel."""

from __future__ import annotations

SCRIPT = "inference_example.py"
NETWORK = "network.py"

INFERENCE_SCRIPT = '''\
"""Convert features from one domain to the other with the networks of this folder.

    python inference_example.py                          an example on random features
    python inference_example.py A_to_B in.npy out.npy    (time, features) or (batch, time, features)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).resolve().parent
CONFIG = json.loads((FOLDER / "model_config.json").read_text(encoding="utf-8"))


def load_generator(direction):
    """Return the generator of a direction, A_to_B or B_to_A, in eval mode on the CPU."""
    if not CONFIG["network"]:
        sys.exit("the network's code is missing: oriel split --network FILE.py:CLASS adds it")
    import network

    known = CONFIG["directions"]
    if direction not in known:
        sys.exit(f"no generator for {direction}; this folder has {', '.join(known) or 'none'}")
    generator = getattr(network, CONFIG["network"]["class"])(**CONFIG["generator_config"])
    weights = torch.load(FOLDER / f"{known[direction]}.pth", map_location="cpu", weights_only=True)
    generator.load_state_dict(weights, strict=True)
    return generator.eval()


def load_statistics():
    """Return {domain: (mean, deviation)}, or None where the folder has none."""
    file = FOLDER / "normalization_params.json"
    if not file.is_file():
        print("no normalization_params.json: features are taken as normalised", file=sys.stderr)
        return None
    stored = json.loads(file.read_text(encoding="utf-8"))
    return {
        domain: (torch.tensor(stored[domain]["mean"]), torch.tensor(stored[domain]["std"]))
        for domain in ("A", "B")
    }


def convert(features, direction, generator=None, statistics=None):
    """Return features of the other domain in the shape of the given ones: (time, features) or
    (batch, time, features)."""
    generator = load_generator(direction) if generator is None else generator
    statistics = load_statistics() if statistics is None else statistics
    features = torch.as_tensor(features, dtype=torch.float32)
    if features.dim() not in (2, 3):
        sys.exit(f"got features of shape {tuple(features.shape)}, expected (time, features) "
                 "or (batch, time, features)")
    batch = features if features.dim() == 3 else features[None]
    source, target = direction.split("_to_")
    with torch.inference_mode():
        if statistics is not None:
            mean, deviation = statistics[source]
            batch = (batch - mean) / deviation
        out = generator(batch)
        if statistics is not None:
            mean, deviation = statistics[target]
            out = out * deviation + mean
    return out if features.dim() == 3 else out[0]


def convert_A_to_B(features):
    """Return features of domain B."""
    return convert(features, "A_to_B")


def convert_B_to_A(features):
    """Return features of domain A."""
    return convert(features, "B_to_A")


def main():
    """Convert a file, or show each direction on random features of both shapes."""
    if len(sys.argv) == 4:
        _, direction, source, target = sys.argv
        np.save(target, convert(np.load(source, allow_pickle=False), direction).numpy())
        return
    draw = torch.Generator().manual_seed(0)
    statistics = load_statistics()
    for direction in CONFIG["directions"]:
        width = CONFIG["features"][direction]
        for shape in ((64, width), (2, 64, width)):
            features = torch.randn(shape, generator=draw)
            if statistics is not None:
                mean, deviation = statistics[direction[0]]
                features = features * deviation + mean
            out = convert(features, direction, statistics=statistics)
            if not torch.isfinite(out).all():
                sys.exit(f"{direction} gave numbers that aren't finite")
            print(f"{direction}: {tuple(shape)} -> {tuple(out.shape)}, "
                  f"mean {out.mean():.4f}, deviation {out.std():.4f}")


if __name__ == "__main__":
    main()
'''
