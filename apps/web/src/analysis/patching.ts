// Activation patching: one text's activations, put into the run of another, place by place; and path patching, from one
// head to what another head reads. Says which runs a sweep makes, and reads what they gave; the runs themselves:
// inference/patching_sweep.ts. Python has the same in oriel/analysis/patching.py.
//
// Vig et al., 2020, "Investigating Gender Bias in Language Models Using Causal Mediation Analysis"; Wang et al., 2022,
// "Interpretability in the Wild".
import {
  activationName,
  activationSpec,
  activationTable,
  contractVersion,
  elementCount,
  layerShape,
  resolveShape,
} from '../contract/activation_table';
import type { ActivationKind, ModelShape } from '../contract/generated';
import { checkMetric, type Metric } from './metrics';

/** The reader at a path's end: a head's queries, keys or values. Heads of k and v are key heads. */
export interface Receiver {
  readonly layer: number;
  readonly head: number;
  readonly reads: 'q' | 'k' | 'v';
}

/** The places that a sweep patches, one in each run. */
export type PatchedPlaces =
  /** One joint of one layer at one position: resid_pre by default, or any other without pairs of tokens. */
  | { readonly over: 'positions'; readonly joint?: ActivationKind }
  /** One head at all positions: attn_z for what a head gives, the default; q or attn_probs for a part of it. */
  | { readonly over: 'heads'; readonly joint?: ActivationKind }
  /** One head's effect on what the receiver reads, by the residual stream alone. */
  | { readonly over: 'paths'; readonly receiver: Receiver };

export interface SweepRequest {
  /** Token ids of the text whose activations are put in. */
  readonly clean: readonly number[];
  /** The text that they are put into, of the same length. */
  readonly corrupted: readonly number[];
  readonly metric: Metric;
  readonly places: PatchedPlaces;
  /** Bound of a batch's activations, and of those that are kept to put them in; 256 MiB by default. */
  readonly mostBytes?: number;
}

/** A metric for each patched place. */
export interface Sweep {
  /** Row-major: layers by positions, or layers by heads; of paths, the layers before the receiver's. */
  readonly dims: readonly [number, number];
  readonly values: Float32Array;
  /** The metric of the text whose activations are put in. */
  readonly clean: number;
  /** The metric of the text that they are put into, unpatched. */
  readonly corrupted: number;
}

/** One run of a sweep: the place that it patches. */
export interface Cell {
  readonly layer: number;
  readonly position?: number;
  readonly head?: number;
}

/** The runs of a sweep. */
export interface SweepPlan {
  readonly dims: readonly [number, number];
  /** Row-major. */
  readonly cells: readonly Cell[];
  /** The runs that go together. */
  readonly rows: number;
}

/** A sweep that a model or a text has no place for, or that would not fit in memory. */
export class SweepError extends RangeError {
  override readonly name = 'SweepError';

  constructor(what: string, got: string, expected: string) {
    super(`${what}; got ${got}; expected ${expected}`);
  }
}

export const defaultMostBytes = 256 * 2 ** 20;

/** More runs together are no faster, and progress and a cancelled sweep's end come later. */
const mostRows = 32;

/** Return the runs of a sweep. Throws a SweepError or a MetricError for one that can't be made. */
export function planSweep(request: SweepRequest, shape: ModelShape): SweepPlan {
  const { clean, corrupted, metric, places, mostBytes = defaultMostBytes } = request;
  if (clean.length !== corrupted.length || clean.length === 0)
    throw new SweepError(
      'clean and corrupted text differ in length, or have no token',
      `${clean.length} and ${corrupted.length} tokens`,
      'as many tokens in both, so that positions match',
    );
  checkMetric(metric, shape.vocab, corrupted.length);
  const [layers, columns] = sizesOf(places, shape, corrupted.length);
  const cells = Array.from({ length: layers * columns }, (_, index): Cell => {
    const [layer, column] = [Math.floor(index / columns), index % columns];
    return places.over === 'positions' ? { layer, position: column } : { layer, head: column };
  });
  const rows = Math.min(mostRows, rowsWithin(shape, corrupted.length, mostBytes));
  checkKept(keptBytes(places, shape, corrupted.length), mostBytes);
  return { dims: [layers, columns], cells, rows };
}

