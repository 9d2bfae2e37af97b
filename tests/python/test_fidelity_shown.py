"""Fidelity as people see it: the tables, and the plot that reads in light and dark."""

from __future__ import annotations

import io
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from oriel.contract.documents import MeasuredText
from oriel.contract.manifest import Manifest
from oriel.errors import BundleError, OptionError
from oriel.fidelity.activations import ActivationFidelity
from oriel.fidelity.agreement_curve import AgreementCurve
from oriel.fidelity.fidelity_bounds import FidelityBounds, fidelity_bounds
from oriel.fidelity.measure_bundle import Measured, MeasuredBundle
from oriel.fidelity.plot import FLOOR, check_plot, draw, shown_amount, write_plot
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
            "open": {"path": f"{variant.name}.onnx"},
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


def texts(root: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in root.iter(f"{SVG}text")]


def places(root: ElementTree.Element, side: str) -> dict[str, tuple[float, float]]:
    """{variant: x and y of its mark} in the panel of KL or of agreement."""
    found = {}
    for group in root.iter(f"{SVG}g"):
        if group.get("id", "").startswith(f"{side}-"):
            name = (group.findtext(f"{SVG}title") or "").split(":")[0]
            (mark,) = group.iter(f"{SVG}use")
            found[name] = (float(mark.get("x", "nan")), float(mark.get("y", "nan")))
    return found


def ticks(root: ElementTree.Element, colour: str) -> list[float]:
    """x of every upright mark of a colour, from top to bottom, panel after panel; not the key's."""
    paths = (p for p in root.iter(f"{SVG}path") if f"var(--{colour})" in p.get("style", ""))
    lines = [re.findall(r"-?[\d.]+", p.get("d", "")) for p in paths]
    upright = [float(line[0]) for line in lines if len(line) == 4 and line[0] == line[2]]
    return [x for x in upright if x > 0]


@pytest.mark.parametrize("curve", [None, CURVE])
def test_the_plot_shows_every_variant_where_it_belongs(curve: AgreementCurve | None) -> None:
    root = parsed(draw(EIGHT, "demo", curve))
    said = texts(root)
    assert [text for text in said if text in {v.name for v in EIGHT}] == [
        v.name for v in sorted(EIGHT, key=lambda v: -v.bytes)
    ]
    assert {"11.8", "5.9", "3.1", "1.9", "6", "3.2"} <= set(said)
    kl, top1 = places(root, "kl"), places(root, "top1")
    assert kl.keys() == top1.keys() == {v.name for v in EIGHT}
    for name, (_, y) in kl.items():
        assert top1[name][1] == y, "a variant has one row"
    assert kl["f16"][0] < kl["fp16"][0] < kl["q8"][0] < kl["int4"][0] < kl["int8_static"][0]
    assert top1["q4"][0] < top1["int8_static"][0] < top1["int8"][0] < top1["fp32"][0]
    # Three decades of KL are three times as far apart as one.
    decade = (kl["int8_static"][0] - kl["fp16"][0]) / math.log10(7.7e-2 / 9.5e-8)
    assert kl["int8"][0] - kl["q8"][0] == pytest.approx(decade * math.log10(5.3e-4 / 8.4e-5), 1e-3)
    titles = [title.text or "" for title in root.iter(f"{SVG}title")]
    assert {t.split(":")[0] for t in titles if "beyond" in t} == {"int8_static"}
    assert ("expected at its KL" in said) == (curve is not None)


def test_bars_are_as_long_as_the_bytes() -> None:
    root = parsed(draw(EIGHT, "demo"))
    bars = []
    for path in root.iter(f"{SVG}path"):
        if re.search(r"fill: var\(--(float32|float16|integer)\)$", path.get("style", "")):
            xs = [float(x) for x in re.findall(r"[ML] (-?[\d.]+) ", path.get("d", ""))]
            bars += [max(xs) - min(xs)] if len(xs) == 4 and max(xs) - min(xs) > 12 else []
    wanted = sorted((v.bytes for v in EIGHT), reverse=True)
    assert [bar / bars[0] for bar in bars] == pytest.approx([b / wanted[0] for b in wanted], 1e-4)


def test_bounds_are_drawn_on_the_scale_of_the_marks() -> None:
    bounds = {"q8": (0.01, 0.97), "q4": (0.05, 0.92), "fp16": (1e-5, 0.999)}
    sizes = {"q8": 3.0, "q4": 2.0, "fp16": 6.0}
    just = [
        measured(name, sizes[name], kl, top1, FidelityBounds(kl, top1))
        for name, (kl, top1) in bounds.items()
    ]
    root = parsed(draw(just, "demo"))
    order = ["fp16", "q8", "q4"]
    marks = [places(root, side)[name][0] for side in ("kl", "top1") for name in order]
    assert ticks(root, "bound") == pytest.approx(marks, abs=0.01)
    assert {"≤ 0.01", "≤ 0.05", "≤ 10⁻⁵", "≥ 97", "≥ 92", "≥ 99.9"} <= set(texts(root))


def test_what_is_expected_is_marked_at_the_curve() -> None:
    """One variant is as good as expected at its KL, the other is not."""
    found = [measured("q8", 3.0, 1e-2, 0.83), measured("q4", 2.0, 1e-2, 0.7)]
    root = parsed(draw(found, "demo", CURVE))
    expected = ticks(root, "soft")
    here = places(root, "top1")
    assert expected == pytest.approx([here["q8"][0]] * 2, abs=0.01)
    assert here["q4"][0] < expected[1] - 10


def test_names_are_text_and_colours_follow_the_reader() -> None:
    picture = draw(EIGHT, '<b a="1">&</b> $x_{$', CURVE)
    shown = "\n".join(texts(parsed(picture)))
    assert '<b a="1">&</b> $x_{$: what variants weigh' in shown
    assert "prefers-color-scheme: dark" in picture
    outside = re.sub(r"<style>.*?</style>", "", picture, flags=re.DOTALL)
    assert not re.search(r"#[0-9a-f]{6}\b", outside), "a colour that doesn't follow"


def test_the_same_figures_give_the_same_file() -> None:
    """A fresh process, where nothing was drawn before, writes what this one writes."""
    code = (
        "from test_fidelity_shown import CURVE, EIGHT; from oriel.fidelity.plot import draw; "
        "import sys; sys.stdout.buffer.write(draw(EIGHT, 'demo', CURVE).encode())"
    )
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | paths, capture_output=True, check=True
    )
    assert found.stdout.decode() == draw(EIGHT, "demo", CURVE)
    assert "dc:date" not in found.stdout.decode()


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(OptionError, match=r"oriel\[plot\]"):
        check_plot(Path("a.svg"))


def test_measuring_loads_no_plotting_library() -> None:
    code = "import oriel.fidelity.plot, sys; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_amounts_as_people_write_them() -> None:
    amounts = [0.05, 0.001, 1e-4, 3e-5, 1e-9]
    assert [shown_amount(a) for a in amounts] == ["0.05", "0.001", "10⁻⁴", "3·10⁻⁵", "10⁻⁹"]


def test_one_variant_that_is_the_same_is_drawn_on_the_edge() -> None:
    root = parsed(draw([measured("fp32", 500, 0.0)], "demo", CURVE))
    assert f"≤ {shown_amount(FLOOR)}" in texts(root)


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
