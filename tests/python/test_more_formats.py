"""Formats whose packages lie beside .venv: each file is run by its own runtime. A format whose
packages aren't here is skipped; `make test-formats` installs them all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoint_files import checked_line
from greedy_text import generated, padded_texts
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel

from oriel.errors import ModuleError, OptionError
from oriel.formats import ALL, check_formats, formats_by_name, packages
from oriel.formats.packages import FOLDERS, package_paths
from oriel.formats.structure_beside import structure_beside
from oriel.models.find_checkpoint import demo_folder
from oriel.modules.convert import ConvertOptions, convert
from oriel.modules.export_module import ModuleExportReport, export_module
from oriel.modules.fallbacks import ExportedFile
from oriel.modules.named_model import model_spec
from oriel.modules.verify_module import Case, verify_file

MORE = ("aotinductor", "openvino", "executorch", "litert", "iree")
FIXED = {"litert", "iree"}
"""Whose file of this module takes the example's sizes alone."""


FIXED_DECODERS = {"litert", "iree"}
"""Whose file of a decoder does."""


class Reader(nn.Module):
    """An encoder with nested inputs, whole numbers among them, and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.widen = nn.Linear(8, 16)
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.head = nn.Linear(16, 4)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        encoded = self.encoder(self.widen(batch["x"]))
        counted = batch["ids"].float().sum(1)
        return {"y": self.head(encoded), "score": encoded.mean((1, 2)) * batch["scale"] + counted}


def batch_of(size: int, time: int) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(size * 100 + time)
    return {
        "x": torch.randn(size, time, 8, generator=draw),
        "scale": torch.rand(size, generator=draw),
        "ids": torch.randint(0, 9, (size, time), generator=draw),
    }


DYNAMIC = {"batch.*": {0: "batch"}, "batch.x": {1: "time"}, "batch.ids": {1: "time"}}


@pytest.fixture(scope="module")
def reader() -> nn.Module:
    torch.manual_seed(3)
    return Reader().eval()


@pytest.fixture(scope="module", params=MORE)
def exported(
    request: pytest.FixtureRequest, reader: nn.Module, tmp_path_factory: pytest.TempPathFactory
) -> ModuleExportReport:
    name: str = request.param
    try:
        formats_by_name()[name].package_paths()
    except OptionError as error:
        pytest.skip(str(error))
    if name == "aotinductor" and "ORIEL_SLOW_FORMATS" not in os.environ:
        pytest.skip("ORIEL_SLOW_FORMATS isn't set: compiling takes half a minute")
    out = tmp_path_factory.mktemp("formats") / name
    return export_module(reader, (batch_of(2, 5),), formats=(name,), dynamic=DYNAMIC, out=out)


def case_of(reader: nn.Module, size: int, time: int) -> Case:
    batch = batch_of(size, time)
    with torch.no_grad():
        outputs = reader(batch)
    return Case(f"{size} × {time}", list(batch.values()), list(outputs.values()))


def the_file(exported: ModuleExportReport) -> tuple[ExportedFile, Path]:
    (file,) = exported.files
    assert file.error is None and file.file is not None
    return file, file.file


def passes(exported: ModuleExportReport, case: Case) -> bool:
    file, path = the_file(exported)
    (result,) = verify_file(file.format, path, ["y", "score"], [case])
    return result.passed


def test_its_own_runtime_computes_what_the_module_does(
    exported: ModuleExportReport, reader: nn.Module
) -> None:
    file, _ = the_file(exported)
    size, time = (2, 5) if file.format in FIXED else (5, 3)
    case = case_of(reader, size, time)
    assert passes(exported, case)
    y, score = case.outputs
    assert not passes(exported, Case("one value is off", case.inputs, [y * 1.01, score]))
    assert not passes(exported, Case("swapped", case.inputs, [y, score.flip(0)]))


def test_the_metadata_says_what_the_file_takes(exported: ModuleExportReport) -> None:
    file, path = the_file(exported)
    (row,) = exported.metadata["exports"]
    assert row["fixed_sizes"] is (file.format in FIXED)
    shapes = [case["input_shapes"][0] for case in row["verification"]]
    expected = [[2, 5, 8]] * 2 if file.format in FIXED else [[2, 5, 8], [3, 7, 8], [1, 1, 8]]
    assert shapes == expected
    held = [each for each in path.parent.iterdir() if each.name != "metadata.json"]
    assert row["bytes"] == sum(each.stat().st_size for each in held)
    form = formats_by_name()[file.format]
    assert {"torch", *form.distributions} <= exported.metadata["versions"].keys()


def test_what_cannot_be_dynamic_says_why(exported: ModuleExportReport) -> None:
    file, _ = the_file(exported)
    if file.format == "iree":
        (left,) = file.left
        assert "relative error" in left.reason
    elif file.format == "executorch":
        assert file.fixed == ("batch is at most 16", "time is at most 40")


def test_a_size_beyond_the_bound_is_refused_by_the_runtime(
    exported: ModuleExportReport, reader: nn.Module
) -> None:
    if the_file(exported)[0].format != "executorch":
        pytest.skip("it has no bound")
    assert passes(exported, case_of(reader, 16, 40))
    with pytest.raises(ModuleError, match="can't be opened or run"):
        passes(exported, case_of(reader, 17, 5))


CALL = """
import json, sys, torch
from oriel import open_module
batch = {name: torch.tensor(values) for name, values in json.load(sys.stdin).items()}
try:
    outputs = open_module(sys.argv[1])(batch)
    print(json.dumps({name: value.tolist() for name, value in outputs.items()}))
