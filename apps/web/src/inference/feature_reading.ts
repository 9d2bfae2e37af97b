// Reads the features of a dictionary on a text, how well they rebuild the activation that the dictionary writes, and what
// one feature does: its numbers in the dictionary and its effect on the logits.
import {
  explainedVariance,
  featuresAt,
  sparseOf,
  type Explained,
  type SparseFeatures,
} from '../analysis/sparse_features';
import { activationName } from '../contract/activation_table';
import type { DictionaryActivation, DictionaryRecord, ModelShape } from '../contract/generated';
import { checkTokens } from './check_tokens';
import { featuresName } from './dictionary_names';
import type { Interventions } from './interventions';
import type { LoadedDictionary } from './load_dictionary';
import { ModelError } from './model_error';
import type { Tensor } from './model_types';
import { givenBy, largestActivation } from './neuron_reading';
import { heard, type BatchValues, type RunsBatches, type SweepProgress } from './patching_sweep';
import { DictionaryNumbers } from './read_dictionary';
import { arrayOf } from './run_outputs';
import { effectsOf } from './stream_readout';

export interface FeaturesRequest {
  readonly ids: readonly number[];
  /** None by default. */
  readonly interventions?: Interventions;
  /** Name of the dictionary. */
  readonly dictionary: string;
  /** A feature whose numbers are returned too; null for none. */
  readonly feature: number | null;
  /** Token at which the feature's effect on the logits is computed; null for no effect. */
  readonly effectAt: number | null;
}

/** What a dictionary holds of one feature. */
export interface FeatureNumbers {
  /** (width_in): its column of the encoder. */
  readonly encoder: Float32Array;
  /** (width_out): its row of the decoder. */
  readonly decoder: Float32Array;
  readonly bias: number;
  /** 0 where the dictionary has none. */
  readonly threshold: number;
}

export interface FeatureReading {
  readonly features: SparseFeatures;
  readonly explained: Explained;
  /** null where no feature was asked about. */
  readonly numbers: FeatureNumbers | null;
  /** (vocab): the change of each logit for a value of 1; null where it was not asked. */
  readonly logitEffects: Float32Array | null;
}

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
  const { ids, interventions = [], feature, effectAt } = request;
  const { record } = dictionary;
  const { writes } = record.description;
  checkTokens(ids, shape.vocab, shape.context_length);
  checkFeature(request, record);
  const matrix = matrixOf(writes);
  const of = feature === null || effectAt === null ? 1 : matrix === null ? 2 : 3;
  let done = 0;
  const next = async (): Promise<void> => {
    onProgress(done++, of);
    await heard(signal);
  };
  await next();
  const values = await run({
    texts: [ids],
    edits: interventions,
    logits: 0,
    activations: readActivations(record, shape),
    closings: [
      { joint: 'resid_post', layer: 0, closing: 'replace' },
      ...(matrix === null ? [] : [{ joint: matrix, layer: 0, closing: 'replace' } as const]),
    ],
  });
  const stored = new DictionaryNumbers(dictionary.bytes);
  const features = sparseOf(floatsOf(values, featuresName(record.name)).data, ids.length);
  const given = tokenRows(floatsOf(values, activationName(writes.kind, writes.layer)));
  const rebuilt = await rebuiltBy(features, stored, signal);
  const explained = explainedVariance(given, rebuilt, ids.length);
  const numbers = feature === null ? null : numbersOf(stored, feature);
  let logitEffects: Float32Array | null = null;
  if (numbers !== null && effectAt !== null) {
    let row = numbers.decoder;
    if (matrix !== null) {
      await next();
      row = await throughMatrix(row, matrix, writes.layer, {
        shape,
        run,
        scale: largestActivation(given),
      });
    }
    await next();
    const { hidden, layers } = shape;
    const stream = arrayOf(values, 'resid_post', layers - 1).slice(
      effectAt * hidden,
      (effectAt + 1) * hidden,
    );
    logitEffects = await effectsOf({ row, stream }, shape, run);
  }
  onProgress(of, of);
  return { features, explained, numbers, logitEffects };
}

