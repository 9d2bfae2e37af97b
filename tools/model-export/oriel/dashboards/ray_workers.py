"""The shards of a corpus reduced by workers of Ray Data, on this machine or on a cluster.

Each worker is an actor that opens the model once and reduces whole shards inside itself: what
passes through Ray's object store is a number for each shard and its partial result, never an
activation. Results come in the order of the shards, and a worker that dies is replaced, so that the
joined result has the same bytes as the plain loop's.
"""

from __future__ import annotations

import logging
import os
import socket
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import oriel
from oriel.arrays import Array
from oriel.contract.manifest import read_manifest
from oriel.dashboards.contexts import context_reader
from oriel.dashboards.corpus import Corpus
from oriel.dashboards.model_run import ModelRun
from oriel.dashboards.packages import ray_module
from oriel.dashboards.partial import Partial, Sizes
from oriel.dashboards.ranges import Ranges
from oriel.dashboards.reduce import Bounds
from oriel.dashboards.reduce_shard import ShardReducer
from oriel.dashboards.units import UnitGroup, sizes_of
from oriel.errors import OptionError, OrielError, reason_of

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.data._internal.execution.interfaces import RefBundle

LOCAL = "local"
_STORE_BYTES = 512 << 20
"""Bytes of Ray's object store on this machine: partial results that wait for their turn."""
_ANSWER_S = 5.0
_PACKED = 1
"""Level of compression of partial results, which are mostly empty after the first shards."""


@dataclass(frozen=True)
class RayPlace:
    """Where workers are, and how many."""

    address: str
    """LOCAL, or host:port of a cluster."""
    workers: int | None = None
    """None: one for each GPU, or for each processor core where there is none."""


@dataclass(frozen=True)
class WorkerJob:
    """What a worker needs; each opens the bundle and the corpus at the same places."""

    folder: Path
    variant: str | None
    groups: Sequence[UnitGroup]
    corpus: Corpus
    ranges: Ranges
    threads: int
    """Processor cores of a worker; 0 for its share of those there are."""
    version: str = oriel.__version__


class ShardWorker:
    """A worker: Ray Data makes one on each device, and calls it for each shard."""

    def __init__(self, held: Sequence[ObjectRef[WorkerJob]]) -> None:
        """held: the job in Ray's object store. In a list, it stays a reference that the driver
        keeps alive: a worker that is started again finds it."""
        self._job: WorkerJob = ray_module().get(held[0])
        self._shards: ShardReducer | None = None
        self._seen = SeenBounds(sizes_of(self._job.groups))

    def __call__(self, rows: dict[str, Array]) -> dict[str, Array]:
        """Reduce the shards of these rows. Return their partial results, or what is wrong."""
        results: list[bytes] = []
        problems: list[str] = []
        for shard in map(int, rows["id"]):
            result, problem = b"", ""
            try:
                result = zlib.compress(self._reduce(shard).to_bytes(), _PACKED)
            except OrielError as error:
                problem = str(error)
            results.append(result)
            problems.append(problem)
        return {
            "result": np.array(results, dtype=object),
            "problem": np.array(problems, dtype=object),
        }

    def _reduce(self, shard: int) -> Partial:
        if self._shards is None:
            self._shards = _opened(self._job)
        found = self._shards.reduce(shard, self._job.ranges, self._seen.before(shard))
        self._seen.add(found)
        return found


class SeenBounds:
    """Bounds from the shards that this worker has had: a part of those before the next one, so that
    what they exclude can't be among the strongest of all either."""

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        self._seen = Partial.empty(sizes)
        self._last = -1

    def before(self, shard: int) -> Bounds:
        """Return the bounds for a shard; none where a later one was seen before, as happens when it
        comes from a worker that died."""
        if shard <= self._last:
            self._seen = Partial.empty(self._sizes)
        return Bounds.of(self._seen)

    def add(self, found: Partial) -> None:
        self._last = found.first
        self._seen.passages.join(found.passages)
        self._seen.firings.join(found.firings)


def _opened(job: WorkerJob) -> ShardReducer:
    if job.version != oriel.__version__:
        raise OptionError(
            "a worker of Ray has another version of Oriel",
            got=oriel.__version__,
            expected=job.version,
            next_step="install the same one on every machine of the cluster.",
        )
    manifest = read_manifest(job.folder)
    model = ModelRun(job.folder, manifest, job.groups, job.variant, job.threads)
    reader = context_reader(job.folder, manifest)
    return ShardReducer(job.corpus, reader, model, job.groups)


