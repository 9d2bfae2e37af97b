// Runs a patching sweep in batches. All joints that it patches are closed before the first batch, and the values that
// it inserts stay in the worker. analysis/patching.ts plans the runs and evaluates the results.
import { logitRows } from '../contract/whole_text';
import { measured } from '../analysis/metrics';
import {
  batchesOf,
  jointOf,
  planSweep,
  type Cell,
  type Receiver,
  type Sweep,
  type SweepPlan,
  type SweepRequest,
} from '../analysis/patching';
import { activationName } from '../contract/activation_table';
import type { ActivationKind, ModelShape } from '../contract/generated';
import type { Edit, Numbers } from './edits';
import type { Interventions } from './interventions';
import type { JointEdit } from './joint_edit';
import type { Tensor } from './model_types';
import { ModelError } from './model_error';

/** Texts that run together. */
export interface EngineBatch {
  readonly texts: readonly (readonly number[])[];
  readonly edits: Interventions;
  /** Number of last tokens whose logits are returned; 0 for none. */
  readonly logits: number;
  /** Names of the activations to return. */
  readonly activations: readonly string[];
  /** Closings that later runs need, so that one session serves all. */
  readonly closings?: readonly Pick<JointEdit, 'joint' | 'layer' | 'closing'>[];
}

/** The outputs of one batch by name, including `logits`: (batch, …) each. */
export type BatchValues = ReadonlyMap<string, Tensor>;

export type RunsBatches = (batch: EngineBatch) => Promise<BatchValues>;

/** Called with the number of finished runs and the total. */
export type SweepProgress = (done: number, of: number) => void;

/** The unpatched run of both texts, the clean one first, with all activations that a sweep inserts. */
class Unpatched {
  readonly #values: BatchValues;
  readonly #shared = new Map<string, Numbers>();

  constructor(values: BatchValues) {
    this.#values = values;
  }

  get values(): BatchValues {
    return this.#values;
  }

  /** Return a joint's values of one text: the same array each time, so that edits share it. */
  of(text: 'clean' | 'corrupted', joint: ActivationKind, layer: number): Numbers {
    const key = `${text} ${joint} ${layer}`;
    const before = this.#shared.get(key);
    if (before !== undefined) return before;
    const { dims, data } = valuesOf(this.#values, activationName(joint, layer));
    const half = data.length / 2;
    const numbers = {
      shape: [1, ...dims.slice(1)],
      values: text === 'clean' ? data.slice(0, half) : data.slice(half),
    };
    this.#shared.set(key, numbers);
    return numbers;
  }
}

/**
 * Run a sweep. Throws a SweepError or a MetricError if it can't be made, and a ModelError of kind `aborted` if the
 * signal aborts between two batches.
 */
export async function sweep(
  request: SweepRequest,
  shape: ModelShape,
  run: RunsBatches,
  onProgress: SweepProgress,
  signal: AbortSignal,
): Promise<Sweep> {
  const plan = planSweep(request, shape);
  const { clean, corrupted, metric, places } = request;
  const kinds: readonly ActivationKind[] =
    places.over === 'paths' ? ['attn_z', 'mlp_output'] : [jointOf(places)];
  const closed = places.over === 'paths' ? [...kinds, places.receiver.reads] : kinds;
  const logits = -(metric.position ?? -1);
  const layers = Array.from({ length: plan.dims[0] }, (_, layer) => layer);
  await heard(signal);
  const unpatched = new Unpatched(
    await run({
      texts: [clean, corrupted],
      edits: [],
      logits,
      activations: [
        ...kinds.flatMap((kind) => layers.map((layer) => activationName(kind, layer))),
        ...(places.over === 'paths'
          ? [activationName(places.receiver.reads, places.receiver.layer)]
          : []),
      ],
      closings: closed.map((joint) => ({ joint, layer: 0, closing: 'replace' })),
    }),
  );
  const measuredOf = (values: BatchValues): number[] => metricsOf(values, request);
  const [cleanMetric = NaN, corruptedMetric = NaN] = measuredOf(unpatched.values);
  const values = new Float32Array(plan.cells.length);
  let done = 0;
  for (const cells of batchesOf(plan)) {
    await heard(signal);
    const texts = cells.map(() => corrupted);
    const edits =
      places.over === 'paths'
        ? await receivedEdits({ cells, texts }, places.receiver, unpatched, run)
        : cells.map((cell, row) => patch(jointOf(places), cell, row, unpatched));
    values.set(measuredOf(await run({ texts, edits, logits, activations: [] })), done);
    done += cells.length;
    onProgress(done, plan.cells.length);
  }
  return { dims: plan.dims, values, clean: cleanMetric, corrupted: corruptedMetric };
}

/** Return an edit that inserts the clean text's values at one place of one row. */
function patch(joint: ActivationKind, cell: Cell, row: number, unpatched: Unpatched): Edit {
  return {
    edit: 'replace',
    joint,
    ...cell,
    row,
    value: unpatched.of('clean', joint, cell.layer),
  };
}

interface SenderBatch {
  readonly cells: SweepPlan['cells'];
  readonly texts: EngineBatch['texts'];
}

/**
 * Return edits that insert what the receiver reads if one head's clean output reaches it through the stream alone:
 * every head and MLP before the receiver keeps its value of the corrupted text.
 */
async function receivedEdits(
  { cells, texts }: SenderBatch,
  { layer: end, head, reads }: Receiver,
  unpatched: Unpatched,
  run: RunsBatches,
): Promise<Edit[]> {
  const frozen = Array.from({ length: end }, (_, layer): Edit[] =>
    (['attn_z', 'mlp_output'] as const).map((joint) => ({
      edit: 'replace',
      joint,
      layer,
      value: unpatched.of('corrupted', joint, layer),
    })),
  ).flat();
  const sent = cells.map((cell, row) => patch('attn_z', cell, row, unpatched));
  const name = activationName(reads, end);
  const found = await run({ texts, edits: [...frozen, ...sent], logits: 0, activations: [name] });
  const { dims, data } = valuesOf(found, name);
  const value = { shape: dims, values: data };
  return [{ edit: 'replace', joint: reads, layer: end, head, value }];
}

/** Return the metric of each text of a batch. */
function metricsOf(values: BatchValues, { metric }: SweepRequest): number[] {
  const { dims, data } = valuesOf(values, 'logits');
  const { rows, width } = logitRows(dims);
  // A text's labels are one row, whichever position the metric names.
  const from = dims.length === 2 ? -1 : (metric.position ?? -1);
  return Array.from({ length: dims[0] ?? 0 }, (_, text) => {
    const start = ((text + 1) * rows + from) * width;
    return measured(metric, data.subarray(start, start + width));
  });
}

function valuesOf(
  values: BatchValues,
  name: string,
): { readonly dims: readonly number[]; readonly data: Float32Array } {
  const found = values.get(name);
  if (found === undefined || !(found.data instanceof Float32Array))
    throw new ModelError({ kind: 'run', detail: `no output ${name} of float32` });
  return { dims: found.dims, data: found.data };
}

/** Let the worker handle pending messages from the page, and throw if the signal has aborted. */
export async function heard(signal: AbortSignal): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 0));
  if (signal.aborted) throw new ModelError({ kind: 'aborted' });
}
