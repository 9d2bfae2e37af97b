"""Matching of a checkpoint's tensors to the model's parameters: every parameter has a tensor, and
no tensor that the model would need is left over. Names and copies that transformers reads right are
read the same way: wrappers' prefixes, copies of tied weights, heads beside the language model's."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from oriel.checkpoints.tensors import (
    FLOATS,
    DecodedTensor,
    StoredTensor,
    StoredTensors,
    stored_tensors,
)
from oriel.errors import CheckpointError, first_few
from oriel.models.architectures import classified
from oriel.models.expert_weights import separate_stored
from oriel.models.model_names import shown_name
from oriel.models.quantization import decoded, decoding_notice
from oriel.models.weight_files import weight_files

_INNER_WRAPPERS = re.compile(r"(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""Inserted into names wherever a part was wrapped: by torch.compile, by FSDP."""
_OUTER_WRAPPERS = re.compile(r"(?:base_model|module|_forward_module|pretrained_model|model)\.")
"""Put before all names by DataParallel, DeepSpeed, PEFT, TRL, and a class with one model in it."""
_MAX_WRAPPERS = 4
_ADAPTER = re.compile(r"(?:^|\.)(?:lora_\w+|base_layer|modules_to_save|ia3_\w+)\.")
_CLASSIFIERS = ("score", "classifier", "classification_head", "qa_outputs", "summary")
"""First parts of the names of heads that replace the language model head."""
_BESIDE = re.compile(r"\w*(?:head|critic|value|reward)\w*")
"""The same for heads beside it: for a value, for a choice, for a further token."""


@dataclass(frozen=True)
class Wanted:
    """The parameters that the model needs, and their names in checkpoints."""

    parameters: Mapping[str, tuple[int, ...]]
    """{name: shape}, a tied weight once, under the token embedding's name."""
    base_prefix: str
    """'transformer.' for checkpoints saved without the language model head."""
    ignored: tuple[str, ...]
    """Patterns of tensors that old checkpoints contain and no model reads."""
    renamed: tuple[tuple[str, str], ...]
    """(pattern, replacement) of the stored names that transformers changes on loading."""
    embedding: str
    head: str
    """Names of the token embedding and of the head, which may be one weight."""
    linear: frozenset[str] = frozenset()
    """The parameters that are matrices of nn.Linear; the head is one by itself."""

    @property
    def is_tied(self) -> bool:
        return self.head not in self.parameters

    def renamed_key(self, key: str) -> str:
        """Return the parameter's name for a stored one, as transformers changes it."""
        for pattern, replacement in self.renamed:
            key = re.sub(pattern, replacement, key)
        return key


class Checkpoint(StoredTensors):
    """A model's tensors, by the names that its parameters have."""

    def __init__(
        self,
        tensors: Mapping[str, StoredTensor],
        wrappers: Sequence[str] = (),
        notes: Sequence[str] = (),
    ) -> None:
        super().__init__(tensors)
        self.wrappers = tuple(wrappers)
        """Parts of the stored names that were removed."""
        self.notes = tuple(notes)
        """Notices for the user about what was read otherwise than it is written."""


def open_checkpoint(folder: Path, wanted: Wanted) -> Checkpoint:
    """Match the folder's tensors to the model's parameters.

    The result also holds the head, under its own name, where the config ties it to the embedding
    and both are stored with different values: transformers then doesn't tie them either. Raises
    CheckpointError for a missing, leftover, or misshapen tensor, and for one that isn't floating
    point.
    """
    checkpoint, problems = match_tensors(folder, wanted, _same_values)
    if problems:
        raise problems[0]
    return checkpoint