function sizesOf(places: PatchedPlaces, shape: ModelShape, tokens: number): [number, number] {
  if (places.over === 'paths') {
    checkReceiver(places.receiver, shape);
    return [places.receiver.layer, shape.heads];
  }
  const joint = jointOf(places);
  const axes = activationTable.find(({ kind, joint: is }) => kind === joint && is === true)?.shape;
  const [axis, expected] =
    places.over === 'positions'
      ? ['sequence_length', 'a joint of single tokens, such as resid_pre']
      : ['heads', 'a joint of heads: attn_z, q, attn_scores or attn_probs'];
  const isOfPairs = axes?.includes('total_sequence_length') === true;
  if (axes?.includes(axis) !== true || (places.over === 'positions' && isOfPairs))
    throw new SweepError(`no sweep goes over ${places.over} of this joint`, joint, expected);
  return [shape.layers, places.over === 'positions' ? tokens : shape.heads];
}

function checkReceiver({ layer, head, reads }: Receiver, shape: ModelShape): void {
  if (!['q', 'k', 'v'].includes(reads))
    throw new SweepError('a head reads q, k or v', reads, 'one of them');
  if (!Number.isInteger(layer) || layer < 1 || layer >= shape.layers)
    throw new SweepError(
      "no head stands before the receiver's layer",
      `layer ${layer}`,
      `1 to ${shape.layers - 1}`,
    );
  const { heads, kv_heads } = layerShape(shape, layer);
  const count = reads === 'q' ? heads : kv_heads;
  if (!Number.isInteger(head) || head < 0 || head >= count)
    throw new SweepError(
      `layer ${layer} has no such head to receive ${reads}`,
      `head ${head}`,
      `0 to ${count - 1}`,
    );
}

/** Return the joint whose values a sweep puts in; of paths, what senders give. */
export function jointOf(places: PatchedPlaces): ActivationKind {
  if (places.over === 'paths') return 'attn_z';
  return places.joint ?? (places.over === 'positions' ? 'resid_pre' : 'attn_z');
}

/** Return the bytes of both texts' activations that a sweep puts in, which it keeps from the first run to the last. */
function keptBytes(places: PatchedPlaces, shape: ModelShape, tokens: number): number {
  const [end, kinds]: [number, readonly ActivationKind[]] =
    places.over === 'paths'
      ? [places.receiver.layer, ['attn_z', 'mlp_output']]
      : [shape.layers, [jointOf(places)]];
  const run = { batch: 2, seq: tokens, past: 0 };
  let numbers = 0;
  for (let layer = 0; layer < end; layer++)
    for (const kind of kinds) {
      const spec = activationSpec(activationName(kind, layer), shape, contractVersion);
      if (spec !== null) numbers += elementCount(resolveShape(spec.shape, run));
    }
  return 4 * numbers;
}

function checkKept(bytes: number, mostBytes: number): void {
  if (bytes > mostBytes)
    throw new SweepError(
      'the sweep would not fit in memory',
      `${bytes} bytes of both texts' activations of every layer`,
      `at most ${mostBytes}: give a larger bound, or a shorter text`,
    );
}

/**
 * Return how many texts of so many tokens run together within a bound of bytes: of the largest tensors that live at once,
 * scores and probabilities of a layer, its MLP and the stream. Throws a SweepError where one text goes beyond it.
 */
export function rowsWithin(shape: ModelShape, tokens: number, mostBytes: number): number {
  const layers = Array.from({ length: shape.layers }, (_, layer) => layerShape(shape, layer));
  const pairs = 3 * Math.max(...layers.map(({ heads }) => heads)) * tokens;
  const widest = Math.max(...layers.map(({ intermediate }) => intermediate));
  const each = 4 * tokens * (pairs + 3 * widest + 8 * shape.hidden) + 4 * shape.vocab;
  if (each > mostBytes)
    throw new SweepError(
      'the sweep would not fit in memory',
      `${each} bytes for a text of ${tokens} tokens`,
      `at most ${mostBytes}: give a larger bound, or a shorter text`,
    );
  return Math.floor(mostBytes / each);
}

/** Part a plan's runs into those that go together. */
export function batchesOf({ cells, rows }: SweepPlan): Cell[][] {
  return Array.from({ length: Math.ceil(cells.length / rows) }, (_, at) =>
    cells.slice(at * rows, (at + 1) * rows),
  );
}

/**
 * Return how much of the difference each place brings back: 0 for none, 1 for all. Throws a SweepError where both texts
 * have one metric.
 */
export function restored({ values, clean, corrupted }: Sweep): Float32Array {
  if (clean === corrupted)
    throw new SweepError(
      'clean and corrupted text have the same metric, so nothing to restore',
      String(clean),
      'texts that differ in it',
    );
  return values.map((value) => (value - corrupted) / (clean - corrupted));
}
