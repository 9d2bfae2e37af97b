"""Tiny random checkpoints and their bundles, made once a run. Their sizes are odd on purpose: no
two dimensions are alike, so a swapped axis can't go unnoticed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

# OpenMP's threads spin while they wait for one another, which takes most of the processor where
# other workers need it. Read once, when torch is imported; children inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import settings
from thorough import examples
from tokenizer_folders import VOCAB, plain
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from oriel import Bundle
from oriel.export_bundle import export
from oriel.options import ExportOptions, QuantizeOptions
from oriel.progress import Silent
from oriel.quantize_bundle import quantize

# What a property draws that names no number; Hypothesis' own default is 100.
settings.register_profile("oriel", max_examples=examples(100))
settings.load_profile("oriel")
disable_progress_bar()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="session", autouse=True)
def _traced_graphs(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep traced graphs for this run's processes, and none of the user's."""
    base = tmp_path_factory.getbasetemp()
    # The workers of pytest-xdist have a folder each, in one of the run.
    run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    os.environ["ORIEL_TRACE_CACHE"] = str(run / "traced_graphs")


def save_random(model: PreTrainedModel, folder: Path, seed: int = 0, spread: float = 0.2) -> Path:
    """Fill every parameter, norms and biases too, so that none can be left out unseen; save."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=draw) * spread
            is_norm = parameter.dim() == 1 and name.endswith("weight")
            parameter.copy_(noise + 1 if is_norm else noise)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_gpt2_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GPT-2: 4 layers, 3 heads of 8, an MLP that isn't four times as wide, tied embeddings."""
    config = GPT2Config(
        vocab_size=101,
        n_positions=32,
        n_embd=24,
        n_layer=4,
        n_head=3,
        n_inner=52,
        bos_token_id=0,
        eos_token_id=0,
    )
    return save_random(GPT2LMHeadModel(config), tmp_path_factory.mktemp("tiny") / "tiny-gpt2")


@pytest.fixture(scope="session")
def tiny_llama_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Llama: 4 layers, 4 heads of 10 over 2 key heads, so that heads × head_dim isn't the width."""
    config = LlamaConfig(
        vocab_size=89,
        max_position_embeddings=32,
        hidden_size=32,
        intermediate_size=44,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=10,
        bos_token_id=0,
        eos_token_id=0,
    )
    return save_random(LlamaForCausalLM(config), tmp_path_factory.mktemp("tiny") / "tiny-llama")


@pytest.fixture(scope="session")
def tiny_gpt2_bundle(tiny_gpt2_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its fp32 bundle, layers 0 and 2. Shared: copy it before changing anything."""
    output = tmp_path_factory.mktemp("bundles") / "tiny-gpt2" / "model.onnx"
    options = ExportOptions(model=str(tiny_gpt2_checkpoint), layers=(0, 2), output=output)
    return export(options, Silent()).folder


@pytest.fixture(scope="session")
def dashboard_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GPT-2 of the same sizes but for a vocabulary, with a tokenizer."""
    config = GPT2Config(
        vocab_size=VOCAB,
        n_positions=32,
        n_embd=24,
        n_layer=4,
        n_head=3,
        n_inner=52,
        bos_token_id=0,
        eos_token_id=0,
    )
    folder = save_random(GPT2LMHeadModel(config), tmp_path_factory.mktemp("tiny") / "read-gpt2")
    plain(folder)
    return folder


@pytest.fixture(scope="session")
def dashboard_bundle(dashboard_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its fp32 bundle, which reads text."""
    output = tmp_path_factory.mktemp("bundles") / "read-gpt2" / "model.onnx"
    return export(ExportOptions(model=str(dashboard_checkpoint), output=output), Silent()).folder


@pytest.fixture(scope="module")
def gpt2(tiny_gpt2_bundle: Path) -> Iterator[Bundle]:
    """Its bundle, opened."""
    with Bundle(tiny_gpt2_bundle) as bundle:
        yield bundle


@pytest.fixture(scope="module")
def torch_gpt2(tiny_gpt2_checkpoint: Path) -> GPT2LMHeadModel:
    """The same model in PyTorch."""
    model: GPT2LMHeadModel = GPT2LMHeadModel.from_pretrained(
        tiny_gpt2_checkpoint, attn_implementation="eager"
    ).requires_grad_(False)
    return model


@pytest.fixture(scope="session")
def tiny_llama_bundle(
    tiny_llama_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of its bundle in fp32 and fp16, the last layer. Shared: copy it before changes."""
    output = tmp_path_factory.mktemp("bundles") / "tiny-llama" / "model.onnx"
    options = ExportOptions(
        model=str(tiny_llama_checkpoint), output=output, precision=("fp32", "fp16")
    )
    return export(options, Silent()).folder


ALL_PRECISIONS = ("f16", "q8", "q4", "fp16", "int8", "int8_static", "int4")


def quantized(bundle: Path, folder: Path) -> Path:
    """A copy with every variant, however far from the model: random weights lose most."""
    shutil.copytree(bundle, folder)
    options = QuantizeOptions(graph=folder, precision=ALL_PRECISIONS, allow_lossy=True)
    quantize(options, Silent())
    return folder


@pytest.fixture(scope="session")
def quantized_gpt2_bundle(tiny_gpt2_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its bundle in all precisions. Shared: copy it before changing anything."""
    return quantized(tiny_gpt2_bundle, tmp_path_factory.mktemp("bundles") / "quantized-gpt2")


@pytest.fixture(scope="session")
def quantized_llama_bundle(
    tiny_llama_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Its bundle in all precisions. Shared: copy it before changing anything."""
    return quantized(tiny_llama_bundle, tmp_path_factory.mktemp("bundles") / "quantized-llama")