function numbersOf(stored: DictionaryNumbers, feature: number): FeatureNumbers {
  return {
    encoder: stored.encoderColumn(feature),
    decoder: stored.decoderRow(feature),
    bias: stored.encoderBias(feature),
    threshold: stored.threshold(feature),
  };
}

/** Tokens that are rebuilt before the worker hears whether it is to end. */
const rebuiltAtOnce = 64;

/** Return (tokens, width_out): features @ decoder_weight + decoder_bias. */
async function rebuiltBy(
  features: SparseFeatures,
  stored: DictionaryNumbers,
  signal: AbortSignal,
): Promise<Float32Array> {
  const bias = stored.decoderBias();
  const tokens = features.starts.length - 1;
  const rebuilt = new Float32Array(tokens * bias.length);
  const sums = new Float64Array(bias.length);
  for (let token = 0; token < tokens; token++) {
    if (token % rebuiltAtOnce === 0) await heard(signal);
    sums.set(bias);
    for (const { feature, value } of featuresAt(features, token))
      for (const [at, weight] of stored.decoderRow(feature).entries())
        sums[at] = (sums[at] ?? 0) + value * weight;
    rebuilt.set(sums, token * bias.length);
  }
  return rebuilt;
}

/** Return what a row of an MLP's or of attention's activation adds to its output, (hidden): the difference of two tokens
 * of a run, one with the row in it and one with zeros. */
async function throughMatrix(
  row: Float32Array,
  matrix: 'attn_z' | 'mlp_act',
  layer: number,
  { shape, run, scale }: { shape: ModelShape; run: RunsBatches; scale: number },
): Promise<Float32Array> {
  const largest = row.reduce((most, each) => Math.max(most, Math.abs(each)), 0) || 1;
  // Static int8 has a range for what is put in, which the text's own activations are in.
  const factor = scale / largest;
  const heads = matrix === 'attn_z' ? shape.heads : 1;
  const width = row.length / heads;
  const values = new Float32Array(2 * row.length);
  for (const [at, each] of row.entries())
    values[(2 * Math.floor(at / width) + 1) * width + (at % width)] = each * factor;
  const dims = matrix === 'attn_z' ? [1, heads, 2, width] : [1, 2, width];
  const name = outputName(matrix, layer, shape);
  const found = await run({
    texts: [[0, 0]],
    edits: [{ edit: 'replace', joint: matrix, layer, value: { shape: dims, values } }],
    logits: 0,
    activations: [name],
  });
  const output = floatsOf(found, name).data;
  const { hidden } = shape;
  return output.slice(hidden, 2 * hidden).map((each, at) => (each - (output[at] ?? 0)) / factor);
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
export function featureBuffers(reading: FeatureReading): ArrayBufferLike[] {
  const { features, explained, numbers, logitEffects } = reading;
  return [
    ...[features.starts, features.features, features.values, explained.tokens],
    ...(numbers === null ? [] : [numbers.encoder, numbers.decoder]),
    ...(logitEffects === null ? [] : [logitEffects]),
  ].map(({ buffer }) => buffer);
}

function checkFeature(
  { ids, feature, effectAt }: FeaturesRequest,
  { name, description: { features } }: DictionaryRecord,
): void {
  const isBelow = (value: number, end: number): boolean =>
    Number.isInteger(value) && value >= 0 && value < end;
  if (feature !== null && !isBelow(feature, features))
    throw new RangeError(
      `dictionary ${name} has no such feature; got feature ${feature}; expected 0 to ${features - 1}`,
    );
  if (effectAt !== null && !isBelow(effectAt, ids.length))
    throw new RangeError(
      `the text has no such token; got position ${effectAt}; expected 0 to ${ids.length - 1}`,
    );
}
