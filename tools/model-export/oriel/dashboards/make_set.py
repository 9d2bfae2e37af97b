"""Runs `oriel dashboards`: opens the corpus, counts shard after shard, and writes the files; a run
that was stopped goes on behind the last whole shard."""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from oriel.bundle.atomic_folder import refuse_foreign_folder, replaced_folder
from oriel.contract.documents import DashboardSet
from oriel.contract.manifest import Manifest, bundle_folder, read_manifest
from oriel.dashboards.contexts import context_reader
from oriel.dashboards.corpus import Corpus, open_corpus
from oriel.dashboards.directions import group_directions
from oriel.dashboards.generated_corpus import DEFAULT_TOKENS
from oriel.dashboards.logit_tokens import LogitTokens, logit_tokens
from oriel.dashboards.memory import memory_bound
from oriel.dashboards.model_run import ModelRun
from oriel.dashboards.neighbours import STANDARD_ERROR, find_neighbours
from oriel.dashboards.packages import pyarrow_module, ray_module
from oriel.dashboards.partial import AFTER, BEFORE, BINS, FIRINGS, PASSAGES, Partial
from oriel.dashboards.ranges import FIRING_QUANTILE, Ranges
from oriel.dashboards.ray_workers import RayPlace, WorkerJob, ray_partials
from oriel.dashboards.reduce import FIRST_COUNTED, SAMPLED, Bounds
from oriel.dashboards.reduce_shard import ShardReducer
from oriel.dashboards.unfinished import Unfinished
from oriel.dashboards.unit_tables import Counted
from oriel.dashboards.units import UnitGroup, dictionary_digests, sizes_of, unit_groups
from oriel.dashboards.write_set import SET_FILE, group_records, write_set
from oriel.errors import BundleError, OptionError
from oriel.progress import StageDisplay
from oriel.runtime.weight_folders import WeightFolders, choose_variant

_BYTES_A_UNIT = 12_000
"""Bytes of a unit's files and of its state at most, to look for room before a run."""
_SHOWN_EVERY_S = 5.0
MOST_TOKENS = 1 << 62
_FEWEST_TOKENS = 2
"""Length of the shortest context that has a counted token."""


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
    """Processor cores of each worker; 0 for all, shared by the workers."""
    ray: str | None = None
    """"local", or the address of a cluster; None for the plain loop."""
    workers: int | None = None


def make_set(options: DashboardOptions, display: StageDisplay) -> DashboardSet:
    """Make the dashboards and write them. Return the record of the set. Raises OrielError for what
    the user can fix."""
    pyarrow_module()
    if options.ray is not None:
        ray_module()
    folder = bundle_folder(options.bundle)
    _check_options(options, folder)
    refuse_foreign_folder(options.out, _is_own, "--out")
    manifest = read_manifest(folder)
    groups = unit_groups(manifest.shape, options.kinds, manifest.data.get("dictionaries", ()))
    display.stage("open the corpus")
    if not options.corpus and manifest.data["model"]["source"]["kind"] != "bundled":
        raise OptionError(
            "--corpus is missing",
            got=f"no texts for {manifest.data['model']['name']}",
            expected="files or folders: only the bundled model has texts of its own",
        )
    tokens = options.tokens or (None if options.corpus else DEFAULT_TOKENS)
    corpus = open_corpus(options.corpus, options.endpoint, tokens)
    _check_room(options.out, groups)
    place = Unfinished.beside(
        options.out, _run_of(options, manifest, corpus, tokens, groups), sizes_of(groups)
    )
    display.stage("open the model")
    reader = context_reader(folder, manifest)
    model = ModelRun(folder, manifest, groups, options.variant, options.threads)
    shards = ShardReducer(corpus, reader, model, groups)
    display.stage(memory_bound(manifest, groups, reader.length, model.runs))
    with place.dropped_if_empty():
        ranges, state = place.read() or _begun(place, shards)
        job = WorkerJob(folder, options.variant, groups, corpus, ranges, options.threads)
        partials = _plain(shards, ranges, state, tokens)
        if options.ray is not None and state.shards < len(corpus.shards):
            workers = RayPlace(options.ray, options.workers)
            display.stage(f"start workers of Ray: {options.ray}")
            results = ray_partials(workers, job, state.shards)
            partials = _by_ray(shards, results, state, job, tokens or MOST_TOKENS)
        shown = _Shown(state, len(corpus.shards), tokens)
        for _ in _joined(state, partials, place):
            shown.show(display)
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

        def tokens_of(group: UnitGroup) -> LogitTokens | None:
            along = group_directions(folder, manifest.data, group, state.totals.directions)
            return logit_tokens(folder, weights, variant, manifest.shape, along)

        write_set(staged, counted, record, tokens_of)
    place.remove()
    return record


