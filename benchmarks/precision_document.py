"""Writes the tables of docs/precision.md from the measurements, between the document's markers; the
text around them is kept. precision.py measures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from speed_figures import Figure, Rounds, Spread, Timings, over_rounds, ratios

PEER = "transformers.js"
PEER_Q8 = f"{PEER} q8"
MEGABYTE = 1e6
NOTHING = "–"
Row = Sequence[str]
_MARKED = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end of table \2 -->)", re.DOTALL)


@dataclass(frozen=True)
class Column:
    """A heading, the figure under it, and this project's goal."""

    heading: str
    figure: Figure
    peer_figure: Figure | None = None
    """The peer's figure to compare with; None: the same one."""
    goal: float | None = None

    @property
    def theirs(self) -> Figure:
        return self.peer_figure or self.figure


SESSION = Column("session", lambda t: t.session)
STEP = Column("cached step", lambda t: t.settled_step, goal=0.8)
BROWSER = (
    Column("expand", lambda t: t.expand),
    SESSION,
    Column("first prompt", lambda t: t.first_all),
    Column("prompt", lambda t: t.settled_all),
    Column("first prompt, last logits", lambda t: t.first_last),
    Column("prompt, last logits", lambda t: t.settled_last),
    STEP,
    Column("recompute", lambda t: t.settled_recompute),
)
NATIVE = (SESSION, BROWSER[3], *BROWSER[5:])
BESIDE_PEER = (
    Column("opening and first prompt", lambda t: t.opened_last, lambda t: t.opened_all),
    Column("first prompt", lambda t: t.first_last, lambda t: t.first_all, 0.3),
    Column("next prompts", lambda t: t.next_last, lambda t: t.next_all, 0.3),
    Column("settled prompt", lambda t: t.settled_last, lambda t: t.settled_all, 0.3),
    Column("settled, all logits", lambda t: t.settled_all),
    STEP,
)
BYTES_GOAL = 0.62
NATIVE_STEP_GOAL = 0.25


def document(text: str, measured: Mapping[str, Any]) -> str:
    """Return the text with every table replaced whose parts were measured; the others stay. Raises
    ValueError unless it has markers for each table once."""
    found = [name for _, name, _ in _MARKED.findall(text)]
    if sorted(found) != sorted(TABLES):
        raise ValueError(
            f"markers of the tables {', '.join(sorted(found)) or 'none'}; "
            f"expected each of {', '.join(sorted(TABLES))} once"
        )

    def anew(marked: re.Match[str]) -> str:
        table = TABLES[marked[2]]
        if not measured.keys() >= set(table.parts):
            return marked[0]
        return f"{marked[1]}{table.make(measured)}\n{marked[3]}"

    return _MARKED.sub(anew, text)


def fidelity_table(measured: Mapping[str, Any]) -> str:
    """Make the table of the trained model's variants: their bytes and fidelity to float32."""
    found = measured["fidelity"]
    rows = [_fidelity_row(name, row) for name, row in found["variants"].items()]
    rows.append(_fidelity_row(PEER_Q8, found["peer"]))
    headings = (
        "variant",
        "MB",
        "mean KL",
        "at most",
        "KL, 99 %",
        "top-1",
        "at least",
        "top-5",
        "perplexity",
    )
    return markdown(headings, rows)


def _fidelity_row(name: str, row: Mapping[str, Any]) -> Row:
    f = row["fidelity"]
    peer = name == PEER_Q8
    beyond = "" if peer or f["within_bounds"] else " (beyond)"
    return (
        name + beyond,
        f"{row['bytes'] / MEGABYTE:.2f}",
        nats(f["kl_mean"]),
        NOTHING if peer else nats(f["bounds"]["kl_mean"]),
        nats(f["kl_p99"]),
        share(f["top1"]),
        NOTHING if peer else share(f["bounds"]["top1"]),
        share(f["top5"]),
        f"× {f['perplexity'] / f['reference_perplexity']:.4f}",
    )


def browser_table(measured: Mapping[str, Any]) -> str:
    """Make the table of milliseconds in Chromium, beside transformers.js."""
    timings, sizes = _timings(measured["browser"]["timings"]), measured["bytes"]
    return _speed_table(timings, sizes, BROWSER)


def native_table(measured: Mapping[str, Any]) -> str:
    """Make the table of milliseconds in native ONNX Runtime, and the step beside float32's."""
    timings = _timings(measured["native"])
    rows = []
    for name, rounds in timings.items():
        row = _speed_row(name, rounds, measured["bytes"], NATIVE)
        rows.append((*row, _ratio(rounds, STEP, timings["fp32"])))
    headings = ("", "MB", *(column.heading for column in NATIVE), "step / fp32's")
    goal = ["int4's goal", *[""] * len(NATIVE), "", f"≤ {NATIVE_STEP_GOAL}"]
    return markdown(headings, [*rows, goal])


def _speed_table(
    timings: Mapping[str, Rounds], sizes: Mapping[str, int], columns: Sequence[Column]
) -> str:
    rows = [_speed_row(name, rounds, sizes, columns) for name, rounds in timings.items()]
    return markdown(("", "MB", *(column.heading for column in columns)), rows)