def ray_partials(place: RayPlace, job: WorkerJob, first: int) -> Generator[Partial]:
    """Yield the results of the shards from `first` on, in order.

    Raises OptionError where there is no Ray of this version at the address, and for what is wrong
    with a shard.
    """
    ray = ray_module()
    with connected(place):
        from ray import data

        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        resources = ray.cluster_resources()
        devices = int(resources.get("GPU", 0))
        cores = max(1, int(resources.get("CPU", 1)))
        workers = place.workers or devices or cores
        share = min(job.threads or max(1, cores // workers), cores)
        held = ray.put(replace(job, threads=share))
        # A block for each shard, put by the driver: to read one from elsewhere would take a task
        # with a core of its own, and workers may have them all.
        items = [{"id": shard} for shard in range(first, len(job.corpus.shards))]
        rows = data.from_items(items, override_num_blocks=len(items))
        results = rows.map_batches(
            ShardWorker,
            compute=data.ActorPoolStrategy(size=workers),
            fn_constructor_args=([held],),
            batch_size=1,
            num_cpus=share,
            # Several workers share a GPU where reducing takes longer than the model.
            num_gpus=min(1, devices / workers),
        )
        bundles = results.iter_internal_ref_bundles()
        try:
            with _one_line():
                yield from _unpacked(bundles, sizes_of(job.groups))
        finally:
            # The last reference: with it Ray Data's own threads end. They would end this process,
            # with code 1 and no word, if they asked for anything of a Ray that is disconnected.
            del bundles


def _unpacked(bundles: Iterable[RefBundle], sizes: Sizes) -> Iterator[Partial]:
    """Yield the results in Ray's object store, each fetched by this thread: `iter_rows` fetches
    them by threads that go on when nobody waits for rows any more."""
    from ray.data.block import BlockAccessor

    for bundle in bundles:
        for entry in bundle.blocks:
            block = BlockAccessor.for_block(ray_module().get(entry.ref))
            for row in block.to_arrow().to_pylist():
                if row["problem"]:
                    raise OptionError(f"a worker of Ray stopped: {row['problem']}")
                yield Partial.from_bytes(zlib.decompress(row["result"]), sizes)


@contextmanager
def connected(place: RayPlace) -> Iterator[None]:
    """Connect to Ray, or start it on this machine, until the block ends."""
    ray = ray_module()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # It tells of each worker that it can't be started again once the driver is gone.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if place.address == LOCAL:
            # The code that runs here runs in the workers too, installed or not.
            path = [str(Path(oriel.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
            ray.init(
                address=LOCAL,
                num_cpus=max(os.cpu_count() or 1, place.workers or 1),
                object_store_memory=_STORE_BYTES,
                include_dashboard=False,
                runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, path))}},
                **quiet,
            )
        else:
            _check_answers(place.address)
            ray.init(address=place.address, **quiet)
    except OrielError:
        raise
    except Exception as error:
        raise _no_ray(place.address, error) from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Raise OptionError where nothing listens: Ray itself would try for a minute."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if not port.isdecimal():
            raise OSError(f"no port in {address!r}")
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S):
            return
    except (OSError, OverflowError) as error:
        raise _no_ray(address, error) from error


def _no_ray(address: str, error: BaseException) -> OptionError:
    text = reason_of(error)
    if "ersion" in text:
        return OptionError(
            f"the Ray at {address} is of another version",
            got=text,
            expected=f"Ray {ray_module().__version__}",
            next_step="install the cluster's version of Ray and of Python here.",
        )
    return OptionError(
        f"there is no Ray at {address}",
        got=text,
        expected="local, or host:port of a running cluster",
        next_step="start one with `ray start --head`, or leave --ray out for the plain loop.",
    )


@contextmanager
def _one_line() -> Iterator[None]:
    """Raise OptionError for what Ray raises while it runs."""
    try:
        yield
    except (OrielError, MemoryError, GeneratorExit):
        raise
    except Exception as error:
        raise OptionError(
            "Ray stopped",
            got=reason_of(error),
            next_step="run the command again: it goes on behind the last whole shard.",
        ) from error
