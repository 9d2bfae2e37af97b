"""Analyses of activations: head scores by hand, and patching beside hooks in PyTorch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2LMHeadModel

from oriel import Bundle, Scale
from oriel.analysis import head_scores, residual
from oriel.analysis.attribution import attribute
from oriel.analysis.metrics import Divergence, LogitDifference
from oriel.analysis.patching import (
    Receiver,
    Texts,
    patch_heads,
    patch_paths,
    patch_positions,
    rows_within,
)
from oriel.analysis.unembedding import unembedding
from oriel.errors import OptionError

TEXTS = Texts([5, 17, 3, 80, 41, 2], [1, 60, 3, 7, 12, 88])
METRIC = LogitDifference(answer=9, other=40)
Hook = tuple[nn.Module, Callable[..., Any], bool]


def run(model: GPT2LMHeadModel, ids: list[int], hooks: list[Hook]) -> Tensor:
    """Return the last token's logits with these changes of what modules are given or give."""
    handles = []
    for module, change, before in hooks:
        if before:
            handles.append(
                module.register_forward_pre_hook(lambda _m, x, f=change: (f(x[0]), *x[1:]))
            )
        else:
            handles.append(module.register_forward_hook(lambda _m, _x, out, f=change: f(out)))
    try:
        logits: Tensor = model(torch.tensor([ids])).logits[0, -1]
        return logits
    finally:
        for handle in handles:
            handle.remove()


def metric(logits: Tensor) -> float:
    return float(logits[METRIC.answer] - logits[METRIC.other])


def recorded(
    model: GPT2LMHeadModel, ids: list[int], modules: list[tuple[nn.Module, bool]]
) -> list[Tensor]:
    """Return what each module was given (True) or gave."""
    values: list[Tensor] = [torch.empty(0)] * len(modules)

    def keep(at: int) -> Callable[[Tensor], Tensor]:
        def hook(x: Tensor) -> Tensor:
            values[at] = x
            return x

        return hook

    run(model, ids, [(m, keep(at), before) for at, (m, before) in enumerate(modules)])
    return values


def head(value: Tensor, index: int, other: Tensor) -> Tensor:
    """Put a head's eight numbers of another tensor into one."""
    value = value.clone()
    value[..., index * 8 : index * 8 + 8] = other[..., index * 8 : index * 8 + 8]
    return value


def test_patched_positions_are_those_of_pytorch_one_by_one(
    gpt2: Bundle, torch_gpt2: GPT2LMHeadModel
) -> None:
    blocks: list[Any] = list(torch_gpt2.transformer.h)
    clean = recorded(torch_gpt2, list(TEXTS.clean), [(block, True) for block in blocks])
    want = np.zeros((4, 6))
    for layer in range(4):
        for position in range(6):

            def patch(x: Tensor, layer: int = layer, position: int = position) -> Tensor:
                x = x.clone()
                x[:, position] = clean[layer][:, position]
                return x

            logits = run(torch_gpt2, list(TEXTS.corrupted), [(blocks[layer], patch, True)])
            want[layer, position] = metric(logits)
    told: list[tuple[int, int]] = []
    # Seven rows at a time: batches end inside a layer.
    each = rows_within(gpt2.shape, 6, 1 << 30)
    found = patch_positions(
        gpt2,
        TEXTS,
        METRIC,
        most_bytes=(1 << 30) * 7 // each,
        progress=lambda done, of: told.append((done, of)),
    )
    np.testing.assert_allclose(found.values, want, atol=1e-4)
    assert told[-1] == (24, 24)
    assert len(told) > 1
    assert found.clean == pytest.approx(metric(run(torch_gpt2, list(TEXTS.clean), [])), abs=1e-4)
    assert found.corrupted == pytest.approx(
        metric(run(torch_gpt2, list(TEXTS.corrupted), [])), abs=1e-4
    )
    # All of the first layer's stream is all of the text.
    assert found.restored().shape == (4, 6)