def _speed_row(
    name: str, rounds: Rounds, sizes: Mapping[str, int], columns: Sequence[Column]
) -> Row:
    cells = [milliseconds(over_rounds(rounds, column.figure)) for column in columns]
    return (name, f"{sizes[name] / MEGABYTE:.1f}", *cells)


def beside_table(measured: Mapping[str, Any]) -> str:
    """Make the table of each variant's ratios to transformers.js' q8 in Chromium."""
    timings, sizes = _timings(measured["browser"]["timings"]), measured["bytes"]
    peer = timings[PEER_Q8]
    goals = [NOTHING if c.goal is None else f"≤ {c.goal}" for c in BESIDE_PEER]
    rows: list[Row] = [("goal", f"≤ {BYTES_GOAL}", *goals)]
    for name, rounds in timings.items():
        if name.startswith(PEER):
            continue
        cells = [_ratio(rounds, column, peer) for column in BESIDE_PEER]
        rows.append((name, f"{sizes[name] / sizes[PEER_Q8]:.2f}", *cells))
    return markdown(("", "bytes", *(column.heading for column in BESIDE_PEER)), rows)


def _ratio(rounds: Rounds, column: Column, peer: Rounds) -> str:
    return times(ratios(rounds, column.figure, peer, column.theirs))


def quantizing_table(measured: Mapping[str, Any]) -> str:
    """Make the table of `oriel quantize` on GPT-2 small, each variant by itself."""
    rows = []
    for name, runs in measured["quantizing"].items():
        seconds, peak = (Spread.of([run[what] for run in runs]) for what in ("seconds", "peak_mb"))
        relative = f"{peak.median / (measured['bytes']['fp32'] / MEGABYTE):.2f}"
        rows.append((name, _spread(seconds, "{:.1f}"), _spread(peak, "{:.0f}"), relative))
    rows.append(("goal", "≤ 20", "", "≤ 2"))
    return markdown(("variant", "seconds", "peak memory, MB", "over the float32 bundle"), rows)


def machine_line(measured: Mapping[str, Any]) -> str:
    """Describe the machine and the versions of the measurement."""
    m = measured["machine"]
    return (
        f"{m['processor']}, {m['cores']} cores, {m['threads']} threads used; load of the machine "
        f"at the start {m['load']:.1f}. Chromium {measured['browser']['browser']}, "
        f"onnxruntime-web {m['onnxruntime-web']}, onnxruntime {m['onnxruntime']}, "
        f"transformers.js {m['transformers.js']}. {m['rounds']} rounds. The runtime's own "
        f"download comes on top: {m['runtime_bytes'] / MEGABYTE:.1f} MB of wasm on the page, "
        f"{m['peer_runtime_bytes'] / MEGABYTE:.1f} MB in transformers.js."
    )


@dataclass(frozen=True)
class Table:
    """The measured parts that a table needs, and the function that makes it."""

    parts: tuple[str, ...]
    make: Callable[[Mapping[str, Any]], str]


TABLES: Mapping[str, Table] = {
    "fidelity": Table(("fidelity",), fidelity_table),
    "browser": Table(("bytes", "browser"), browser_table),
    "beside": Table(("bytes", "browser"), beside_table),
    "native": Table(("bytes", "native"), native_table),
    "quantizing": Table(("bytes", "quantizing"), quantizing_table),
    "machine": Table(("machine", "browser"), machine_line),
}


def _timings(data: Mapping[str, Iterable[Mapping[str, Any]]]) -> dict[str, Rounds]:
    return {name: [Timings.from_json(one) for one in rounds] for name, rounds in data.items()}


def markdown(headings: Row, rows: Sequence[Row]) -> str:
    """Return a table with aligned columns; all but the first to the right."""
    lines = [tuple(headings), *map(tuple, rows)]
    widths = [max(3, *(len(line[i]) for line in lines)) for i in range(len(headings))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def shown(line: Row) -> str:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        return f"| {' | '.join(cells)} |"

    return "\n".join([shown(lines[0]), shown(rule), *map(shown, lines[1:])])


def milliseconds(spread: Spread | None) -> str:
    """Format as '115 (110–144)'; with tenths below 10."""
    if spread is None:
        return NOTHING
    return _spread(spread, "{:.1f}" if spread.median < 10 else "{:,.0f}")


def times(spread: Spread | None) -> str:
    """Format as '0.51 (0.48–0.60)'."""
    return NOTHING if spread is None else _spread(spread, "{:.2f}")


def _spread(spread: Spread, form: str) -> str:
    median, low, high = (form.format(v) for v in (spread.median, spread.low, spread.high))
    return median if low == high else f"{median} ({low}–{high})"


def nats(value: float) -> str:
    """Format with two significant digits; a value below a millionth is named as such."""
    if value == 0:
        return "0"
    return f"{value:.1e}" if value < 1e-3 else f"{value:.2g}"


def share(value: float) -> str:
    """Round down to two decimals, so that 99.996 % does not become 100."""
    return f"{int(value * 1e4 + 1e-6) / 100:.2f} %"
