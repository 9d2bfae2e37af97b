"""Checkpoints as safetensors: of each kind, sharded or not, tied or not, held to torch, to
safetensors and to transformers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import RunsCode, checked_line
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from training_checkpoints import hyper_parameters

from oriel.checkpoints.write_safetensors import write_safetensors
from oriel.cli import main
from oriel.errors import OptionError
from oriel.modules import convert_checkpoint
from oriel.modules.convert_checkpoint import shard_bytes


def tensors() -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(4)
    fused = torch.randn(6, 4, generator=draw)
    embedding = torch.randn(9, 4, generator=draw)
    return {
        "embed.weight": embedding,
        "a.first": fused[:3],
        "a.second": fused[3:],
        "a.turned": torch.randn(3, 5, generator=draw).T,
        "a.flat": embedding.view(-1),
        "half": torch.randn(7, generator=draw).to(torch.bfloat16),
        "odd": torch.tensor([float("nan"), -0.0, float("inf")]),
        "count": torch.tensor(3),
        "none": torch.zeros(0, 4),
        "head.weight": embedding,
    }


def convert(*words: str) -> int:
    return main(["convert", *words, "--format", "safetensors"])


def same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> bool:
    """Compare by torch's own bytes."""
    return found.keys() == wanted.keys() and all(
        found[n].dtype == t.dtype
        and found[n].shape == t.shape
        and bytes(found[n].contiguous().flatten().view(torch.uint8).tolist())
        == bytes(t.contiguous().flatten().view(torch.uint8).tolist())
        for n, t in wanted.items()
    )


@pytest.mark.parametrize("kind", ["model.bin", "model.pt", "old.pth", "last.ckpt"])
def test_each_kind_of_checkpoint_keeps_every_bit(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out, wanted = tmp_path / kind, tmp_path / "out", tensors()
    held: dict[str, Any] = wanted
    if kind == "last.ckpt":
        settings = hyper_parameters(tmp_path)
        held = {
            "state_dict": wanted,
            "epoch": 7,
            "hyper_parameters": settings,
            "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": []}],
        }
    torch.save(held, source, _use_new_zipfile_serialization=kind != "old.pth")
    assert convert(str(source), "--output", str(out)) == 0
    said = capsys.readouterr().out
    assert [file.name for file in out.iterdir()] == ["model.safetensors"]
    found = load_file(out / "model.safetensors")
    assert same(found, {n: t for n, t in wanted.items() if n != "head.weight"})
    with safe_open(out / "model.safetensors", framework="pt") as opened:
        metadata = opened.metadata()
    assert metadata["format"] == "pt" and metadata["head.weight"] == "embed.weight"
    assert "stored once: head.weight is embed.weight" in said
    if kind == "last.ckpt":
        kept = json.loads(metadata["checkpoint"])
        assert kept["epoch"] == 7 and kept["hyper_parameters"]["width"] == 40
        assert "left out, as no tensor of the model:" in said and "optimizer_states.0" in said


def test_code_in_a_pickle_does_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = tmp_path / "trace"
    torch.save({"a": torch.ones(2), "b": RunsCode(trace)}, tmp_path / "bad.bin")
    assert convert(str(tmp_path / "bad.bin"), "--output", str(tmp_path / "out")) == 2
    checked_line(capsys.readouterr().err.splitlines()[-1])
    assert not trace.exists() and not (tmp_path / "out").exists()


