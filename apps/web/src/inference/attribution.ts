// Attribution of a logit to the parts of a model: selects the taps that a session needs, makes the inputs of a run, and
// reads its outputs as shares. analysis/attribution.ts defines the shares; contracts/ACTIVATIONS_CONTRACT.md the taps.
import type * as Ort from 'onnxruntime-web';
import type { Attribution as Shares } from '../analysis/attribution';
import {
  attributionName,
  directionName,
  signsInput,
  tokensInput,
} from '../contract/attribution_table';
import type { ModelShape, Variant } from '../contract/generated';
import type { Feeds } from './graph_protocols';
import { ModelError } from './model_error';
import type { AttributionRequest } from './model_types';

/** The attribution taps of a session. */
export interface OpenAttribution {
  /** The layer whose neurons it gives, or null. */
  readonly neuronsOf: number | null;
  /** True where it gives the direction. */
  readonly direction: boolean;
}

/** Throw if the variant has no attribution taps, or the model has no such token or layer. */
export function checkAttribution(
  { answer, other, neuronsOf }: AttributionRequest,
  variant: Variant,
  { layers, vocab }: ModelShape,
): void {
  if (variant.attribution === undefined) throw new ModelError({ kind: 'no-attribution' });
  for (const token of other === undefined ? [answer] : [answer, other])
    if (!isBelow(token, vocab)) {
      const detail = `${String(token)} is not in 0 … ${vocab - 1}`;
      throw new ModelError({ kind: 'bad-tokens', detail });
    }
  if (neuronsOf !== undefined && !isBelow(neuronsOf, layers))
    throw new RangeError(
      `the model has no such layer; got layer ${String(neuronsOf)}; expected 0 to ${layers - 1}`,
    );
}

function isBelow(number: number, end: number): boolean {
  return Number.isInteger(number) && number >= 0 && number < end;
}

/** Return the taps that a session needs for a request; the same object if the open ones suffice. */
export function attributionFor(
  open: OpenAttribution | null,
  { neuronsOf, direction = false }: Pick<AttributionRequest, 'neuronsOf' | 'direction'>,
): OpenAttribution {
  const wanted = {
    neuronsOf: neuronsOf ?? open?.neuronsOf ?? null,
    direction: direction || (open?.direction ?? false),
  };
  const isSame = wanted.neuronsOf === open?.neuronsOf && wanted.direction === open.direction;
  return isSame ? open : wanted;
}

/** List the taps, in base64, in the order in which they are appended; an empty list for null. */
export function attributionTaps(
  { attribution }: Variant,
  open: OpenAttribution | null,
): readonly string[] {
  if (attribution === undefined || open === null) return [];
  const { model, layers, neurons } = attribution;
  const asked = open.neuronsOf === null ? undefined : neurons[open.neuronsOf];
  return [model, ...layers, ...(asked === undefined ? [] : [asked])];
}

/** Make the inputs of a run. A session with these taps needs them even if no attribution is requested. */
export function attributionFeeds(
  ort: typeof Ort,
  request: AttributionRequest | null,
  open: OpenAttribution | null,
): Feeds {
  if (open === null) return {};
  const { answer, other } = request ?? { answer: 0 };
  const tokens = other === undefined ? [answer] : [answer, other];
  const signs = Float32Array.of(1, -1).subarray(0, tokens.length);
  return {
    [tokensInput]: new ort.Tensor('int64', BigInt64Array.from(tokens, BigInt), [tokens.length]),
    [signsInput]: new ort.Tensor('float32', signs, [tokens.length, 1]),
  };
}

/** List the outputs of a run that `attributionShares` reads. */
export function attributionNames(
  { layers }: ModelShape,
  { neuronsOf, direction = false }: AttributionRequest,
): string[] {
  const names: string[] = [];
  for (const what of ['embedding', 'bias', 'logits'] as const)
    names.push(attributionName(what, null));
  for (const what of ['heads', 'attention_rest', 'mlp'] as const)
    for (let layer = 0; layer < layers; layer++) names.push(attributionName(what, layer));
  if (neuronsOf !== undefined) names.push(attributionName('neurons', neuronsOf));
  return direction ? [...names, directionName] : names;
}

/** Return a run's outputs as shares of its one direction. `output` gives a float32 output by its name. */
export function attributionShares(
  output: (name: string) => Float32Array,
  { layers }: ModelShape,
  { neuronsOf }: AttributionRequest,
): Shares {
  const ofLayers = (what: string): Float32Array[] =>
    Array.from({ length: layers }, (_, layer) => output(attributionName(what, layer)));
  return {
    embedding: output(attributionName('embedding', null)),
    heads: ofLayers('heads'),
    attentionRest: ofLayers('attention_rest'),
    mlps: ofLayers('mlp'),
    bias: output(attributionName('bias', null))[0] ?? 0,
    logit: output(attributionName('logits', null)),
    neurons: neuronsOf === undefined ? null : output(attributionName('neurons', neuronsOf)),
  };
}

/** List the arrays of shares, to transfer them. */
export function attributionBuffers(shares: Shares): ArrayBufferLike[] {
  const { embedding, heads, attentionRest, mlps, logit, neurons } = shares;
  const arrays = [embedding, logit, ...heads, ...attentionRest, ...mlps];
  return [...arrays, ...(neurons === null ? [] : [neurons])].map(({ buffer }) => buffer);
}
