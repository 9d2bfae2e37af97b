// Reads the features of a dictionary on a text, how well they rebuild the activation that the dictionary writes, and
// what one feature does: its numbers in the dictionary and its effect on the logits.
import { largest } from '../analysis/probabilities';
import {
  explainedVariance,
  featuresAt,
  sparseOf,
  strongestAt,
  type Explained,
  type SparseFeatures,
} from '../analysis/sparse_features';
import { activationName, layerShape } from '../contract/activation_table';
import type { DictionaryActivation, DictionaryRecord, ModelShape } from '../contract/generated';
import { featuresName } from '../contract/validate_dictionaries';
import { checkTokens } from './check_tokens';
import type { Interventions } from './interventions';
import type { LoadedDictionary } from './load_dictionary';
import { ModelError } from './model_error';
import type { Tensor } from './model_types';
import { givenBy, largestActivation } from './neuron_reading';
import {
  heard,
  type BatchValues,
  type EngineBatch,
  type RunsBatches,
  type SweepProgress,
} from './patching_sweep';
import { DictionaryNumbers } from './read_dictionary';
import { arrayOf } from './run_outputs';
import { effectsOf, lengthened, readOut, vectorsPerRun } from './stream_readout';

export interface FeaturesRequest {
  readonly ids: readonly number[];
  /** None by default. */
  readonly interventions?: Interventions;
  /** Name of the dictionary. */
  readonly dictionary: string;
  /** Token whose strongest features are looked at. */
  readonly position: number;
  /** The number of them that get the tokens that they raise most. */
  readonly listed: number;
  /** The feature whose numbers are returned too; null for the strongest one at the position. */
  readonly feature: number | null;
  /** False where what a feature writes reaches the logits in other ways than through the final norm alone. */
  readonly effects: boolean;
}

/** A feature as its dictionary holds it, and what it does to the logits. */
export interface ReadFeature {
  readonly feature: number;
  /** (width_in): its column of the encoder. */
  readonly encoder: Float32Array;
  /** (width_out): its row of the decoder. */
  readonly decoder: Float32Array;
  readonly bias: number;
  /** 0 where the dictionary has none. */
  readonly threshold: number;
  /** (vocab): the change of each logit for a value of 1; null where effects were not requested. */
  readonly logitEffects: Float32Array | null;
}

export interface FeatureReading {
  readonly features: SparseFeatures;
  readonly explained: Explained;
  /** null where none was named, and none is above 0 at the position. */
  readonly chosen: ReadFeature | null;
  /** For the strongest features at the position, ids of the tokens that each raises most; empty without effects. */
  readonly raised: ReadonlyMap<number, readonly number[]>;
}

/** Number of tokens that are listed for each of the strongest features. */
const raisedTokens = 3;

/** Activations that are not in the stream, but reach it through an output matrix. */
const behindMatrix = { attn_z: 'attn_output', mlp_act: 'mlp_output' } as const;

function matrixOf({ kind }: DictionaryActivation): 'attn_z' | 'mlp_act' | null {
  return kind === 'attn_z' || kind === 'mlp_act' ? kind : null;
}

/** List the activations that the runs of a reading give. */
export function readActivations(
  { name, description: { writes } }: DictionaryRecord,
  shape: ModelShape,
): string[] {
  const matrix = matrixOf(writes);
  return [
    featuresName(name),
    activationName(writes.kind, writes.layer),
    activationName('resid_post', shape.layers - 1),
    ...(matrix === null ? [] : [outputName(matrix, writes.layer, shape)]),
  ];
}

function outputName(matrix: 'attn_z' | 'mlp_act', layer: number, shape: ModelShape): string {
  if (matrix === 'mlp_act') return activationName(givenBy(shape), layer);
  return activationName(
    shape.raw_outputs === true ? 'attn_output_raw' : behindMatrix.attn_z,
    layer,
  );
}

