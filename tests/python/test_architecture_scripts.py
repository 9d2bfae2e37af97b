"""The page's programs for architectures whose parts differ from GPT-2's and Llama's: norms and
multipliers on the way to the stream, finished logits, norms of other forms, windows, fused
matrices, experts. test_page_scripts.py has what the programs are for, and the table of paths."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from architecture_variants import VARIANTS
from conftest import save_random
from test_page_scripts import (
    CLOSE,
    IDS,
    Asked,
    Model,
    Record,
    edits_of,
    largest_difference,
    layers_of,
    lenses_of,
    neurons_of,
    numbers_of,
    run_script,
    shares_of,
    write,
)

import oriel
from oriel.contract.activation_names import kinds
from oriel.contract.manifest import read_manifest
from oriel.export_bundle import export
from oriel.options import ExportOptions
from oriel.progress import Silent

TRIED = (
    *("cohere", "gemma", "gemma2", "gemma3", "granite", "olmo", "olmo2", "phi3"),
    *("phi3-window-partly-rotary", "mixtral", "olmoe", "qwen3_moe-one-mlp-in-some-layers"),
)
READ = (
    *("q", "attn_output_raw", "attn_output", "resid_mid", "mlp_pre", "mlp_linear", "mlp_act"),
    *("mlp_output_raw", "mlp_output", "final_norm"),
)
CHANGED = ("attn_z", "resid_mid", "mlp_output")


def numbers(model: Model) -> Iterator[Record]:
    """Return numbers of a run without edits, and of one with edits of many kinds."""
    shape = model.bundle.shape
    last = shape.layers - 1
    there = [kind for kind in READ if kinds()[kind].present_in(shape, last)]
    for _, shown in numbers_of(model, [], there):
        yield {"shown": shown, "edits": []}
    for _, shown, _ in lenses_of(model, []):
        yield {"shown": shown, "edits": []}
    for shown, _ in layers_of(model, []):
        if shown["measure"] in ("divergence", "rank", "growth"):
            yield {"shown": shown, "edits": []}
    if "attribution" in read_manifest(model.folder).variant("fp32"):
        for shown in (*neurons_of(model, []), *shares_of(model, [])):
            yield {"shown": shown, "edits": []}
    some = [kind for kind in CHANGED if kinds()[kind].present_in(shape, last)]
    edits = edits_of(model)["values of each token"]
    for _, shown in numbers_of(model, edits, some):
        yield {"shown": shown, "edits": edits}


@pytest.mark.parametrize("name", TRIED)
def test_scripts_compute_the_numbers_of_the_screen(name: str, tmp_path: Path) -> None:
    checkpoint = save_random(VARIANTS[name](), tmp_path / "checkpoint")
    output = tmp_path / "bundle" / "model.onnx"
    options = ExportOptions(model=str(checkpoint), output=output, all_layers=True)
    folder = export(options, Silent()).folder
    with oriel.Bundle(folder) as bundle:
        model = Model(bundle, folder, checkpoint)
        assert max(IDS) < bundle.shape.vocab
        asked, _ = write([Asked(model, one["shown"], one["edits"]) for one in numbers(model)])
    for one in asked:
        found = run_script(one, tmp_path)
        assert largest_difference(found, one) < CLOSE, (one.shown, one.edits)
