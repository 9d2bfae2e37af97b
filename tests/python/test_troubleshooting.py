"""docs/troubleshooting.md shows what the program says: each of its messages is provoked here and
looked for as the page has it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch
from rich.console import Console
from torch import nn
from verify_here import verify_here

import oriel
from oriel.cli import COMMANDS, main
from oriel.contract.documents import RecipeRecord
from oriel.errors import OrielError
from oriel.formats import check_formats, coreml_file, onnx_file
from oriel.formats.packages import FOLDERS
from oriel.modules.convert import Conversion
from oriel.modules.convert_report import print_conversions
from oriel.precision.recipes.recipe import Recipe, Rule
from oriel.precision.recipes.weight_uses import WeightUse

PAGE = Path(__file__).resolve().parents[2] / "docs" / "troubleshooting.md"
SPEC = """
import torch
from torch import nn
from oriel import ModuleSpec

class Spectrum(nn.Module):
    def forward(self, x):
        return torch.linalg.eigvals(x).real

class Branch(nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            return x * 2
        return x - 3

class Cached(nn.Module):
    def __init__(self):
        super().__init__()
        from transformers import GPT2Config, GPT2LMHeadModel
        sizes = dict(vocab_size=20, n_positions=16, n_embd=8, n_layer=1, n_head=2)
        self.model = GPT2LMHeadModel(GPT2Config(**sizes))

    def forward(self, ids, past):
        return self.model(ids, past_key_values=past).logits

class Half(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4, bias=False).half()
        nn.init.constant_(self.layer.weight, 300.0)

    def forward(self, x):
        return self.layer(self.layer(x)).float()

def cached():
    from transformers import DynamicCache
    return torch.randint(0, 20, (2, 3)), DynamicCache()

ones = torch.ones(2, 3)
UNSUPPORTED = ModuleSpec(Spectrum, lambda: (torch.eye(3),))
ONE = ModuleSpec(lambda: nn.Linear(4, 4), lambda: (torch.rand(1, 4),), {"input": {0: "batch"}})
PAST = ModuleSpec(Cached, cached)
BRANCH = ModuleSpec(Branch, lambda: (ones,), second=lambda: (-ones,))
UNTRIED = ModuleSpec(Branch, lambda: (ones,), second=lambda: (ones * 3,))
HALF = ModuleSpec(Half, lambda: (torch.full((2, 4), 3.0).half(),))
"""


def sections() -> dict[str, str]:
    """Return {title: message} of the page."""
    found = re.findall(
        r"^## (.*?)\n\n```text\n(.*?)\n```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    return dict(found)


def says(message: str, said: str) -> bool:
    """Return whether a text has the page's message, whose … stands for anything."""
    pattern = ".*".join(re.escape(" ".join(part.split())) for part in message.split("…"))
    return re.search(pattern, " ".join(said.split())) is not None


class Told:
    """The ways of making the program say something, in a folder of the test's own."""

    def __init__(
        self,
        folder: Path,
        patch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.folder, self.patch, self.capsys = folder, patch, capsys
        verify_here(patch)

    def convert(self, name: str, format_name: str) -> str:
        """Convert a spec of this file by the command."""
        (self.folder / "spec.py").write_text(SPEC)
        out = str(self.folder / "out")
        place = f"{self.folder / 'spec.py'}:{name}"
        main(["convert", place, "--format", format_name, "--output", out])
        said = self.capsys.readouterr()
        return said.out + said.err

    def weights_left_behind(self) -> str:
        self.patch.setattr(onnx_file, "MAX_ONE_FILE", 10)
        out = self.folder / "out"
        module = nn.Linear(64, 64)
        oriel.export_module(module, (torch.rand(2, 64),), formats=("onnx",), out=out)
        (out / "model.onnx_data").unlink()
        with pytest.raises(OrielError) as raised:
            oriel.open_module(out / "model.onnx")
        return str(raised.value)

    def recipe_of_others(self) -> str:
        rule = Rule(("*.nowhere",), "blocks", bits=4, block=32)
        use = WeightUse((8, 8), 0, multiplied=True)
        with pytest.raises(OrielError) as raised:
            Recipe("mine", (rule,), cast(RecipeRecord, {})).choose({"layer.weight": use})
        return str(raised.value)

    def tied(self) -> str:
        shared = torch.ones(3, 2)
        file = self.folder / "model.bin"
        torch.save({"embed.weight": shared, "head.weight": shared}, file)
        out = str(self.folder / "out")
        main(["convert", str(file), "--format", "safetensors", "--output", out])
        return self.capsys.readouterr().out

    def elsewhere(self) -> str:
        """Say what a Core ML package gets off macOS, whatever wrote it."""
        self.patch.setattr(sys, "platform", "linux")
        reason = coreml_file.FORMAT.unrunnable()
        out = self.folder / "out"
        report = oriel.export_module(nn.ReLU(), (torch.ones(2),), formats=("safetensors",), out=out)
        (file,) = report.files
        file = replace(file, format="coreml", not_verified=reason)
        console = Console(record=True, width=400, quiet=False)
        print_conversions([Conversion("it", replace(report, files=(file,)), None)], console)
        return console.export_text()

    def no_package(self) -> str:
        self.patch.setenv(FOLDERS, str(self.folder))
        self.patch.setattr(sys, "path", [p for p in sys.path if "formats" not in Path(p).parts])
        self.patch.delitem(sys.modules, "openvino", raising=False)
        with pytest.raises(OrielError) as raised:
            check_formats(("openvino",))
        return str(raised.value)


PROVOKED: dict[str, Callable[[Told], str]] = {
    "An operator that a format doesn't have": lambda t: t.convert("UNSUPPORTED", "onnx"),
    "An example of size 1": lambda t: t.convert("ONE", "pt2"),
    "A cache that isn't traced": lambda t: t.convert("PAST", "pt2"),
    "A branch that a recorded run loses": lambda t: t.convert("BRANCH", "onnx"),
    "A branch that no input has tried": lambda t: t.convert("UNTRIED", "onnx"),
    "More than 2 GB": Told.weights_left_behind,
    "Half precision that overflows": lambda t: t.convert("HALF", "onnx"),
    "4 bits that quantized nothing": Told.recipe_of_others,
    "Tied weights that are written twice": Told.tied,
    "A file that this machine can't run": Told.elsewhere,
    "A format whose packages aren't there": Told.no_package,
}


def test_every_section_is_provoked() -> None:
    titles = re.findall(r"^## (.*)$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert titles == list(sections()) == list(PROVOKED)


@pytest.mark.parametrize("title", PROVOKED)
def test_the_program_says_what_the_page_has(
    title: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = PROVOKED[title](Told(tmp_path, monkeypatch, capsys))
    message = sections()[title]
    assert says(message, said), said


def test_each_section_has_a_cause_and_a_way_out() -> None:
    _, *parts = PAGE.read_text("utf-8").split("\n## ")
    for part in parts:
        assert part.count("**Cause.**") == 1 and part.count("**Do.**") == 1, part


def test_every_option_that_it_names_exists(capsys: pytest.CaptureFixture[str]) -> None:
    known = ""
    for name in ("convert", "quantize"):
        with pytest.raises(SystemExit):
            COMMANDS[name].parse(["--help"])
        known += capsys.readouterr().out
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE.read_text("utf-8")))
    assert named and all(option in known for option in named)
