"""The tables of docs/precision.md: made of figures that are worked out by hand here, put where the
markers are, with all other text kept. No times are taken."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from precision_document import TABLES, document, milliseconds, nats, share
from speed_figures import Spread, Timings, over_rounds, ratios

ROOT = Path(__file__).resolve().parents[2]
PEER = "transformers.js q8"


def timings(scale: float, *, last_first: bool, peer: bool = False) -> dict[str, Any]:
    """Runs that are `scale` times those written here; the first of a session takes ten times as
    long, the next twice."""
    cold, warm = [10.0, 2.0, 2.0], [1.0, 1.0, 1.0]
    both = {"all": [*cold, *warm], "last": None}
    own = {"all": warm if last_first else cold, "last": cold if last_first else warm}
    runs = both if peer else own
    return {
        "expand": None if peer else 3.0 * scale,
        "session": 7.0 * scale,
        **{k: None if v is None else [scale * t for t in v] for k, v in runs.items()},
        "lastFirst": last_first,
        "step": [scale * t for t in (9.0, 9.0, 0.5, 0.5)],
        "recompute": [scale * t for t in (9.0, 1.5)],
    }


def rounds(scale: float, *, peer: bool = False) -> list[dict[str, Any]]:
    """Two; the second one twice as slow, as on a machine that has become busy."""
    return [
        timings(scale, last_first=False, peer=peer),
        timings(2 * scale, last_first=not peer, peer=peer),
    ]


def fidelity(kl: float, top1: float, *, within: bool = True) -> dict[str, Any]:
    return {
        "bytes": 3_190_000,
        "fidelity": {
            "kl_mean": kl,
            "kl_p99": 10 * kl,
            "top1": top1,
            "top5": 0.9,
            "perplexity": 11.0,
            "reference_perplexity": 10.0,
            "bounds": {"kl_mean": 0.01, "top1": 0.97},
            "within_bounds": within,
        },
    }


MEASURED: dict[str, Any] = {
    "machine": {
        "processor": "Some processor",
        "cores": 2,
        "threads": 2,
        "load": 0.25,
        "rounds": 2,
        "onnxruntime": "1.2.3",
        "onnxruntime-web": "4.5.6",
        "transformers.js": "7.8.9",
        "runtime_bytes": 14_260_000,
        "peer_runtime_bytes": 26_860_000,
    },
    "bytes": {"fp32": 500_000_000, "int4": 75_000_000, PEER: 125_000_000},
    "fidelity": {
        "variants": {
            "int8": fidelity(2.94e-4, 0.97639),
            "int4": fidelity(0.02, 0.5, within=False),
        },
        "peer": fidelity(5.7e-4, 0.94183, within=False),
    },
    "quantizing": {
        "int4": [{"seconds": s, "peak_mb": 600.0, "cpu_seconds": s} for s in (8.0, 9.0, 12.0)]
    },
    "native": {"fp32": rounds(4.0), "int4": rounds(1.0)},
    "browser": {
        "browser": "1.0",
        "timings": {"fp32": rounds(20.0), "int4": rounds(40.0), PEER: rounds(80.0, peer=True)},
    },
}


def marked(names: list[str]) -> str:
    parts = [f"before {n}\n<!-- table {n} -->\nold\n<!-- end of table {n} -->\n" for n in names]
    return "".join(parts) + "after\n"


def rows_of(name: str) -> dict[str, dict[str, str]]:
    """{first cell: {heading: cell}} of a table, read as Markdown reads it."""
    lines = TABLES[name].make(MEASURED).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len({len(line) for line in cells}) == 1
    assert all(re.fullmatch(r"-+:?", cell) for cell in cells[1])
    return {line[0]: dict(zip(cells[0], line, strict=True)) for line in cells[2:]}


def test_tables_are_put_between_the_markers_and_the_rest_is_kept() -> None:
    written = document(marked(list(TABLES)), MEASURED)
    assert "old" not in written
    outside = re.sub(r"(-- table \w+ -->\n).*?\n(<!-- end)", r"\1old\n\2", written, flags=re.S)
    assert outside == marked(list(TABLES))
    assert document(written, MEASURED) == written


def test_the_document_has_a_place_for_every_table() -> None:
    text = (ROOT / "docs" / "precision.md").read_text(encoding="utf-8")
    written = document(text, MEASURED)
    headings = re.compile(r"^#+ .*$", re.MULTILINE)
    assert headings.findall(written) == headings.findall(text)
    assert "Some processor, 2 cores" in written


def test_a_table_whose_parts_were_not_measured_stays_as_it_is() -> None:
    found = {part: MEASURED[part] for part in ("bytes", "native", "machine")}
    written = document(marked(list(TABLES)), found)
    kept = set(re.findall(r"<!-- table (\w+) -->\nold\n", written))
    assert kept == set(TABLES) - {"native"}


@pytest.mark.parametrize(
    "names",
    [list(TABLES)[1:], [*TABLES, "unheard_of"], [*TABLES, "native"]],
    ids=["a table without a marker", "a marker without a table", "a marker twice"],
)
def test_markers_and_tables_must_match(names: list[str]) -> None:
    with pytest.raises(ValueError, match="markers of the tables"):
        document(marked(names), MEASURED)


def test_fidelity_says_what_is_beyond_its_bounds_and_holds_the_peer_to_none() -> None:
    rows = rows_of("fidelity")
    assert list(rows) == ["int8", "int4 (beyond)", PEER]
    assert rows["int8"] == {
        "variant": "int8",
        "MB": "3.19",
        "mean KL": "2.9e-04",
        "at most": "0.01",
        "KL, 99 %": "0.0029",
        "top-1": "97.63 %",
        "at least": "97.00 %",
        "top-5": "90.00 %",
        "perplexity": "× 1.1000",
    }
    assert rows[PEER]["at most"] == rows[PEER]["at least"] == "–"


def test_the_browsers_figures_are_medians_of_the_right_runs() -> None:
    row = rows_of("browser")["fp32"]
    # By hand from timings(20) and timings(40): a session's first run is that of all logits in the
    # first round, that of the last logits in the second.
    assert row["MB"] == "500.0"
    assert row["session"] == "210 (140–280)"
    assert row["first prompt"] == "200"
    assert row["first prompt, last logits"] == "400"
    assert row["prompt"] == "40"
    assert row["prompt, last logits"] == "20"
    assert row["cached step"] == "15 (10–20)"
    peer = rows_of("browser")[PEER]
    assert peer["prompt"] == "120 (80–160)"
    assert peer["expand"] == peer["prompt, last logits"] == "–"


def test_ratios_are_taken_round_by_round() -> None:
    rows = rows_of("beside")
    assert list(rows) == ["goal", "fp32", "int4"]
    assert rows["goal"]["cached step"] == "≤ 0.8"
    # Both rounds give the same ratio, although the second was twice as slow for all.
    assert rows["int4"]["cached step"] == "0.50"
    assert rows["int4"]["bytes"] == "0.60"
    # One round alone begins with the last logits: 800 ms beside the median of 800 and 1,600.
    assert rows["int4"]["first prompt"] == "0.67"
    # (240 + 560 + 800) ms beside the median of (560 + 800) and (1,120 + 1,600).
    assert rows["int4"]["opening and first prompt"] == "0.78"


def test_natively_the_step_is_held_against_float32s() -> None:
    rows = rows_of("native")
    assert rows["int4"]["step / fp32's"] == "0.25"
    assert rows["int4's goal"]["step / fp32's"] == "≤ 0.25"


def test_quantizing_is_held_against_the_float32_bytes() -> None:
    assert rows_of("quantizing")["int4"] == {
        "variant": "int4",
        "seconds": "9.0 (8.0–12.0)",
        "peak memory, MB": "600",
        "over the float32 bundle": "1.20",
    }


def test_a_figure_that_no_round_has_is_told_as_none() -> None:
    peer = [Timings.from_json(one) for one in rounds(1.0, peer=True)]
    assert over_rounds(peer, lambda t: t.first_last) is None
    assert ratios(peer, lambda t: t.first_last, peer, lambda t: t.first_all) is None
    assert milliseconds(None) == "–"


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.99996, "99.99 %"), (1.0, "100.00 %"), (0.5, "50.00 %"), (0.29, "29.00 %")],
)
def test_a_share_is_never_told_as_more(value: float, told: str) -> None:
    assert share(value) == told


@pytest.mark.parametrize(
    ("value", "told"), [(0.0, "0"), (6e-8, "6.0e-08"), (0.00999, "0.01"), (0.0123, "0.012")]
)
def test_nats_keep_two_digits(value: float, told: str) -> None:
    assert nats(value) == told


def test_milliseconds_have_tenths_where_they_matter() -> None:
    assert milliseconds(Spread(4.47, 3.91, 6.0)) == "4.5 (3.9–6.0)"
    assert milliseconds(Spread(1724.0, 1656.0, 1882.0)) == "1,724 (1,656–1,882)"
