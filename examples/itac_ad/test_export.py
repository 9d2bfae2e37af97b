"""Every encoder × decoder pair from training to verified files: python test_export.py.

Each pair is trained for a moment, loaded, checked, written as TorchScript and ONNX, and compared in
a process of its own; runs/demo, where it stands, is checked too."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from itacad.export import export_onnx, export_torchscript
from itacad.infer.predict import load_model
from itacad.model.decoders import DECODERS
from itacad.model.detector import Config
from itacad.model.encoders import ENCODERS
from itacad.training import train

DEMO = Path(__file__).resolve().parent / "runs" / "demo"


def check(name: str, checkpoint: Path, out: Path) -> None:
    """Load, check and export one detector; whatever is wrong raises."""
    model, device, config = load_model(checkpoint)
    figures = model.export_sanity(L=config.L, D=config.D, device=str(device))
    print(f"{name}: " + ", ".join(f"{what} {value:.1e}" for what, value in figures.items()))
    for export, ending in ((export_torchscript, "ts"), (export_onnx, "onnx")):
        print(export(checkpoint, config.L, config.D, out / f"model.{ending}"))


def main() -> int:
    """Return 0 where all pairs pass; what fails raises, with its reason."""
    with tempfile.TemporaryDirectory() as folder:
        for encoder in ENCODERS:
            for decoder in DECODERS:
                out = Path(folder) / f"{encoder}_{decoder}"
                train(Config(encoder, decoder), out, epochs=1)
                check(f"{encoder} × {decoder}", out, out)
        if DEMO.is_dir():
            check("runs/demo", DEMO, Path(folder) / "demo")
    print("all pairs: written, read back and equal")
    return 0


if __name__ == "__main__":
    sys.exit(main())
