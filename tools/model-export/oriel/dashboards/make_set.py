"""Runs `oriel dashboards`: opens the corpus, counts shard after shard, and writes the files; a run
that was stopped goes on behind the last whole shard."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from oriel.bundle.atomic_folder import refuse_foreign_folder, replaced_folder
from oriel.contract.documents import DashboardSet
from oriel.contract.manifest import Manifest, read_manifest
from oriel.dashboards.contexts import context_reader
from oriel.dashboards.corpus import Corpus, open_corpus
from oriel.dashboards.generated_corpus import DEFAULT_TOKENS
from oriel.dashboards.logit_tokens import logit_tokens
from oriel.dashboards.memory import memory_bound
from oriel.dashboards.model_run import ModelRun
from oriel.dashboards.neighbours import STANDARD_ERROR, find_neighbours
from oriel.dashboards.packages import pyarrow_module
from oriel.dashboards.partial import AFTER, BEFORE, BINS, FIRINGS, PASSAGES, Partial
from oriel.dashboards.ranges import FIRING_QUANTILE, Ranges
from oriel.dashboards.reduce import FIRST_COUNTED, SAMPLED, Bounds
from oriel.dashboards.reduce_shard import ShardReducer
from oriel.dashboards.unfinished import Unfinished
from oriel.dashboards.unit_tables import Counted
from oriel.dashboards.units import UnitGroup, unit_groups
from oriel.dashboards.write_set import SET_FILE, group_records, write_set
from oriel.errors import BundleError, OptionError
from oriel.progress import StageDisplay
from oriel.runtime.weight_folders import WeightFolders, choose_variant

_BYTES_A_UNIT = 12_000
"""Bytes of a unit's files and of its state at most, to look for room before a run."""
_SHOWN_EVERY_S = 5.0


@dataclass(frozen=True, kw_only=True)
class DashboardOptions:
    """Flags of `oriel dashboards`; the names match."""

    bundle: Path
    corpus: tuple[str, ...] = ()
    """Files, folders or addresses; none for the bundled model's generator."""
    out: Path
    kinds: tuple[str, ...] = ("mlp_act",)
    tokens: int | None = None
    """Tokens to read at most; None for all of the corpus."""
    variant: str | None = None
    endpoint: str | None = None
    threads: int = 0


def make_set(options: DashboardOptions, display: StageDisplay) -> DashboardSet:
    """Make the dashboards and write them. Return the record of the set. Raises OrielError for what
    the user can fix."""
    pyarrow_module()
    refuse_foreign_folder(options.out, _is_own, "--out")
    folder = options.bundle if options.bundle.is_dir() else options.bundle.parent
    manifest = read_manifest(folder)
    groups = unit_groups(manifest.shape, options.kinds)
    display.stage("open the corpus")
    if not options.corpus and manifest.data["model"]["source"]["kind"] != "bundled":
        raise OptionError(
            "only the bundled model has a corpus of its own", next_step="name one with --corpus."
        )
    tokens = options.tokens or (None if options.corpus else DEFAULT_TOKENS)
    corpus = open_corpus(options.corpus, options.endpoint, tokens)
    _check_room(options.out, groups)
    place = Unfinished.beside(
        options.out, _run_of(options, manifest, corpus, tokens), groups[-1].end
    )
    display.stage("open the model")
    reader = context_reader(folder, manifest)
    model = ModelRun(folder, manifest, groups, options.variant, options.threads)
    shards = ShardReducer(corpus, reader, model, groups)
    display.stage(memory_bound(folder, manifest, groups, reader.length))
    ranges, state = place.read() or _begun(place, shards)
    for partial in _counted(shards, ranges, state, tokens, display):
        state.join(partial)
        place.save(state)
    display.stage("find units that fire together")
    record = _record(options, manifest, corpus, reader.length, state, groups)
    counted = Counted(groups, ranges, state, find_neighbours(state.firings))
    display.stage(f"write {options.out}")
    variant = choose_variant(manifest.variants, options.variant)
    with (
        TemporaryDirectory(prefix="oriel-dashboards-") as scratch,
        replaced_folder(options.out) as staged,
    ):
        weights = WeightFolders(folder, Path(scratch)).of(variant)
        write_set(
            staged,
            counted,
            record,
            lambda group: logit_tokens(folder, weights, variant, manifest.shape, group),
        )
    place.remove()
    return record


