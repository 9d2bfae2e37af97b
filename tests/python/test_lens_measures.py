"""Measures of the lens beside PyTorch: rank, probability, divergence and entropy at each layer,
through the logit lens and a tuned lens, for two architectures."""

from __future__ import annotations

import shutil
from pathlib import Path

import lens_maps
import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import GPT2LMHeadModel, LlamaForCausalLM

from oriel import Bundle
from oriel.analysis import lens_measures
from oriel.analysis.lens_measures import LensMeasures, measure_lens
from oriel.errors import OptionError
from oriel.lenses.bundle_packs import add_pack

IDS = [5, 17, 3, 80, 41, 2, 9]


def gpt2_of(checkpoint: Path) -> GPT2LMHeadModel:
    # transformers sets a loaded model to evaluation.
    found: GPT2LMHeadModel = GPT2LMHeadModel.from_pretrained(checkpoint)
    return found


def llama_of(checkpoint: Path) -> LlamaForCausalLM:
    found: LlamaForCausalLM = LlamaForCausalLM.from_pretrained(checkpoint)
    return found


def streams_of(model: torch.nn.Module, norm: torch.nn.Module) -> list[Tensor]:
    """Return each block's output, (seq, hidden); the last of hidden_states is behind the norm."""
    seen: list[Tensor] = []
    handle = norm.register_forward_pre_hook(lambda _m, given: seen.append(given[0][0]))
    with torch.no_grad():
        states = model(torch.tensor([IDS]), output_hidden_states=True).hidden_states
    handle.remove()
    return [*(state[0] for state in states[1:-1]), seen[0]]


def expect_measures(found: LensMeasures, logits: list[Tensor], token: int | None) -> None:
    final = logits[-1].double()
    for layer, given in enumerate(logits):
        wide = given.double()
        followed = final.argmax(-1) if token is None else torch.full((len(IDS),), token)
        right = wide.softmax(-1)
        own = right.gather(-1, followed[:, None])
        np.testing.assert_array_equal(found.top[layer], wide.argmax(-1))
        np.testing.assert_array_equal(found.rank[layer], 1 + (right > own).sum(-1))
        divergence = torch.nn.functional.kl_div(
            wide.log_softmax(-1), final.log_softmax(-1), log_target=True, reduction="none"
        )
        for got, want in (
            (found.probability, own[:, 0]),
            (found.top_probability, right.max(-1).values),
            (found.divergence, divergence.sum(-1)),
            (found.entropy, torch.special.entr(right).sum(-1)),
        ):
            np.testing.assert_allclose(got[layer], want, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("token", [None, 12])
def test_the_logit_lens_of_gpt2_is_measured_as_pytorch_does(
    tiny_gpt2_bundle: Path, tiny_gpt2_checkpoint: Path, token: int | None
) -> None:
    model = gpt2_of(tiny_gpt2_checkpoint)
    with torch.no_grad():
        streams = streams_of(model, model.transformer.ln_f)
        logits = [model.lm_head(model.transformer.ln_f(stream)) for stream in streams]
    with Bundle(tiny_gpt2_bundle) as bundle:
        expect_measures(measure_lens(bundle, IDS, token=token), logits, token)


def test_a_text_that_is_read_in_slices_gives_the_same(
    tiny_llama_bundle: Path, tiny_llama_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = llama_of(tiny_llama_checkpoint)
    with torch.no_grad():
        streams = streams_of(model, model.model.norm)
        logits = [model.lm_head(model.model.norm(stream)) for stream in streams]
    with Bundle(tiny_llama_bundle) as bundle:
        # Room for the logits of three positions.
        monkeypatch.setattr(lens_measures, "MOST_BYTES", 3 * 4 * bundle.shape.vocab)
        expect_measures(measure_lens(bundle, IDS), logits, None)


def test_a_tuned_lens_is_measured_through_its_maps(
    tiny_gpt2_bundle: Path, tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "tiny-gpt2"
    shutil.copytree(tiny_gpt2_bundle, folder)
    packs = {file.stem: file for file in lens_maps.write_packs_for(folder, tmp_path)}
    add_pack(folder, packs["tuned"])
    model = gpt2_of(tiny_gpt2_checkpoint)
    with torch.no_grad():
        streams = streams_of(model, model.transformer.ln_f)
        found = lens_maps.read_through("tuned", streams, model.transformer.ln_f, model.lm_head)
    with Bundle(folder) as bundle:
        measured = measure_lens(bundle, IDS, lens="tuned")
        logit = measure_lens(bundle, IDS)
    for layer, probabilities in enumerate(found):
        np.testing.assert_allclose(
            measured.top_probability[layer], probabilities.max(-1).values, rtol=1e-3
        )
    assert np.abs(measured.divergence - logit.divergence).max() > 1e-3


def test_a_token_that_is_not_there_is_refused(tiny_gpt2_bundle: Path) -> None:
    with Bundle(tiny_gpt2_bundle) as bundle, pytest.raises(OptionError, match="token"):
        measure_lens(bundle, IDS, token=bundle.shape.vocab)
