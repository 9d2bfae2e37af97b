// Measures what each layer would predict at each position: by rank, probability, divergence and entropy, through the
// logit lens or a pack; and how the residual stream grows and turns. One layer of a few positions is in memory at a
// time.
import { lensReading } from '../analysis/lens_measures';
import { logSoftmax } from '../analysis/metrics';
import { cosines, norms } from '../analysis/residual';
import { activationName } from '../contract/activation_table';
import type { ModelShape } from '../contract/generated';
import { checkTokens } from './check_tokens';
import type { Interventions } from './interventions';
import { throughPack } from './lens_map';
import type { LoadedLens } from './load_lens';
import { heard, type RunsBatches, type SweepProgress } from './patching_sweep';
import { arrayOf } from './run_outputs';
import { readOut, vectorsPerRun } from './stream_readout';

/** Measures of the stream itself are read from one run; those of predictions take the unembedding of every layer. */
export type LensSubject = 'stream' | 'predictions';

export interface LensRequest {
  readonly ids: readonly number[];
  /** None by default. */
  readonly interventions?: Interventions;
  readonly subject: LensSubject;
  /** A token to follow, besides the predicted and the next ones; null for none. */
  readonly token: number | null;
}

/** Rank (1 for the likeliest) and probability of a token at each layer and position, (layers, tokens). */
export interface FollowedToken {
  readonly ranks: Float32Array;
  readonly probabilities: Float32Array;
}

/** (layers, tokens) each; NaN where a measure has no value. */
export interface PredictionMeasures {
  readonly top: Int32Array;
  readonly topProbability: Float32Array;
  /** From the final layer's prediction, in nats. */
  readonly divergence: Float32Array;
  /** In nats. */
  readonly entropy: Float32Array;
  /** The likeliest token of the last layer at each position, (tokens). */
  readonly predicted: Int32Array;
  readonly ofPredicted: FollowedToken;
  /** The text's next token; NaN at the last position. */
  readonly ofNext: FollowedToken;
  /** The requested token. */
  readonly ofToken: FollowedToken | null;
}

/** Measures of resid_post, (layers, tokens) each. */
export interface StreamMeasures {
  readonly norm: Float32Array;
  /** Norm over the norm of what enters the layer. */
  readonly growth: Float32Array;
  /** Cosine with what enters the layer. */
  readonly turn: Float32Array;
  /** Cosine with the last layer's. */
  readonly toFinal: Float32Array;
}

export interface LensMeasures {
  readonly layers: number;
  readonly tokens: number;
  readonly stream: StreamMeasures;
  /** Null where only the stream was requested. */
  readonly predictions: PredictionMeasures | null;
}

/** Measure a text. Rejects with a ModelError of kind `aborted` where the signal aborts between two runs. */
export async function measureLens(
  request: LensRequest,
  { shape, lens }: { readonly shape: ModelShape; readonly lens: LoadedLens | null },
  run: RunsBatches,
  onProgress: SweepProgress,
  signal: AbortSignal,
): Promise<LensMeasures> {
  const { ids, interventions = [], subject, token } = request;
  checkTokens(ids, shape.vocab, shape.context_length);
  if (token !== null) checkTokens([token], shape.vocab, 1);
  const { layers } = shape;
  const slices = subject === 'stream' ? [] : slicesOf(ids.length, vectorsPerRun(shape));
  const of = 1 + slices.length * layers;
  await heard(signal);
  const values = await run({
    texts: [ids],
    edits: interventions,
    logits: 0,
    activations: streamNames(shape),
    closings: subject === 'stream' ? [] : [{ joint: 'resid_post', layer: 0, closing: 'replace' }],
  });
  const streams = Array.from({ length: layers }, (_, layer) =>
    arrayOf(values, 'resid_post', layer),
  );
  const stream = streamMeasures(arrayOf(values, 'resid_pre', 0), streams, shape);
  const measured = { layers, tokens: ids.length, stream };
  let done = 1;
  onProgress(done, of);
  if (subject === 'stream') return { ...measured, predictions: null };
  const found = emptyMeasures(layers, ids.length, token !== null);
  for (const slice of slices) {
    let final: readonly Float64Array[] = [];
    // The last layer first: the others are compared with it.
    for (let layer = layers - 1; layer >= 0; layer--) {
      await heard(signal);
      const own = (streams[layer] ?? new Float32Array()).subarray(
        slice.start * shape.hidden,
        slice.end * shape.hidden,
      );
      const mapped =
        lens === null || layer === layers - 1 ? own : throughPack(lens, layer, own, shape.hidden);
      const logits = rowsOf(await readOut(mapped, shape, run), shape.vocab);
      if (layer === layers - 1) final = logits.map(logSoftmax);
      for (const [row, each] of logits.entries()) {
        const position = slice.start + row;
        measureAt({ found, layer, position, ids, token }, each, final[row] ?? new Float64Array());
      }
      onProgress(++done, of);
    }
  }
  return { ...measured, predictions: found };
}

