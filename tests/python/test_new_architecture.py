"""An architecture is one value: some that the registry doesn't hold, of other kinds than those that
it does, are put into it here, exported and verified against transformers. So are the refusals for
what an architecture's file can't make right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_files import Tensors, checked_line, copy_checkpoint, error_of, load
from conftest import save_random
from transformers import (
    ArceeConfig,
    ArceeForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    GptOssConfig,
    GptOssForCausalLM,
    HeliumConfig,
    HeliumForCausalLM,
    PreTrainedModel,
)

from oriel.capture.attention import capture_attention
from oriel.capture.capture_state import CaptureState
from oriel.contract.activation_names import ModelShape
from oriel.contract.manifest import read_manifest
from oriel.errors import ArchitectureError, OrielError
from oriel.export_bundle import Exported, export
from oriel.models.architectures import REGISTRY, llama_like
from oriel.options import ExportOptions
from oriel.progress import Silent
from oriel.verification.cases import Case
from oriel.verification.error_bounds import bounds_for
from oriel.verification.invariants import Invariants
from oriel.verification.report import Findings
from oriel.verification.verify import verify


def plain_mlp(config: Any) -> ModelShape:
    return replace(REGISTRY["llama"].shape(config), gated_mlp=False)


NEOX = REGISTRY["gpt_neox"]
NEW = (
    llama_like("helium", "HeliumForCausalLM"),
    llama_like("arcee", "ArceeForCausalLM", mlp_linear=None, shape=plain_mlp),
    # Its experts have no such modules; its attention is refused before they would matter.
    llama_like(
        "gpt_oss",
        "GptOssForCausalLM",
        mlp_linear=None,
        mlp_nonlinearity="mlp",
        mlp_output_matrix="mlp",
    ),
)
SIZES: dict[str, Any] = {
    "vocab_size": 83,
    "max_position_embeddings": 32,
    "hidden_size": 24,
    "intermediate_size": 44,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": None,
}


def neox(**changes: Any) -> PreTrainedModel:
    return GPTNeoXForCausalLM(GPTNeoXConfig(**{**SIZES, **changes}))


def helium(**changes: Any) -> PreTrainedModel:
    return HeliumForCausalLM(
        HeliumConfig(**{**SIZES, "num_key_value_heads": 3, "head_dim": 8, **changes})
    )


def arcee(**changes: Any) -> PreTrainedModel:
    return ArceeForCausalLM(ArceeConfig(**{**SIZES, "num_key_value_heads": 1, **changes}))


def gpt_oss(**changes: Any) -> PreTrainedModel:
    sizes = {**SIZES, "num_key_value_heads": 3, "num_local_experts": 2, "head_dim": 8}
    return GptOssForCausalLM(GptOssConfig(**{**sizes, **changes}))


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for architecture in NEW:
            assert architecture.model_type not in REGISTRY, "test it in test_architectures.py now"
            patch.setitem(REGISTRY, architecture.model_type, architecture)
        yield


def exported(checkpoint: Path, folder: Path) -> Exported:
    options = ExportOptions(model=str(checkpoint), output=folder / "model.onnx", all_layers=True)
    return export(options, Silent())


def refusal(checkpoint: Path, folder: Path) -> str:
    """The error's line; nothing may be left of the export."""
    with pytest.raises(OrielError) as told:
        exported(checkpoint, folder)
    assert not folder.exists()
    assert not [path for path in folder.parent.iterdir() if path != checkpoint]
    return checked_line(str(told.value))


MODELS: dict[str, Callable[[], PreTrainedModel]] = {"gated": helium, "plain MLP": arcee}


