// Activation patching: inserts one text's activations into the run of another, one place at a time; and path patching,
// along the path from one head to the input of another. This module plans the runs of a sweep and evaluates their
// results; inference/patching_sweep.ts makes the runs. The same in Python: oriel/analysis/patching.py.
//
// Vig et al., 2020, "Investigating Gender Bias in Language Models Using Causal Mediation Analysis"; Wang et al., 2022,
// "Interpretability in the Wild".
import { scoreCount } from '../contract/whole_text';
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

/** The receiver at the end of a path: a head's queries, keys or values. For k and v, `head` is a key head. */
export interface Receiver {
  readonly layer: number;
  readonly head: number;
  readonly reads: 'q' | 'k' | 'v';
}

/** The places that a sweep patches, one in each run. */
export type PatchedPlaces =
  /** One joint of one layer at one position; default resid_pre. Any joint without pairs of tokens is allowed. */
  | { readonly over: 'positions'; readonly joint?: ActivationKind }
  /** One head at all positions: attn_z, the default, for the head's output; q or attn_probs for a part of it. */
  | { readonly over: 'heads'; readonly joint?: ActivationKind }
  /** One head's effect on what the receiver reads, through the residual stream alone. */
  | { readonly over: 'paths'; readonly receiver: Receiver };

export interface SweepRequest {
  /** Token ids of the text whose activations are inserted. */
  readonly clean: readonly number[];
  /** Token ids of the text that they are inserted into, of the same length. */
  readonly corrupted: readonly number[];
  readonly metric: Metric;
  readonly places: PatchedPlaces;
  /** Memory limit of a batch's activations, and of those that are kept to put them in; default 256 MiB. */
  readonly mostBytes?: number;
}

/** The metric of each patched run. */
export interface Sweep {
  /** Row-major: layers by positions, or layers by heads; for paths, only the layers before the receiver. */
  readonly dims: readonly [number, number];
  readonly values: Float32Array;
  /** Metric of the clean text, unpatched. */
  readonly clean: number;
  /** Metric of the corrupted text, unpatched. */
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
  /** The runs in batches. */
  readonly rows: number;
}

/** Error of a sweep that doesn't fit the model, the texts or the memory limit. */
export class SweepError extends RangeError {
  override readonly name = 'SweepError';

  constructor(what: string, got: string, expected: string) {
    super(`${what}; got ${got}; expected ${expected}`);
  }
}

export const defaultMostBytes = 256 * 2 ** 20;

/**
 * Maximum number of runs in a batch. Larger batches are no faster, and they delay progress reports and cancellation.
 */
const mostRows = 32;

/** Plan the runs of a sweep. Throws a SweepError or a MetricError if it can't be made. */
export function planSweep(request: SweepRequest, shape: ModelShape): SweepPlan {
  const { clean, corrupted, metric, places, mostBytes = defaultMostBytes } = request;
  if (clean.length !== corrupted.length || clean.length === 0)
    throw new SweepError(
      'clean and corrupted text differ in length, or have no token',
      `${clean.length} and ${corrupted.length} tokens`,
      'as many tokens in both, so that positions match',
    );
  checkMetric(metric, scoreCount(shape), corrupted.length);
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

/** Return the joint whose values a sweep inserts; for paths, the joint of the senders' output. */
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
 * Return how many texts of this many tokens can run together within a limit in bytes. It counts the largest tensors
 * that exist at the same time: scores and probabilities of a layer, its MLP and the stream. Throws a SweepError if one
 * text exceeds the limit.
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

/** Divide a plan's runs into batches. */
export function batchesOf({ cells, rows }: SweepPlan): Cell[][] {
  return Array.from({ length: Math.ceil(cells.length / rows) }, (_, at) =>
    cells.slice(at * rows, (at + 1) * rows),
  );
}

/**
 * Return which fraction of the difference between the two texts' metrics each place restores: 0 for none, 1 for all.
 * Throws a SweepError if both texts have the same metric.
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
