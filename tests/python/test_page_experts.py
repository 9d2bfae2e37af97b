"""The page's own reader takes the manifest of a model with experts in some of its layers, and holds
it to its sizes; its programs compute what the routers of such a model give. Its views of one are
tested in tests/browser/ui_experts.spec.ts."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from architecture_variants import VARIANTS
from conftest import save_random
from page_programs import check_programs, written_programs

from oriel.export_bundle import export
from oriel.options import ExportOptions
from oriel.progress import Silent

ROOT = Path(__file__).resolve().parents[2]


def shapes_of(manifest: Any) -> list[dict[str, Any]]:
    """Every copy of the model's sizes."""
    graphs = [v[kind] for v in manifest["variants"] for kind in ("plain", "decoder", "open")]
    return [manifest["model"]["shape"], *(graph["activations"]["model"] for graph in graphs)]


def experts_everywhere(manifest: Any) -> None:
    for shape in shapes_of(manifest):
        shape["layer_sizes"] = [{} for _ in shape["layer_sizes"]]


def more_than_there_are(manifest: Any) -> None:
    for shape in shapes_of(manifest):
        shape["active_experts"] = 5


def fewer_probabilities(manifest: Any) -> None:
    for variant in manifest["variants"]:
        for tap in variant["taps"]:
            if tap["outputs"][0]["name"] == "layer_3_router_probs":
                tap["outputs"][0]["shape"][-1] = 3


def test_the_page_reads_it_refuses_other_sizes_and_writes_programs(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or not (ROOT / "node_modules/vite").is_dir():
        pytest.skip("needs node and the page's packages")
    checkpoint = save_random(VARIANTS["qwen3_moe-one-mlp-in-some-layers"](), tmp_path / "from")
    options = ExportOptions(model=str(checkpoint), output=tmp_path / "bundle" / "model.onnx")
    folder = export(options, Silent()).folder
    with written_programs() as write:
        check_programs(folder, checkpoint, write, tmp_path)
    raw = (folder / "manifest.json").read_text("utf-8")
    changes: tuple[Callable[[Any], None], ...] = (
        *(experts_everywhere, more_than_there_are, fewer_probabilities),
    )
    texts = [raw]
    for change in changes:
        manifest = json.loads(raw)
        change(manifest)
        texts.append(json.dumps(manifest))
    done = subprocess.run(
        [node, str(ROOT / "tests/web/judge_manifests.mjs")],
        input="\n".join(base64.b64encode(text.encode()).decode() for text in texts),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    taken, *refused = json.loads(done.stdout)
    assert taken == "taken"
    assert len(refused) == len(changes) and "taken" not in refused