def test_patched_heads_and_mlps_are_those_of_pytorch(
    gpt2: Bundle, torch_gpt2: GPT2LMHeadModel
) -> None:
    blocks: list[Any] = list(torch_gpt2.transformer.h)
    clean = recorded(torch_gpt2, list(TEXTS.clean), [(block.attn.c_proj, True) for block in blocks])
    mlps = recorded(torch_gpt2, list(TEXTS.clean), [(block.mlp, False) for block in blocks])
    want = np.zeros((4, 3))
    for layer in range(4):
        for index in range(3):

            def patch(x: Tensor, layer: int = layer, index: int = index) -> Tensor:
                return head(x, index, clean[layer])

            hook = (blocks[layer].attn.c_proj, patch, True)
            want[layer, index] = metric(run(torch_gpt2, list(TEXTS.corrupted), [hook]))
    np.testing.assert_allclose(patch_heads(gpt2, TEXTS, METRIC).values, want, atol=1e-4)

    def last(x: Tensor) -> Tensor:
        x = x.clone()
        x[:, -1] = mlps[2][:, -1]
        return x

    found = patch_positions(gpt2, TEXTS, METRIC, joint="mlp_output").values[2, 5]
    mlp_hook: Hook = (blocks[2].mlp, last, False)
    assert found == pytest.approx(
        metric(run(torch_gpt2, list(TEXTS.corrupted), [mlp_hook])), abs=1e-4
    )


@pytest.mark.parametrize("reads", ["q", "k", "v"])
def test_a_patched_path_is_that_of_pytorch(
    reads: str, gpt2: Bundle, torch_gpt2: GPT2LMHeadModel
) -> None:
    blocks: list[Any] = list(torch_gpt2.transformer.h)
    end, into, sender = 2, 1, (0, 2)
    ids = list(TEXTS.corrupted)
    mixes = [(block.attn.c_proj, True) for block in blocks]
    clean = recorded(torch_gpt2, list(TEXTS.clean), mixes)
    old = recorded(torch_gpt2, ids, mixes)
    mlps = recorded(torch_gpt2, ids, [(block.mlp, False) for block in blocks])
    hooks: list[Hook] = []
    for layer in range(end):
        frozen = head(old[layer], sender[1], clean[layer]) if layer == sender[0] else old[layer]
        hooks.append((blocks[layer].attn.c_proj, lambda _x, v=frozen: v, True))
        hooks.append((blocks[layer].mlp, lambda _x, v=mlps[layer]: v, False))
    # c_attn gives queries, keys and values side by side, 24 numbers each.
    sent: list[Tensor] = []

    def keep(x: Tensor) -> Tensor:
        sent.append(x)
        return x

    hooks.append((blocks[end].attn.c_attn, keep, False))
    run(torch_gpt2, ids, hooks)
    start = 24 * "qkv".index(reads) + 8 * into

    def receive(x: Tensor) -> Tensor:
        x = x.clone()
        x[..., start : start + 8] = sent[0][..., start : start + 8]
        return x

    want = metric(run(torch_gpt2, ids, [(blocks[end].attn.c_attn, receive, False)]))
    found = patch_paths(gpt2, TEXTS, METRIC, Receiver(end, into, reads))
    assert found.values.shape == (2, 3)
    assert found.values[sender] == pytest.approx(want, abs=1e-4)
    assert abs(want - found.corrupted) > 1e-3


def test_the_divergence_is_pytorchs(gpt2: Bundle) -> None:
    reference, other = gpt2.run([TEXTS.clean, TEXTS.corrupted], logits=1).logits[:, 0]
    want = nn.functional.kl_div(
        torch.from_numpy(other).log_softmax(-1),
        torch.from_numpy(reference).log_softmax(-1),
        log_target=True,
        reduction="sum",
    )
    assert Divergence(reference)(other[None])[0] == pytest.approx(float(want), rel=1e-4)
    assert Divergence(reference)(reference[None])[0] == pytest.approx(0, abs=1e-9)


