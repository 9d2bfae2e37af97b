"""Tests `oriel check-device` where the runtime computes wrong numbers from right files: natively,
and on WebGPU if its plugin and an adapter are there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import wrong_kernel

from oriel.cli import main
from oriel.runtime.every_activation import every_activation

ABSENT = ("isn't installed", "doesn't load", "no graphics adapter")
"""Parts of the lines that tell that WebGPU can't be had on this machine."""


@pytest.mark.parametrize("variant", ["fp32", "q8", "int4"])
def test_a_wrong_product_is_told_with_its_layer(
    variant: str,
    quantized_gpt2_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["check-device", str(quantized_gpt2_bundle), "--variant", variant, "--json"]
    assert main(words) == 0
    monkeypatch.setattr(wrong_kernel.PLACE, wrong_kernel.breaking(every_activation))
    capsys.readouterr()
    assert main(words) == 1
    (found,) = json.loads(capsys.readouterr().out)["variants"]
    assert found["verdict"] == "wrong"
    assert found["first"]["name"] == "layer_2_mlp_output"


def on_webgpu(program: list[str], bundle: Path) -> tuple[int, dict[str, Any]]:
    """Run check-device on WebGPU in a process of its own, since a driver may end it. Return its
    exit code and its report; skip the test if WebGPU can't be had."""
    words = [str(bundle), "--provider", "webgpu", "--json"]
    done = subprocess.run(
        [sys.executable, *program, *words], capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    if done.returncode == 2 and any(part in lines[-1] for part in ABSENT):
        pytest.skip(lines[-1])
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


def test_webgpu_matches_pytorch_and_a_wrong_product_is_told(tiny_gpt2_bundle: Path) -> None:
    code, report = on_webgpu(["-m", "oriel", "check-device"], tiny_gpt2_bundle)
    (found,) = report["variants"]
    assert (code, found["verdict"], report["provider"]) == (0, "right", "webgpu")
    assert "WebGPU plugin" in report["runtime"]
    code, report = on_webgpu([wrong_kernel.__file__], tiny_gpt2_bundle)
    (found,) = report["variants"]
    assert (code, found["verdict"]) == (1, "wrong")
    assert found["first"]["name"] == "layer_2_mlp_output"
