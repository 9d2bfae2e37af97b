"""Training checkpoints read without running anything in them: the tensors, the plain data, and the
list of what was left inert."""

from __future__ import annotations

import io
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_files import checked_line
from safetensors.torch import save_file
from torch import nn
from training_checkpoints import Calls, fill, lightning_like, with_pickle

from oriel.checkpoints.read_checkpoint import ReadCheckpoint, read_checkpoint
from oriel.errors import CheckpointError


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    module = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 2))
    return {f"gen.{name}": value for name, value in fill(module).state_dict().items()}


@pytest.fixture(scope="module", params=[2, 4], ids=["protocol 2", "protocol 4"])
def read(
    state: dict[str, torch.Tensor],
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> ReadCheckpoint:
    file = tmp_path_factory.mktemp("lightning") / "last.ckpt"
    root = Path("data") / "motion"
    torch.save(lightning_like(state, root), file, pickle_protocol=request.param)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(file, weights_only=True)  # else the inert reader would not be what is tested
    return read_checkpoint(file)


def test_every_tensor_of_the_model_is_read(
    read: ReadCheckpoint, state: dict[str, torch.Tensor]
) -> None:
    assert read.state_dict_at == "state_dict"
    assert read.tensors.keys() == state.keys()
    for name, value in state.items():
        assert read.tensors[name].dtype == value.dtype
        assert torch.equal(read.tensors[name], value), name


def test_what_training_keeps_is_told_apart(read: ReadCheckpoint) -> None:
    others = read.other_tensors
    assert torch.equal(others["optimizer_states.0.state.0.exp_avg"], torch.ones(2))
    assert torch.equal(others["message_hub.scalars.loss"], torch.tensor([0.5, 0.25]).double())
    expected = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    assert torch.equal(others["hyper_parameters.mean"], expected)


def test_hyper_parameters_are_plain_values(read: ReadCheckpoint) -> None:
    assert read.data["epoch"] == 3
    assert read.data["hyper_parameters"] == {
        "width": 40,
        "rate": 0.5,
        "mean": None,
        "root": str(Path("data") / "motion"),
        "options": {"depth": 3, "name": "small"},
        "settings": {"beta": 0.9},
        "device": "cpu",
        "dtype": "torch.float16",
        "kinds": ["one"],
    }


def test_foreign_objects_are_listed(read: ReadCheckpoint) -> None:
    found = {foreign.place: foreign.name for foreign in read.foreign}
    assert found["message_hub"] == "training_checkpoints.MessageHub"
    assert found["hyper_parameters.settings"] == "training_checkpoints.Settings"
    assert found["hyper_parameters.options"] == "argparse.Namespace"
    assert found["hyper_parameters.root"].startswith("pathlib.")
    assert found["hyper_parameters.width"].endswith("multiarray.scalar")
    assert all(foreign.read for foreign in read.foreign)


@pytest.mark.parametrize(
    "nest",
    [
        lambda s: s,
        lambda s: {"model": s, "epoch": 1},
        lambda s: {"model": {"state_dict": s}, "optimizer": {"state": {}, "param_groups": []}},
        lambda s: {"net_optimizer": {"state": {0: torch.ones(3)}, "param_groups": []}, **s},
    ],
    ids=["bare", "model", "nested", "beside an optimizer"],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_the_model_is_found_in_every_nesting(
    nest: Callable[[Any], Any], zipped: bool, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    file = tmp_path / "m.pth"
    torch.save(nest(dict(state)), file, _use_new_zipfile_serialization=zipped)
    read = read_checkpoint(file)
    assert read.tensors.keys() == state.keys()
    assert all(torch.equal(read.tensors[name], value) for name, value in state.items())


def test_networks_of_one_file_keep_their_names(tmp_path: Path) -> None:
    torch.save({"A2B": {"w": torch.ones(2)}, "B2A": {"w": torch.zeros(2)}}, tmp_path / "m.pt")
    assert read_checkpoint(tmp_path / "m.pt").tensors.keys() == {"A2B.w", "B2A.w"}


def test_safetensors_are_read_by_content(tmp_path: Path) -> None:
    save_file({"w": torch.arange(3.0)}, tmp_path / "weights", {"format": "pt"})
    read = read_checkpoint(tmp_path / "weights")
    assert torch.equal(read.tensors["w"], torch.arange(3.0))
    assert read.data == {"format": "pt"}


class Network(nn.Module):
    """A module of the user's own."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 3)
        self.register_buffer("scale", torch.tensor([2.0]))
        self.register_buffer("scratch", torch.zeros(4), persistent=False)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_module_pickled_whole_gives_its_state_dict(zipped: bool, tmp_path: Path) -> None:
    module = fill(Network())
    torch.save(module, tmp_path / "m.pt", _use_new_zipfile_serialization=zipped)
    read = read_checkpoint(tmp_path / "m.pt")
    assert read.tensors.keys() == module.state_dict().keys()
    for name, value in module.state_dict().items():
        assert torch.equal(read.tensors[name], value)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.uint16, torch.float8_e4m3fn, torch.bool])
def test_every_dtype_and_view_is_read(dtype: torch.dtype, tmp_path: Path) -> None:
    whole = torch.arange(24).reshape(4, 6).to(dtype)
    torch.save({"state_dict": {"w": whole.t()[1:4, ::2]}, "x": Path("y")}, tmp_path / "m.pt")
    found = read_checkpoint(tmp_path / "m.pt").tensors["w"]
    assert found.dtype == dtype
    assert torch.equal(found.float(), whole.t()[1:4, ::2].float())


def test_a_reference_to_an_object_around_it_ends(tmp_path: Path) -> None:
    hub: dict[str, object] = {"w": torch.ones(1)}
    hub["self"] = hub
    torch.save({"state_dict": {"w": torch.ones(2)}, "hub": hub}, tmp_path / "m.pt")
    assert read_checkpoint(tmp_path / "m.pt").tensors.keys() == {"w"}


# --- what is refused --------------------------------------------------------------------------


def refusal(file: Path, **options: bool) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(file, **options)
    return checked_line(str(caught.value))


@pytest.mark.parametrize("zipped", [True, False])
def test_code_is_refused_by_name_and_does_not_run(zipped: bool, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    content = {"state_dict": {"w": torch.ones(2)}, "x": Calls(os.system, f"touch '{trace}'")}
    torch.save(content, tmp_path / "m.ckpt", _use_new_zipfile_serialization=zipped)
    assert "holds code; got a call of posix.system" in refusal(tmp_path / "m.ckpt")
    assert not trace.exists()


def test_a_function_that_nobody_listed_is_inert(tmp_path: Path) -> None:
    trace = tmp_path / "written"
    content = {"state_dict": {"w": torch.ones(2)}, "x": Calls(io.open, str(trace), "w")}
    torch.save(content, tmp_path / "m.ckpt")
    read = read_checkpoint(tmp_path / "m.ckpt")
    assert not trace.exists()
    assert [(f.place, f.read) for f in read.foreign] == [("x", False)]
    assert read.tensors.keys() == {"w"}


def test_unsafe_pickle_runs_it_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "written"
    content = {"state_dict": {"w": torch.ones(2)}, "x": Calls(io.open, str(trace), "w")}
    torch.save(content, tmp_path / "m.ckpt")
    assert read_checkpoint(tmp_path / "m.ckpt", unsafe_pickle=True).tensors.keys() == {"w"}
    assert trace.exists()
    assert "any code in m.ckpt runs now" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        # BUILD with a state for its slots: setattr on whatever find_class returned.
        (
            b"ctorch._utils\n_rebuild_tensor_v2\nN}X\x04\x00\x00\x00evilK\x01s\x86b.",
            "a state set on",
        ),
        (b"ctorch.storage\nUntypedStorage\nN}X\x04\x00\x00\x00evilK\x01s\x86b.", "a state set on"),
        (b"ccollections\nOrderedDict\nN}X\x04\x00\x00\x00evilK\x01s\x86b.", "damaged"),
        # A bytearray of so many bytes.
        (b"cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.", "a bytearray of something else"),
    ],
    ids=["function", "storage class", "dict class", "memory"],
)
def test_a_pickle_changes_nothing_of_ours(attack: bytes, said: str, tmp_path: Path) -> None:
    # A path before it keeps torch's own reader from being the one that refuses.
    first = b"\x80\x02cpathlib\nPosixPath\nX\x01\x00\x00\x00a\x85R0"
    assert said in refusal(with_pickle(tmp_path / "m.ckpt", first + attack))
    for owner in (torch._utils._rebuild_tensor_v2, torch.UntypedStorage, OrderedDict):
        assert not hasattr(owner, "evil")


@pytest.mark.parametrize(
    ("size", "stride", "said"),
    [((9,), (1,), "larger than its storage"), ((1 << 32,), (0,), "repeats few values")],
)
def test_a_tensor_larger_than_its_storage_is_refused(
    size: tuple[int, ...], stride: tuple[int, ...], said: str, tmp_path: Path
) -> None:
    storage = torch.storage.TypedStorage(  # type: ignore[no-untyped-call]
        wrap_storage=torch.ones(8).untyped_storage(), dtype=torch.float32, _internal=True
    )
    large = Calls(torch._utils._rebuild_tensor_v2, storage, 0, size, stride, False, OrderedDict())
    torch.save({"x": Path("y"), "state_dict": {"w": large}}, tmp_path / "m.ckpt")
    assert said in refusal(tmp_path / "m.ckpt")


def test_an_object_in_a_tensors_place_is_named(tmp_path: Path) -> None:
    sparse = torch.eye(3).to_sparse()
    torch.save({"state_dict": {"a": torch.ones(1), "b.w": sparse}, "x": Path("y")}, tmp_path / "m")
    assert "state_dict.b.w" in refusal(tmp_path / "m")
    torch.save({"state_dict": {"a": torch.ones(1), "b.w": sparse}}, tmp_path / "m")
    assert "b.w in m is no plain tensor; got sparse_coo" in refusal(tmp_path / "m")


def test_two_paths_of_one_name_are_refused(tmp_path: Path) -> None:
    torch.save({"a.b": torch.ones(1), "a": {"b": torch.ones(1)}}, tmp_path / "m.pt")
    assert "two tensors of m.pt have one name; got a.b" in refusal(tmp_path / "m.pt")


def _program(file: Path) -> None:
    torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)).save(str(file))  # type: ignore[no-untyped-call]


def _cut_short(file: Path) -> None:
    torch.save({"w": torch.ones(100), "x": Path("y")}, file)
    file.write_bytes(file.read_bytes()[:-200])


def _deep(file: Path) -> None:
    nested: list[object] = []
    for _ in range(210):
        nested = [nested]
    torch.save({"state_dict": {"w": torch.ones(1)}, "x": nested}, file)


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda file: None, "there is no checkpoint"),
    "folder": (Path.mkdir, "got a folder"),
    "empty": (Path.touch, "is empty"),
    "text": (lambda file: file.write_text("hello there, this is no model"), "damaged"),
    "cut short": (_cut_short, "damaged"),
    "program": (_program, "a TorchScript program"),
    "no tensors": (lambda file: torch.save({"epoch": 1}, file), "no tensor of a model"),
    "optimizer": (
        lambda file: torch.save({"optimizer": {"state": {0: torch.ones(1)}}}, file),
        "no tensor of a model",
    ),
    "object array": (
        lambda file: torch.save({"state_dict": {"w": np.array([None])}}, file),
        "no tensor of a model",
    ),
    "deep": (_deep, "deeper nesting"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_checkpoint_is_told_in_a_line(case: str, tmp_path: Path) -> None:
    write, said = REFUSED[case]
    file = tmp_path / "m.ckpt"
    write(file)
    assert said in refusal(file)
