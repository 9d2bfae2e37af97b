"""oriel.Bundle: runs, edits and a cache, beside the same change made by hooks in PyTorch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2LMHeadModel, LlamaForCausalLM, PreTrainedModel

import oriel
from oriel import Add, Bundle, Cap, Clamp, KnockOut, ProjectOut, Replace, Scale, Swap
from oriel.bundle.open_bundle import read_open_bundle
from oriel.errors import BundleError, OptionError, OrielError
from oriel.runtime.edits import Edit

IDS = [[5, 17, 3, 80, 41, 2, 9, 33], [1, 60, 60, 7, 12, 88, 0, 4]]
VECTOR = np.random.default_rng(3).normal(size=24).astype(np.float32)
OTHER = np.random.default_rng(4).normal(size=24).astype(np.float32)
Change = Callable[[Tensor], Tensor]


def close(got: np.ndarray[Any, Any], want: Tensor | np.ndarray[Any, Any]) -> None:
    np.testing.assert_allclose(got, np.asarray(want), rtol=0, atol=1e-4)


@contextmanager
def changed(module: nn.Module, change: Change, *, before: bool = False) -> Iterator[None]:
    """Change what a module is given, or what it gives."""

    def gives(_m: nn.Module, _in: object, out: Any) -> Any:
        return (change(out[0]), *out[1:]) if isinstance(out, tuple) else change(out)

    def takes(_m: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        return (change(given[0]), *given[1:])

    handle = (
        module.register_forward_pre_hook(takes) if before else module.register_forward_hook(gives)
    )
    try:
        yield
    finally:
        handle.remove()


def logits(model: PreTrainedModel, ids: list[list[int]] = IDS) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(torch.tensor(ids)).logits
        return found


def set_at(index: Any, value: Any) -> Change:
    def change(x: Tensor) -> Tensor:
        x = x.clone()
        x[index] = value(x[index]) if callable(value) else torch.as_tensor(value)
        return x

    return change


def heads_at(index: Any, value: Any) -> Change:
    """Change per-head values in what the output matrix of tiny GPT-2 is given: 3 heads of 8."""

    def change(x: Tensor) -> Tensor:
        split = x.reshape(*x.shape[:2], 3, 8).transpose(1, 2)
        return set_at(index, value)(split).transpose(1, 2).reshape(x.shape)

    return change


UNIT = torch.from_numpy(VECTOR / np.linalg.norm(VECTOR))


def capped(x: Tensor) -> Tensor:
    component = (x @ UNIT)[..., None]
    lowered: Tensor = x - torch.relu(component + 1) * UNIT
    return lowered


def mirrored(x: Tensor) -> Tensor:
    normal = UNIT - torch.from_numpy(OTHER / np.linalg.norm(OTHER))
    normal = normal / normal.norm()
    turned: Tensor = x - 2 * (x @ normal)[..., None] * normal
    return turned


def clamped(x: Tensor, bias: float, threshold: float, value: float) -> Tensor:
    """Set the feature that VECTOR reads and OTHER writes, token by token: (..., 24)."""
    inner = x @ torch.from_numpy(VECTOR) + bias
    feature = torch.where(inner > threshold, inner, torch.zeros_like(inner))
    changed: Tensor = x + (value - feature)[..., None] * torch.from_numpy(OTHER)
    return changed


def clamped_head(x: Tensor) -> Tensor:
    """Set a feature of one head, of 8 numbers, to 3."""
    inner = torch.relu(x @ torch.from_numpy(VECTOR[:8]) + 0.1)
    changed: Tensor = x + (3 - inner)[..., None] * torch.from_numpy(OTHER[:8])
    return changed


def block(model: GPT2LMHeadModel, layer: int) -> Any:
    return model.transformer.h[layer]


ALL = slice(None)
CASES: dict[str, tuple[Edit, Callable[[Any], tuple[nn.Module, Change, bool]]]] = {
    "a head off": (
        Scale("attn_z", layer=2, head=1),
        lambda m: (block(m, 2).attn.c_proj, heads_at((ALL, 1), 0.0), True),
    ),
    "two heads scaled at one token of one text": (
        Scale("attn_z", layer=1, head=[0, 2], position=4, row=1, factor=2.5),
        lambda m: (
            block(m, 1).attn.c_proj,
            heads_at((1, [0, 2], 4), lambda x: x * 2.5),
            True,
        ),
    ),
    "neurons off": (
        Scale("mlp_act", layer=3, neuron=(7, 50)),
        lambda m: (block(m, 3).mlp.act, set_at((ALL, ALL, [7, 50]), 0.0), False),
    ),
    "an MLP off at the last token": (
        Scale("mlp_output", layer=0, position=-1),
        lambda m: (block(m, 0).mlp, set_at((ALL, -1), 0.0), False),
    ),
    "a whole attention halved": (
        Scale("attn_output", layer=0, factor=0.5),
        lambda m: (block(m, 0).attn, lambda x: x * 0.5, False),
    ),
    "a vector from the third token on": (
        Add("resid_post", layer=1, position=slice(2, None), vector=VECTOR, strength=3),
        lambda m: (
            block(m, 1),
            set_at((ALL, slice(2, None)), lambda x: x + 3 * torch.from_numpy(VECTOR)),
            False,
        ),
    ),
    "a stream replaced at two tokens": (
        Replace("resid_pre", layer=2, position=[1, 6], value=VECTOR),
        lambda m: (block(m, 2), set_at((ALL, [1, 6]), torch.from_numpy(VECTOR)), True),
    ),
    "a direction projected out": (
        ProjectOut("resid_post", layer=0, direction=VECTOR * 7),
        lambda m: (block(m, 0), lambda x: x - (x @ UNIT)[..., None] * UNIT, False),
    ),
    "a direction capped": (
        Cap("mlp_output", layer=2, direction=VECTOR, limit=-1, position=slice(0, 5)),
        lambda m: (block(m, 2).mlp, set_at((ALL, slice(0, 5)), capped), False),
    ),
    "two directions swapped": (
        Swap("resid_post", layer=2, first=VECTOR, second=OTHER, row=0),
        lambda m: (block(m, 2), set_at((0,), mirrored), False),
    ),
    "a feature set at every token": (
        Clamp("mlp_output", layer=1, encoder=VECTOR, direction=OTHER, value=2),
        lambda m: (block(m, 1).mlp, lambda x: clamped(x, 0, 0, 2), False),
    ),
    "a feature with a threshold set to 0 at some tokens of one text": (
        Clamp(
            "resid_post",
            layer=0,
            position=[0, 3, 7],
            row=1,
            encoder=VECTOR,
            bias=2,
            threshold=0.5,
            direction=OTHER,
            value=0,
        ),
        lambda m: (block(m, 0), set_at((1, [0, 3, 7]), lambda x: clamped(x, 2, 0.5, 0)), False),
    ),
    "a feature of one head": (
        Clamp(
            "attn_z",
            layer=2,
            head=1,
            position=slice(2, None),
            encoder=VECTOR[:8],
            bias=0.1,
            direction=OTHER[:8],
            value=3,
        ),
        lambda m: (
            block(m, 2).attn.c_proj,
            heads_at((ALL, 1, slice(2, None)), clamped_head),
            True,
        ),
    ),
    "a feature of all heads of a token": (
        Clamp("attn_z", layer=1, encoder=VECTOR, bias=0.5, direction=OTHER, value=-1),
        # The output matrix is given the heads side by side, as the edit has them.
        lambda m: (block(m, 1).attn.c_proj, lambda x: clamped(x, 0.5, 0, -1), True),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_edit_acts_as_the_hook_in_pytorch(
    name: str, gpt2: Bundle, torch_gpt2: GPT2LMHeadModel
) -> None:
    edit, hook = CASES[name]
    module, change, before = hook(torch_gpt2)
    with changed(module, change, before=before):
        want = logits(torch_gpt2)
    got = gpt2.run(IDS, edits=[edit]).logits
    assert np.abs(got - gpt2.run(IDS).logits).max() > 1e-2
    close(got, want)
    if edit.position == -1:
        return
    first = gpt2.run(np.array(IDS)[:, :3], edits=[edit], cache=True)
    second = gpt2.run(np.array(IDS)[:, 3:], edits=[edit], cache=first.cache)
    close(np.concatenate([first.logits, second.logits], axis=1), want)


def test_a_knock_out_is_a_mask_of_one_head(gpt2: Bundle, torch_gpt2: GPT2LMHeadModel) -> None:
    """The model's own mask, for one head of one layer, hides two keys from one query."""

    def hide(_m: nn.Module, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        mask = torch.triu(torch.full((8, 8), torch.finfo(torch.float32).min), diagonal=1)
        mask = mask.expand(2, 3, 8, 8).clone()
        mask[:, 2, 6, [1, 4]] = torch.finfo(torch.float32).min
        return args, {**given, "attention_mask": mask}

    attention = block(torch_gpt2, 1).attn
    handle = attention.register_forward_pre_hook(hide, with_kwargs=True)
    want = logits(torch_gpt2)
    handle.remove()
    edits = [KnockOut(layer=1, head=2, query=6, key=key) for key in (1, 4)]
    run = gpt2.run(IDS, activations=["layer_1_attn_probs"], edits=edits)
    close(run.logits, want)
    seen = run["layer_1_attn_probs"][:, 2, 6]
    assert (seen[:, [1, 4]] == 0).all()
    close(seen.sum(axis=-1), np.ones(2))
    # In the second call the query is alone, and its keys lie in the cache.
    first = gpt2.run(np.array(IDS)[:, :6], edits=edits, cache=True)
    second = gpt2.run(np.array(IDS)[:, 6:], edits=edits, cache=first.cache)
    close(second.logits, want[:, 6:])


def test_edits_of_one_joint_act_in_their_order(gpt2: Bundle, torch_gpt2: GPT2LMHeadModel) -> None:
    add = Add("resid_post", layer=1, vector=VECTOR)
    half = Scale("resid_post", layer=1, factor=0.5)
    vector = torch.from_numpy(VECTOR)
    for edits, change in (
        ([add, half], lambda x: (x + vector) * 0.5),
        ([half, add], lambda x: x * 0.5 + vector),
        ([half, half, add, add], lambda x: x * 0.25 + 2 * vector),
    ):
        with changed(block(torch_gpt2, 1), change):
            want = logits(torch_gpt2)
        close(gpt2.run(IDS, edits=edits).logits, want)


def test_a_patched_activation_is_that_of_the_other_run(
    gpt2: Bundle, torch_gpt2: GPT2LMHeadModel
) -> None:
    clean = gpt2.run(IDS[:1], activations=["resid_post", "attn_z"])
    edits = [
        Replace("resid_post", layer=1, position=3, from_run=clean),
        Replace("attn_z", layer=3, head=0, position=5, from_run=clean, from_position=2),
    ]
    stream = torch.from_numpy(clean["layer_1_resid_post"][0, 3])
    mix = torch.from_numpy(clean["layer_3_attn_z"][0, 0, 2])
    with (
        changed(block(torch_gpt2, 1), set_at((ALL, 3), stream)),
        changed(block(torch_gpt2, 3).attn.c_proj, heads_at((ALL, 0, 5), mix), before=True),
    ):
        want = logits(torch_gpt2, IDS[1:])
    close(gpt2.run(IDS[1:], edits=edits).logits, want)
    mean = gpt2.run(IDS, activations=["attn_z"]).mean("attn_z", 2)
    z: list[Tensor] = []

    def keep(x: Tensor) -> Tensor:
        z.append(x)
        return x

    with changed(block(torch_gpt2, 2).attn.c_proj, keep, before=True):
        logits(torch_gpt2)
    average = z[0].mean(dim=(0, 1)).reshape(3, 8)
    close(mean[0, :, 0], average)
    with changed(block(torch_gpt2, 2).attn.c_proj, heads_at((ALL, 1), average[1]), before=True):
        want = logits(torch_gpt2)
    edit = Replace("attn_z", layer=2, head=1, value=mean)
    close(gpt2.run(IDS, edits=[edit]).logits, want)


def test_a_sweep_of_rows_is_as_many_runs(gpt2: Bundle) -> None:
    edits = [Scale("attn_z", layer=layer, head=1, row=layer) for layer in range(4)]
    swept = gpt2.run([IDS[0]] * 4, edits=edits).logits
    for layer in range(4):
        alone = gpt2.run(IDS[0], edits=[Scale("attn_z", layer=layer, head=1)]).logits
        close(swept[layer], alone[0])


def test_texts_of_unequal_lengths_are_as_alone(gpt2: Bundle, torch_gpt2: GPT2LMHeadModel) -> None:
    texts = [IDS[0][:3], IDS[1]]
    edit = Add("resid_post", layer=1, position=[1, -1], vector=VECTOR)
    run = gpt2.run(texts, edits=[edit], cache=True)
    for text, got in zip(texts, run.logits, strict=True):
        change = set_at((ALL, [1, -1]), lambda x: x + torch.from_numpy(VECTOR))
        with changed(block(torch_gpt2, 1), change):
            want = logits(torch_gpt2, [text])[0]
        close(got[-len(text) :], want)
    for row, text in enumerate(texts):
        more = gpt2.run([[8], [8]], cache=run.cache).logits[row, 0]
        alone = gpt2.run(text, edits=[edit], cache=True)
        close(more, gpt2.run([8], cache=alone.cache).logits[0, 0])
    assert gpt2.generate(texts, 4) == [gpt2.generate(text, 4) for text in texts]


def test_generation_is_transformers_own(gpt2: Bundle, torch_gpt2: GPT2LMHeadModel) -> None:
    given, model = torch.tensor(IDS), cast(Any, torch_gpt2)
    made = model.generate(
        given, max_new_tokens=6, do_sample=False, pad_token_id=0, eos_token_id=None
    )
    assert gpt2.generate(IDS, 6) == made[:, given.shape[1] :].tolist()
    vector = torch.from_numpy(VECTOR) * 4
    with changed(block(torch_gpt2, 2), lambda x: x + vector):
        steered = model.generate(
            given, max_new_tokens=6, do_sample=False, pad_token_id=0, eos_token_id=None
        )
    edit = Add("resid_post", layer=2, vector=VECTOR, strength=4)
    assert gpt2.generate(IDS, 6, [edit]) == steered[:, given.shape[1] :].tolist()
    assert steered.tolist() != made.tolist()


def test_grouped_heads_of_llama(tiny_llama_bundle: Path, tiny_llama_checkpoint: Path) -> None:
    model = LlamaForCausalLM.from_pretrained(tiny_llama_checkpoint, attn_implementation="eager")
    attention = model.model.layers[2].self_attn

    def one_key_head(x: Tensor) -> Tensor:
        return set_at((..., slice(10, 20)), 0.0)(x)

    with Bundle(tiny_llama_bundle) as bundle:
        ids = np.array(IDS)[:, :7] % 80
        with changed(attention.v_proj, one_key_head):
            want = logits(model, ids.tolist())
        close(bundle.run(ids, edits=[Scale("v", layer=2, head=1)]).logits, want)
        with pytest.raises(OptionError, match="layer 2 has no such head; got head 2"):
            bundle.run(ids, edits=[Scale("v", layer=2, head=2)])


def test_every_activation_is_there_by_name_kind_and_all(gpt2: Bundle) -> None:
    assert gpt2.names(["resid_mid"]) == [f"layer_{layer}_resid_mid" for layer in range(4)]
    run = gpt2.run(IDS, activations=["all"])
    assert {"embedding_sum", "layer_3_attn_scores", "final_norm", "logits"} <= set(run)
    assert not any("lens" in name for name in run)
    ids = gpt2.run(IDS, activations=["lens_ids"])["layer_3_lens_ids"]
    assert (ids[..., 0] == run.logits.argmax(axis=-1)).all()
    assert gpt2.run(IDS, logits=1).logits.shape == (2, 1, 101)
    assert "logits" not in gpt2.run(IDS, logits=0)
    with pytest.raises(OptionError, match="this run doesn't give layer_0_q"):
        gpt2.run(IDS)["layer_0_q"]


def test_the_next_edit_of_a_kind_needs_no_other_session(
    gpt2: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpt2.run(IDS, edits=[Scale("q", layer=0)])

    def opened_again(*_given: object) -> Any:
        raise AssertionError("another session")

    monkeypatch.setattr(Bundle, "_open", opened_again)
    gpt2.run(IDS, edits=[Scale("q", layer=3, head=1, factor=2)])
    gpt2.run(IDS)


def clean_run(bundle: Bundle) -> Any:
    return bundle.run(IDS, activations=["resid_post"])


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda b: b.run(IDS, edits=[Scale("attn_z", layer=4)]), "no such layer; got layer 4"),
        (
            lambda b: b.run(IDS, edits=[Scale("attn_z", layer=True)]),
            "no such layer; got layer True",
        ),
        (
            lambda b: b.run(IDS, edits=[Scale("attn_z", layer=0, head=3)]),
            "got head 3; expected 0 to 2",
        ),
        (lambda b: b.run(IDS, edits=[Scale("mlp_act", layer=0, neuron=52)]), "got neuron 52"),
        (lambda b: b.run(IDS, edits=[Scale("mlp_act", layer=0, position=8)]), "got position 8"),
        (lambda b: b.run(IDS, edits=[Scale("mlp_act", layer=0, position=-9)]), "got position -9"),
        (
            lambda b: b.run(IDS, edits=[Scale("mlp_act", layer=0, position=cast(Any, 1.5))]),
            "whole number; got 1.5",
        ),
        (
            lambda b: b.run(IDS, edits=[Scale("mlp_act", layer=0, position=slice(5, 5))]),
            "slice is empty",
        ),
        (lambda b: b.run(IDS, edits=[Scale("mlp_act", layer=0, row=2)]), "got row 2"),
        (lambda b: b.run(IDS, edits=[Scale("mlp_act", layer=0, head=0)]), "mlp_act has no heads"),
        (lambda b: b.run(IDS, edits=[Scale("mlp_act", layer=0, key=0)]), "mlp_act has no keys"),
        (lambda b: b.run(IDS, edits=[Scale("mlp_pre", layer=0)]), "no such joint; got mlp_pre"),
        (
            lambda b: b.run(IDS, edits=[Scale("q", layer=0, factor=float("nan"))]),
            "no finite number; got nan",
        ),
        (
            lambda b: b.run(IDS, edits=[Add("resid_post", layer=0, vector=VECTOR[:5])]),
            "got 5; expected 24",
        ),
        (
            lambda b: b.run(IDS, edits=[Add("resid_post", layer=0, vector=VECTOR * np.inf)]),
            "no finite",
        ),
        (
            lambda b: b.run(IDS, edits=[Cap("attn_probs", layer=0, direction=[1], limit=0)]),
            "has no direction",
        ),
        (
            lambda b: b.run(IDS, edits=[ProjectOut("q", layer=0, direction=np.zeros(8))]),
            "has no length",
        ),
        (
            lambda b: b.run(IDS, edits=[feature("attn_z", 8)]),
            "encoder of Clamp doesn't fit layer_0_attn_z; got 8; expected 24 numbers: 8 for each"
            " of 3 heads",
        ),
        (
            lambda b: b.run(IDS, edits=[feature("attn_z", 24, head=1)]),
            "encoder of Clamp doesn't fit layer_0_attn_z; got 24; expected 8 numbers, of one head",
        ),
        (
            lambda b: b.run(
                IDS, edits=[Clamp("mlp_output", layer=0, encoder=1, direction=VECTOR, value=0)]
            ),
            "encoder of Clamp doesn't fit layer_0_mlp_output; got one number; expected 24 numbers",
        ),
        (
            lambda b: b.run(IDS, edits=[feature("attn_z", 16, head=[0, 1])]),
            "Clamp takes one head, or none for all; got head=[0, 1]",
        ),
        (
            lambda b: b.run(IDS, edits=[feature("mlp_output", 24, threshold=-1)]),
            "threshold of Clamp at mlp_output is negative; got -1; expected 0 or more",
        ),
        (
            lambda b: b.run(IDS, edits=[feature("mlp_output", 24, bias=[1, 2])]),
            "bias of Clamp at mlp_output is not one number; got 2",
        ),
        (
            lambda b: b.run(IDS, edits=[Replace("q", layer=0)]),
            "takes value or from_run; got neither",
        ),
        (
            lambda b: b.run(IDS, edits=[Replace("q", layer=0, from_run=clean_run(b))]),
            "doesn't give layer_0_q",
        ),
        (
            lambda b: b.run(
                IDS[0][:3],
                edits=[Replace("resid_post", layer=0, from_run=b.run(IDS[0], ["resid_post"]))],
            ),
            None,
        ),
        (
            lambda b: b.run(
                IDS,
                edits=[Replace("resid_post", layer=0, from_run=b.run(IDS[0][:3], ["resid_post"]))],
            ),
            "got 1 × 3 × 24; expected 2 × 8 × 24",
        ),
        (
            lambda b: b.run(IDS, edits=[KnockOut(layer=0, query=0, key=0)]),
            "no key to look at; got query 0",
        ),
        (
            lambda b: b.run(
                IDS, edits=[KnockOut(layer=0, query=1, key=0), KnockOut(layer=0, query=1, key=1)]
            ),
            "no key to look at; got query 1",
        ),
        (lambda b: b.run([[101]]), "no such token; got id 101"),
        (lambda b: b.run([[-1]]), "no such token; got id -1"),
        (lambda b: b.run([]), "no token ids"),
        (lambda b: b.run([[0.5]]), "no token ids"),
        (lambda b: b.run([[0] * 33]), "too long for the model; got 33 tokens"),
        (lambda b: b.run("text"), "has no tokenizer"),
        (lambda b: b.run(IDS, ["layer_4_q"]), "no such activation; got layer_4_q"),
        (lambda b: b.run([IDS[0]], cache=b.run(IDS, cache=True).cache), "cache is of other texts"),
        (lambda b: b.generate(IDS, 0), "nothing to generate"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    gpt2: Bundle, run: Callable[[Bundle], Any], message: str | None
) -> None:
    if message is None:
        run(gpt2)
        return
    with pytest.raises(OrielError) as raised:
        run(gpt2)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_is_no_bundle_is_told(tmp_path: Path, tiny_gpt2_bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"no bundle in"):
        Bundle(tmp_path)
    for missing in (tmp_path / "away", tmp_path / "away" / "model.onnx"):
        with pytest.raises(BundleError, match=r"no bundle in \S*/away; got no such folder"):
            read_open_bundle(missing)
    with pytest.raises(OptionError, match="no such variant; got q3"):
        Bundle(tiny_gpt2_bundle, "q3")


def feature(joint: str, width: int, **more: Any) -> Clamp:
    vector = np.ones(width)
    return Clamp(joint, layer=0, encoder=vector, direction=vector, value=0, **more)


def test_a_feature_stays_set_in_generated_text(gpt2: Bundle, torch_gpt2: GPT2LMHeadModel) -> None:
    """Every new token is fed alone, with a cache; PyTorch is given the whole text each time."""
    edit = Clamp(
        "resid_post",
        layer=1,
        position=slice(3, None),
        encoder=VECTOR,
        bias=1,
        threshold=0.25,
        direction=OTHER,
        value=4,
    )
    ids = list(IDS[0])
    change = set_at((ALL, slice(3, None)), lambda x: clamped(x, 1, 0.25, 4))
    with changed(block(torch_gpt2, 1), change):
        for _ in range(6):
            ids.append(int(logits(torch_gpt2, [ids])[0, -1].argmax()))
    assert gpt2.generate(IDS[0], 6, edits=[edit]) == ids[-6:]
    assert gpt2.generate(IDS[0], 6) != ids[-6:]


def test_edits_are_values(gpt2: Bundle) -> None:
    one, other = (Add("resid_post", layer=1, vector=VECTOR.copy()) for _ in range(2))
    assert one == other
    assert len({one, other}) == 1
    assert one != Add("resid_post", layer=1, vector=OTHER)
    assert one != Replace("resid_post", layer=1, value=VECTOR)
    with pytest.raises(AttributeError):
        one.layer = 2  # type: ignore[misc]


def test_a_bundle_runs_without_torch(tiny_gpt2_bundle: Path) -> None:
    program = (
        "import sys, oriel\n"
        f"run = oriel.Bundle({str(tiny_gpt2_bundle)!r}).run([1, 2, 3], ['attn_z'])\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
        "print(run.logits.shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "(1, 3, 101)"


def test_what_the_package_offers() -> None:
    assert set(oriel.__all__) >= {"Add", "Bundle", "Cap", "KnockOut", "Replace", "Scale", "Swap"}
    assert all(getattr(oriel, name) is not None for name in oriel.__all__)