def match_tensors(
    folder: Path,
    wanted: Wanted,
    same: Callable[[StoredTensor, StoredTensor], bool],
    elsewhere: Mapping[str, StoredTensor] | None = None,
) -> tuple[Checkpoint, list[CheckpointError]]:
    """Match the folder's tensors to the model's parameters, and return all problems of the match.

    same: tells whether two tensors, one of them perhaps a copy of the other, are the same.
    elsewhere: the tensors, where the folder has none itself. Raises CheckpointError where the
    stored tensors are no checkpoint at all.
    """
    packed = _without_repeats(folder, same) if elsewhere is None else elsewhere
    stored = separate_stored(decoded(packed, folder))
    _check_is_whole(folder, stored)
    found, wrappers = _unwrapped(stored, wanted)
    notes = []
    if any(isinstance(tensor, DecodedTensor) for tensor in stored.values()):
        notes.append(decoding_notice(folder))
    if wrappers:
        shown = ", ".join(dict.fromkeys(wrappers))
        notes.append(f"The names of the weights begin with {shown}, which was taken away.")
    matched, left = _matched(found, wanted)
    if wanted.is_tied and wanted.head in left:
        head = left.pop(wanted.head)
        if wanted.embedding not in matched:
            # Only the head was saved: it is the embedding as well.
            matched[wanted.embedding] = head
        elif not same(head, matched[wanted.embedding]):
            matched[wanted.head] = head
            notes.append(
                f"config.json ties the embeddings, but {wanted.head} holds other values than "
                f"{wanted.embedding}: both were exported, as transformers reads them."
            )
    beside = _heads_beside(folder, matched, left, wanted)
    if beside:
        notes.append(
            f"Weights beside the language model were left out: {first_few(beside)}. They don't "
            "change what it computes."
        )
    problems = [
        *_missing(folder, matched, left, wanted),
        *_left_over(folder, [key for key in left if key not in beside]),
        *_misshapen(folder, matched, wanted),
    ]
    return Checkpoint(matched, wrappers, notes), problems


def _without_repeats(
    folder: Path, same: Callable[[StoredTensor, StoredTensor], bool]
) -> dict[str, StoredTensor]:
    """Return the stored tensors by name. A tensor in two files, as in shards of tied weights, must
    be the same in both."""
    found: dict[str, StoredTensor] = {}
    for stored in stored_tensors(weight_files(folder)):
        first = found.setdefault(stored.key, stored)
        if first is not stored and not (first.dtype == stored.dtype and same(first, stored)):
            raise CheckpointError(
                f"the checkpoint {shown_name(folder)} holds {stored.key} twice",
                got=f"other values in {first.file.name} than in {stored.file.name}",
                expected="each weight once",
                next_step="save it again, or get the files anew: one of them is of another save.",
            )
    return found


def _check_is_whole(folder: Path, stored: Mapping[str, StoredTensor]) -> None:
    """Raise CheckpointError for DeepSpeed's placeholders and for an adapter that isn't merged."""
    empty = [key for key, tensor in stored.items() if 0 in tensor.shape]
    if empty:
        raise CheckpointError(
            f"the checkpoint {shown_name(folder)} holds DeepSpeed's placeholders",
            got=f"{len(empty)} tensors of size 0, such as {empty[0]}",
            expected="the weights themselves, which ZeRO-3 keeps in parts",
            next_step="join them with the zero_to_fp32.py that DeepSpeed wrote beside its "
            "checkpoint: `python zero_to_fp32.py . merged`, and export that.",
        )
    adapted = [key for key in stored if _ADAPTER.search(key)]
    if adapted:
        raise CheckpointError(
            f"the checkpoint {shown_name(folder)} was saved with an adapter that isn't merged",
            got=adapted[0],
            expected="plain weights",
            next_step="where it was trained, call model.merge_and_unload().save_pretrained(FOLDER) "
            "and export that folder.",
        )


