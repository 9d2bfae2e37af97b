"""Quantized checkpoints are decoded to what they stand for. Of fp8, transformers decodes it too; of
GPTQ and AWQ the packing is written out here number by number, as AutoGPTQ and AutoAWQ do it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import Tensors, copy_checkpoint, error_of, load, tensors_of
from conftest import save_random
from test_doctor import examined
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from oriel.errors import CheckpointError

MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama whose sizes are multiples of 32, so that numbers of any bits fill whole words."""
    config = LlamaConfig(
        vocab_size=61,
        max_position_embeddings=32,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        bos_token_id=0,
        eos_token_id=0,
    )
    return save_random(LlamaForCausalLM(config), tmp_path_factory.mktemp("llama") / "llama")


def matrices(tensors: Tensors) -> list[str]:
    return [name for name in tensors if name.split(".")[-2] in MATRICES]


def packed(rows: list[list[int]], bits: int) -> Tensor:
    """Rows of numbers as int32 words, the first number in the lowest bits: of 3 bits, numbers go
    over from one word into the next."""
    words = []
    for row in rows:
        whole = sum(number << (bits * place) for place, number in enumerate(row))
        words.append([(whole >> at) & 0xFFFFFFFF for at in range(0, bits * len(row), 32)])
    return torch.tensor(words, dtype=torch.int64).to(torch.int32)


Quantized = dict[str, Tensor]


def gptq(
    weight: Tensor, bits: int, group: int, offset: int, order: bool
) -> tuple[Quantized, Tensor]:
    """A matrix (out, in) in GPTQ's parts, and what it then is, value by value."""
    outputs, inputs = weight.shape
    draw = torch.Generator().manual_seed(outputs)
    width = inputs if group == -1 else group
    groups = -(-inputs // width)
    g_idx = torch.arange(inputs) // width
    if order:
        g_idx = g_idx[torch.randperm(inputs, generator=draw)]
    scales = (torch.rand((groups, outputs), generator=draw) + 0.1).half()
    zeros = torch.randint(1, 1 << bits, (groups, outputs), generator=draw)
    numbers = torch.randint(0, 1 << bits, (inputs, outputs), generator=draw)
    wanted = torch.empty(outputs, inputs)
    for i in range(inputs):
        for o in range(outputs):
            g = g_idx[i]
            wanted[o, i] = float(scales[g, o]) * (int(numbers[i, o]) - int(zeros[g, o]))
    parts = {
        "qweight": packed(numbers.t().tolist(), bits).t().contiguous(),
        "qzeros": packed((zeros - offset).tolist(), bits),
        "scales": scales,
    }
    return {**parts, **({"g_idx": g_idx.int()} if order else {})}, wanted


AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]
"""AutoAWQ: the nibble i of a word is the output order[i] of the eight."""