/** Read a text's features. Rejects with a ModelError of kind `aborted` where the signal aborts between two runs. */
export async function readFeatures(
  request: FeaturesRequest,
  { shape, dictionary }: { readonly shape: ModelShape; readonly dictionary: LoadedDictionary },
  run: RunsBatches,
  onProgress: SweepProgress,
  signal: AbortSignal,
): Promise<FeatureReading> {
  const { ids, interventions = [], position, effects } = request;
  const { record } = dictionary;
  const { writes } = record.description;
  checkTokens(ids, shape.vocab, shape.context_length);
  checkFeature(request, record);
  const of = effects ? 3 : 1;
  let done = 0;
  const next = async (): Promise<void> => {
    onProgress(done++, of);
    await heard(signal);
  };
  await next();
  const values = await run(firstBatch(ids, interventions, record, shape));
  const stored = new DictionaryNumbers(dictionary.bytes);
  const features = sparseOf(floatsOf(values, featuresName(record.name)).data, ids.length);
  const given = tokenRows(floatsOf(values, activationName(writes.kind, writes.layer)));
  const rebuilt = await rebuiltBy(features, stored, signal);
  const explained = explainedVariance(given, rebuilt, ids.length);
  // One run holds a token for each listed feature, one for the chosen feature and one of zeros.
  const listed = Math.min(request.listed, shape.context_length - 2);
  const strongest = strongestAt(features, position, listed).map(({ feature }) => feature);
  const feature = request.feature ?? strongest[0] ?? null;
  let logitEffects: Float32Array | null = null;
  let raised: FeatureReading['raised'] = new Map();
  if (effects && feature !== null) {
    await next();
    const reader = { shape, run, writes, scale: largestActivation(given) };
    const [row = new Float32Array(), ...rows] = await streamRows(
      [feature, ...strongest].map((each) => stored.decoderRow(each)),
      reader,
    );
    logitEffects = await effectsOf(
      { row, stream: lastStream(values, position, shape) },
      shape,
      run,
    );
    await next();
    raised = await raisedBy(strongest, rows, reader);
  }
  onProgress(of, of);
  const chosen = feature === null ? null : { ...numbersOf(stored, feature), logitEffects };
  return { features, explained, chosen, raised };
}

/** Return the run of the text, in a session that serves the others as well. */
function firstBatch(
  ids: readonly number[],
  edits: Interventions,
  record: DictionaryRecord,
  shape: ModelShape,
): EngineBatch {
  const matrix = matrixOf(record.description.writes);
  return {
    texts: [ids],
    edits,
    logits: 0,
    activations: readActivations(record, shape),
    closings: [
      { joint: 'resid_post', layer: 0, closing: 'replace' },
      ...(matrix === null ? [] : [{ joint: matrix, layer: 0, closing: 'replace' } as const]),
    ],
  };
}

/** Return the stream in front of the final norm at a position, (hidden). */
function lastStream(
  values: BatchValues,
  position: number,
  { hidden, layers }: ModelShape,
): Float32Array {
  const stream = arrayOf(values, 'resid_post', layers - 1);
  return stream.slice(position * hidden, (position + 1) * hidden);
}

function numbersOf(stored: DictionaryNumbers, feature: number): Omit<ReadFeature, 'logitEffects'> {
  return {
    feature,
    encoder: stored.encoderColumn(feature),
    decoder: stored.decoderRow(feature),
    bias: stored.encoderBias(feature),
    threshold: stored.threshold(feature),
  };
}

interface RowReader {
  readonly shape: ModelShape;
  readonly run: RunsBatches;
  readonly writes: DictionaryActivation;
  /** The activation that is put in: static int8 has a range for it, which the text's own are in. */
  readonly scale: number;
}

/** Return the ids of the tokens that each feature's row, (hidden), raises most. */
async function raisedBy(
  features: readonly number[],
  rows: readonly Float32Array[],
  { shape, run }: RowReader,
): Promise<Map<number, readonly number[]>> {
  const { hidden, vocab } = shape;
  const atOnce = Math.max(1, vectorsPerRun(shape) - 1);
  const raised = new Map<number, readonly number[]>();
  for (let begin = 0; begin < features.length; begin += atOnce) {
    const part = rows.slice(begin, begin + atOnce);
    // The first one stays at zero, which the norm's bias alone gives.
    const vectors = new Float32Array((1 + part.length) * hidden);
    for (const [at, row] of part.entries()) vectors.set(lengthened(row), (at + 1) * hidden);
    const logits = await readOut(vectors, shape, run);
    for (const at of part.keys()) {
      const own = logits.subarray((at + 1) * vocab, (at + 2) * vocab);
      const changes = own.map((logit, id) => logit - (logits[id] ?? 0));
      raised.set(features[begin + at] ?? 0, largest(changes, raisedTokens));
    }
  }
  return raised;
}

/** Tokens that are rebuilt before the worker hears whether it is to end. */
const rebuiltAtOnce = 64;
/** Bytes of the decoder's rows that are kept meanwhile. */
const rowBytes = 32 * 2 ** 20;

/** Return (tokens, width_out): features @ decoder_weight + decoder_bias. */
async function rebuiltBy(
  features: SparseFeatures,
  stored: DictionaryNumbers,
  signal: AbortSignal,
): Promise<Float32Array> {
  const bias = stored.decoderBias();
  const rowOf = decodedRows(stored, bias.length);
  const tokens = features.starts.length - 1;
  const rebuilt = new Float32Array(tokens * bias.length);
  const sums = new Float64Array(bias.length);
  for (let token = 0; token < tokens; token++) {
    if (token % rebuiltAtOnce === 0) await heard(signal);
    sums.set(bias);
    for (const { feature, value } of featuresAt(features, token)) {
      const row = rowOf(feature);
      for (let at = 0; at < row.length; at++) sums[at] = (sums[at] ?? 0) + value * (row[at] ?? NaN);
    }
    rebuilt.set(sums, token * bias.length);
  }
  return rebuilt;
}

