"""The figures of the model card: ``python -m story_gpt2.measure`` measures the weights.

It writes measurements.json and the table of README.md; the texts come from corpus.py and its kin.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import GPT2LMHeadModel

from story_gpt2.agreement import agreement
from story_gpt2.corpus import held_out_documents
from story_gpt2.indirect_objects import indirect_object
from story_gpt2.tokenizer import END_OF_TEXT_ID
from story_gpt2.weights_folder import WEIGHTS_FOLDER, read_model

MEASUREMENTS = "measurements.json"
CARD = "README.md"
TABLE_START = "<!-- measured: start -->"
TABLE_END = "<!-- measured: end -->"


@dataclass(frozen=True)
class MeasureOptions:
    """Sample sizes and the seed; the defaults are those of the card."""

    documents: int = 2000
    sentences: int = 2000
    sequences: int = 64
    sequence_length: int = 50
    seed: int = 1


@dataclass(frozen=True)
class HeadScore:
    """A score of one attention head, counted from 0."""

    layer: int
    head: int
    score: float


@dataclass(frozen=True)
class Measurements:
    """All figures of one measurement."""

    perplexity: float
    perplexity_by_kind: dict[str, float]
    indirect_object_accuracy: float
    agreement_accuracy: float
    agreement_by_attractors: dict[str, float]
    induction_heads: list[HeadScore]
    """The best first."""
    previous_token_heads: list[HeadScore]
    """The best first."""
    repeat_loss: tuple[float, float]
    """Mean loss in nats on the first and on the second pass over random tokens."""


@torch.no_grad()
def _logits_after(model: GPT2LMHeadModel, prompts: Sequence[list[int]]) -> Tensor:
    """Compute logits after each prompt, (prompts, vocab); prompts of one length run together."""
    lengths: dict[int, list[int]] = {}
    for index, prompt in enumerate(prompts):
        lengths.setdefault(len(prompt), []).append(index)
    out = torch.empty(len(prompts), model.config.vocab_size)
    for group in lengths.values():
        for start in range(0, len(group), 256):
            part = group[start : start + 256]
            ids = torch.tensor([prompts[index] for index in part])
            out[part] = model(ids, use_cache=False, logits_to_keep=1).logits[:, -1]
    return out


@torch.no_grad()
def perplexity(
    model: GPT2LMHeadModel, tokenizer: Tokenizer, documents: int, seed: int
) -> tuple[float, dict[str, float]]:
    """Measure per-token perplexity of held-out documents, in all and by kind, each after the
    end-of-text marker.

    A document is cut at the 256 tokens of the context.
    """
    by_kind: dict[str, list[float]] = {}
    for kind, text in islice(held_out_documents(seed), documents):
        ids = [END_OF_TEXT_ID, *tokenizer.encode(text).ids][: model.config.n_positions]
        row = torch.tensor([ids])
        logits = model(row, use_cache=False).logits[0, :-1]
        losses = torch.nn.functional.cross_entropy(logits, row[0, 1:], reduction="none")
        by_kind.setdefault(kind, []).extend(losses.tolist())
    every = [loss for losses in by_kind.values() for loss in losses]
    kinds = {k: math.exp(sum(v) / len(v)) for k, v in sorted(by_kind.items())}
    return math.exp(sum(every) / len(every)), kinds


def indirect_object_accuracy(
    model: GPT2LMHeadModel, tokenizer: Tokenizer, sentences: int, seed: int
) -> float:
    """Measure the share of cases where the receiver's name is the likeliest token of all.

    Names and (object, place) pairs are those that training never used in such a sentence.
    """
    rng = Random(f"measure/indirect_object/{seed}")
    cases = [indirect_object(rng, held_out=True) for _ in range(sentences)]
    answers = torch.tensor([_single(tokenizer, case.answer) for case in cases])
    prompts = [tokenizer.encode(case.prompt).ids for case in cases]
    return (_logits_after(model, prompts).argmax(-1) == answers).float().mean().item()


def agreement_accuracy(
    model: GPT2LMHeadModel, tokenizer: Tokenizer, sentences: int, seed: int
) -> tuple[float, dict[str, float]]:
    """Measure the share of cases where the agreeing verb form is the likelier one; also by number
    of attractors.

    Each case has 1 to 3 attractors, the nearest of the other number, and a (head, first attractor)
    pair that training never used.
    """
    rng = Random(f"measure/agreement/{seed}")
    cases = [
        agreement(rng, attractors=1 + i % 3, held_out=True, opposed=True) for i in range(sentences)
    ]
    right = torch.tensor([tokenizer.encode(case.right).ids[0] for case in cases])
    wrong = torch.tensor([tokenizer.encode(case.wrong).ids[0] for case in cases])
    logits = _logits_after(model, [tokenizer.encode(case.prompt).ids for case in cases])
    margin = logits.gather(1, right[:, None]) - logits.gather(1, wrong[:, None])
    correct = (margin[:, 0] > 0).float()
    by_count = {str(n): correct[n - 1 :: 3].mean().item() for n in (1, 2, 3)}
    return correct.mean().item(), by_count


def _single(tokenizer: Tokenizer, text: str) -> int:
    ids = tokenizer.encode(text).ids
    if len(ids) != 1:
        raise ValueError(f"{text!r} must be one token, but it is {len(ids)}: retrain the tokenizer")
    return int(ids[0])


@torch.no_grad()
def head_scores(
    model: GPT2LMHeadModel, sequences: int, length: int, seed: int
) -> tuple[list[HeadScore], list[HeadScore], tuple[float, float]]:
    """Measure induction and previous-token scores on uniform random tokens said twice, best first.

    Induction: mean attention from a token's second occurrence to the token after its first one.
    Previous token: mean attention from each position to the one before. Each sequence holds
    different tokens, so that "the first occurrence" is one place. Also measure the mean loss in
    nats on both passes.
    """
    generator = torch.Generator().manual_seed(seed)
    vocabulary = model.config.vocab_size
    once = torch.stack(
        [torch.randperm(vocabulary - 1, generator=generator)[:length] + 1 for _ in range(sequences)]
    )
    ids = torch.cat([once, once], 1)
    first = torch.zeros(len(model.transformer.h), model.config.n_head)
    second = torch.zeros_like(first)
    losses = []
    for part in torch.split(ids, 16):
        out = model(part, use_cache=False, output_attentions=True)
        for layer, weights in enumerate(out.attentions):
            # Row length + i attends to column i + 1, the token after the first occurrence.
            jump = weights.diagonal(offset=1 - length, dim1=-2, dim2=-1)[..., 1:]
            first[layer] += jump.mean(-1).sum(0) / sequences
            second[layer] += weights.diagonal(offset=-1, dim1=-2, dim2=-1).mean(-1).sum(0) / (
                sequences
            )
        flat = out.logits[:, :-1].flatten(0, 1)
        loss = torch.nn.functional.cross_entropy(flat, part[:, 1:].flatten(), reduction="none")
        losses.append(loss.view(len(part), -1))
    loss = torch.cat(losses)
    passes = (loss[:, : length - 1].mean().item(), loss[:, length:].mean().item())
    return _ranked(first), _ranked(second), passes


def _ranked(scores: Tensor) -> list[HeadScore]:
    heads = [
        HeadScore(layer, head, score)
        for layer, row in enumerate(scores.tolist())
        for head, score in enumerate(row)
    ]
    return sorted(heads, key=lambda item: -item.score)


def measure(model: GPT2LMHeadModel, tokenizer: Tokenizer, options: MeasureOptions) -> Measurements:
    """Measure every figure of the card."""
    overall, kinds = perplexity(model, tokenizer, options.documents, options.seed)
    agree, by_count = agreement_accuracy(model, tokenizer, options.sentences, options.seed)
    induction, previous, repeat = head_scores(
        model, options.sequences, options.sequence_length, options.seed
    )
    return Measurements(
        perplexity=overall,
        perplexity_by_kind=kinds,
        indirect_object_accuracy=indirect_object_accuracy(
            model, tokenizer, options.sentences, options.seed
        ),
        agreement_accuracy=agree,
        agreement_by_attractors=by_count,
        induction_heads=induction[:5],
        previous_token_heads=previous[:5],
        repeat_loss=repeat,
    )


def as_json(found: Measurements, options: MeasureOptions) -> dict[str, object]:
    """Return the contents of measurements.json, figures rounded to four places."""
    number: Callable[[float], float] = lambda value: round(value, 4)  # noqa: E731

    def heads(scores: Sequence[HeadScore]) -> list[dict[str, float]]:
        return [{"layer": s.layer, "head": s.head, "score": number(s.score)} for s in scores]

    return {
        "command": "python -m story_gpt2.measure",
        "samples": {
            "documents": options.documents,
            "sentences": options.sentences,
            "sequences": options.sequences,
            "sequence_length": options.sequence_length,
            "seed": options.seed,
        },
        "perplexity": number(found.perplexity),
        "perplexity_by_kind": {k: number(v) for k, v in found.perplexity_by_kind.items()},
        "indirect_object_accuracy": number(found.indirect_object_accuracy),
        "agreement_accuracy": number(found.agreement_accuracy),
        "agreement_by_attractors": {k: number(v) for k, v in found.agreement_by_attractors.items()},
        "induction_heads": heads(found.induction_heads),
        "previous_token_heads": heads(found.previous_token_heads),
        "repeat_loss": [number(value) for value in found.repeat_loss],
    }


def table(figures: dict[str, object]) -> str:
    """Return the card's table of the figures in measurements.json."""

    def best(key: str) -> str:
        heads = figures[key]
        if not isinstance(heads, list):
            raise TypeError(f"{key} must be a list of heads, but it is {type(heads).__name__}")
        first = heads[0]
        others = ", ".join(f"{h['layer']}.{h['head']} {h['score']:.2f}" for h in heads[1:4])
        return (
            f"{first['score']:.4f} | >= 0.5 | head {first['layer']}.{first['head']}; "
            f"next {others} |"
        )

    rows = [
        "| figure | value | bound | note |",
        "|---|---|---|---|",
        f"| held-out perplexity | {figures['perplexity']} | | per token, whole mix |",
        f"| indirect-object accuracy | {figures['indirect_object_accuracy']} | >= 0.9 | top-1 over "
        "the vocabulary; held-out names and (object, place) pairs |",
        f"| agreement accuracy | {figures['agreement_accuracy']} | >= 0.9 | held-out noun pairs, "
        "1 to 3 attractors, the nearest of the other number |",
        f"| best induction head | {best('induction_heads')}",
        f"| best previous-token head | {best('previous_token_heads')}",
    ]
    return "\n".join(rows)


