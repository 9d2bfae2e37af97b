// Makes runs of one text that are requested at once in batches, within a memory limit.
import { defaultMostBytes, rowsWithin } from '../analysis/patching';
import type { ModelShape } from '../contract/generated';
import type { Edit } from './edits';
import type { BatchRequest, BatchResult, Tensor } from './model_types';

type Given = ReadonlyMap<string, Tensor>;

/** The text, the edits and the activations to return of a run. */
interface Requested {
  readonly ids: readonly number[];
  readonly edits: readonly Edit[];
  readonly names: readonly string[];
  readonly resolve: (given: Given) => void;
  readonly reject: (error: unknown) => void;
}

/** A batch has at most so many rows: larger ones are no faster, and delay what else the model is asked. */
const mostRows = 32;

export interface Together {
  readonly runBatch: (request: BatchRequest) => Promise<BatchResult>;
  readonly shape: ModelShape;
  /** The activations that all runs return. */
  readonly names: readonly string[];
  /** Memory limit of a batch's activations; default 256 MiB. */
  readonly mostBytes?: number;
}

/**
 * Return a function that runs a text with edits and returns its activations. Runs that are requested before the
 * caller's next pause are made together; one text that exceeds the limit rejects with a SweepError.
 */
export function runsTogether({
  runBatch,
  shape,
  names: all,
  mostBytes = defaultMostBytes,
}: Together): (
  ids: readonly number[],
  edits: readonly Edit[],
  names?: readonly string[],
) => Promise<Given> {
  let requested: Requested[] = [];

  const runRows = async (rows: readonly Requested[]): Promise<void> => {
    try {
      const { texts } = await runBatch({
        texts: rows.map(({ ids }) => ids),
        interventions: rows.flatMap(({ edits }, row) => edits.map((edit) => ({ ...edit, row }))),
        activations: [...new Set(rows.flatMap(({ names }) => names))],
      });
      for (const [row, { resolve }] of rows.entries())
        resolve(new Map(texts[row]?.tensors.map((tensor) => [tensor.name, tensor])));
    } catch (error) {
      for (const { reject } of rows) reject(error);
    }
  };

  const runAll = async (): Promise<void> => {
    const rows = requested;
    requested = [];
    const tokens = Math.max(...rows.map(({ ids }) => ids.length));
    let count: number;
    try {
      count = Math.min(mostRows, rowsWithin(shape, tokens, mostBytes));
    } catch (error) {
      for (const { reject } of rows) reject(error);
      return;
    }
    for (let at = 0; at < rows.length; at += count) await runRows(rows.slice(at, at + count));
  };

  return (ids, edits, names = all) =>
    new Promise((resolve, reject) => {
      // After what the caller requests now.
      if (requested.length === 0) queueMicrotask(() => void runAll());
      requested.push({ ids, edits, names, resolve, reject });
    });
}
