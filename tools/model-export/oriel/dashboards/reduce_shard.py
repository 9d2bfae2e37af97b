"""One shard from text to its partial result: read, tokenized, run and reduced. Where there is a
second core, the model runs the next batches while one is reduced."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from oriel.arrays import Array
from oriel.dashboards.contexts import ContextReader
from oriel.dashboards.corpus import Corpus
from oriel.dashboards.model_run import ModelRun, batch_rows
from oriel.dashboards.partial import Partial
from oriel.dashboards.ranges import CALIBRATED_CONTEXTS, Calibration, Ranges
from oriel.dashboards.reduce import FIRST_COUNTED, Bounds, Context, Reducer
from oriel.dashboards.units import UnitGroup, block_values, unit_blocks
from oriel.errors import OptionError


@dataclass(frozen=True)
class ShardReducer:
    """What a worker needs for any shard of a corpus."""

    corpus: Corpus
    reader: ContextReader
    model: ModelRun
    groups: Sequence[UnitGroup]

    def ranges(self) -> Ranges:
        """Measure the ranges of all units on the first contexts of the corpus. Raises OptionError
        for a corpus without text, or of text that the tokenizer doesn't know."""
        first = self._first_shard()
        self.reader.check_known(self.corpus.documents(first))
        contexts = list(
            islice(self.reader.contexts(self.corpus.documents(first)), CALIBRATED_CONTEXTS)
        )
        if not contexts:
            raise OptionError(
                "--corpus is empty", got="less than two tokens", expected="a document at least"
            )
        blocks = unit_blocks(self.groups)
        calibration = Calibration(blocks)
        for batch, given in self._computed(contexts):
            arrays = [block_values(block, given).values for block in blocks]
            for row in range(len(batch)):
                calibration.add([array[row, FIRST_COUNTED:] for array in arrays])
        return calibration.ranges()

    def reduce(
        self, shard: int, ranges: Ranges, bounds: Bounds | None = None, limit: int | None = None
    ) -> Partial:
        """Return a shard's result. bounds: of shards before it. limit: tokens to read at most.
        Raises OptionError where the shard can't be read, GraphError where the model can't be
        run."""
        blocks = unit_blocks(self.groups)
        reducer = Reducer(shard, blocks, ranges, bounds)
        contexts = self.reader.contexts(self.corpus.documents(shard), limit)
        for batch, given in self._computed(contexts):
            arrays = [block_values(block, given) for block in blocks]
            for row, context in enumerate(batch):
                reducer.add(context, [array.row(row) for array in arrays])
        return reducer.finish()

    def _computed(
        self, contexts: Iterable[Context]
    ) -> Iterator[tuple[list[Context], Mapping[str, Array]]]:
        """Yield the contexts in batches, in order, each with its activations. The model runs the
        next batches until the caller has done with one."""
        batches = _batches(contexts, batch_rows(self.groups, self.reader.length))
        if not self.model.has_other_core:
            for batch in batches:
                yield batch, self.model(_ids_of(batch))
            return
        running: deque[tuple[list[Context], Future[Mapping[str, Array]]]] = deque()
        with ThreadPoolExecutor(self.model.runs) as executor:
            for batch in batches:
                running.append((batch, executor.submit(self.model, _ids_of(batch))))
                if len(running) > self.model.runs:
                    done, given = running.popleft()
                    yield done, given.result()
            for done, given in running:
                yield done, given.result()

    def _first_shard(self) -> int:
        """Return the first shard that has any text."""
        for shard in range(len(self.corpus.shards)):
            if next(iter(self.corpus.documents(shard)), None) is not None:
                return shard
        return 0


def _ids_of(batch: Sequence[Context]) -> Array:
    """Return the ids of a batch, (contexts, seq)."""
    return np.stack([context.ids for context in batch])


def _batches(contexts: Iterable[Context], rows: int) -> Iterator[list[Context]]:
    """Yield contexts of one length together, so many at a time."""
    batch: list[Context] = []
    for context in contexts:
        if batch and (len(batch) == rows or len(context.ids) != len(batch[0].ids)):
            yield batch
            batch = []
        batch.append(context)
    if batch:
        yield batch