def refresh_card(card: str, figures: dict[str, object]) -> str:
    """Return the card with the table between its markers replaced."""
    before, start, rest = card.partition(TABLE_START)
    _, end, after = rest.partition(TABLE_END)
    if not start or not end:
        raise ValueError(f"{CARD} must hold {TABLE_START} and {TABLE_END}, and one is missing")
    return f"{before}{start}\n{table(figures)}\n{end}{after}"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the weights in a folder; with ``--write`` off, only print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=WEIGHTS_FOLDER)
    parser.add_argument("--documents", type=int, default=MeasureOptions.documents)
    parser.add_argument("--sentences", type=int, default=MeasureOptions.sentences)
    parser.add_argument("--sequences", type=int, default=MeasureOptions.sequences)
    parser.add_argument("--sequence-length", type=int, default=MeasureOptions.sequence_length)
    parser.add_argument("--seed", type=int, default=MeasureOptions.seed)
    parser.add_argument("--write", action=argparse.BooleanOptionalAction, default=True)
    flags = vars(parser.parse_args(argv))
    folder, write = flags.pop("folder"), flags.pop("write")
    options = MeasureOptions(**flags)
    figures = as_json(measure(*read_model(folder), options), options)
    text = json.dumps(figures, indent=2) + "\n"
    print(text, end="")
    if write:
        (folder / MEASUREMENTS).write_text(text, encoding="utf-8")
        card = folder / CARD
        if card.exists():
            fresh = refresh_card(card.read_text(encoding="utf-8"), figures)
            card.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