def awq(weight: Tensor, group: int) -> tuple[Quantized, Tensor]:
    outputs, inputs = weight.shape
    draw = torch.Generator().manual_seed(inputs)
    groups = inputs // group
    scales = (torch.rand((groups, outputs), generator=draw) + 0.1).half()
    zeros = torch.randint(0, 16, (groups, outputs), generator=draw)
    numbers = torch.randint(0, 16, (inputs, outputs), generator=draw)

    def words(values: Tensor) -> Tensor:
        rows = values.tolist()
        for row in rows:
            for start in range(0, len(row), 8):
                row[start : start + 8] = [row[start + place] for place in AWQ_ORDER]
        return packed(rows, 4)

    wanted = torch.empty(outputs, inputs)
    for i in range(inputs):
        for o in range(outputs):
            difference = int(numbers[i, o]) - int(zeros[i // group, o])
            wanted[o, i] = float(scales[i // group, o]) * difference
    return {"qweight": words(numbers), "qzeros": words(zeros), "scales": scales}, wanted


def quantized(
    original: Path,
    folder: Path,
    settings: dict[str, Any],
    quantize: Callable[[Tensor], tuple[Quantized, Tensor]],
) -> tuple[Path, Tensors]:
    """A checkpoint whose matrices are packed, and its matrices as they are then."""
    wanted: Tensors = {}

    def change(tensors: Tensors) -> None:
        for name in matrices(tensors):
            parts, wanted[name] = quantize(tensors.pop(name))
            module = name.removesuffix(".weight")
            tensors.update({f"{module}.{part}": value for part, value in parts.items()})

    config = {"quantization_config": settings}
    return copy_checkpoint(original, folder, config=config, change=change), wanted


def check_decoded(folder: Path, wanted: Tensors) -> None:
    model = load(folder)
    for name, value in wanted.items():
        assert torch.equal(model.checkpoint.read(name), value), name
    assert any("were decoded to float32" in text for text in model.notices)
    assert not model.is_as_saved
    # Other libraries must not take the bundle's plain weights for packed ones.
    assert b"quantization_config" not in model.library_configs["config.json"]
    found = examined(folder)
    assert found.works, found.findings


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize(("group", "order", "form"), [(16, True, None), (-1, False, "gptq_v2")])
def test_gptq_is_decoded(
    bits: int, group: int, order: bool, form: str | None, llama: Path, tmp_path: Path
) -> None:
    settings = {"quant_method": "gptq", "bits": bits, "group_size": group, "desc_act": order}
    offset = 0 if form else 1
    settings |= {"checkpoint_format": form} if form else {}
    folder, wanted = quantized(
        llama, tmp_path / "x", settings, lambda weight: gptq(weight, bits, group, offset, order)
    )
    check_decoded(folder, wanted)


def test_awq_is_decoded(llama: Path, tmp_path: Path) -> None:
    settings = {"quant_method": "awq", "bits": 4, "group_size": 16, "version": "gemm"}
    folder, wanted = quantized(llama, tmp_path / "x", settings, lambda weight: awq(weight, 16))
    check_decoded(folder, wanted)


def test_a_word_of_each_is_decoded_as_computed_by_hand(llama: Path, tmp_path: Path) -> None:
    """0x76543210 holds 0 to 7 from the lowest bits up: in GPTQ of inputs 0 to 7; in AWQ of outputs
    0, 2, 4, 6, 1, 3, 5, 7."""
    word = torch.full((1,), 0x76543210, dtype=torch.int32)

    def by_hand(weight: Tensor, along_inputs: bool) -> tuple[Quantized, Tensor]:
        outputs, inputs = weight.shape
        one = torch.arange(8.0)
        if along_inputs:
            wanted = one.repeat(inputs // 8).expand(outputs, inputs) / 2
            shape = (inputs // 8, outputs)
        else:
            order = torch.tensor([0.0, 4, 1, 5, 2, 6, 3, 7])
            wanted = order.repeat(outputs // 8)[:, None].expand(outputs, inputs) / 2
            shape = (inputs, outputs // 8)
        parts = {
            "qweight": word.expand(shape).contiguous(),
            "qzeros": torch.zeros((1, outputs // 8), dtype=torch.int32),
            "scales": torch.full((1, outputs), 0.5).half(),
        }
        return parts, wanted.contiguous()

    for method, more, along in (
        ("gptq", {"checkpoint_format": "gptq_v2"}, True),
        ("awq", {}, False),
    ):
        settings = {"quant_method": method, "bits": 4, "group_size": -1, **more}
        folder, wanted = quantized(
            llama, tmp_path / method, settings, partial(by_hand, along_inputs=along)
        )
        check_decoded(folder, wanted)


def float8(weight: Tensor, block: tuple[int, int] | None) -> tuple[Tensor, Tensor]:
    """The values of float8, and their scales; of each block or of all."""
    if block is None:
        scale = weight.abs().max() / 448
        return (weight / scale).to(torch.float8_e4m3fn), scale
    rows, columns = weight.shape
    scales = torch.empty(-(-rows // block[0]), -(-columns // block[1]))
    values = torch.empty(rows, columns)
    for r in range(scales.shape[0]):
        for c in range(scales.shape[1]):
            place = (
                slice(r * block[0], (r + 1) * block[0]),
                slice(c * block[1], (c + 1) * block[1]),
            )
            scales[r, c] = weight[place].abs().max() / 448
            values[place] = weight[place] / scales[r, c]
    return values.to(torch.float8_e4m3fn), scales


def as_fp8(
    original: Path, folder: Path, block: tuple[int, int] | None, scheme: str = "dynamic"
) -> Path:
    def change(tensors: Tensors) -> None:
        for name in matrices(tensors):
            tensors[name], tensors[f"{name}_scale_inv"] = float8(tensors[name], block)
            if scheme == "static":
                module = name.removesuffix(".weight")
                tensors[f"{module}.activation_scale"] = torch.tensor(0.1)

    settings = {
        "quant_method": "fp8",
        "activation_scheme": scheme,
        "weight_block_size": list(block) if block else None,
    }
    return copy_checkpoint(
        original, folder, config={"quantization_config": settings}, change=change
    )


@pytest.mark.parametrize("block", [(16, 32), (32, 16)])
def test_fp8_is_decoded_as_transformers_decodes_it(
    block: tuple[int, int], llama: Path, tmp_path: Path
) -> None:
    pytest.importorskip("accelerate")
    folder = as_fp8(llama, tmp_path / "x", block)
    theirs = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict()
    before = tensors_of(llama)
    wanted = {name: theirs[name] for name in matrices(before)}
    check_decoded(folder, wanted)
    for name, value in wanted.items():
        # float8 keeps three bits behind the leading one.
        assert torch.allclose(value, before[name], rtol=1 / 15, atol=1e-3), name


@pytest.mark.parametrize(
    ("block", "scheme"), [(None, "dynamic"), (None, "static"), ((24, 24), "dynamic")]
)
def test_fp8_with_one_scale_or_a_rest_is_decoded(
    block: tuple[int, int] | None, scheme: str, llama: Path, tmp_path: Path
) -> None:
    """transformers doesn't load blocks that leave a rest, which DeepSeek's format allows."""
    folder = as_fp8(llama, tmp_path / "x", block, scheme)
    stored = tensors_of(folder)
    wanted = {}
    for name in matrices(tensors_of(llama)):
        values, scales = stored[name].float(), stored[f"{name}_scale_inv"]
        for r in range(values.shape[0]):
            for c in range(values.shape[1]):
                values[r, c] *= scales if block is None else scales[r // 24, c // 24]
        wanted[name] = values
    check_decoded(folder, wanted)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"quant_method": "bitsandbytes"}, "M.from_pretrained(f).dequantize().save_pretrained("),
        ({"quant_method": "compressed-tensors"}, "quantization_config=C(run_compressed=False)"),
        ({"quant_method": "mxfp4"}, "quantization_config=C(dequantize=True)"),
        ({"quant_method": "quip"}, "got quip; expected plain floating-point weights, or awq, fp8,"),
        ({"quant_method": "gptq"}, "the quantization's bits can't be read; got None"),
        ({"quant_method": "gptq", "bits": 5}, "this form of GPTQ is not decoded; got bits 5"),
        ({"quant_method": "gptq", "bits": 4, "group_size": 0}, "got group_size 0"),
        (
            {"quant_method": "gptq", "bits": 4, "checkpoint_format": "marlin"},
            "got checkpoint_format 'marlin'; expected gptq or gptq_v2",
        ),
        (
            {"quant_method": "gptq", "bits": 4, "group_size": 8},
            "down_proj.qzeros has the wrong shape; got [4, 4]; expected [8, 4]",
        ),
        ({"quant_method": "awq", "version": "gemv"}, "got version 'gemv'; expected gemm"),
        ({"quant_method": "awq", "bits": 8}, "this form of AWQ is not decoded; got bits 8"),
        ({"quant_method": "fp8", "weight_block_size": [0, 1]}, "weight_block_size can't be read"),
    ],
)
def test_what_is_not_decoded_says_what_decodes_it(
    settings: dict[str, Any], said: str, llama: Path, tmp_path: Path
) -> None:
    folder, _ = quantized(llama, tmp_path / "x", settings, lambda w: gptq(w, 4, 16, 1, True))
    line = error_of(folder)
    assert said in line
    assert any(finding.line == line for finding in examined(folder).findings)


def test_a_part_that_is_gone_is_told(llama: Path, tmp_path: Path) -> None:
    def without_scales(weight: Tensor) -> tuple[Quantized, Tensor]:
        parts, wanted = gptq(weight, 4, 16, 1, True)
        return {name: part for name, part in parts.items() if name != "scales"}, wanted

    settings = {"quant_method": "gptq", "bits": 4, "group_size": 16}
    folder, _ = quantized(llama, tmp_path / "x", settings, without_scales)
    assert "is quantized and lacks a part; got no " in error_of(folder)


@pytest.mark.parametrize("group", [-1, 2])
def test_a_group_that_is_not_there_is_told(group: int, llama: Path, tmp_path: Path) -> None:
    def astray(weight: Tensor) -> tuple[Quantized, Tensor]:
        parts, wanted = gptq(weight, 4, 32, 1, True)
        parts["g_idx"][0] = group
        return parts, wanted

    settings = {"quant_method": "gptq", "bits": 4, "group_size": 32}
    folder, wanted = quantized(llama, tmp_path / "x", settings, astray)
    with pytest.raises(CheckpointError, match=f"names a group that isn't there; got {group}"):
        load(folder).checkpoint.read(next(iter(wanted)))


def test_packed_values_that_are_no_whole_numbers_are_told(llama: Path, tmp_path: Path) -> None:
    def floats(weight: Tensor) -> tuple[Quantized, Tensor]:
        parts, wanted = gptq(weight, 4, 16, 1, True)
        return {**parts, "qweight": parts["qweight"].float()}, wanted

    settings = {"quant_method": "gptq", "bits": 4, "group_size": 16}
    folder, _ = quantized(llama, tmp_path / "x", settings, floats)
    assert "qweight has another dtype; got F32; expected I32" in error_of(folder)


def test_a_packed_matrix_of_another_module_than_a_linear_is_refused(
    tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    """GPT-2's Conv1D keeps (in, out), which a square matrix doesn't show."""
    name = "transformer.h.0.attn.c_proj"

    def change(tensors: Tensors) -> None:
        parts, _ = gptq(tensors.pop(f"{name}.weight"), 8, -1, 1, False)
        tensors.update({f"{name}.{part}": value for part, value in parts.items()})

    settings = {"quant_method": "gptq", "bits": 8, "group_size": -1}
    config = {"quantization_config": settings}
    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "x", config=config, change=change)
    line = error_of(folder)
    assert f"{name}.weight in x is quantized, and its module is no Linear" in line
    assert json.loads((folder / "config.json").read_text())["model_type"] == "gpt2"