def test_head_scores_by_hand() -> None:
    """Four tokens, 7 8 7 8. One head attends to the previous token, one to the first, one evenly to
    all visible tokens, and one to the token after an earlier occurrence of the same token."""
    before = np.eye(4, k=-1)
    before[0, 0] = 1
    first = np.zeros((4, 4))
    first[:, 0] = 1
    even = np.tri(4) / np.arange(1, 5)[:, None]
    behind = np.eye(4)
    behind[2] = [0, 1, 0, 0]
    behind[3] = [0, 0, 1, 0]
    probs = np.stack([before, first, even, behind])[None].astype(np.float32)
    ids = [[7, 8, 7, 8]]
    np.testing.assert_allclose(
        head_scores.previous_token(probs), [1, 1 / 3, (1 / 2 + 1 / 3 + 1 / 4) / 3, 2 / 3]
    )
    np.testing.assert_allclose(
        head_scores.first_token(probs), [1 / 3, 1, (1 / 2 + 1 / 3 + 1 / 4) / 3, 0], atol=1e-7
    )
    np.testing.assert_allclose(
        head_scores.duplicate_token(probs, ids), [0, 1 / 2, (1 / 3 + 1 / 4) / 2, 0], atol=1e-7
    )
    np.testing.assert_allclose(
        head_scores.induction(probs, ids), [1, 0, (1 / 3 + 1 / 4) / 2, 1], atol=1e-7
    )
    entropies = [0, 0, np.log([1, 2, 3, 4]).mean(), 0]
    np.testing.assert_allclose(head_scores.entropy(probs), entropies, atol=1e-6)
    assert np.isnan(head_scores.induction(probs, [[1, 2, 3, 4]])).all()


def test_value_weighted_attention_by_hand() -> None:
    probs = np.array([[[[1, 0], [0.5, 0.5]], [[1, 0], [0.25, 0.75]]]], np.float32)
    values = np.array([[[[3, 4], [0, 10]]]], np.float32)
    weighted = head_scores.value_weighted(probs, values)
    np.testing.assert_allclose(weighted[0, 0, 1], [1 / 3, 2 / 3])
    np.testing.assert_allclose(weighted[0, 1, 1], [0.25 * 5 / 8.75, 0.75 * 10 / 8.75])
    assert (head_scores.value_weighted(probs, values * 0) == 0).all()


def test_scores_on_repeats_are_those_of_the_runs_probabilities(
    gpt2: Bundle, torch_gpt2: GPT2LMHeadModel
) -> None:
    scores = head_scores.scores_on_repeats(gpt2, length=5, texts=2, seed=1)
    once = np.random.default_rng(1).integers(0, 101, (2, 5))
    ids = np.concatenate([once, once], axis=1)
    attentions = torch_gpt2(torch.from_numpy(ids), output_attentions=True).attentions
    pairs = [(text, query, query - 5 + 1) for text in range(2) for query in range(5, 10)]
    assert all(len(set(row)) == 5 for row in once.tolist())
    for layer in range(4):
        for index in range(3):
            looked = [float(attentions[layer][t, index, q, k]) for t, q, k in pairs]
            assert scores["induction"][layer, index] == pytest.approx(np.mean(looked), abs=1e-5)
    with pytest.raises(OptionError, match="so many tokens twice; got length 17; expected 2 to 16"):
        head_scores.scores_on_repeats(gpt2, length=17)


def test_the_stream_grows_as_pytorchs(gpt2: Bundle, torch_gpt2: GPT2LMHeadModel) -> None:
    found = gpt2.run([TEXTS.clean], activations=["layer_0_resid_pre", "resid_post"])
    stream = residual.streams(found, 4)
    want = torch.stack(
        recorded(torch_gpt2, list(TEXTS.clean), [(b, False) for b in torch_gpt2.transformer.h])
    )
    np.testing.assert_allclose(residual.norms(stream)[1:], want.norm(dim=-1), rtol=1e-4)
    cosines = nn.functional.cosine_similarity(want[:-1], want[1:], dim=-1)
    np.testing.assert_allclose(residual.cosines(stream[1:-1], stream[2:]), cosines, atol=1e-5)


