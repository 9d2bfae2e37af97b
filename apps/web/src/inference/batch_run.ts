// A batch that the page asked for: what the engine runs for it, and each text's part of what that gives. The run itself:
// model_runner.ts.
import { logitRows } from '../contract/whole_text';
import { rowsOf } from './batch_rows';
import { closingsNeeded } from './joint_edits';
import type { BatchedText, BatchRequest, Tensor } from './model_types';
import { ModelError } from './model_error';
import type { BatchValues, EngineBatch } from './patching_sweep';

/** Return the engine's batch. Throws a RangeError for more logits than a text has tokens. */
export function batchOf(
  { texts, interventions = [], logits = 1, activations, upcoming = [] }: BatchRequest,
  open: readonly string[],
): EngineBatch {
  const shortest = Math.min(...texts.map(({ length }) => length));
  // An empty text is refused where it is run, with its own words.
  if (
    texts.length > 0 &&
    shortest > 0 &&
    (!Number.isInteger(logits) || logits < 1 || logits > shortest)
  )
    throw new RangeError(
      `a batch gives logits of the last tokens; got ${logits}; expected 1 to ${shortest}, the shortest text's tokens`,
    );
  return {
    texts,
    edits: interventions,
    logits,
    activations: activations ?? open,
    closings: closingsNeeded(upcoming),
  };
}

/** Return what each text of a batch gave. */
export function textsOf(
  { texts, logits, activations }: EngineBatch,
  values: BatchValues,
): BatchedText[] {
  const lengths = texts.map(({ length }) => length);
  const parted = activations.map((name) => rowsOf(valueOf(values, name), lengths));
  const { dims, data } = valueOf(values, 'logits');
  const { rows: given, width } = logitRows(dims);
  const asked = Math.min(logits, given);
  return texts.map((ids, row) => {
    const own = data.slice(((row + 1) * given - asked) * width, (row + 1) * given * width);
    return {
      ids,
      logits: { name: 'logits', dims: [asked, width], data: own },
      tensors: parted.flatMap((rows) => rows[row] ?? []),
    };
  });
}

function valueOf(values: BatchValues, name: string): Tensor {
  const found = values.get(name);
  if (found === undefined) throw new ModelError({ kind: 'run', detail: `no output ${name}` });
  return found;
}
