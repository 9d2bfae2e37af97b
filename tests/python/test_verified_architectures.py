"""Verification of architectures whose attention module is replaced tells what the replacement does
otherwise. That each is right: test_architecture_precisions.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from architecture_variants import like_gpt2
from conftest import save_random
from torch import nn
from transformers import PreTrainedConfig

from oriel.export_bundle import export
from oriel.models.architectures import REGISTRY
from oriel.options import ExportOptions
from oriel.progress import Silent
from oriel.verification.verify import verify


def test_verification_sees_what_a_replaced_module_does_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Rotary positions counted from 1 change queries and keys, and no score."""
    right = REGISTRY["gptj"]

    def late(own: nn.Module, config: PreTrainedConfig, layer: int) -> nn.Module:
        assert right.through_interface is not None
        made = right.through_interface(own, config, layer)

        def one_later(
            _module: nn.Module, inputs: tuple[torch.Tensor, ...], named: dict[str, torch.Tensor]
        ) -> tuple[tuple[torch.Tensor, ...], dict[str, torch.Tensor]]:
            return inputs, {**named, "position_ids": named["position_ids"] + 1}

        made.register_forward_pre_hook(one_later, with_kwargs=True)
        return made

    monkeypatch.setitem(REGISTRY, "gptj", replace(right, through_interface=late))
    checkpoint = save_random(like_gpt2("GPTJ", n_layer=1, rotary_dim=4)(), tmp_path / "checkpoint")
    options = ExportOptions(
        model=str(checkpoint), output=tmp_path / "bundle" / "model.onnx", all_layers=True
    )
    report = verify(export(options, Silent()).graph, checkpoint)
    (variant,) = report.variants
    wrong = {row.name for row in variant.activations if row.verdict == "failed"}
    assert wrong == {"layer_0_q", "layer_0_k"}
    assert not report.passed
