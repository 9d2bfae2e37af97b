"""Export the bundled model in every variant for the page, and measure them, unless what they are
made from is unchanged since. Standard library only: importing torch to find nothing to do would
take seconds."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXPORTER = ROOT / "tools" / "model-export"
MANIFEST = ROOT / "apps" / "web" / "static" / "models" / "demo" / "manifest.json"
STAMP = ROOT / ".setup" / "demo_bundle"
EXPORTED = ROOT / ".setup" / "demo_manifest.json"
"""The manifest as the export left it, before the variants were measured against PyTorch."""
VARIANTS = "f16,q8,q4,fp16,int8,int8_static,int4"
ARGUMENTS = ("--model", "demo", "--layers", "0,5,11", "--precision", VARIANTS, "--verify")


def main() -> int:
    """Return the exporter's exit code, or 0 where there is nothing to do."""
    if not (EXPORTER / "oriel" / "models" / "demo" / "weights" / "model.safetensors").is_file():
        print("the bundled model's weights are missing: git checkout them again", file=sys.stderr)
        return 1
    inputs = digest_of(inputs_of_bundle())
    if up_to_date(inputs):
        return 0
    export = [sys.executable, str(EXPORTER / "export.py"), *ARGUMENTS, "--force"]
    measure = [sys.executable, "-m", "oriel", "fidelity", str(MANIFEST.parent)]
    STAMP.parent.mkdir(exist_ok=True)
    for command in (export, measure):
        done = subprocess.run(command, cwd=ROOT, check=False)
        if done.returncode != 0:
            return done.returncode
        if command is export:
            shutil.copyfile(MANIFEST, EXPORTED)
    STAMP.write_text(f"{inputs} {digest_of([MANIFEST])}\n", encoding="utf-8")
    return 0


def inputs_of_bundle() -> list[Path]:
    """List exporter, contract, pinned packages, the trained model, its lenses, dictionaries
    and passages to measure it on."""
    demo = EXPORTER / "oriel" / "models" / "demo"
    files = [p for kind in ("py", "json") for p in EXPORTER.glob(f"oriel/**/*.{kind}")]
    sources = [p for p in files if demo / "weights" not in p.parents]
    return sorted(
        [
            *sources,
            *(demo / "weights").iterdir(),
            *(demo / "passages").iterdir(),
            *(demo / "lenses").iterdir(),
            *(demo / "dictionaries").iterdir(),
            *EXPORTER.glob("*.txt"),
            *(ROOT / "contracts").glob("*.json"),
            EXPORTER / "export.py",
            Path(__file__),
        ]
    )


def digest_of(files: list[Path]) -> str:
    """Return the SHA-256 over names and contents."""
    digest = hashlib.sha256()
    for file in files:
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(ROOT).as_posix()} {content}\n".encode())
    return digest.hexdigest()


def up_to_date(inputs: str) -> bool:
    """Return whether the stamp names these inputs and the existing bundle, with its graph."""
    if not all(file.is_file() for file in (STAMP, MANIFEST, EXPORTED)):
        return False
    stamp = f"{inputs} {digest_of([MANIFEST])}\n"
    return STAMP.read_text(encoding="utf-8") == stamp and (MANIFEST.parent / "model.onnx").is_file()


if __name__ == "__main__":
    sys.exit(main())
