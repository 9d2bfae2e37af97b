"""oriel.show: the record that a page draws holds PyTorch's numbers, Python answers what a page
asks, and a saved page is one safe file."""

from __future__ import annotations

import base64
import gzip
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load
from transformers import GPT2LMHeadModel

import oriel
from oriel import Bundle, Scale
from oriel.contract.json_value import JsonValue
from oriel.errors import BundleError, OptionError
from oriel.notebook import page_file
from oriel.notebook.page_file import filled_page, record_text, view_names
from oriel.notebook.python_link import MISSING
from oriel.notebook.record import AnalysisRecord
from oriel.notebook.show import Shown

IDS = [5, 17, 3, 80, 41]
OFF = Scale("attn_z", layer=1, head=2, factor=0)
NO_EDITS: JsonValue = {"edits_version": "1.0", "edits": []}


@pytest.fixture
def shown(tiny_gpt2_bundle: Path) -> Shown:
    return oriel.show(
        tiny_gpt2_bundle,
        IDS,
        view="attention",
        head=(1, 2),
        edits=[OFF],
        activations=["attn_probs"],
    )


def arrays(text: str | None) -> dict[str, NDArray[np.float32]]:
    assert text is not None
    return load(gzip.decompress(base64.b64decode(text)))


def expected(
    model: GPT2LMHeadModel, ids: list[int], head: tuple[int, int] | None = None
) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
    """Return PyTorch's last logits and attention of each layer, with a head switched off."""

    def switch_off(_: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        mixed = given[0].clone()
        assert head is not None
        mixed[..., head[1] * 8 : head[1] * 8 + 8] = 0
        return (mixed, *given[1:])

    handles = []
    if head is not None:
        output = model.get_submodule(f"transformer.h.{head[0]}.attn.c_proj")
        handles.append(output.register_forward_pre_hook(switch_off))
    with torch.no_grad():
        found = model(torch.tensor([ids]), output_attentions=True)
    for handle in handles:
        handle.remove()
    return found.logits[0, -1].numpy(), [each.numpy() for each in found.attentions]


def close(got: NDArray[np.float32], want: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-4)


def test_a_record_holds_pytorchs_numbers_with_and_without_edits(
    shown: Shown, torch_gpt2: GPT2LMHeadModel
) -> None:
    for text, head in ((shown.record["tensors"], (1, 2)), (shown.record["untouched"], None)):
        held = arrays(text)
        logits, attention = expected(torch_gpt2, IDS, head)
        assert held["input_ids"].tolist() == [IDS]
        close(held["logits"][0, 0], logits)
        for layer, want in enumerate(attention):
            close(held[f"layer_{layer}_attn_probs"], want)
    assert shown.record["edits"]["edits"] == [OFF.to_json()]
    assert shown.record["state"] == "link=1&h=1.2&only=attention"
    assert shown.record["typed"] == len(IDS)


def test_python_answers_what_a_page_asks(shown: Shown, torch_gpt2: GPT2LMHeadModel) -> None:
    ids = [1, 60, 60, 7]
    edit = cast(JsonValue, Scale("attn_z", layer=3, head=0).to_json())
    question: JsonValue = {
        "prompt": None,
        "ids": list(ids),
        "edits": {"edits_version": "1.0", "edits": [edit]},
        "activations": ["layer_3_attn_probs"],
        "lens": "logit",
    }
    answer = shown.answer(question)
    record = cast(AnalysisRecord, json.loads(answer["record"]))
    held = arrays(record["tensors"])
    logits, attention = expected(torch_gpt2, ids, (3, 0))
    close(held["logits"][0, 0], logits)
    close(held["layer_3_attn_probs"], attention[3])
    assert set(held) == {"input_ids", "logits", "layer_3_attn_probs"}
    assert record["kernel"] is not None and record["kernel"] == shown.record["kernel"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"activations": ["layer_9_attn_probs"]}, "the model has no such activation"),
        ({"activations": "layer_0_attn_probs"}, "nothing that Python knows"),
        ({"ids": [999]}, "999"),
        ({"ids": "five"}, "nothing that Python knows"),
        ({"ids": [1.5]}, "nothing that Python knows"),
        ({"prompt": "words"}, "the bundle has no tokenizer"),
        ({"lens": "no-such"}, "no-such"),
        ({"edits": {"edits_version": "1.0", "edits": [{"edit": "exec"}]}}, "no edit that Oriel"),
        ({"edits": None}, "list of edits"),
    ],
)
def test_what_cannot_be_answered_gets_one_line(
    shown: Shown, changes: dict[str, JsonValue], reason: str
) -> None:
    question: dict[str, JsonValue] = {
        "prompt": None,
        "ids": [1, 2],
        "edits": NO_EDITS,
        "activations": ["layer_0_attn_probs"],
        "lens": "logit",
    }
    answer = shown.answer({**question, **changes})
    assert reason in answer["reason"] and "\n" not in answer["reason"]
    assert "record" not in answer