def test_shards_are_those_that_transformers_reads(tmp_path: Path) -> None:
    """A tied model, its pickle in shards, and shards again, of another size."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    sizes: Any = {"vocab_size": 90, "n_positions": 16, "n_embd": 16, "n_layer": 2, "n_head": 2}
    model: Any = GPT2LMHeadModel(GPT2Config(**sizes))
    model.eval()
    folder, out = tmp_path / "gpt2", tmp_path / "out"
    model.save_pretrained(folder)
    (folder / "model.safetensors").unlink()
    state = model.state_dict()
    assert state["lm_head.weight"].data_ptr() == state["transformer.wte.weight"].data_ptr()
    names = list(state)
    places = {
        name: f"pytorch_model-0000{1 + (at % 2)}-of-00002.bin" for at, name in enumerate(names)
    }
    places["lm_head.weight"] = places["transformer.wte.weight"]
    for file in set(places.values()):
        torch.save({n: state[n] for n in names if places[n] == file}, folder / file)
    index = {"metadata": {}, "weight_map": places}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    assert convert(str(folder), "--output", str(out), "--max-shard-size", "10KB") == 0

    written = json.loads((out / "model.safetensors.index.json").read_text("utf-8"))
    files = {file.name for file in out.glob("*.safetensors")}
    assert len(files) > 2 and set(written["weight_map"].values()) == files
    assert "lm_head.weight" not in written["weight_map"]
    total = sum(t.nbytes for f in files for t in load_file(out / f).values())
    assert written["metadata"]["total_size"] == total
    # A tensor larger than the limit has a file of its own.
    assert all(
        sum(t.nbytes for t in load_file(out / f).values()) <= 10_000 or len(load_file(out / f)) == 1
        for f in files
    )
    ids = torch.randint(0, 90, (2, 7))
    loaded: Any = GPT2LMHeadModel.from_pretrained(out)
    assert loaded.lm_head.weight is loaded.transformer.wte.weight
    assert torch.equal(loaded.eval()(ids).logits, model(ids).logits)


def test_safetensors_keep_their_metadata_and_may_be_sharded(tmp_path: Path) -> None:
    wanted = {f"layer.{at}": torch.full((100,), float(at)) for at in range(5)}
    save_file(wanted, tmp_path / "a.safetensors", {"author": "someone", "format": "pt"})
    out = tmp_path / "out"
    words = ("--output", str(out), "--max-shard-size", "0.9KB")
    assert convert(str(tmp_path / "a.safetensors"), *words) == 0
    found: dict[str, Tensor] = {}
    for file in out.glob("*.safetensors"):
        found |= load_file(file)
        with safe_open(file, framework="pt") as opened:
            assert opened.metadata() == {"author": "someone", "format": "pt"}
    assert same(found, wanted)


def test_a_folder_of_models_is_converted_in_one_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failure of one leaves the others."""
    zoo, out = tmp_path / "zoo", tmp_path / "out"
    (zoo / "whole").mkdir(parents=True)
    torch.save({"w": torch.ones(2)}, zoo / "whole" / "pytorch_model.bin")
    (zoo / "whole" / "config.json").write_text('{"a": 1}')
    torch.save({"w": torch.zeros(3)}, zoo / "single.pt")
    (zoo / "broken.ckpt").write_bytes(b"no checkpoint")
    (zoo / "notes.txt").write_text("nothing")
    assert convert(str(zoo), "--output", str(out), "--json") == 2
    rows = json.loads(capsys.readouterr().out)["checkpoints"]
    assert {row["name"]: row["error"] is None for row in rows} == {
        "broken": False,
        "single": True,
        "whole": True,
    }
    assert sorted(each.name for each in out.iterdir()) == ["single", "whole"]
    assert (out / "whole" / "config.json").read_text() == '{"a": 1}'
    assert torch.equal(load_file(out / "single" / "model.safetensors")["w"], torch.zeros(3))


def test_a_part_is_read_without_the_rest(tmp_path: Path) -> None:
    """A row of a tensor, from a file of which nothing else is left to read."""
    wanted = {"big": torch.arange(40_000.0).reshape(200, 200), "small": torch.arange(5)}
    torch.save(wanted, tmp_path / "a.bin")
    assert convert(str(tmp_path / "a.bin"), "--output", str(tmp_path / "out")) == 0
    file = tmp_path / "out" / "model.safetensors"
    with safe_open(file, framework="pt", device="cpu") as opened:
        part = opened.get_slice("big")
        assert part.get_shape() == [200, 200]
        rows = part[3:5, 10:]
        # Mapped, not read: a byte that changes now is seen.
        place = file.read_bytes().index(wanted["big"].numpy().tobytes())
        with file.open("r+b") as writable:
            writable.seek(place + 4 * 199 * 200)
            writable.write(torch.tensor([-1.0]).numpy().tobytes())
        last = opened.get_slice("big")[199:200]
    assert torch.equal(rows, wanted["big"][3:5, 10:])
    assert last[0, 0] == -1.0 and torch.equal(last[0, 1:], wanted["big"][199, 1:])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a.bin", "--format", "pt2"], "a.bin holds tensors, and no model"),
        (["a.bin", "--format", "safetensors", "--opset", "18"], "got --opset"),
        (["a.bin", "s.py", "--format", "safetensors"], "a checkpoint and a spec stand in one"),
        (["s.py", "--max-shard-size", "5GB"], "--max-shard-size is for checkpoints"),
        (["a.bin", "--format", "safetensors", "--max-shard-size", "5"], "is no size; got '5'"),
    ],
)
def test_mistakes_are_told_in_one_line(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"w": torch.ones(2)}, "a.bin")
    Path("s.py").write_text("")
    assert main(["convert", *words, "--output", "out"]) == 2
    assert said in checked_line(capsys.readouterr().err.splitlines()[-1])
    assert not Path("out").exists()


def test_what_is_not_the_same_once_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A disk, or a library, that changes one value."""
    write = write_safetensors

    def spoil(tensors: Mapping[str, Tensor], file: Path, *rest: Any) -> dict[str, str]:
        aliases = write(tensors, file, *rest)
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
        return aliases

    monkeypatch.setattr(convert_checkpoint, "write_safetensors", spoil)
    torch.save({"w": torch.ones(2)}, tmp_path / "a.bin")
    assert convert(str(tmp_path / "a.bin"), "--output", str(tmp_path / "out")) == 2
    assert "tensors differ; got w" in checked_line(capsys.readouterr().err.splitlines()[-1])
    assert not (tmp_path / "out").exists()


def test_a_folder_with_anything_in_it_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"w": torch.ones(2)}, tmp_path / "a.bin")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("")
    assert convert(str(tmp_path / "a.bin"), "--output", str(tmp_path / "out")) == 2
    assert "holds something else; got mine" in capsys.readouterr().err
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["mine"]


@pytest.mark.parametrize("size", ["", "5", "GB", "-1GB", "0KB", "infGB", "nanGB"])
def test_a_size_that_is_none_is_refused(size: str) -> None:
    with pytest.raises(OptionError, match="--max-shard-size is no size"):
        shard_bytes(size)
    assert shard_bytes("1.5MB") == 1_500_000
