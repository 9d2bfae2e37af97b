"""Fidelity as people see it: the tables, and the plot that reads in light and dark."""

from __future__ import annotations

import io
import itertools
import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from oriel.contract.documents import MeasuredText
from oriel.contract.manifest import Manifest
from oriel.errors import BundleError, OptionError
from oriel.fidelity.activations import ActivationFidelity
from oriel.fidelity.agreement_curve import AgreementCurve
from oriel.fidelity.fidelity_bounds import FidelityBounds, fidelity_bounds
from oriel.fidelity.measure_bundle import Measured, MeasuredBundle
from oriel.fidelity.plot import FLOOR, SIZES, check_plot, draw, write_plot
from oriel.fidelity.plot_parts import Axis, Box, Mark, place_labels, shown_amount, size_ticks
from oriel.fidelity.record import Fidelity, record_fidelity
from oriel.fidelity.table import activation_rows, prediction_rows, print_fidelity

TEXT: MeasuredText = {
    "name": "a.txt",
    "digest": f"sha256:{'0' * 64}",
    "passages": 3,
    "tokens": 4096,
}
CURVE = AgreementCurve((1e-8, 1e-4, 1e-2, 1.0), (1.0, 0.98, 0.83, 0.4))
SVG = "{http://www.w3.org/2000/svg}"


def measured(
    name: str, megabytes: float, kl: float, top1: float = 1.0, bounds: FidelityBounds | None = None
) -> Measured:
    rows = tuple(ActivationFidelity("mlp_act", i, kl * (3 - abs(i - 1)), 1.0) for i in range(3))
    found = Fidelity(
        "pytorch", TEXT, kl, 9 * kl, top1, 0.9, 5.2, 5.0, rows, bounds or fidelity_bounds(name)
    )
    kernels = name if name in ("fp16", "int8", "int8_static", "int4") else "fp32"
    lossy = not found.within_bounds
    return Measured(name, name, round(megabytes * 1e6), kernels, found, lossy)


EIGHT = [
    measured("fp32", 11.8, 8e-13),
    measured("f16", 5.9, 8e-13),
    measured("q8", 3.1, 8.4e-5, 0.975),
    measured("q4", 1.9, 1.6e-2, 0.818, FidelityBounds(0.05, 0.77)),
    measured("fp16", 6.0, 9.5e-8),
    measured("int8", 3.2, 5.3e-4, 0.97),
    measured("int8_static", 3.2, 7.7e-2, 0.93),
    measured("int4", 1.9, 1.7e-2, 0.92),
]


def bundle(variants: list[Measured]) -> MeasuredBundle:
    """As it comes out of a measurement, whatever else the manifest would hold."""
    records = []
    for variant in variants:
        record: Any = {
            "name": variant.name,
            "precision": variant.precision,
            "kernels": variant.kernels,
            "weights": [f"{variant.name}.data"],
            "interactive": {"path": f"{variant.name}.onnx"},
        }
        record_fidelity(record, variant.fidelity)
        records.append(record)
    files = [{"path": f"{v.name}.data", "bytes": v.bytes - 1000} for v in variants]
    files += [{"path": f"{v.name}.onnx", "bytes": 1000} for v in variants]
    data: Any = {"model": {"name": "demo"}, "variants": records, "files": files}
    return MeasuredBundle(Manifest(data), tuple(v.name for v in variants), CURVE)


def test_a_record_comes_back_as_it_was() -> None:
    assert bundle(EIGHT).variants == EIGHT


def test_rows_say_what_was_measured() -> None:
    rows = {row[0]: row[1:] for row in prediction_rows(bundle(EIGHT))}
    assert rows["q8"][:4] == ("3.1", "8.4e-05", "1.0e-02", "7.6e-04")
    # The curve between 10^-8 and 10^-4 along the logarithm, and rounded down.
    share = 1 - 0.02 * (math.log10(8.4e-5) + 8) / 4
    assert rows["q8"][5] == f"{math.floor(share * 1e4) / 100:.2f} %"
    assert rows["q8"][-1] == "within"
    assert rows["q4"][6] == "77.00 %*"
    assert rows["int8_static"][-1] == "beyond, lossy"
    assert rows["int8"][-2] == "1.0400"


def test_shares_are_never_rounded_up() -> None:
    found = prediction_rows(bundle([measured("fp16", 1, 1e-7, 0.99999)]))[0]
    assert "99.99 %" in found
    assert "100.00 %" in prediction_rows(bundle([measured("fp16", 1, 1e-7, 1.0)]))[0]
    # 0.57 is 56.99999999999999 hundredths.
    assert "57.00 %" in prediction_rows(bundle([measured("fp16", 1, 1e-7, 0.57)]))[0]


def test_activations_show_their_worst_layer() -> None:
    assert activation_rows(EIGHT[2:4]) == [("mlp_act", "2.5e-04 (1)", "4.8e-02 (1)")]


@pytest.mark.parametrize("terminal", [True, False])
def test_tables_end_in_what_to_know(terminal: bool) -> None:
    out = io.StringIO()
    print_fidelity(bundle(EIGHT), Console(file=out, force_terminal=terminal, width=200))
    text = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    assert text.rstrip().endswith("beyond bounds: int8_static")
    assert "against PyTorch, on a.txt: 3 passages, 4096 tokens" in text
    assert "* this model hardly predicts anything" in text
    out = io.StringIO()
    print_fidelity(bundle(EIGHT[:3]), Console(file=out, force_terminal=terminal, width=200))
    assert "all within their bounds" in out.getvalue()
    assert "* this model" not in out.getvalue()


def parsed(picture: str) -> ElementTree.Element:
    return ElementTree.fromstring(picture)


