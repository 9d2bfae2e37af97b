"""Runs a benchmark of the page in Chromium, a file of benchmarks/browser/, and returns what it
measured."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CONFIG = Path(__file__).resolve().parent / "browser" / "page.config.ts"


def run_on_page(spec: str, plan: Mapping[str, object]) -> Any:
    """Run the file with this plan on a build of the page, and return the JSON that it answers."""
    with tempfile.TemporaryDirectory() as folder:
        answers = Path(folder) / "answers.json"
        environment = {
            **os.environ,
            "ORIEL_BENCHMARK": spec,
            "ORIEL_BENCHMARK_PLAN": json.dumps({**plan, "answers": str(answers)}),
        }
        command = ["npx", "playwright", "test", "--config", str(CONFIG)]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        return json.loads(answers.read_text(encoding="utf-8"))