def torch_shares(model: GPT2LMHeadModel, ids: list[int]) -> dict[str, Tensor]:
    """Return each part's share of METRIC's difference of logits, (…, seq), by GPT-2's definition:
    products of the parts' vectors with the unembedding behind a norm with a fixed divisor."""
    blocks: list[Any] = list(model.transformer.h)
    mixes = recorded(model, ids, [(block.attn.c_proj, True) for block in blocks])
    others = recorded(
        model,
        ids,
        [(blocks[0], True), (model.transformer.ln_f, True), *((b.mlp, False) for b in blocks)],
    )
    embedding, stream, mlps = others[0], others[1], others[2:]
    norm = model.transformer.ln_f
    divisor = (stream.var(dim=-1, unbiased=False, keepdim=True) + norm.eps).sqrt()
    column = model.lm_head.weight[METRIC.answer] - model.lm_head.weight[METRIC.other]

    def share(part: Tensor) -> Tensor:
        centred = part - part.mean(dim=-1, keepdim=True)
        found: Tensor = (centred / divisor * norm.weight) @ column
        return found

    heads = torch.stack(
        [
            torch.stack(
                [
                    share(mix[..., h * 8 : h * 8 + 8] @ block.attn.c_proj.weight[h * 8 : h * 8 + 8])
                    for h in range(3)
                ]
            )
            for mix, block in zip(mixes, blocks, strict=True)
        ]
    )
    rests = [share(block.attn.c_proj.bias.expand(stream.shape)) for block in blocks]
    acts = recorded(model, ids, [(blocks[2].mlp.c_proj, True)])[0]
    neurons = torch.stack(
        [share(acts[..., [n]] * blocks[2].mlp.c_proj.weight[n]) for n in range(52)], dim=-1
    )
    return {
        "embedding": share(embedding)[0],
        "heads": heads[:, :, 0],
        "attention_rest": torch.stack(rests)[:, 0],
        "mlps": torch.stack([share(mlp) for mlp in mlps])[:, 0],
        "bias": norm.bias @ column,
        "neurons": neurons[0],
    }


def test_the_shares_of_a_logit_are_pytorchs(gpt2: Bundle, torch_gpt2: GPT2LMHeadModel) -> None:
    want = torch_shares(torch_gpt2, list(TEXTS.clean))
    found = attribute(
        gpt2, [TEXTS.clean, TEXTS.corrupted], METRIC.answer, METRIC.other, neurons_of=2
    )
    for name in ("embedding", "attention_rest", "mlps", "neurons"):
        np.testing.assert_allclose(getattr(found, name)[0], want[name], atol=1e-4)
    heads = np.stack(found.heads)[:, 0]
    np.testing.assert_allclose(heads, want["heads"], atol=1e-4)
    assert found.bias == pytest.approx(float(want["bias"]), abs=1e-5)
    assert found.logit[0, -1] == pytest.approx(
        metric(run(torch_gpt2, list(TEXTS.clean), [])), abs=1e-4
    )
    np.testing.assert_allclose(found.total(), found.logit, atol=1e-4)


@pytest.mark.parametrize(
    ("variant", "bound"), [("fp32", 0), ("fp16", 1e-3), ("int8", 0.01), ("int4", 0.01)]
)
def test_the_unembedding_is_the_models(
    variant: str, bound: float, quantized_gpt2_bundle: Path, torch_gpt2: GPT2LMHeadModel
) -> None:
    """GPT-2's vocabulary has 8 bits in int4 too."""
    with Bundle(quantized_gpt2_bundle, variant) as bundle:
        for token in (0, 100):
            want = torch_gpt2.lm_head.weight[token].numpy()
            gap = np.abs(unembedding(bundle, token) - want).max()
            assert gap <= bound * np.abs(want).max()
        with pytest.raises(OptionError, match="no such token; got id 101"):
            unembedding(bundle, 101)


@pytest.mark.parametrize("variant", ["f16", "q8", "q4", "fp16", "int8", "int8_static", "int4"])
def test_the_shares_sum_to_the_logit_in_every_variant(
    variant: str, quantized_gpt2_bundle: Path, quantized_llama_bundle: Path
) -> None:
    for folder in (quantized_gpt2_bundle, quantized_llama_bundle):
        with Bundle(folder, variant) as bundle:
            for other in (None, 40):
                edit = Scale("attn_z", layer=1, head=1)
                found = attribute(bundle, [TEXTS.clean], 7, other, edits=[edit])
                assert np.abs(found.heads[1][0, 1]).max() == 0
                largest = np.abs(found.logit).max()
                assert np.abs(found.total() - found.logit).max() <= 1e-4 * largest
                # The kernels of these variants round the last product, too.
                logits = bundle.run([TEXTS.clean], edits=[edit]).logits
                run = logits[..., 7] - (0 if other is None else logits[..., other])
                rounding = 2e-2 if variant == "int4" else 1e-3
                assert np.abs(run - found.logit).max() <= rounding * largest


