"""`oriel recommend`: choices by the table, by limits, and by what a pipeline measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkpoint_files import checked_line

from oriel.cli import COMMANDS, main
from oriel.contract.documents import PipelineProof
from oriel.formats import formats_by_name
from oriel.pipeline.measure import Measured, Spread
from oriel.pipeline.rows import PipelineRow
from oriel.pipeline.write_results import write_results
from oriel.precisions import PRECISIONS
from oriel.recommend.decisions import decisions, decisions_text
from oriel.recommend.recommend import Wish, recommend

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "choosing.md"


def test_the_page_has_the_table() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    table = text.partition("<!-- decisions -->")[2].partition("<!-- end of decisions -->")[0]
    assert table.strip() == decisions_text().strip(), "write decisions_text() there"


def test_every_choice_names_a_file_that_a_command_writes() -> None:
    for choices in decisions().values():
        for choice in choices:
            assert choice.format == "bundle" or choice.format in formats_by_name()
            assert choice.precision in PRECISIONS
            word, command, *_ = choice.command.split()
            assert word == "oriel" and command in COMMANDS
            named = choice.format if choice.format != "bundle" else choice.precision
            assert named in choice.command


@pytest.mark.parametrize(
    ("wish", "name"),
    [
        (Wish("cpu"), "onnx"),
        # 124 million numbers of float32 are 496 MB.
        (Wish("cpu", max_mb=500, parameters=124e6), "onnx"),
        (Wish("cpu", max_mb=490, parameters=124e6, models="encoders"), "onnx int8"),
        (Wish("cpu", max_mb=490, parameters=124e6, models="decoders"), "bundle int8"),
        (Wish("cpu", max_mb=490, max_error=0.01, parameters=124e6), None),
        (Wish("browser-webgpu"), "bundle fp16"),
        (Wish("browser-webgpu", max_error=0.001), "onnx"),
        (Wish("browser-webgpu", models="encoders"), "onnx"),
        (Wish("ios"), "coreml"),
        (Wish("ios", max_error=0.001), "executorch"),
    ],
)
def test_limits_leave_choices_out(wish: Wish, name: str | None) -> None:
    advice = recommend(wish)
    assert (None if advice.choice is None else advice.choice.name) == name
    if name is None:
        assert len(advice.left) == len(decisions()[wish.target])


def proof_of(relative: float) -> PipelineProof:
    return {
        "record": "onnx.proof.json",
        "case": "the example",
        "output": {
            "name": "logits",
            "shape": [1, 4],
            "dtypes": ["float32", "float32"],
            "absolute": relative,
            "relative": relative,
            "norm_ratio": 1.0,
            "bound": 1e-4,
            "passed": True,
            "problem": None,
        },
    }


def row(name: str, seconds: float, relative: float, megabytes: float) -> PipelineRow:
    form, _, precision = name.partition(" ")
    one = Spread(seconds, seconds, seconds)
    return PipelineRow(
        form,
        precision or "fp32",
        file=f"{form}/model",
        bytes=int(megabytes * 1e6),
        proof=proof_of(relative),
        verdict="measured" if precision else "verified",
        measured=Measured(one, one, {"1 × 16": one}),
    )


ROWS = (
    row("pytorch", 0.040, 0.0, 440),
    row("onnx", 0.020, 1e-6, 440),
    row("openvino", 0.015, 2e-6, 441),
    row("onnx int8", 0.008, 0.03, 112),
)


@pytest.mark.parametrize(
    ("wish", "name"),
    [
        (Wish("cpu"), "onnx int8"),
        (Wish("cpu", max_error=0.01), "openvino"),
        (Wish("cpu", max_mb=440.5, max_error=0.01), "onnx"),
        (Wish("cpu", max_mb=100), None),
        (Wish("edge", models="decoders"), "onnx int8"),
        (Wish("ios"), None),
    ],
)
def test_measurements_decide_where_there_are_some(
    wish: Wish, name: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    formats = ("onnx", "openvino")
    write_results(ROWS, formats, tmp_path)
    limits = []
    for flag, value in (("--max-mb", wish.max_mb), ("--max-error", wish.max_error)):
        limits += [flag, str(value)] if value is not None else []
    limits += ["--for", wish.models] if wish.models is not None else []
    measured = ["--measured", str(tmp_path / "pipeline.json")]
    code = main(["recommend", "--target", wish.target, *limits, *measured])
    printed = capsys.readouterr().out
    assert code == (0 if name is not None else 1)
    first = printed.split("\n")[0]
    assert first.startswith(f"{name}: " if name is not None else f"nothing for {wish.target}")
    if name == "openvino":
        assert "15.0 ms for 1 × 16" in first
        assert "- not onnx int8: its relative error is 0.03" in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--target", "toaster"], "there is no such target"),
        (["--target", "cpu", "--max-mb", "100"], "--max-mb needs the size"),
        (["--target", "cpu", "--parameters", "many"], "such as 124M"),
        (["--target", "cpu", "--measured", "nowhere.json"], "there is no such file"),
        (["--target", "cpu", "--measured", "{here}"], "no result of oriel pipeline"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}")
    assert main(["recommend", *(each.format(here=other) for each in arguments)]) == 2
    assert words in checked_line(capsys.readouterr().err.rstrip())
