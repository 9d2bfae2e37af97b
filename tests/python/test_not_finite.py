"""Weights that are no numbers: refused with the tensors' names, how many values, and the next step;
in what the model doesn't read they are nobody's concern."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoint_files import (
    Tensors,
    checked_line,
    copy_checkpoint,
    load,
    save_as_safetensors,
    save_as_zip_pickle,
    save_in_shards,
)
from command_lines import export_main
from safetensors.torch import save_file

from oriel.bundle.write_weights import WrittenWeights, write_weights
from oriel.errors import CheckpointError
from oriel.graph.attach_weights import place_weights

TOKENS, HEAD = "transformer.wte.weight", "lm_head.weight"
MATRIX, BIAS = "transformer.h.0.mlp.c_fc.weight", "transformer.h.1.attn.c_proj.bias"
NAN, INF = float("nan"), float("inf")
Change = Callable[[Tensors], object]


def written(folder: Path, file: Path) -> WrittenWeights:
    """The weights streamed into the bundle's data file, as an export does."""
    model = load(folder)
    layout = place_weights(model.spec.parameters, model.spec.linear)
    return write_weights(model.checkpoint, layout, file)


def refused(folder: Path, file: Path) -> str:
    with pytest.raises(CheckpointError) as told:
        written(folder, file)
    return checked_line(str(told.value))


def put(name: str, *values: float) -> Change:
    def change(tensors: Tensors) -> None:
        for place, value in enumerate(values):
            tensors[name].view(-1)[place * 3] = value

    return change


@pytest.mark.parametrize("name", [TOKENS, MATRIX, BIAS])
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((NAN,), "1 NaN of "),
        ((INF, INF), "2 +Inf of "),
        ((-INF,), "1 -Inf of "),
        ((NAN, INF, -INF, NAN), "2 NaN and 1 +Inf and 1 -Inf of "),
    ],
)
@pytest.mark.parametrize("save", [save_as_safetensors, save_as_zip_pickle, save_in_shards])
def test_the_tensor_and_the_number_of_its_values_are_told(
    save: Callable[[Tensors, Path], object],
    values: tuple[float, ...],
    said: str,
    name: str,
    tiny_gpt2_checkpoint: Path,
    tmp_path: Path,
) -> None:
    sizes: list[int] = []

    def change(tensors: Tensors) -> None:
        put(name, *values)(tensors)
        sizes.append(tensors[name].numel())

    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", change=change, save=save)
    line = refused(folder, tmp_path / "data")
    assert line.startswith("1 of the model's ")
    assert f"got {said}{sizes[0]:,} values in {name} (" in line
    assert "earlier checkpoint" in line


def test_all_such_tensors_are_told_at_once(tiny_gpt2_checkpoint: Path, tmp_path: Path) -> None:
    spoiled: list[str] = []

    def change(tensors: Tensors) -> None:
        spoiled.extend(sorted(tensors)[::5])
        for name in spoiled:
            put(name, NAN)(tensors)

    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", change=change)
    line = refused(folder, tmp_path / "data")
    assert line.startswith(f"{len(spoiled)} of the model's ")
    assert sum(name in line for name in spoiled) == 3
    assert "more" in line


def test_the_shard_is_told(tiny_gpt2_checkpoint: Path, tmp_path: Path) -> None:
    folder = copy_checkpoint(
        tiny_gpt2_checkpoint, tmp_path / "copy", change=put(TOKENS, NAN), save=save_in_shards
    )
    index = json.loads((folder / "model.safetensors.index.json").read_text("utf-8"))
    assert f"{TOKENS} ({index['weight_map'][TOKENS]})" in refused(folder, tmp_path / "data")


@pytest.mark.parametrize("also_head", [True, False])
def test_in_a_tied_tensor_both_names_lead_to_the_same_answer(
    also_head: bool, tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    """NaN differs from itself, which doesn't make two copies of one weight two weights."""

    def change(tensors: Tensors) -> None:
        put(TOKENS, NAN)(tensors)
        if also_head:
            tensors[HEAD] = tensors[TOKENS].clone()

    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", change=change)
    assert load(folder).checkpoint.notes == ()
    assert refused(folder, tmp_path / "data").count("values in") == 1


def test_a_head_of_its_own_is_told_by_its_name(tiny_gpt2_checkpoint: Path, tmp_path: Path) -> None:
    """Where only the stored head holds them, it isn't the embedding's copy."""

    def change(tensors: Tensors) -> None:
        tensors[HEAD] = tensors[TOKENS].clone()
        put(HEAD, INF)(tensors)

    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", change=change)
    line = refused(folder, tmp_path / "data")
    assert f"values in {HEAD} (" in line
    assert TOKENS not in line


def test_one_tensor_in_two_shards_is_one_although_it_holds_nan(
    tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    def save(tensors: Tensors, folder: Path) -> None:
        save_in_shards(tensors, folder)
        index = json.loads((folder / "model.safetensors.index.json").read_text("utf-8"))
        own = index["weight_map"][TOKENS]
        other = next(file for file in index["weight_map"].values() if file != own)
        there = {name: tensors[name] for name, file in index["weight_map"].items() if file == other}
        save_file({**there, TOKENS: tensors[TOKENS]}, folder / other)

    folder = copy_checkpoint(
        tiny_gpt2_checkpoint, tmp_path / "copy", change=put(TOKENS, NAN), save=save
    )
    assert f"values in {TOKENS}" in refused(folder, tmp_path / "data")


@pytest.mark.parametrize("name", ["v_head.summary.weight", "transformer.h.0.attn.masked_bias"])
def test_what_the_model_does_not_read_may_hold_anything(
    name: str, tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    plain = written(tiny_gpt2_checkpoint, tmp_path / "plain")

    def change(tensors: Tensors) -> None:
        tensors[name] = torch.tensor([NAN, -INF, INF])

    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", change=change)
    assert [*written(folder, tmp_path / "data").digests.values()] == [*plain.digests.values()]


def test_what_overflowed_when_it_was_saved_as_float16_is_told_as_that(
    tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    def change(tensors: Tensors) -> None:
        put(MATRIX, 70_000.0, -1e6)(tensors)
        for each in tensors:
            tensors[each] = tensors[each].to(torch.float16)

    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", change=change)
    line = refused(folder, tmp_path / "data")
    assert f"1 +Inf and 1 -Inf of 1,248 values in {MATRIX}" in line
    assert "65,504" in line
    assert "bfloat16 or float32" in line


def test_float64_beyond_float32_is_not_called_infinite(
    tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    def change(tensors: Tensors) -> None:
        tensors[MATRIX] = tensors[MATRIX].to(torch.float64)
        put(MATRIX, 1e39, -1e300)(tensors)

    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", change=change)
    line = refused(folder, tmp_path / "data")
    assert "got 2 beyond float32 of 1,248 values" in line
    assert "3.4e38" in line


def test_values_at_the_ends_of_float32_are_kept(tiny_gpt2_checkpoint: Path, tmp_path: Path) -> None:
    ends = torch.finfo(torch.float32)
    change = put(MATRIX, ends.max, ends.min, ends.tiny / 4)
    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", change=change)
    assert written(folder, tmp_path / "data").bytes > 0


def test_an_export_ends_in_that_line_and_leaves_nothing(
    tiny_gpt2_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", change=put(BIAS, NAN))
    output = tmp_path / "bundle" / "model.onnx"
    assert export_main(["--model", str(folder), "--output", str(output)]) == 2
    assert f"1 NaN of 24 values in {BIAS}" in capsys.readouterr().err
    assert not output.parent.exists()