def _unwrapped(
    stored: Mapping[str, StoredTensor], wanted: Wanted
) -> tuple[dict[str, StoredTensor], tuple[str, ...]]:
    """Return the tensors by the names that they had before the model was wrapped, and the removed
    parts of the names. The names stay as they are unless every parameter is found by the new
    ones."""
    names = {key: key for key in stored}
    taken: list[str] = []
    inner = {m[0] for key in names for m in _INNER_WRAPPERS.finditer(key)}
    if inner:
        names = {key: _INNER_WRAPPERS.sub("", name) for key, name in names.items()}
        taken += sorted(inner)
    for _ in range(_MAX_WRAPPERS):
        renamed = {wanted.renamed_key(name): stored[key] for key, name in names.items()}
        if len(renamed) == len(stored) and _fits(renamed, wanted):
            return renamed, tuple(taken)
        start = _outermost(names.values())
        if start is None:
            break
        names = {key: name.removeprefix(start) for key, name in names.items()}
        taken.append(start)
    renamed = {wanted.renamed_key(key): tensor for key, tensor in stored.items()}
    return renamed if len(renamed) == len(stored) else dict(stored), ()


def _outermost(names: Collection[str]) -> str | None:
    """Return the prefix that a wrapper added to the names, if there is one: a known prefix, around
    the model and not around a value head outside of it, or any that all names share, such as
    `ema.`."""
    known = {match[0] for name in names if (match := _OUTER_WRAPPERS.match(name))}
    first_parts = {name.partition(".")[0] + "." for name in names}
    candidates = known or first_parts
    return next(iter(candidates)) if len(candidates) == 1 else None


def _fits(named: Mapping[str, StoredTensor], wanted: Wanted) -> bool:
    """Return whether every parameter is found; the head may take the place of an embedding tied to
    it."""
    matched, left = _matched(named, wanted)
    if wanted.is_tied and wanted.head in left:
        matched.setdefault(wanted.embedding, left[wanted.head])
    return not (set(wanted.parameters) - set(matched))


def _matched(
    found: Mapping[str, StoredTensor], wanted: Wanted
) -> tuple[dict[str, StoredTensor], dict[str, StoredTensor]]:
    """Return the parameters' tensors by the parameters' names, and all others except the ignored
    ones."""
    left = dict(found)
    matched = {}
    for name in wanted.parameters:
        for key in (name, name.removeprefix(wanted.base_prefix)):
            if key in left:
                matched[name] = left.pop(key)
                break
    ignored = re.compile("|".join(wanted.ignored) or r"(?!)")
    return matched, {key: s for key, s in left.items() if not ignored.fullmatch(key)}


def _heads_beside(
    folder: Path,
    matched: Mapping[str, StoredTensor],
    left: Mapping[str, StoredTensor],
    wanted: Wanted,
) -> list[str]:
    """Return the weights outside the model that transformers ignores: those of a value head or a
    second head. CheckpointError where such a head replaces the language model head."""
    head_is_stored = any(
        wanted.renamed_key(stored.key).endswith(wanted.head) for stored in matched.values()
    )
    classifier = [key for key in left if key.partition(".")[0] in _CLASSIFIERS]
    if classifier and not head_is_stored:
        labels = left[classifier[0]].shape
        raise CheckpointError(
            f"the checkpoint {shown_name(folder)} is a classifier, not a language model",
            got=f"{classifier[0]} of shape {list(labels)}, and no {wanted.head}",
            expected="a head over the vocabulary; heads over labels are read of "
            f"{', '.join(classified())}",
            next_step="if it is one of these, name its class in config.json, as in "
            '"architectures": ["BertForSequenceClassification"]; else export the language model '
            "that it was trained from.",
        )
    own = {
        part.partition(".")[0]
        for name in (*wanted.parameters, wanted.head)
        for part in (name, name.removeprefix(wanted.base_prefix))
    }
    firsts = {key: key.partition(".")[0] for key in left}
    return sorted(
        key
        for key, first in firsts.items()
        if first not in own and (first in _CLASSIFIERS or _BESIDE.fullmatch(first))
    )