except Exception as error:
    print(json.dumps(str(error)))
"""


def test_it_is_called_as_the_module_was(exported: ModuleExportReport, reader: nn.Module) -> None:
    """In a process of its own, as a user's is: what these packages load stays there."""
    file, path = the_file(exported)

    def call(batch: dict[str, Tensor]) -> object:
        given = json.dumps({name: value.tolist() for name, value in batch.items()})
        done = subprocess.run(
            [sys.executable, "-c", CALL, str(path)],
            input=given,
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout.splitlines()[-1])

    batch = batch_of(2, 5)
    got = call(batch)
    assert isinstance(got, dict)
    with torch.no_grad():
        for name, value in reader(batch).items():
            torch.testing.assert_close(torch.tensor(got[name]), value, rtol=1e-4, atol=1e-5)
    if file.format in FIXED:
        assert call(batch_of(3, 5)) == (
            "the input batch.x doesn't fit; got float32 [3, 5, 8]; expected float32 [2, 5, 8]"
        )


def without_packages(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let the packages of formats be in an empty folder, though another test has imported some."""
    monkeypatch.setenv(FOLDERS, str(folder))
    monkeypatch.setattr(sys, "path", [p for p in sys.path if "formats" not in Path(p).parts])
    for form in formats_by_name().values():
        for package in set(form.packages) - set(packages._OWN):
            monkeypatch.delitem(sys.modules, package, raising=False)


class Spectrum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = torch.linalg.eigvals(x).real
        return found


@pytest.mark.parametrize("name", ["openvino", "executorch"])
def test_what_a_converter_refuses_is_told_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    try:
        formats_by_name()[name].package_paths()
    except OptionError as error:
        pytest.skip(str(error))
    out = tmp_path / "out"
    report = export_module(Spectrum(), (torch.eye(3),), formats=(name,), out=out)
    (file,) = report.files
    assert file.file is None and file.error is not None
    assert "\n" not in file.error and len(file.error) < 1000
    assert [each.name for each in out.iterdir()] == ["metadata.json"]


@pytest.mark.parametrize("name", ["openvino", "executorch", "litert", "iree", "coreml"])
def test_a_missing_package_is_told_with_the_command_that_installs_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_packages(monkeypatch, tmp_path)
    with pytest.raises(OptionError) as raised:
        check_formats((name,))
    line = checked_line(str(raised.value))
    assert f"the format {name} needs a package that isn't here" in line
    assert f"pip install 'oriel[{name}]'" in line
    assert f"make formats-setup FORMATS={name}" in line


def test_packages_that_an_opened_file_brought_are_found_for_the_next_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the folder is on this process' path, its packages look as if they were installed."""
    monkeypatch.setenv(FOLDERS, str(tmp_path))
    folder = tmp_path / "moon"
    (folder / "moon_runtime").mkdir(parents=True)
    (folder / "moon_runtime" / "__init__.py").touch()
    assert package_paths("moon", ("moon_runtime",)) == [folder]
    monkeypatch.syspath_prepend(str(folder))
    assert package_paths("moon", ("moon_runtime",)) == [folder]
    assert package_paths("moon", ("torch",)) == []


def test_all_stands_for_those_that_are_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_packages(monkeypatch, tmp_path)
    own = ["ts", "pt2", "onnx", "aotinductor", "safetensors"]
    assert [form.name for form in check_formats((ALL,))] == own
    (tmp_path / "openvino" / "openvino").mkdir(parents=True)
    assert "openvino" in [form.name for form in check_formats((ALL,))]


def beside(tmp_path: Path, data: object) -> Path:
    (tmp_path / "metadata.json").write_text(json.dumps(data), encoding="utf-8")
    return tmp_path / "model.tflite"


def test_a_file_of_fixed_sizes_has_no_dynamic_axes(tmp_path: Path) -> None:
    signature = {"inputs": [{"dynamic_axes": {"0": "batch"}}], "outputs": []}
    row = {"file": "model.tflite", "fixed_sizes": True}
    text = structure_beside(beside(tmp_path, {"exports": [row], "signature": signature}))
    assert text is not None
    assert json.loads(text) == {"inputs": [{"dynamic_axes": {}}], "outputs": []}
    row["fixed_sizes"] = False
    text = structure_beside(beside(tmp_path, {"exports": [row], "signature": signature}))
    assert text is not None and json.loads(text) == signature


@pytest.mark.parametrize(
    "data", [[], {}, {"exports": 3}, {"exports": [3], "signature": {}}, {"signature": {}}]
)
def test_a_file_that_nothing_describes_has_no_structure(data: object, tmp_path: Path) -> None:
    assert structure_beside(beside(tmp_path, data)) is None
    assert structure_beside(tmp_path / "elsewhere" / "model.tflite") is None


@pytest.fixture(scope="module", params=["ts", "pt2", "onnx", *MORE])
def decoder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> ModuleExportReport:
    """The bundled model, as `oriel convert demo` writes it."""
    name: str = request.param
    if "ORIEL_SLOW_FORMATS" not in os.environ:
        pytest.skip("ORIEL_SLOW_FORMATS isn't set: twelve layers take minutes")
    try:
        formats_by_name()[name].package_paths()
    except OptionError as error:
        pytest.skip(str(error))
    options = ConvertOptions((name,), tmp_path_factory.mktemp("decoder") / name)
    return convert(model_spec("demo"), None, options, lambda _: None)


GENERATE = """
import json, sys
sys.modules["transformers"] = None
from greedy_text import empty_past, padded_texts, stepped
from oriel import open_module
step = open_module(sys.argv[1])
print(json.dumps(stepped(step, empty_past(12, 2, 4, 32), padded_texts(4096), 12)))
"""


def test_a_decoder_generates_what_transformers_generates(decoder: ModuleExportReport) -> None:
    """In a process that has no transformers."""
    file, path = the_file(decoder)
    if file.format in FIXED_DECODERS:
        assert file.fixed_sizes
        pytest.skip("its file takes the example's sizes alone")
    assert not file.fixed_sizes
    load: Callable[..., PreTrainedModel] = AutoModelForCausalLM.from_pretrained
    truth = generated(load(demo_folder()), *padded_texts(4096), 12)
    assert truth[0] != truth[1] and len({token for row in truth for token in row}) > 6
    done = subprocess.run(
        [sys.executable, "-c", GENERATE, str(path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == truth