@pytest.mark.parametrize("name", MODELS)
def test_one_value_is_enough_to_export_and_verify(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    checkpoint = save_random(model, tmp_path / "checkpoint")
    bundle = exported(checkpoint, tmp_path / "bundle")
    report = verify(bundle.graph, checkpoint)
    assert report.passed, report.failures
    (variant,) = report.variants
    checks = {check.name: check for check in variant.checks}
    assert checks["resid_post_sum"].verdict == "passed"
    gated = name == "gated"
    assert read_manifest(bundle.folder).shape.gated_mlp is gated
    assert "resid_mid_sum" in checks
    names = {row.name for row in variant.activations}
    assert ("layer_1_mlp_linear" in names) is gated
    # Of every other kind, each layer has one: nothing was left unwatched with it.
    assert {"layer_2_q", "layer_2_attn_scores", "layer_0_mlp_pre", "layer_2_lens_ids"} <= names


def test_a_parallel_block_that_is_called_sequential_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def shape(config: Any) -> ModelShape:
        return replace(NEOX.shape(config), parallel_residual=False)

    monkeypatch.setitem(REGISTRY, "gpt_neox", replace(NEOX, shape=shape))
    checkpoint = save_random(neox(num_hidden_layers=1), tmp_path / "checkpoint")
    assert (
        "the model computes nothing from layer_0_resid_mid; got a tensor that only outputs need; "
        "expected one that what follows it reads."
    ) in refusal(checkpoint, tmp_path / "bundle")


class TestRenamedWeights:
    @pytest.fixture
    def stored(self, tmp_path: Path) -> Path:
        return save_random(neox(), tmp_path / "checkpoint")

    def test_are_read_as_transformers_reads_them(self, stored: Path) -> None:
        checkpoint = load(stored).checkpoint
        assert checkpoint.tensors["lm_head.weight"].key == "embed_out.weight"
        own = GPTNeoXForCausalLM.from_pretrained(stored)
        assert torch.equal(checkpoint.read("lm_head.weight"), own.lm_head.weight)

    def test_may_have_a_wrappers_prefix_or_their_new_name(
        self, stored: Path, tmp_path: Path
    ) -> None:
        def wrap(tensors: Tensors) -> None:
            for name in list(tensors):
                tensors[f"module.{name}"] = tensors.pop(name)

        def rename(tensors: Tensors) -> None:
            tensors["lm_head.weight"] = tensors.pop("embed_out.weight")

        def both(tensors: Tensors) -> None:
            rename(tensors)
            wrap(tensors)

        before = load(stored).checkpoint.read("lm_head.weight")
        for change, wrappers in ((wrap, ("module.",)), (rename, ()), (both, ("module.",))):
            folder = tmp_path / change.__name__
            checkpoint = load(copy_checkpoint(stored, folder, change=change)).checkpoint
            assert checkpoint.wrappers == wrappers
            assert torch.equal(checkpoint.read("lm_head.weight"), before)

    def test_under_both_names_are_one_too_many(self, stored: Path, tmp_path: Path) -> None:
        def double(tensors: Tensors) -> None:
            tensors["lm_head.weight"] = tensors["embed_out.weight"].clone()

        line = error_of(copy_checkpoint(stored, tmp_path / "copy", change=double))
        assert "weights that the model doesn't read; got embed_out.weight;" in line

    def test_are_missed_where_the_architecture_forgets_them(
        self, stored: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(REGISTRY, "gpt_neox", replace(NEOX, renamed_weights=()))
        assert "got no lm_head.weight" in error_of(stored)


class TestOtherAttention:
    def test_is_refused_in_one_line(self, tmp_path: Path) -> None:
        checkpoint = save_random(gpt_oss(), tmp_path / "checkpoint")
        line = refusal(checkpoint, tmp_path / "bundle")
        assert "the attention of gpt_oss takes what the capture doesn't implement" in line
        assert "got s_aux, a tensor;" in line

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            ({"s_aux": torch.zeros(2)}, "s_aux, a tensor"),
            ({"position_bias": torch.zeros(1), "bias": 30.0}, "bias=30.0; position_bias, a t"),
            ({"dropout": 0.1}, "dropout=0.1"),
            ({"is_causal": False}, "is_causal=False"),
            ({"an_argument_of_next_year": "set"}, "an_argument_of_next_year='set'"),
        ],
    )
    def test_is_known_by_its_arguments(self, arguments: dict[str, Any], told: str) -> None:
        with pytest.raises(ArchitectureError) as error:
            attend(**arguments)
        assert told in checked_line(str(error.value))

    def test_is_not_asked_for_by_what_is_unset_or_passed_on(self) -> None:
        plain = attend()
        idle = {"softcap": None, "sliding_window": 2, "dropout": 0.0, "is_causal": True}
        passed = {"position_ids": torch.arange(5)[None], "use_cache": True}
        assert torch.equal(attend(**idle, **passed), plain)


def attend(**arguments: Any) -> torch.Tensor:
    """Attention of two heads over five tokens; the mix."""
    module = torch.nn.Module()
    module.oriel_state = CaptureState()  # type: ignore[assignment]
    module.oriel_layer = 0  # type: ignore[assignment]
    module.config = GPTNeoXConfig()  # type: ignore[assignment]
    draw = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(1, 2, 5, 4, generator=draw) for _ in "qkv")
    mask = torch.ones(5, 5, dtype=torch.bool).tril()[None, None]
    return capture_attention(module, q, k, v, mask, **arguments)[0]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("attention", "GPTNeoXAttention computes attention outside of the path for it"),
        (
            "mlp_nonlinearity",
            "GPTNeoXForCausalLM doesn't give the activations of the contract; "
            "got layer_0_mlp_pre (batch_size, sequence_length, 24), "
            "not (batch_size, sequence_length, 44);",
        ),
    ],
)
def test_a_path_that_leads_elsewhere_is_told(
    path: str, told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The module is there, and what passes through it is not what the contract wants."""
    change: dict[str, Any] = {path: "post_mlp_dropout"}
    monkeypatch.setitem(REGISTRY, "gpt_neox", replace(NEOX, **change))
    checkpoint = save_random(neox(num_hidden_layers=1), tmp_path / "checkpoint")
    line = refusal(checkpoint, tmp_path / "bundle")
    assert told in line
    assert line.endswith("in its file in oriel/models/architectures.")


def test_the_sum_of_a_parallel_block_is_checked() -> None:
    bounds = bounds_for("fp32")
    assert bounds is not None
    shape = ModelShape(1, 4, 1, 1, 4, 4, 9, 8, parallel_residual=True)
    rng = np.random.default_rng(0)
    parts = {
        f"layer_0_{kind}": rng.normal(size=(1, 3, 4)).astype(np.float32)
        for kind in ("resid_pre", "attn_output", "mlp_output")
    }
    for wrong, verdict in ((0.0, "passed"), (1e-3, "failed")):
        findings = Findings()
        whole = np.sum(list(parts.values()), axis=0) + np.float32(wrong)
        got = {**parts, "layer_0_resid_post": whole}
        Invariants(shape, bounds, findings).check("plain", Case(1, 3), got)
        assert findings.checks["resid_post_sum"].verdict == verdict
