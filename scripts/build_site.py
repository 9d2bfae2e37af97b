"""Build the page with its models as a static folder for any host: the production build, in which
every bundle of apps/web/static/models/ lies as it is published, in chunks named by their digests.
What hosts need besides is in docs/deployment.md. Standard library only."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WEB = ROOT / "apps" / "web"
MODELS = WEB / "static" / "models"
PUBLISH = ROOT / "tools" / "model-export" / "publish.py"


def main(argv: list[str] | None = None) -> int:
    """Run the steps. Return the exit code of the first that failed, or 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=WEB / "dist", help="folder to write; default: %(default)s"
    )
    parser.add_argument(
        "--base", default=None, help="the page's path on its host; default: VITE_BASE_PATH or /"
    )
    options = parser.parse_args(argv)
    output: Path = options.output.resolve()
    environment = dict(os.environ)
    if options.base is not None:
        environment["VITE_BASE_PATH"] = options.base
    build = ["npx", "vite", "build", "apps/web", "--outDir", str(output), "--logLevel", "warn"]
    code = run(build, environment)
    if code == 0:
        remove_leftovers(output / "models")
    for name in model_names() if code == 0 else []:
        code = code or publish(name, output / "models" / name, environment)
    return code


def model_names() -> list[str]:
    """Return the folders with a bundle, as the build lists them in models/index.json."""
    if not MODELS.is_dir():
        return []
    return sorted(
        path.name
        for path in MODELS.iterdir()
        if not path.name.startswith(".") and (path / "manifest.json").is_file()
    )


def remove_leftovers(models: Path) -> None:
    """Remove hidden folders: the build copies what an export is just writing, or a killed one left,
    with everything else."""
    for folder in models.glob(".*/"):
        shutil.rmtree(folder)


def publish(name: str, place: Path, environment: dict[str, str]) -> int:
    """Replace the bundle that the build copied by its published form, at the same address."""
    shutil.rmtree(place)
    return run([sys.executable, str(PUBLISH), str(MODELS / name), "--to", str(place)], environment)


def run(command: list[str], environment: dict[str, str]) -> int:
    """Run a command at the repository's root and return its exit code."""
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