def _missing(
    folder: Path,
    matched: Mapping[str, StoredTensor],
    left: Mapping[str, StoredTensor],
    wanted: Wanted,
) -> Iterator[CheckpointError]:
    """Yield the error for parameters that have no tensor, if there are any."""
    missing = sorted(set(wanted.parameters) - set(matched))
    if not missing:
        return
    if missing == [wanted.head]:
        yield CheckpointError(
            f"the checkpoint {shown_name(folder)} lacks weights",
            got=f"no {wanted.head}, and a config.json that doesn't tie it to {wanted.embedding}",
            expected=f"the {len(wanted.parameters)} tensors of its config",
            next_step='if the two are one weight, set "tie_word_embeddings": true in config.json; '
            "else save the whole model again.",
        )
        return
    if not any(name.startswith(wanted.base_prefix) for name in missing):
        whole = len(wanted.parameters) - len(missing)
        yield CheckpointError(
            f"the checkpoint {shown_name(folder)} was saved without its head",
            got=f"the {whole} tensors of the trunk, and no {first_few(missing)}",
            expected=f"the {len(wanted.parameters)} tensors of its config",
            next_step="export the model that it was trained from; the trunk alone is converted by "
            f"`oriel convert {shlex.quote(str(folder))} --format onnx --output DIR`.",
        )
        return
    foreign = sorted(left)
    yield CheckpointError(
        f"the checkpoint {shown_name(folder)} lacks weights",
        got=f"no {first_few(missing)}" + (f"; it has {first_few(foreign)}" if foreign else ""),
        expected=f"the {len(wanted.parameters)} tensors of its config",
        next_step="check that config.json belongs to it; else download it again."
        if foreign
        else "download it again, or check that config.json belongs to it.",
    )


def _left_over(folder: Path, left: Sequence[str]) -> Iterator[CheckpointError]:
    """Yield the error for tensors that are no parameter's, if there are any."""
    if left:
        yield CheckpointError(
            f"the checkpoint {shown_name(folder)} has weights that the model doesn't read",
            got=first_few(sorted(left)),
            expected="none left over",
            next_step="check that config.json belongs to it: its layers, tied embeddings.",
        )


def _misshapen(
    folder: Path, matched: Mapping[str, StoredTensor], wanted: Wanted
) -> Iterator[CheckpointError]:
    """Yield an error for each tensor of another shape than its parameter's, or of a dtype that is
    not read."""
    for name, stored in matched.items():
        shape = tuple(wanted.parameters.get(name, wanted.parameters[wanted.embedding]))
        if stored.shape != shape:
            yield CheckpointError(
                f"{name} in {shown_name(folder)} has the wrong shape",
                got=str(list(stored.shape)),
                expected=str(list(shape)),
                next_step=_mend_shape(name, stored.shape, shape, wanted),
            )
        is_linear = name in wanted.linear or name == wanted.head
        if isinstance(stored, DecodedTensor) and stored.of_linear and not is_linear:
            yield CheckpointError(
                f"{name} in {shown_name(folder)} is quantized, and its module is no Linear",
                got=stored.key,
                expected="packed matrices of Linear modules alone, whose axes are known",
                next_step="export from the original checkpoint.",
            )
        if stored.dtype not in FLOATS:
            yield CheckpointError(
                f"{name} in {shown_name(folder)} is quantized or not floating point",
                got=stored.dtype,
                expected="F64, F32, F16 or BF16",
                next_step="export from the original checkpoint.",
            )


def _mend_shape(name: str, got: tuple[int, ...], expected: tuple[int, ...], wanted: Wanted) -> str:
    if name in (wanted.embedding, wanted.head) and got[1:] == expected[1:]:
        return f'if its vocabulary was changed, set "vocab_size": {got[0]} in config.json.'
    if len(got) == 2 and got == expected[::-1]:
        return "it is transposed: save it as transformers keeps it, or correct config.json."
    return "check that config.json belongs to the checkpoint."


def _same_values(one: StoredTensor, other: StoredTensor) -> bool:
    """Return whether both hold the same numbers, whatever precision they are stored in."""
    if one.shape != other.shape:
        return False
    pair = StoredTensors({"one": one, "other": other})
    first, second = pair.read("one"), pair.read("other")
    one_wide, other_wide = first.to(torch.float64), second.to(torch.float64)
    # NaN differs from itself, but two copies of one weight with NaN are still the same weight.
    same = (one_wide == other_wide) | (one_wide.isnan() & other_wide.isnan())
    return torch.equal(one_wide, other_wide) or bool(same.all())