def numbers(path: str) -> list[float]:
    return [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", path)]


@pytest.mark.parametrize("curve", [None, CURVE])
def test_the_plot_shows_every_variant_where_it_belongs(curve: AgreementCurve | None) -> None:
    root = parsed(draw(EIGHT, "demo", curve))
    marks = [p for p in root.iter(f"{SVG}path") if p.find(f"{SVG}title") is not None]
    panels = 1 if curve is None else 2
    assert len(marks) == panels * len(EIGHT)
    titles = [m.findtext(f"{SVG}title") or "" for m in marks]
    at = {t.split(":")[0]: numbers(m.get("d", ""))[:2] for t, m in zip(titles, marks, strict=True)}
    labels = [t.text for t in root.iter(f"{SVG}text") if t.get("class") == "label"]
    assert sorted(labels, key=str) == sorted(
        (v.name for v in EIGHT for _ in range(panels)), key=str
    )
    beyond = [t for t, m in zip(titles, marks, strict=True) if "beyond" in m.get("class", "")]
    assert {t.split(":")[0] for t in beyond} == {"int8_static"}
    if curve is None:
        # Fewer bytes are farther left, a larger divergence is higher up.
        assert at["int4"][0] < at["int8"][0] < at["fp16"][0] < at["fp32"][0]
        assert at["int8_static"][1] < at["int4"][1] < at["q8"][1] < at["fp16"][1] < at["f16"][1]


def test_bounds_are_drawn_on_the_scale_of_the_marks() -> None:
    just = [measured("q8", 3.0, 0.01), measured("q4", 2.0, 0.05), measured("fp16", 6.0, 1e-5)]
    root = parsed(draw(just, "demo"))
    drawn = [p for p in root.iter(f"{SVG}path") if p.get("class") == "bound"]
    heights = sorted(numbers(p.get("d", ""))[1] for p in drawn)
    marks = [p for p in root.iter(f"{SVG}path") if p.find(f"{SVG}title") is not None]
    # A diamond or square begins at its top, a circle at its middle.
    middles = sorted(
        numbers(m.get("d", ""))[1] + (4.5 if "float16" in m.get("class", "") else 0) for m in marks
    )
    assert heights == pytest.approx(middles, abs=0.11)
    said = [t.text for t in root.iter(f"{SVG}text") if t.get("class") == "bounds"]
    assert {"at most 0.05", "at most 0.01", "at most 10⁻⁵", "q8", "q4", "fp16"} == set(said)


def test_names_are_text_and_colours_follow_the_reader() -> None:
    picture = draw(EIGHT, '<b a="1">&</b>', CURVE)
    shown = "".join(parsed(picture).itertext())
    assert '<b a="1">&</b>: what variants weigh' in shown
    assert "prefers-color-scheme: dark" in picture
    outside = re.sub(r"<style>.*?</style>", "", picture, flags=re.DOTALL)
    assert not re.search(r"#[0-9a-f]{3}", outside), "a colour that doesn't follow"


def boxes_apart(boxes: list[Box]) -> bool:
    return all(a.overlap(b) == 0 for a, b in itertools.combinations(boxes, 2))


@pytest.mark.parametrize("spread", [0.0, 3.0, 12.0])
def test_labels_of_marks_at_one_place_keep_apart(spread: float) -> None:
    marks = [Mark(v, 300 + spread * i, 200 - spread * i) for i, v in enumerate(EIGHT)]
    boxes = place_labels(marks, SIZES)
    assert boxes_apart(boxes)
    assert all(box.overlap(mark.box) == 0 for box in boxes for mark in marks)
    assert all(box.overlap(SIZES) == pytest.approx(box.width * box.height) for box in boxes)


# Time is the machine's affair.
@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(90, 580), st.floats(75, 380)), min_size=8, max_size=8))
def test_labels_keep_apart_wherever_marks_are(places: list[tuple[float, float]]) -> None:
    marks = [Mark(v, x, y) for v, (x, y) in zip(EIGHT, places, strict=True)]
    assert boxes_apart(place_labels(marks, SIZES))


@settings(deadline=None)
@given(st.floats(0.01, 1e5), st.floats(1.9, 1e4))
def test_ticks_are_round_and_have_room(low: float, ratio: float) -> None:
    axis = Axis(low, low * ratio, 76, 592)
    ticks = size_ticks(axis, 1.0)
    assert ticks
    assert all(low <= tick <= low * ratio for tick in ticks)
    places = [axis.at(tick) for tick in ticks]
    assert all(b - a >= 44 for a, b in itertools.pairwise(places))


def test_amounts_as_people_write_them() -> None:
    amounts = [0.05, 0.001, 1e-4, 3e-5, 1e-9]
    assert [shown_amount(a) for a in amounts] == ["0.05", "0.001", "10⁻⁴", "3·10⁻⁵", "10⁻⁹"]


def test_one_variant_that_is_the_same_is_drawn_on_the_edge() -> None:
    root = parsed(draw([measured("fp32", 500, 0.0)], "demo", CURVE))
    texts = [t.text for t in root.iter(f"{SVG}text")]
    assert f"≤ {shown_amount(FLOOR)}" in texts


def test_only_svg_is_drawn(tmp_path: Path) -> None:
    check_plot(None)
    check_plot(Path("a.SVG"))
    with pytest.raises(OptionError, match=r"ends in \.svg"):
        check_plot(Path("a.png"))
    file = tmp_path / "plot.svg"
    write_plot(bundle(EIGHT), file)
    assert len(list(parsed(file.read_text(encoding="utf-8")).iter(f"{SVG}title"))) == 16
    with pytest.raises(BundleError):
        write_plot(bundle(EIGHT), tmp_path / "nowhere" / "plot.svg")
