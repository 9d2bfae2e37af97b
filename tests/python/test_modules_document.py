"""docs/modules.md is held to the code: its Python runs as it stands there, its commands and options
are those of the parsers, and its tables are those of ModuleSpec and of the schema."""

from __future__ import annotations

import inspect
import json
import re
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from verify_here import verify_here

import oriel
from oriel.cli import COMMANDS, main
from oriel.formats import formats_by_name
from oriel.modules.export_module import export_module
from oriel.modules.spec import ModuleSpec

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "modules.md").read_text(encoding="utf-8")
DETECTOR = """
from dataclasses import dataclass
import torch
from torch import nn

@dataclass
class Boxes:
    corners: torch.Tensor

class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 4)

    def forward(self, inputs, scale):
        rows = torch.cat(inputs["voxels"])
        return {"boxes": Boxes(self.head(rows) * scale), "score": rows.mean(0)}
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """Every command in the document, as words; a comment behind one is none."""
    lines = "\n".join(blocks("sh")).splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


def test_its_python_and_its_first_commands_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    verify_here(monkeypatch)
    (tmp_path / "detector.py").write_text(DETECTOR)
    spec, export, call, *others = blocks("python")
    (tmp_path / "spec.py").write_text(spec)
    space: dict[str, Any] = {}
    exec("import oriel, torch, onnxruntime\nfrom detector import Boxes, Detector", space)  # noqa: S102 - the document's
    module = space["Detector"]()
    torch.save(module.state_dict(), tmp_path / "detector.pth")
    for words in commands()[:2]:
        assert words[0] == "oriel"
        assert main(words[1:]) == 0
    assert "verified" in capsys.readouterr().out
    files = {file.name for file in (tmp_path / "exported").iterdir()}
    own = TEXT.partition("## More formats")[0]
    named = set(re.findall(r"`(model\.\w+|metadata\.json)`", own))
    assert files == named == {"model.ts", "model.pt2", "model.onnx", "metadata.json"}

    space |= {"a": torch.rand(5, 3), "b": torch.rand(3, 3), "module": module}
    exec(call, space)  # noqa: S102
    with torch.no_grad():
        want = module({"voxels": [space["a"], space["b"]]}, 0.5)["boxes"].corners
    assert type(space["boxes"]["boxes"]) is space["Boxes"]
    torch.testing.assert_close(space["boxes"]["boxes"].corners, want)
    (tmp_path / "weights").mkdir()
    save_file(module.state_dict(), tmp_path / "weights" / "model.safetensors")
    for code in others:
        exec(code, space)  # noqa: S102
    assert torch.equal(space["row"], module.head.weight[0])
    example = {"voxels": [torch.rand(6, 3), torch.rand(4, 3)], "image": None}
    exec(export, space | {"args": (example, 0.5), "kwargs": {}})  # noqa: S102


def test_its_commands_are_those_of_the_program() -> None:
    own = [words for words in commands() if words[0] == "oriel"]
    assert {words[1] for words in own} == {"convert", "inspect"}
    for _, name, *rest in own:
        COMMANDS[name].parse(rest)


def test_it_names_every_format_and_its_files() -> None:
    rows = re.findall(r"^\| `(\w+)` +\| ([^|]+)\|", TEXT, re.MULTILINE)
    formats = formats_by_name()
    assert {name for name, _ in rows if name in formats} == formats.keys()
    more = dict(re.findall(r"^\| `(\w+)` +\| (`model\.[^|]+)\|", TEXT, re.MULTILINE))
    assert formats.keys() - more.keys() == {"ts", "pt2", "onnx"}
    for name, cell in more.items():
        files = re.findall(r"`model([^`]+)`", cell)
        assert files == [formats[name].suffix, *formats[name].beside]


def test_every_option_that_it_names_exists(capsys: pytest.CaptureFixture[str]) -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT))
    assert {"--checkpoint", "--opset"} <= named
    for name in ("convert", "inspect"):
        with pytest.raises(SystemExit):
            COMMANDS[name].parse(["--help"])
    known = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    assert named <= known


def test_it_names_every_field_of_a_spec_and_no_other() -> None:
    of_table = set(re.findall(r"^\| `(\w+)=", TEXT, re.MULTILINE))
    of_example = set(re.findall(r"^    (\w+)=", blocks("python")[0], re.MULTILINE))
    inline = set(re.findall(r"`(second|checkpoint|cases|largest|dotted_names|layers)=?\w*`", TEXT))
    assert of_table | of_example | inline == {field.name for field in fields(ModuleSpec)}


@pytest.mark.parametrize(
    ("function", "call"),
    [(oriel.slim, r"oriel\.slim\((.*?)\)"), (export_module, r"export_module\((.*?)\n\)")],
)
def test_it_calls_functions_by_their_parameters(function: Any, call: str) -> None:
    found = re.search(call, TEXT, re.DOTALL)
    assert found is not None
    keywords = re.findall(r"(\w+)=", found[1])
    assert keywords and set(keywords) <= set(inspect.signature(function).parameters)


def test_its_table_of_metadata_is_the_schema_s() -> None:
    schema = json.loads((ROOT / "contracts" / "module_metadata.schema.json").read_text("utf-8"))

    def described(node: Any) -> str:
        reference = node.get("$ref") or (node.get("oneOf") or [{}])[0].get("$ref")
        if reference is not None:
            node = schema["$defs"][reference.rpartition("/")[2]]
        return str(node["description"])

    _, _, table = TEXT.partition("| field |")
    rows = re.findall(r"^\| `(\w+)`\s+\| (.*?)\s*\|$", table, re.MULTILINE)
    assert rows == [(name, described(node)) for name, node in schema["properties"].items()]