def test_a_saved_page_has_the_record_and_no_kernel(shown: Shown, tmp_path: Path) -> None:
    path = shown.save(tmp_path / "page.html")
    text = path.read_text(encoding="utf-8")
    found = re.search(r'id="oriel-analysis">([^<]*)</script>', text)
    assert found is not None
    record = json.loads(found.group(1))
    assert record == {**json.loads(json.dumps(shown.record)), "kernel": None}
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]


def test_nothing_in_a_record_ends_or_begins_an_element(shown: Shown) -> None:
    hostile = "</script><script>alert(1)</script><!-- \u2028 &lt;"
    record: AnalysisRecord = {**shown.record, "prompt": hostile}
    text = record_text(record)
    assert not re.search("[<>&\u2028\u2029]", text)
    assert json.loads(text)["prompt"] == hostile
    assert filled_page(record).count("</script>") == 2


def test_arguments_that_do_not_fit_are_refused(tiny_gpt2_bundle: Path, tmp_path: Path) -> None:
    bundle = Bundle(tiny_gpt2_bundle)
    assert "attention" in view_names() and "interventions" not in view_names()
    with pytest.raises(OptionError, match="no such view; got 'atention'; expected one of next"):
        oriel.show(bundle, IDS, view="atention")
    with pytest.raises(OptionError, match="no such head; got layer 4, head 0"):
        oriel.show(bundle, IDS, head=(4, 0))
    with pytest.raises(OptionError, match="no such language"):
        oriel.show(bundle, IDS, language=cast("oriel.notebook.show.Language", "fr"))
    with pytest.raises(OptionError, match="height"):
        oriel.show(bundle, IDS, height=5)
    with pytest.raises(OptionError, match="a folder that exists"):
        oriel.show(bundle, IDS).save(tmp_path / "none" / "page.html")


def test_a_copy_without_the_page_says_how_to_get_it(
    shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_file, "DATA", tmp_path)
    page_file.template.cache_clear()
    try:
        with pytest.raises(BundleError, match=r"no standalone\.html .* npm run standalone"):
            shown.save(tmp_path / "page.html")
    finally:
        page_file.template.cache_clear()
    assert list(tmp_path.iterdir()) == []


def test_a_display_stands_in_a_frame_without_rights(shown: Shown) -> None:
    html = shown._repr_mimebundle_()["text/html"]
    assert html.count("<iframe") == 1 and html.count("<") == 2
    assert 'sandbox="allow-scripts allow-downloads allow-popups"' in html
    assert MISSING not in html


def test_a_kernel_without_anywidget_says_so_in_a_line(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "anywidget", None)
    html = shown._repr_mimebundle_()["text/html"]
    assert html.endswith("<p>" + MISSING.replace("'", "&#x27;") + "</p>")
