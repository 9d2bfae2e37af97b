"""Prints a safetensors file as JSON: its metadata, and each tensor's shape and flat values."""

import json
import sys

from safetensors import safe_open


def main(path: str) -> None:
    """Print what the file holds."""
    with safe_open(path, "numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    found = {
        name: {"shape": list(tensor.shape), "values": tensor.reshape(-1).tolist()}
        for name, tensor in tensors.items()
    }
    print(json.dumps({"metadata": metadata, "tensors": found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
