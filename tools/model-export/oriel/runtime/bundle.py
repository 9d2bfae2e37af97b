"""A bundle opened natively: `Bundle("path").run(ids, activations=…, edits=…)` gives named arrays.
Needs ONNX Runtime and NumPy, and no PyTorch."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import onnx
from numpy.typing import ArrayLike

from oriel.arrays import Array
from oriel.contract.activation_names import (
    LENS_KINDS,
    ModelShape,
    activation_spec,
    all_activations,
    kinds,
    past_name,
    present_name,
)
from oriel.contract.data_files import GraphKind
from oriel.contract.dictionaries import features_name
from oriel.contract.documents import DictionaryRecord, LensPackRecord, Variant
from oriel.contract.lens_packs import LOGIT
from oriel.contract.manifest import read_manifest
from oriel.contract.variant_graphs import tapped_graph
from oriel.contract.whole_text import around
from oriel.dictionaries.dictionary_file import Dictionary
from oriel.dictionaries.listed_dictionary import check_dictionary, choose_dictionary
from oriel.errors import BundleError, OptionError
from oriel.lenses.pack import LensPack
from oriel.lenses.pack_file import check_pack
from oriel.runtime.closing_slots import Slots, closings_in, slots_for
from oriel.runtime.edits import Add, Clamp, Edit, Positions
from oriel.runtime.feature_edits import add_feature, clamp_feature
from oriel.runtime.fed_text import FedText, Ids, Mask, check_tokens, padded
from oriel.runtime.joint_edit import JointEdit
from oriel.runtime.onnx_graph import OnnxGraph, SessionSettings, runtime_errors, with_taps
from oriel.runtime.place_edits import place_edits
from oriel.runtime.run import Cache, Run
from oriel.runtime.weight_folders import WeightFolders, choose_lens, choose_variant, taps_for
from oriel.tokenizers.open_tokenizer import encoding_errors, open_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Texts = str | ArrayLike | Sequence[Sequence[int]]
"""A text, token ids of one (seq) or several (batch, seq), or lists of ids of unequal lengths."""

_SESSIONS = 2
"""Sessions kept open; each may hold a copy of the weights."""
_OF_1 = (("attn_z", "scale"), ("resid_post", "add"))
"""Joints and closings: the changes that graphs of contract 1.x can make."""


@dataclass(frozen=True)
class Addition:
    """Nodes that compute something else from a run, appended to the graph."""

    name: str
    """The same for additions of the same nodes."""
    build: Callable[[onnx.GraphProto], bytes]
    """Returns the bytes for the graph that they are appended to."""
    outputs: tuple[str, ...]
    feeds: Mapping[str, Array]
    """Its inputs."""


@dataclass(frozen=True)
class _Session:
    """A session with what it gives and takes."""

    names: frozenset[str]
    slots: Slots
    addition: str
    lens: str
    """Name of the lens pack; empty for the logit lens."""
    graph: OnnxGraph


class Bundle:
    """A variant of a bundle. Its files are opened when it first runs; `close()`, or `with`, lets go
    of them."""

    def __init__(self, path: str | Path, variant: str | None = None, *, threads: int = 0) -> None:
        """path: the bundle's folder. variant: fp32 by default, or the only one. threads: of ONNX
        Runtime; 0 for as many as there are cores.

        Raises BundleError where there is no bundle, ContractError for a manifest that breaks its
        schema, OptionError for a variant that isn't there.
        """
        self.folder = Path(path)
        self.manifest = read_manifest(self.folder)
        self._variant = choose_variant(self.manifest.variants, variant)
        self.variant = str(self._variant["name"])
        self._settings = SessionSettings(keep_memory=True, threads=threads)
        self._sessions: list[_Session] = []
        """The one used last stands last."""
        self._slots: Slots = {}
        self._names: frozenset[str] = frozenset()
        self._read_lenses: set[str] = set()
        self._read_dictionaries: set[str] = set()
        self._dictionaries: dict[str, Dictionary] = {}
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._weights: WeightFolders | None = None

    @property
    def record(self) -> Variant:
        """The variant's record in the manifest."""
        return self._variant

    @property
    def shape(self) -> ModelShape:
        """The model's sizes."""
        return self.manifest.shape

    @property
    def lenses(self) -> tuple[str, ...]:
        """Names of the bundle's lenses, the logit lens first."""
        return (LOGIT, *(pack["name"] for pack in self.manifest.data.get("lens_packs", ())))

    @property
    def dictionaries(self) -> tuple[str, ...]:
        """Names of the bundle's dictionaries; the features of each are the activation
        features_{name}."""
        return tuple(each["name"] for each in self.manifest.data.get("dictionaries", ()))

    def __enter__(self) -> Bundle:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def lens_pack(self, lens: str | None) -> LensPack | None:
        """Read and check the file of a lens of the bundle; None for the logit lens, the default."""
        record = choose_lens(self.manifest.data, lens)
        return None if record is None else check_pack(self.folder, self.manifest.data, record)

    def dictionary(self, name: str) -> Dictionary:
        """Return a dictionary of the bundle, whose file is read and checked the first time. Raises
        OptionError for a name that the bundle doesn't have, BundleError for an unsound file."""
        record = choose_dictionary(self.manifest.data, name)
        if name not in self._dictionaries:
            found = check_dictionary(self.folder, self.manifest.data, record)
            self._dictionaries[name] = found
        return self._dictionaries[name]

    def add_feature(
        self, name: str, feature: int, strength: float, position: Positions = None
    ) -> Add:
        """Return the edit that adds strength times what a feature of a dictionary writes, at
        position or at every token. Raises OptionError for a dictionary or a feature that isn't
        there, BundleError for an unsound file."""
        return add_feature(self.dictionary(name), feature, strength, self.shape, position)

    def clamp_feature(
        self, name: str, feature: int, value: float, position: Positions = None
    ) -> Clamp:
        """Return the edit that sets a feature of a dictionary to a value, at position or at every
        token. Raises OptionError for a dictionary or a feature that isn't there, and for a
        dictionary whose features can't be set, BundleError for an unsound file."""
        return clamp_feature(self.dictionary(name), feature, value, position)

    def close(self) -> None:
        """Let go of sessions and of expanded weights."""
        self._sessions.clear()
        self._weights = None
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The bundle's tokenizer. Raises BundleError where it has none."""
        files = self.manifest.data.get("tokenizer")
        if files is None:
            raise BundleError(
                "the bundle has no tokenizer", next_step="give token ids instead of a text."
            )
        return open_tokenizer(self.folder / files["tokenizer"])

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, with what the model wants before one, and after one where it
        continues no text."""
        with encoding_errors("the text", "give token ids."):
            ids = list(self.tokenizer.encode(text, add_special_tokens=False).ids)
        return around(self.manifest.data, ids)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids."""
        return str(self.tokenizer.decode([int(each) for each in ids], skip_special_tokens=False))

    def run(
        self,
        text: Texts,
        activations: Collection[str] = (),
        edits: Iterable[Edit] = (),
        cache: Cache | bool | None = None,
        *,
        logits: int | None = None,
        lens: str | None = None,
    ) -> Run:
        """Run the model on a text, or on a batch of several.

        activations: contract names, kinds (of every layer), "all", or features_{name} of a
        dictionary. edits: edits to apply; those
        of one joint apply in this order. cache: True to return a cache, or a run's cache to
        continue after its tokens. logits: number of last tokens whose logits are returned; None for
        all, 0 for none. lens: the lens that lens_ids and lens_probs are read through, "logit"
        (default) or another of `lenses`; its outputs of all layers are returned unless
        `activations` names some.

        Raises OptionError for arguments that don't fit the model or the text, GraphError if ONNX
        Runtime fails.
        """
        if cache is not None and cache is not False:
            self._refuse_generation("a run with a cache")
        fed = self._fed(text, cache)
        names = self.names(activations)
        pack = self._lens(lens)
        if lens is not None and not any(name.endswith(LENS_KINDS) for name in names):
            names += [kinds()[k].at(at) for at in range(self.shape.layers) for k in LENS_KINDS]
        placed = place_edits(edits, self.shape, fed)
        session = self._session(names, placed, lens=pack)
        wanted = [name for name in names if name != "logits"]
        wanted += ["logits"] if logits is None or logits > 0 else []
        if fed.goes_on:
            layers = range(self.shape.layers)
            wanted += [present_name(layer, part) for layer in layers for part in ("key", "value")]
        past = cache.past if isinstance(cache, Cache) else None
        with self._one_line("run"):
            feeds = session.feeds(fed.ids, tuple(placed), past, logits or 0, fed.mask)
            found = session.call(wanted, feeds)
        given = {name: found[name] for name in wanted if name in found and "present." not in name}
        return Run(given, fed, self._kept(found, fed, cache) if fed.goes_on else None)

    def run_with(self, addition: Addition, text: Texts, edits: Iterable[Edit] = ()) -> Run:
        """Run the model with bytes appended to its graph. Return the outputs, and the last token's
        logits. Raises as `run` does."""
        fed = self._fed(text, None)
        placed = place_edits(edits, self.shape, fed)
        session = self._session((), placed, addition)
        with self._one_line("run"):
            feeds = session.feeds(fed.ids, tuple(placed), rows=1, mask=fed.mask)
            feeds |= dict(addition.feeds)
            return Run(session.call((*addition.outputs, "logits"), feeds), fed)

    def generate(
        self, text: Texts, tokens: int, edits: Iterable[Edit] = ()
    ) -> list[int] | list[list[int]]:
        """Return the ids that greedy generation adds, for one text or several, until each has so
        many. Edits act on the text and on each token that follows."""
        if tokens < 1:
            raise OptionError("nothing to generate", got=f"{tokens} tokens", expected="1 at least")
        self._refuse_generation("generated tokens")
        edits = list(edits)
        run = self.run(text, edits=edits, cache=True, logits=1)
        made = [run.logits[:, -1].argmax(axis=-1)]
        for _ in range(tokens - 1):
            run = self.run(made[-1][:, None], edits=edits, cache=run.cache, logits=1)
            made.append(run.logits[:, -1].argmax(axis=-1))
        rows: list[list[int]] = np.stack(made, axis=1).tolist()
        return rows if len(rows) > 1 or _is_batch(text) else rows[0]

    def names(self, activations: Collection[str]) -> list[str]:
        """Return the full names of activations, kinds or "all", which leaves features out. Raises
        OptionError for a name that the model doesn't have."""
        asked = [activations] if isinstance(activations, str) else list(activations)
        every = [spec.name for spec in all_activations(self.shape)]
        if "all" in asked:
            lens = {kinds()[kind].name for kind in ("lens_ids", "lens_probs")}
            return [name for name in every if not any(name.endswith(end[9:]) for end in lens)]
        found: list[str] = []
        features = {features_name(name) for name in self.dictionaries}
        for name in asked:
            kind = kinds().get(name)
            if kind is not None and kind.per_layer and kind.present_in(self.shape):
                found += [kind.at(layer) for layer in kind.layers_of(self.shape)]
            elif name in features or activation_spec(name, self.shape) is not None:
                found.append(name)
            else:
                raise OptionError(
                    "the model has no such activation",
                    got=str(name),
                    expected=f"'all', or for example {', '.join([*every[1:6], *sorted(features)])}",
                )
        return list(dict.fromkeys(found))

    def _fed(self, text: Texts, cache: Cache | bool | None) -> FedText:
        goes_on = cache is not None and cache is not False
        ids, mask = _ids_of(self.encode(text) if isinstance(text, str) else text)
        check_tokens(ids, self.shape.vocab)
        if isinstance(cache, Cache):
            if len(cache.mask) != len(ids) or not mask.all():
                raise OptionError(
                    "the cache is of other texts",
                    got=f"{len(ids)} texts" if mask.all() else "texts of unequal lengths",
                    expected=f"as many tokens for each of its {len(cache.mask)} texts",
                )
            mask = np.concatenate([cache.mask, mask], axis=1)
        if mask.shape[1] > self.shape.context_length:
            raise OptionError(
                "the text is too long for the model",
                got=f"{mask.shape[1]} tokens",
                expected=f"at most {self.shape.context_length}",
            )
        return FedText(ids, mask, goes_on)

    def _refuse_generation(self, asked: str) -> None:
        """Raise OptionError where the model has no cache, since its tokens see those after them."""
        if self.shape.bidirectional:
            raise OptionError(
                "this model has no cache and continues no text",
                got=asked,
                expected="a run of whole texts",
                next_step="run the text and read the logits of its labels."
                if self.shape.labels
                else "run the text with its mask token and read the logits at that position.",
            )

    def _session(
        self,
        names: Iterable[str],
        placed: Sequence[JointEdit],
        addition: Addition | None = None,
        lens: LensPackRecord | None = None,
    ) -> OnnxGraph:
        """Return a session with these activations and closings: an open one that has them, or a new
        one that has those asked for before too, so that taking turns makes no more."""
        self._check_possible(placed)
        wanted, added = frozenset(names), "" if addition is None else addition.name
        # If no output of a lens is requested, any lens will do.
        reads = any(name.endswith(LENS_KINDS) for name in wanted)
        through = "" if lens is None else lens["name"]
        for at, open_one in enumerate(self._sessions):
            if added != open_one.addition or (reads and through != open_one.lens):
                continue
            if wanted <= open_one.names and slots_for(open_one.slots, placed) == open_one.slots:
                self._sessions.append(self._sessions.pop(at))
                return open_one.graph
        every, slots = self._names | wanted, slots_for(self._slots, placed)
        del self._sessions[: len(self._sessions) - _SESSIONS + 1]
        graph = self._open(every, slots, addition, lens)
        # Kept only now: names whose dictionary is unsound must not be opened with later ones.
        self._names, self._slots = every, slots
        self._sessions.append(_Session(every, slots, added, through, graph))
        return graph

    def _lens(self, name: str | None) -> LensPackRecord | None:
        """Return a lens pack by its name. Its file is checked when it is first used."""
        record = choose_lens(self.manifest.data, name)
        if record is not None and record["name"] not in self._read_lenses:
            check_pack(self.folder, self.manifest.data, record)
            self._read_lenses.add(record["name"])
        return record

    def _open(
        self,
        names: frozenset[str],
        slots: Slots,
        addition: Addition | None,
        lens: LensPackRecord | None,
    ) -> OnnxGraph:
        record, kind = tapped_graph(self._variant), self._kind
        if self._weights is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="oriel-bundle-")
            self._weights = WeightFolders(self.folder, Path(self._scratch.name))
        dictionaries = self._read_by(names)
        taps = taps_for(self._variant, names, lens, dictionaries)
        beside = [each["path"] for each in (lens, *dictionaries) if each is not None]
        with self._one_line("opened"):
            graph = (self.folder / record["path"]).read_bytes()
            if addition is not None:
                graph += addition.build(onnx.load_model_from_string(graph).graph)
            return OnnxGraph(
                self._weights.of(self._variant, beside),
                with_taps(graph, taps),
                kind,
                self.shape,
                settings=self._settings,
                closings=closings_in(slots, self.shape),
            )

    def _read_by(self, names: Collection[str]) -> list[DictionaryRecord]:
        """Return the dictionaries whose features are among the names. Their files are checked when
        they are first used, and not kept: the graph reads them by itself."""
        records = self.manifest.data.get("dictionaries", ())
        read = [each for each in records if features_name(each["name"]) in names]
        for each in read:
            if each["name"] not in self._read_dictionaries:
                check_dictionary(self.folder, self.manifest.data, each)
                self._read_dictionaries.add(each["name"])
        return read

    @property
    def _kind(self) -> GraphKind:
        """The kind of the graph that is run: open, or interactive in contract 1.x."""
        return "open" if "open" in self._variant else "interactive"

    def _check_possible(self, placed: Sequence[JointEdit]) -> None:
        if self._kind == "open":
            return
        for edit in placed:
            sizes = [tensor.shape for tensor in edit.tensors.values()]
            is_head_scale = edit.kind == "attn_z" and sizes == [(1, self.shape.heads, 1, 1)]
            if (edit.kind, edit.closing) not in _OF_1 or (
                edit.kind == "attn_z" and not is_head_scale
            ):
                raise OptionError(
                    f"a bundle of contract 1.x can't be changed so at {edit.joint}",
                    got=edit.closing,
                    expected="Scale of heads of attn_z at all positions, or Add on resid_post",
                    next_step="export the model again.",
                )

    def _kept(self, found: Mapping[str, Array], fed: FedText, cache: Cache | bool | None) -> Cache:
        past = {
            past_name(layer, part): found[present_name(layer, part)]
            for layer in range(self.shape.layers)
            for part in ("key", "value")
        }
        before = cache.tokens if isinstance(cache, Cache) else fed.ids[:, :0]
        return Cache(past, fed.mask, np.concatenate([before, fed.ids], axis=1))

    def _one_line(self, done: str) -> AbstractContextManager[None]:
        next_step = "run `oriel verify` on it, or export it again."
        return runtime_errors(f"{self.folder} can't be {done}", next_step)


def _is_batch(text: Texts) -> bool:
    return not isinstance(text, str) and np.ndim(text[0]) > 0  # type: ignore[index]


def _ids_of(text: ArrayLike | Sequence[Sequence[int]]) -> tuple[Ids, Mask]:
    """Return ids (batch, seq) and their mask. Raises OptionError for what are no ids."""
    listed = list(text) if isinstance(text, Iterable) else []
    rows = [list(row) for row in listed if isinstance(row, (list, tuple))]
    lengths = {len(row) for row in rows}
    if len(rows) == len(listed) and len(lengths) > 1 and 0 not in lengths:
        return padded(rows)
    ids = np.asarray(text)
    ids = ids[None] if ids.ndim == 1 else ids
    if ids.ndim != 2 or 0 in ids.shape or ids.dtype.kind not in "iu":
        raise OptionError(
            "these are no token ids",
            got=" × ".join(map(str, ids.shape)) + f", {ids.dtype}",
            expected="whole numbers, of one text or of several, a token each at least",
        )
    return ids.astype(np.int64), np.ones(ids.shape, dtype=np.int64)