/** Return a function that reads rows of the decoder, and keeps them: most features are above 0 at several tokens. */
function decodedRows(stored: DictionaryNumbers, width: number): (feature: number) => Float32Array {
  const rows = new Map<number, Float32Array>();
  const most = Math.max(1, Math.floor(rowBytes / (4 * width)));
  return (feature) => {
    const known = rows.get(feature);
    if (known !== undefined) return known;
    if (rows.size >= most) rows.clear();
    const row = stored.decoderRow(feature);
    rows.set(feature, row);
    return row;
  };
}

/** Return what rows of the written activation add to the stream, (hidden) each. Rows of an MLP's or of attention's
 * activation go through the output matrix: the differences of tokens of one run with a row in each and one with zeros. */
async function streamRows(
  rows: readonly Float32Array[],
  { shape, run, writes, scale }: RowReader,
): Promise<readonly Float32Array[]> {
  const matrix = matrixOf(writes);
  if (matrix === null) return rows;
  const tokens = rows.length + 1;
  const [first = new Float32Array()] = rows;
  const heads = matrix === 'attn_z' ? layerShape(shape, writes.layer).heads : 1;
  const width = first.length / heads;
  const values = new Float32Array(tokens * first.length);
  const factors = rows.map(
    (row) => scale / (row.reduce((most, each) => Math.max(most, Math.abs(each)), 0) || 1),
  );
  for (const [token, row] of rows.entries())
    for (const [at, each] of row.entries())
      values[(tokens * Math.floor(at / width) + token + 1) * width + (at % width)] =
        each * (factors[token] ?? 1);
  const dims = matrix === 'attn_z' ? [1, heads, tokens, width] : [1, tokens, width];
  const name = outputName(matrix, writes.layer, shape);
  const found = await run({
    texts: [Array<number>(tokens).fill(0)],
    edits: [
      { edit: 'replace', joint: matrix, layer: writes.layer, value: { shape: dims, values } },
    ],
    logits: 0,
    activations: [name],
  });
  const output = floatsOf(found, name).data;
  const { hidden } = shape;
  return rows.map((_, token) =>
    output
      .slice((token + 1) * hidden, (token + 2) * hidden)
      .map((each, at) => (each - (output[at] ?? 0)) / (factors[token] ?? 1)),
  );
}

/** Return the rows of tokens, (tokens, width), of an activation; the heads of attn_z one after another. */
function tokenRows({ dims, data }: { dims: readonly number[]; data: Float32Array }): Float32Array {
  const [, heads = 1, tokens = 1, width = 1] = dims;
  if (dims.length < 4) return data;
  const rows = new Float32Array(data.length);
  for (let head = 0; head < heads; head++)
    for (let token = 0; token < tokens; token++) {
      const from = (head * tokens + token) * width;
      rows.set(data.subarray(from, from + width), (token * heads + head) * width);
    }
  return rows;
}

function floatsOf(
  values: BatchValues,
  name: string,
): { readonly dims: Tensor['dims']; readonly data: Float32Array } {
  const found = values.get(name);
  if (!(found?.data instanceof Float32Array))
    throw new ModelError({ kind: 'run', detail: `no output ${name} of float32` });
  return { dims: found.dims, data: found.data };
}

/** List the arrays of a reading, to transfer them. */
export function featureBuffers({ features, explained, chosen }: FeatureReading): ArrayBufferLike[] {
  return [
    ...[features.starts, features.features, features.values, explained.tokens],
    ...(chosen === null ? [] : [chosen.encoder, chosen.decoder]),
    ...(chosen?.logitEffects ? [chosen.logitEffects] : []),
  ].map(({ buffer }) => buffer);
}

function checkFeature(
  { ids, feature, position }: FeaturesRequest,
  { name, description: { features } }: DictionaryRecord,
): void {
  const isBelow = (value: number, end: number): boolean =>
    Number.isInteger(value) && value >= 0 && value < end;
  if (feature !== null && !isBelow(feature, features))
    throw new RangeError(
      `dictionary ${name} has no such feature; got feature ${feature}; expected 0 to ${features - 1}`,
    );
  if (!isBelow(position, ids.length))
    throw new RangeError(
      `the text has no such token; got position ${position}; expected 0 to ${ids.length - 1}`,
    );
}
