"""Put other libraries that open our graphs into .setup/libraries, each into a folder of its own,
for `make test-libraries`; a second run finds their stamps and ends at once. The folders hold
packages alone and go before .venv's on PYTHONPATH, so that torch isn't installed twice."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from setup_python import ROOT, pip, say

FOLDER = ROOT / ".setup" / "libraries"
WANTED = ROOT / "tests" / "libraries"
NODE = "transformers_js"
_STAMP = "oriel-setup"


def main() -> int:
    """Install what is missing; exit code 1 where pip or npm fails, which say why themselves."""
    try:
        for requirements in sorted(WANTED.glob("*.txt")):
            _install_packages(requirements)
        _install_transformers_js()
    except subprocess.CalledProcessError as error:
        command = " ".join(map(str, error.cmd))
        print(f"setup: {command} ended with {error.returncode}: see above", file=sys.stderr)
        return 1
    return 0


def _install_packages(requirements: Path) -> None:
    folder = FOLDER / requirements.stem
    if _is_done(folder, [requirements]):
        return
    say(f"installing {requirements.stem} beside .venv")
    # Into a folder that holds packages pip only adds; what an older pin left would stay.
    shutil.rmtree(folder, ignore_errors=True)
    # What a library needs beyond its own files is .venv's.
    pip("install", "--no-deps", "--target", str(folder), "--requirement", str(requirements))
    _mark_done(folder, [requirements])


def _install_transformers_js() -> None:
    folder = FOLDER / NODE
    files = [WANTED / name for name in ("package.json", "package-lock.json", ".npmrc")]
    if _is_done(folder, files):
        return
    say("installing transformers.js")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in files:
        shutil.copyfile(file, folder / file.name)
    # ONNX Runtime's own script would fetch CUDA's libraries, which nothing here uses.
    subprocess.run(["npm", "ci", "--ignore-scripts", "--silent"], cwd=folder, check=True)
    _mark_done(folder, files)


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _is_done(folder: Path, files: list[Path]) -> bool:
    stamp = folder / _STAMP
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == _digest(files)


def _mark_done(folder: Path, files: list[Path]) -> None:
    (folder / _STAMP).write_text(_digest(files), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
