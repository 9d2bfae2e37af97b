"""Lessons: what the shipped ones claim is so in PyTorch, `oriel lesson check` says so, and a lesson
that is wrong in any way is refused in one clear line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import demo_bundle
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import GPT2LMHeadModel
from transformers.generation.logits_process import (
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from oriel.cli import main
from oriel.lessons.measure_claim import StateRun, sampling_distribution
from oriel.lessons.page_state import Sampling, read_state
from oriel.runtime.bundle import Bundle

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "apps" / "web" / "static" / "lessons").glob("*.json"))
WEIGHTS = ROOT / "tools" / "model-export" / "oriel" / "models" / "demo" / "weights"
FOLDER = demo_bundle.MANIFEST.parent
NO_IDS = torch.empty((1, 0), dtype=torch.long)
"""These warpers don't look at the text so far."""
TEXT = "When Alice and Lucy went to the shop, Lucy gave a book to"


@pytest.fixture(scope="module", autouse=True)
def _bundle() -> None:
    subprocess.run([sys.executable, demo_bundle.__file__], check=True)


@pytest.fixture(scope="module")
def model() -> GPT2LMHeadModel:
    found: GPT2LMHeadModel = GPT2LMHeadModel.from_pretrained(WEIGHTS, attn_implementation="eager")
    found.train(False)
    return found


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(WEIGHTS / "tokenizer.json"))