def _begun(place: Unfinished, shards: ShardReducer) -> tuple[Ranges, Partial]:
    ranges = shards.ranges()
    place.begin(ranges)
    return ranges, Partial.empty(place.units)


def _counted(
    shards: ShardReducer,
    ranges: Ranges,
    state: Partial,
    tokens: int | None,
    display: StageDisplay,
) -> Iterator[Partial]:
    """Yield the results of the shards that `state`, to which each is then added, has not."""
    total, began, before = len(shards.corpus.shards), time.monotonic(), state.totals.tokens
    shown = -_SHOWN_EVERY_S
    while state.shards < total and (tokens is None or state.totals.tokens < tokens):
        limit = None if tokens is None else tokens - state.totals.tokens
        if limit is not None and limit < 2:
            return
        yield shards.reduce(state.shards, ranges, Bounds.of(state), limit)
        seconds = time.monotonic() - began
        if seconds - shown >= _SHOWN_EVERY_S:
            shown = seconds
            done = state.shards / total if tokens is None else state.totals.tokens / tokens
            rate = (state.totals.tokens - before) / seconds
            left = state.totals.tokens * (1 / done - 1) / max(rate, 1e-9)
            display.stage(
                f"{state.totals.tokens / 1e6:.2f} million tokens, {rate:,.0f} a second, "
                f"about {_duration(left)} left"
            )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _run_of(
    options: DashboardOptions, manifest: Manifest, corpus: Corpus, tokens: int | None
) -> dict[str, object]:
    """Return what must be the same for a run to be continued."""
    return {
        "weights": manifest.data["model"]["weights_digest"],
        "variant": str(choose_variant(manifest.variants, options.variant)["name"]),
        "kinds": sorted(options.kinds),
        "corpus": corpus.digest,
        "tokens": tokens,
        "form": [PASSAGES, BEFORE, AFTER, BINS, FIRINGS, FIRST_COUNTED, SAMPLED],
    }


def _record(
    options: DashboardOptions,
    manifest: Manifest,
    corpus: Corpus,
    length: int,
    state: Partial,
    groups: tuple[UnitGroup, ...],
) -> DashboardSet:
    if state.totals.counted == 0:
        raise OptionError(
            "--corpus is empty", got="no token to count", expected="two tokens at least"
        )
    return {
        "weights": manifest.data["model"]["weights_digest"],
        "variant": str(choose_variant(manifest.variants, options.variant)["name"]),
        "corpus": {
            "name": corpus.name,
            "digest": state.digest,
            "shards": state.shards,
            "contexts": state.totals.contexts,
            "tokens": state.totals.tokens,
            "counted": state.totals.counted,
            "sampled": state.totals.sampled,
        },
        "context_length": length,
        "firing_quantile": FIRING_QUANTILE,
        "firings": FIRINGS,
        "overlap_error": round(STANDARD_ERROR, 4),
        "groups": group_records(groups),
    }


def _is_own(name: str) -> bool:
    return name == SET_FILE or name.endswith((".parquet", ".json"))


def _check_room(out: Path, groups: tuple[UnitGroup, ...]) -> None:
    """Raise BundleError where the disk has no room for the state and the files."""
    there = next(parent for parent in (out.absolute(), *out.absolute().parents) if parent.exists())
    free, needed = shutil.disk_usage(there).free, 2 * _BYTES_A_UNIT * groups[-1].end
    if free < needed:
        raise BundleError(
            f"no space left for {out}",
            got=f"{free / 1e6:.0f} MB",
            expected=f"{needed / 1e6:.0f} MB",
            next_step="free some, or choose another disk with --out; nothing was changed.",
        )