def _check_options(options: DashboardOptions, bundle: Path) -> None:
    """Raise OptionError for options that can't be meant."""
    if options.tokens is not None and options.tokens < _FEWEST_TOKENS:
        raise OptionError(
            "--tokens is too small",
            got=str(options.tokens),
            expected="2 or more: the first of a context isn't counted",
        )
    if options.workers is not None and options.ray is None:
        raise OptionError("--workers is for --ray", next_step="give --ray local, or leave it out.")
    if bundle.resolve() in options.out.resolve().parents:
        raise OptionError(
            "--out lies in the bundle",
            got=str(options.out),
            expected="a folder outside it, which oriel add-dashboards puts into it",
            next_step="choose another --out.",
        )


def _begun(place: Unfinished, shards: ShardReducer) -> tuple[Ranges, Partial]:
    ranges = shards.ranges()
    place.begin(ranges)
    return ranges, Partial.empty(place.sizes)


def _joined(state: Partial, partials: Generator[Partial], place: Unfinished) -> Iterator[None]:
    """Add each result to `state`, yield, and save it while the next one is counted."""
    with closing(partials), ThreadPoolExecutor(1) as beside:
        saving: Future[None] | None = None
        for partial in partials:
            state.join(partial)
            data = state.to_bytes()
            if saving is not None:
                saving.result()
            saving = beside.submit(place.save, data)
            yield
        if saving is not None:
            saving.result()


def _plain(
    shards: ShardReducer, ranges: Ranges, state: Partial, tokens: int | None
) -> Generator[Partial]:
    """Yield the result of each shard that `state`, to which it is then added, has not yet."""
    while state.shards < len(shards.corpus.shards) and not _is_enough(state, tokens):
        limit = None if tokens is None else tokens - state.totals.tokens
        yield shards.reduce(state.shards, ranges, Bounds.of(state), limit)


def _by_ray(
    shards: ShardReducer, results: Generator[Partial], state: Partial, job: WorkerJob, most: int
) -> Generator[Partial]:
    """Yield the same as the plain loop from results of whole shards: one that goes beyond `most`
    tokens is counted again here, as far as they go."""
    with closing(results):
        for found in results:
            left = most - state.totals.tokens
            if found.totals.tokens > left:
                yield shards.reduce(state.shards, job.ranges, Bounds.of(state), left)
            else:
                yield found
            if _is_enough(state, most):
                return


def _is_enough(state: Partial, tokens: int | None) -> bool:
    """Return whether no further token may be read: a context has two at least."""
    return tokens is not None and tokens - state.totals.tokens < _FEWEST_TOKENS


class _Shown:
    """Shows how far the run is, every few seconds."""

    def __init__(self, state: Partial, shards: int, tokens: int | None) -> None:
        self._state, self._shards, self._tokens = state, shards, tokens
        self._began, self._before = time.monotonic(), state.totals.tokens
        self._next = 0.0

    def show(self, display: StageDisplay) -> None:
        seconds, read = time.monotonic() - self._began, self._state.totals.tokens
        if seconds < self._next:
            return
        self._next = seconds + _SHOWN_EVERY_S
        done = self._state.shards / self._shards if self._tokens is None else read / self._tokens
        rate = (read - self._before) / max(seconds, 1e-9)
        left = read * (1 / max(done, 1e-9) - 1) / max(rate, 1e-9)
        display.stage(
            f"{read / 1e6:.2f} million tokens, {rate:,.0f} a second, about {_duration(left)} left"
        )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _run_of(
    options: DashboardOptions,
    manifest: Manifest,
    corpus: Corpus,
    tokens: int | None,
    groups: Sequence[UnitGroup],
) -> dict[str, object]:
    """Return what must be the same for a run to be continued."""
    return {
        "weights": manifest.data["model"]["weights_digest"],
        "variant": str(choose_variant(manifest.variants, options.variant)["name"]),
        "kinds": sorted(options.kinds),
        "dictionaries": dictionary_digests(groups, manifest.data),
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
        "groups": group_records(groups, dictionary_digests(groups, manifest.data)),
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
