"""transformers.js and what makes models for it, installed apart from Oriel's own environment."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent / "peer"
PACKAGES = "node_modules"
GRAPHS = {
    "fp32": "onnx/model.onnx",
    "q8": "onnx/model_quantized.onnx",
    "q4": "onnx/model_q4.onnx",
}
"""transformers.js' names of precisions, and the files that it fetches for them."""


@dataclass(frozen=True)
class PeerLibrary:
    """A folder that holds a Python environment and Node packages."""

    folder: Path

    def install(self) -> None:
        """Install once for each list of versions; a second call finds its copy of the lists."""
        lists = ("requirements.txt", "package.json", "package-lock.json", ".npmrc")
        wanted = {name: (HERE / name).read_bytes() for name in lists}
        installed = self.folder / "installed"
        if all(
            (installed / name).is_file() and (installed / name).read_bytes() == content
            for name, content in wanted.items()
        ):
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        environment = self.folder / "environment"
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        requirements = HERE / "requirements.txt"
        pip = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", requirements], check=True)
        for name in lists[1:]:
            shutil.copy(HERE / name, self.folder)
        # No scripts: they would fetch programs for Node, and the browser's are in the packages.
        npm = ["npm", "ci", "--silent", "--ignore-scripts"]
        subprocess.run(npm, cwd=self.folder, check=True)
        installed.mkdir()
        for name, content in wanted.items():
            (installed / name).write_bytes(content)

    @property
    def python(self) -> str:
        return str(self.folder / "environment" / "bin" / "python")

    def export(self, checkpoint: Path, folder: Path) -> None:
        """Make a model's folder in the form that transformers.js reads."""
        script = HERE / "export_for_transformers_js.py"
        command = [self.python, str(script), str(checkpoint), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(
                f"Optimum could not export {checkpoint.name}:\n{done.stderr[-2000:]}"
            )