def test_a_bundle_without_taps_has_the_same_shares(gpt2: Bundle, tmp_path: Path) -> None:
    older = tmp_path / "older"
    shutil.copytree(gpt2.folder, older)
    manifest = json.loads((older / "manifest.json").read_text())
    manifest |= {"manifest_version": "2.0", "contract_version": "2.0"}
    for variant in manifest["variants"]:
        del variant["attribution"]
    (older / "manifest.json").write_text(json.dumps(manifest))
    with Bundle(older) as bundle:
        found = attribute(bundle, [TEXTS.clean], 7, 40, neurons_of=1)
    want = attribute(gpt2, [TEXTS.clean], 7, 40, neurons_of=1)
    for name in ("embedding", "attention_rest", "mlps", "neurons", "logit"):
        np.testing.assert_array_equal(getattr(found, name), getattr(want, name))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b: Texts([1, 2], [1]), "differ in length; got 2 and 1"),
        (lambda b: patch_positions(b, TEXTS, METRIC, most_bytes=1000), "not fit in memory; got"),
        (lambda b: patch_positions(b, TEXTS, METRIC, joint="attn_probs"), "of pairs of tokens"),
        (lambda b: patch_heads(b, TEXTS, METRIC, joint="mlp_act"), "mlp_act has no heads"),
        (lambda b: patch_heads(b, TEXTS, LogitDifference(101, 0)), "no such token; got id 101"),
        (lambda b: LogitDifference(1, 2, position=3), "counts from the text's end; got 3"),
        (lambda b: attribute(b, [TEXTS.clean], 101), "no such token; got id 101"),
        (lambda b: attribute(b, [TEXTS.clean], 1, neurons_of=4), "no such layer; got layer 4"),
        (lambda b: patch_paths(b, TEXTS, METRIC, Receiver(0, 0)), "got layer 0; expected 1 to 3"),
        (lambda b: patch_paths(b, TEXTS, METRIC, Receiver(1, 0, "z")), "reads q, k or v; got z"),
        (lambda b: patch_paths(b, TEXTS, METRIC, Receiver(1, 9)), "no such head; got head 9"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    gpt2: Bundle, call: Callable[[Bundle], Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message.replace("(", r"\(")):
        call(gpt2)


@pytest.mark.parametrize(
    ("patch", "kept"),
    [
        # Four layers of 2 texts × 6 tokens × 24 numbers of 4 bytes.
        (lambda b, most: patch_positions(b, TEXTS, METRIC, most_bytes=most), 4 * 2 * 6 * 24 * 4),
        (lambda b, most: patch_heads(b, TEXTS, METRIC, most_bytes=most), 4 * 2 * 6 * 24 * 4),
        # Three layers of heads and MLPs.
        (
            lambda b, most: patch_paths(b, TEXTS, METRIC, Receiver(3, 0), most_bytes=most),
            3 * 2 * 2 * 6 * 24 * 4,
        ),
    ],
)
def test_a_sweep_whose_kept_values_do_not_fit_is_refused_before_any_run(
    gpt2: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    patch: Callable[[Bundle, int], Any],
    kept: int,
) -> None:
    monkeypatch.setattr(Bundle, "run", lambda *_, **__: pytest.fail("a run was made"))
    monkeypatch.setattr("oriel.analysis.patching.rows_within", lambda *_: 1)
    message = f"the sweep would not fit in memory; got {kept:,} bytes of both texts' activations"
    with pytest.raises(OptionError, match=message):
        patch(gpt2, kept - 1)
    with pytest.raises(pytest.fail.Exception, match="a run was made"):
        patch(gpt2, kept)


def test_what_progress_raises_ends_the_sweep(gpt2: Bundle) -> None:
    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        patch_heads(gpt2, TEXTS, METRIC, progress=stop)
    assert gpt2.run([TEXTS.clean]).logits.shape == (1, 6, 101)