class TorchRun:
    """A state of the page, run by transformers' own model, heads switched off by hooks."""

    logits: torch.Tensor

    def __init__(self, model: Any, tokenizer: Tokenizer, link: str) -> None:
        fields = {key: values[0] for key, values in parse_qs(link.removeprefix("#")).items()}
        self.model, self.tokenizer = model, tokenizer
        self.sampling = [float(part) for part in fields.get("s", "0.8_0_0.95").split("_")]
        off = [
            tuple(map(int, head.split("."))) for head in fields.get("off", "").split("_") if head
        ]
        self.z: dict[int, torch.Tensor] = {}
        hooks = [
            block.attn.c_proj.register_forward_pre_hook(self._kept(layer, off))
            for layer, block in enumerate(model.transformer.h)
        ]
        hooks.append(model.transformer.ln_f.register_forward_pre_hook(self._stream))
        with torch.no_grad():
            found = model(
                torch.tensor([tokenizer.encode(fields["p"]).ids]),
                output_attentions=True,
                output_hidden_states=True,
            )
        for hook in hooks:
            hook.remove()
        self.logits = found.logits[0, -1].double()
        self.attentions, self.hidden = found.attentions, found.hidden_states

    def _kept(self, layer: int, off: list[tuple[int, ...]]) -> Callable[..., tuple[torch.Tensor]]:
        width = self.model.config.n_embd // self.model.config.n_head

        def hook(_: object, given: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
            z = given[0].clone()
            for at, head in off:
                if at == layer:
                    z[..., head * width : (head + 1) * width] = 0
            self.z[layer] = z[0, -1].reshape(-1, width)
            return (z,)

        return hook

    def _stream(self, _: object, given: tuple[torch.Tensor]) -> None:
        self.last = given[0][0, -1]

    def token(self, text: str) -> int:
        (only,) = self.tokenizer.encode(text).ids
        return int(only)

    def lens(self, layer: int) -> int:
        hidden = self.hidden[layer + 1]
        if layer + 1 < self.model.config.n_layer:
            hidden = self.model.transformer.ln_f(hidden)
        return int(self.model.lm_head(hidden)[0, -1].argmax())

    def strongest(self, token: int, other: int | None, count: int) -> list[str]:
        norm = self.model.transformer.ln_f
        column = self.model.lm_head.weight[token]
        if other is not None:
            column = column - self.model.lm_head.weight[other]
        scale = (self.last.var(unbiased=False) + norm.eps).sqrt()
        shares = {}
        for layer, z in self.z.items():
            weight = self.model.transformer.h[layer].attn.c_proj.weight.reshape(*z.shape, -1)
            for head in range(len(z)):
                part = z[head] @ weight[head]
                share = ((part - part.mean()) / scale * norm.weight) @ column
                shares[f"{layer}.{head}"] = share.item()
        return sorted(shares, key=lambda each: -shares[each])[:count]

    def drawn(self) -> torch.Tensor:
        temperature, top_k, top_p = self.sampling
        scores = self.logits[None]
        if temperature == 0:
            return torch.nn.functional.one_hot(scores[0].argmax(), len(self.logits)).double()
        scores = TemperatureLogitsWarper(float(temperature))(NO_IDS, scores)
        if top_k > 0:
            scores = TopKLogitsWarper(int(top_k))(NO_IDS, scores)
        if top_p < 1:
            scores = TopPLogitsWarper(float(top_p))(NO_IDS, scores)
        found: torch.Tensor = scores[0].softmax(-1)
        return found

    def holds(self, claim: Mapping[str, Any]) -> bool:
        kind = claim["claim"]
        if kind == "likeliest":
            return int(self.logits.argmax()) == self.token(claim["token"])
        if kind == "lens":
            return self.lens(claim["layer"]) == self.token(claim["token"])
        if kind == "attribution":
            other = self.token(claim["other"]) if "other" in claim else None
            found = self.strongest(self.token(claim["token"]), other, len(claim["heads"]))
            return bool(found == claim["heads"])
        return bool(claim["least"] <= self.number(claim) <= claim["most"])

    def number(self, claim: Mapping[str, Any]) -> float:
        kind = claim["claim"]
        if kind == "attention":
            layer, head = map(int, claim["head"].split("."))
            return float(self.attentions[layer][0, head, claim["from"], claim["to"]])
        if kind == "kept":
            return float((self.drawn() > 0).sum())
        token = self.token(claim["token"])
        if kind == "difference":
            return float(self.logits[token] - self.logits[self.token(claim["other"])])
        return float((self.drawn() if kind == "drawn" else self.logits.softmax(-1))[token])


def lesson_with(*claims: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a lesson of one step with these claims."""
    step = {"title": "Look", "text": "Here.", "state": f"#p={TEXT.replace(' ', '+')}"}
    if claims:
        step["expect"] = {"text": "So it is.", "claims": list(claims)}  # type: ignore[assignment]
    step |= {key: changes.pop(key) for key in ("state", "done") if key in changes}
    return {
        "lesson_version": "1.0",
        "title": "A lesson",
        "introduction": "About it.",
        "steps": [step],
        **changes,
    }


def check(folder: Path, lesson: object, *more: str) -> int:
    file = folder / "lesson.json"
    file.write_text(lesson if isinstance(lesson, str) else json.dumps(lesson), encoding="utf-8")
    return main(["lesson", "check", str(file), "--bundle", str(FOLDER), *more])


def test_the_page_ships_the_tour_and_another_lesson() -> None:
    assert {file.stem for file in SHIPPED} >= {"tour", "sampling"}


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_what_a_shipped_lesson_claims_is_so_in_pytorch(
    file: Path, model: GPT2LMHeadModel, tokenizer: Tokenizer
) -> None:
    claimed = 0
    for step in json.loads(file.read_text(encoding="utf-8"))["steps"]:
        run = TorchRun(model, tokenizer, step.get("done", step["state"]))
        for claim in step["expect"]["claims"]:
            assert run.holds(claim), (step["title"]["en"], claim)
            claimed += 1
        # A task must change something: its claims don't all hold before.
        if "done" in step:
            before = TorchRun(model, tokenizer, step["state"])
            assert not all(before.holds(claim) for claim in step["expect"]["claims"])
    assert claimed >= 8


def test_what_the_tour_says_beside_its_claims_is_so(
    model: GPT2LMHeadModel, tokenizer: Tokenizer
) -> None:
    """Layer 4, head 0 and layer 6, head 2 copy, too; up to layer 5 the lens doesn't say the name;
    hot sampling draws the tail."""
    words = f"#{urlencode({'p': 'fox lamp wolf coat river goat fox lamp wolf coat river'})}"
    copies = TorchRun(model, tokenizer, words)
    looks = {
        f"{layer}.{head}": float(copies.attentions[layer][0, head, 10, 5])
        for layer in range(12)
        for head in range(4)
    }
    assert sorted(sorted(looks, key=lambda head: -looks[head])[:3]) == ["4.0", "5.2", "6.2"]
    names = TorchRun(model, tokenizer, f"#{urlencode({'p': TEXT})}")
    assert names.token(" Alice") not in {names.lens(layer) for layer in range(6)}
    assert {names.lens(layer) for layer in range(6, 12)} == {names.token(" Alice")}
    verbs = f"#{urlencode({'p': 'When Mary and John went to the shop, John'})}"
    logits = TorchRun(model, tokenizer, verbs).logits
    tails = [float((logits / t).softmax(-1).sort(descending=True)[0][100:].sum()) for t in (1, 2)]
    assert tails[0] < 1e-3 and 0.2 < tails[1] < 0.3


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_the_command_says_in_a_line_for_each_step_that_it_holds(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lesson", "check", str(file), "--bundle", str(FOLDER)]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    steps = len(json.loads(file.read_text(encoding="utf-8"))["steps"])
    assert [line.split(" ")[:2] for line in lines] == [["step", str(n + 1)] for n in range(steps)]
    assert all("): holds: " in line for line in lines)
    assert last == f"{file.name}: {steps} of {steps} steps hold"


def test_the_documents_example_prints_what_it_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "docs" / "lessons.md").read_text(encoding="utf-8")
    (written,) = re.findall(r"^ *```json\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    (said,) = re.findall(r"^ *```\n +\$ .*?\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    assert check(tmp_path, written) == 0
    found = capsys.readouterr().out.replace("lesson.json", "days.json")
    assert found.split() == said.split()
    schema = json.loads((ROOT / "contracts" / "lesson.schema.json").read_text(encoding="utf-8"))
    kinds = [claim["$ref"].rpartition("/")[2] for claim in schema["$defs"]["claim"]["oneOf"]]
    assert {*re.findall(r'^\| `{"claim": "(\w+)"', text, re.MULTILINE)} == {*kinds}


FALSE = {"claim": "likeliest", "token": " Lucy"}


@pytest.mark.parametrize(
    ("lesson", "says"),
    [
        (lesson_with(FALSE), "NOT likeliest next token is ' Alice', expected ' Lucy'"),
        (
            lesson_with({"claim": "attribution", "token": " Alice", "heads": ["7.1"]}),
            "NOT heads that favour ' Alice': 6.2",
        ),
        (
            lesson_with({"claim": "probability", "token": " Alice", "least": 0, "most": 0.5}),
            "NOT probability of ' Alice' is 0.9991, expected 0 to 0.5",
        ),
        (
            lesson_with({"claim": "likeliest", "token": " Alice and"}),
            "a claim's token is not one token of the model; got ' Alice and', of 2",
        ),
        (lesson_with({"claim": "lens", "layer": 12, "token": " a"}), "no such layer; got layer 12"),
        (
            lesson_with(
                {"claim": "attention", "head": "5.4", "from": 1, "to": 0, "least": 0, "most": 1}
            ),
            "the model has no such head; got 5.4; expected heads 0 to 3",
        ),
        (
            lesson_with(
                {"claim": "attention", "head": "5.2", "from": 14, "to": 0, "least": 0, "most": 1}
            ),
            "a claim's place lies beyond the text; got 14; expected 0 to 13",
        ),
        (lesson_with(state="#off=6.x"), "the state's off= can't be read; got '6.x'"),
        (lesson_with(state="#s=9_0_1"), "the state's s= can't be read; got '9_0_1'"),
        (lesson_with(done="#e=%5B%7B%7D%5D"), "edit 0 is no edit that Oriel knows"),
        (lesson_with(state="#p=a&off=99.0"), "99"),
        (lesson_with(FALSE, state="#p=a&lens=other"), "other"),
        (lesson_with(FALSE, state="#p=a&v=fp8"), "fp8"),
    ],
)
def test_a_step_that_does_not_hold_is_told_in_its_line(
    lesson: dict[str, Any], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, lesson) == 1
    line, last = capsys.readouterr().out.splitlines()
    assert line.startswith("step 1 (Look): FAILS: ") and says in line
    assert last == "lesson.json: 0 of 1 steps hold"


@pytest.mark.parametrize(
    ("lesson", "says"),
    [
        ("{", "lesson.json is not JSON that can be read safely"),
        (lesson_with(steps=[]), "at steps"),
        (lesson_with({"claim": "likeliest", "tokn": " a"}), "at steps/0/expect/claims/0"),
        (lesson_with(lesson_version="2.0"), "of another version; got 2.0; expected 1.x"),
        (lesson_with(model="gpt2"), "the lesson is of another model; got demo; expected gpt2"),
        (lesson_with(title="t" * 600_000), "bytes; expected at most"),
    ],
    ids=["no-json", "no-step", "unknown-field", "version", "model", "size"],
)
def test_a_lesson_that_the_page_would_refuse_is_refused_in_a_line(
    lesson: object, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, lesson) == 2
    error = capsys.readouterr().err.strip()
    assert says in error and "\n" not in error


def test_a_missing_lesson_and_a_missing_bundle_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lesson", "check", str(tmp_path / "a.json"), "--bundle", str(FOLDER)]) == 2
    assert "there is no such lesson" in capsys.readouterr().err
    file = tmp_path / "b.json"
    file.write_text(json.dumps(lesson_with()), encoding="utf-8")
    assert main(["lesson", "check", str(file), "--bundle", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_numbers_of_edits_come_from_texts_as_on_the_page(model: Any, tokenizer: Tokenizer) -> None:
    """A difference of two texts, added after layer 5; a mean of a text; another text's values."""
    other = "When Mary and John went to the park, John gave a ball to"
    block = model.transformer.h[5]

    def stream(text: str) -> torch.Tensor:
        with torch.no_grad():
            found = model(torch.tensor([tokenizer.encode(text).ids]), output_hidden_states=True)
        after: torch.Tensor = found.hidden_states[6]
        return after

    def changed(change: Callable[[torch.Tensor], torch.Tensor]) -> np.ndarray[Any, Any]:
        hook = block.register_forward_hook(
            lambda _, __, out: change(out) if torch.is_tensor(out) else (change(out[0]), *out[1:])
        )
        with torch.no_grad():
            logits = model(torch.tensor([tokenizer.encode(TEXT).ids])).logits[0, -1]
        hook.remove()
        return np.asarray(logits.numpy())

    towards, away = stream("Mary went to the shop")[0, -1], stream("The dog")[0, -1]
    whole = stream(other)
    mean = whole.mean(dim=1, keepdim=True)
    place = {"joint": "resid_post", "layer": 5}
    difference = {"difference": ["Mary went to the shop", "The dog"]}
    cases = [
        (
            {"edit": "add", **place, "strength": 0.7, "from": difference},
            changed(lambda out: out + 0.7 * (towards - away)),
        ),
        (
            {"edit": "replace", **place, "position": 1, "from": {"mean": other}},
            changed(lambda out: torch.cat([out[:, :1], mean, out[:, 2:]], dim=1)),
        ),
        (
            {"edit": "replace", **place, "from": {"text": other}},
            changed(lambda _: whole),
        ),
    ]
    plain = changed(lambda out: out)
    with Bundle(FOLDER, threads=1) as bundle:
        for edit, logits in cases:
            state = read_state(f"#{urlencode({'p': TEXT, 'e': json.dumps([edit])})}")
            found = StateRun(bundle, state, []).logits
            assert np.abs(found - logits).max() < 2e-3, edit
            assert np.abs(found - plain).max() > 0.1
        is_off = json.dumps([cases[0][0] | {"off": True}])
        off = read_state(f"#{urlencode({'p': TEXT, 'e': is_off})}")
        assert np.abs(StateRun(bundle, off, []).logits - plain).max() < 2e-3


@pytest.mark.parametrize(
    "settings", [(1, 0, 1), (0, 0, 1), (0.5, 7, 1), (1.3, 0, 0.6), (2, 40, 0.9), (1, 1, 0.5)]
)
def test_sampling_is_what_transformers_draws_from(settings: tuple[float, int, float]) -> None:
    logits = torch.from_numpy(np.random.default_rng(3).normal(0, 3, 500))
    run = TorchRun.__new__(TorchRun)
    run.logits, run.sampling = logits, list(settings)
    ours = sampling_distribution(logits.numpy(), Sampling(*settings))
    assert np.abs(ours - run.drawn().numpy()).max() < 1e-12