/** List the activations that the first run gives. */
export function streamNames({ layers }: Pick<ModelShape, 'layers'>): string[] {
  return [
    activationName('resid_pre', 0),
    ...Array.from({ length: layers }, (_, layer) => activationName('resid_post', layer)),
  ];
}

/** Return the number of runs that a text of this length takes. */
export function lensRuns(shape: ModelShape, tokens: number, subject: LensSubject): number {
  if (subject === 'stream') return 1;
  return 1 + shape.layers * Math.ceil(tokens / vectorsPerRun(shape));
}

interface Place {
  readonly found: PredictionMeasures;
  readonly layer: number;
  readonly position: number;
  readonly ids: readonly number[];
  readonly token: number | null;
}

function measureAt(
  { found, layer, position, ids, token }: Place,
  logits: Float32Array,
  final: Float64Array,
): void {
  const at = layer * ids.length + position;
  const isFirst = layer * ids.length + ids.length === found.top.length;
  const next = ids[position + 1];
  if (isFirst) found.predicted[position] = lensReading(logits, final, []).top;
  const followed = [
    { of: found.ofPredicted, id: found.predicted[position] ?? 0 },
    ...(next === undefined ? [] : [{ of: found.ofNext, id: next }]),
    ...(token === null || found.ofToken === null ? [] : [{ of: found.ofToken, id: token }]),
  ];
  const reading = lensReading(
    logits,
    final,
    followed.map(({ id }) => id),
  );
  found.top[at] = reading.top;
  found.topProbability[at] = reading.topProbability;
  found.divergence[at] = reading.divergence;
  found.entropy[at] = reading.entropy;
  for (const [index, { of }] of followed.entries()) {
    of.ranks[at] = reading.tokens[index]?.rank ?? NaN;
    of.probabilities[at] = reading.tokens[index]?.probability ?? NaN;
  }
}

function emptyMeasures(layers: number, tokens: number, hasToken: boolean): PredictionMeasures {
  const floats = (): Float32Array => new Float32Array(layers * tokens).fill(NaN);
  const followed = (): FollowedToken => ({ ranks: floats(), probabilities: floats() });
  return {
    top: new Int32Array(layers * tokens),
    topProbability: floats(),
    divergence: floats(),
    entropy: floats(),
    predicted: new Int32Array(tokens),
    ofPredicted: followed(),
    ofNext: followed(),
    ofToken: hasToken ? followed() : null,
  };
}

function streamMeasures(
  embedding: Float32Array,
  streams: readonly Float32Array[],
  { hidden }: ModelShape,
): StreamMeasures {
  const valuesOf = (data: Float32Array): { dims: number[]; data: Float32Array } => ({
    dims: [data.length / hidden, hidden],
    data,
  });
  const lengths = [embedding, ...streams].map((data) => norms(valuesOf(data)).data);
  const last = valuesOf(streams.at(-1) ?? embedding);
  const joined = (rows: readonly Float64Array[]): Float32Array =>
    Float32Array.from(rows.flatMap((row) => [...row]));
  return {
    norm: joined(lengths.slice(1)),
    growth: joined(
      lengths
        .slice(1)
        .map((row, at) => row.map((norm, token) => norm / (lengths[at]?.[token] ?? NaN))),
    ),
    turn: joined(
      streams.map(
        (data, at) => cosines(valuesOf(data), valuesOf(streams[at - 1] ?? embedding)).data,
      ),
    ),
    toFinal: joined(streams.map((data) => cosines(valuesOf(data), last).data)),
  };
}

/** List the arrays of measures, to transfer them. */
export function lensBuffers({ stream, predictions }: LensMeasures): ArrayBufferLike[] {
  const followed = (of: FollowedToken | null): Float32Array[] =>
    of === null ? [] : [of.ranks, of.probabilities];
  const { norm, growth, turn, toFinal } = stream;
  const arrays: (Float32Array | Int32Array)[] = [norm, growth, turn, toFinal];
  if (predictions !== null)
    arrays.push(
      predictions.top,
      predictions.topProbability,
      predictions.divergence,
      predictions.entropy,
      predictions.predicted,
      ...followed(predictions.ofPredicted),
      ...followed(predictions.ofNext),
      ...followed(predictions.ofToken),
    );
  return arrays.map(({ buffer }) => buffer);
}

function slicesOf(
  tokens: number,
  most: number,
): { readonly start: number; readonly end: number }[] {
  return Array.from({ length: Math.ceil(tokens / most) }, (_, index) => ({
    start: index * most,
    end: Math.min(tokens, (index + 1) * most),
  }));
}

function rowsOf(logits: Float32Array, vocab: number): Float32Array[] {
  return Array.from({ length: logits.length / vocab }, (_, row) =>
    logits.subarray(row * vocab, (row + 1) * vocab),
  );
}
