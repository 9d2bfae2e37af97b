"""One shard from text to its partial result: read, tokenized, run and reduced. Where there is a
second core, the next batch is read and the last one reduced while the model runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from oriel.dashboards.contexts import ContextReader
from oriel.dashboards.corpus import Corpus
from oriel.dashboards.model_run import ModelRun, batch_rows
from oriel.dashboards.partial import Partial
from oriel.dashboards.ranges import CALIBRATED_CONTEXTS, Calibration, Ranges
from oriel.dashboards.reduce import FIRST_COUNTED, Bounds, Context, Reducer
from oriel.dashboards.units import BlockValues, UnitGroup, block_values, unit_blocks
from oriel.errors import OptionError


@dataclass(frozen=True)
class ShardReducer:
    """What a worker needs for any shard of a corpus."""

    corpus: Corpus
    reader: ContextReader
    model: ModelRun
    groups: Sequence[UnitGroup]
    beside: bool = True
    """False for a worker with one core, which reduces between the model's runs."""

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
        for batch in _batches(contexts, batch_rows(self.groups, self.reader.length)):
            given = self.model(np.stack([each.ids for each in batch]))
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
        rows = batch_rows(self.groups, self.reader.length)

        def add(batch: Sequence[Context], arrays: Sequence[BlockValues]) -> None:
            for row, context in enumerate(batch):
                reducer.add(context, [array.row(row) for array in arrays])

        with ThreadPoolExecutor(1) as reading, ThreadPoolExecutor(1) as reducing:
            running: Future[None] | None = None
            batches = _batches(contexts, rows)
            for batch in _ahead(batches, reading) if self.beside else batches:
                given = self.model(np.stack([each.ids for each in batch]))
                if running is not None:
                    running.result()
                arrays = [block_values(block, given) for block in blocks]
                if self.beside:
                    running = reducing.submit(add, batch, arrays)
                else:
                    add(batch, arrays)
            if running is not None:
                running.result()
        return reducer.finish()

    def _first_shard(self) -> int:
        """Return the first shard that has any text."""
        for shard in range(len(self.corpus.shards)):
            if next(iter(self.corpus.documents(shard)), None) is not None:
                return shard
        return 0


def _ahead(
    batches: Iterator[list[Context]], executor: ThreadPoolExecutor
) -> Iterator[list[Context]]:
    """Yield the batches, the next of which is read by the executor meanwhile."""
    coming = executor.submit(next, batches, None)
    while (batch := coming.result()) is not None:
        coming = executor.submit(next, batches, None)
        yield batch


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
