// Sampling from logits: temperature, then top-k, top-p and min-p, as in generate() of transformers; and what each of
// these rules cuts.
import { largest, softmax } from './probabilities';

export interface SamplingSettings {
  /** 0 always takes the likeliest token. */
  temperature: number;
  /** Keep the k likeliest; 0 keeps all. */
  topK: number;
  /** Keep the smallest set that holds at least this probability; 1 keeps all. */
  topP: number;
  /** Keep tokens of at least this share of the likeliest one's probability; 0 keeps all. */
  minP: number;
  /** Determines every draw, together with the number of tokens before it; null draws anew each time. */
  seed: number | null;
}

export const DEFAULT_SAMPLING: SamplingSettings = {
  ...{ temperature: 0.8, topK: 0, topP: 0.95, minP: 0 },
  seed: null,
};

/** In the order in which they are applied; `greedy` is a temperature of 0, which leaves one token. */
export const CUTTING_RULES = ['greedy', 'top-k', 'top-p', 'min-p'] as const;
export type CuttingRule = (typeof CUTTING_RULES)[number];

/** A set of tokens and how much probability it holds. */
export interface TokenMass {
  readonly tokens: number;
  /** By the model's own probabilities. */
  readonly mass: number;
  /** By the probabilities after the temperature, before any cut. */
  readonly tempered: number;
}

export interface SamplingCuts {
  readonly kept: TokenMass;
  /** Rules that cut something, in their order. */
  readonly cuts: readonly (TokenMass & { readonly rule: CuttingRule })[];
}

/** The distribution after each rule that is on, over the whole vocabulary: 0 for tokens that are cut by then. */
interface Stage {
  readonly rule: CuttingRule;
  readonly probabilities: Float64Array;
}

/** Return the distribution to sample from: over the whole vocabulary, 0 for tokens that a rule removed. */
export function samplingDistribution(
  logits: ArrayLike<number>,
  settings: SamplingSettings,
): Float64Array {
  const warm = tempered(logits, settings);
  return stagesOf(warm, settings).at(-1)?.probabilities ?? warm;
}

/** Say how many tokens each rule removes of those that the rules before it left, and how much they hold. */
export function samplingCuts(logits: ArrayLike<number>, settings: SamplingSettings): SamplingCuts {
  const truth = softmax(logits);
  const warm = tempered(logits, settings);
  let before: Float64Array = new Float64Array(truth.length).fill(1);
  const cuts: (TokenMass & { rule: CuttingRule })[] = [];
  for (const { rule, probabilities } of stagesOf(warm, settings)) {
    const cut = massWhere(truth, warm, (id) => (before[id] ?? 0) > 0 && probabilities[id] === 0);
    if (cut.tokens > 0) cuts.push({ rule, ...cut });
    before = probabilities;
  }
  return { kept: massWhere(truth, warm, (id) => (before[id] ?? 0) > 0), cuts };
}

/** Apply the temperature; 0 leaves the model's own probabilities, of which one token is kept. */
function tempered(logits: ArrayLike<number>, { temperature }: SamplingSettings): Float64Array {
  return softmax(logits, temperature <= 0 ? 1 : temperature);
}

function stagesOf(
  warm: Float64Array,
  { temperature, topK, topP, minP }: SamplingSettings,
): Stage[] {
  const stages: Stage[] = [];
  let probabilities = warm;
  const keep = (rule: CuttingRule, ids: readonly number[]): void => {
    probabilities = keepOnly(probabilities, ids);
    stages.push({ rule, probabilities });
  };
  if (temperature <= 0) {
    keep('greedy', largest(warm, 1));
    return stages;
  }
  if (topK > 0 && topK < warm.length) keep('top-k', largest(probabilities, topK));
  if (topP < 1) keep('top-p', nucleus(probabilities, topP));
  if (minP > 0) keep('min-p', notFarBelow(probabilities, minP));
  return stages;
}

function massWhere(
  truth: Float64Array,
  warm: Float64Array,
  holds: (id: number) => boolean,
): TokenMass {
  let [tokens, mass, tempered] = [0, 0, 0];
  for (let id = 0; id < truth.length; id++) {
    if (!holds(id)) continue;
    tokens++;
    mass += truth[id] ?? 0;
    tempered += warm[id] ?? 0;
  }
  return { tokens, mass, tempered };
}

/** Return the fewest likeliest tokens whose probabilities add up to `topP`; at least one. */
function nucleus(probabilities: Float64Array, topP: number): number[] {
  // A token below this share cannot be needed to reach topP, so only the rest is sorted.
  const floor = (1 - topP) / probabilities.length;
  const candidates: number[] = [];
  for (let id = 0; id < probabilities.length; id++)
    if ((probabilities[id] ?? 0) >= floor) candidates.push(id);
  candidates.sort((a, b) => (probabilities[b] ?? 0) - (probabilities[a] ?? 0) || a - b);
  let sum = 0;
  let count = 0;
  while (count < candidates.length && (count === 0 || sum < topP))
    sum += probabilities[candidates[count++] ?? 0] ?? 0;
  return candidates.slice(0, count);
}

/** Return the tokens of at least `minP` times the likeliest one's probability, which is among them. */
function notFarBelow(probabilities: Float64Array, minP: number): number[] {
  const [likeliest = 0] = largest(probabilities, 1);
  const floor = Math.min(1, minP) * (probabilities[likeliest] ?? 0);
  const ids: number[] = [];
  probabilities.forEach((p, id) => {
    if (p > 0 && p >= floor) ids.push(id);
  });
  return ids;
}

function keepOnly(probabilities: Float64Array, ids: readonly number[]): Float64Array {
  const out = new Float64Array(probabilities.length);
  let total = 0;
  for (const id of ids) total += probabilities[id] ?? 0;
  for (const id of ids) out[id] = (probabilities[id] ?? 0) / total;
  return out;
}

/** Return the token that a uniform number in [0, 1) falls on. */
export function drawToken(distribution: ArrayLike<number>, uniform: number): number {
  let sum = 0;
  let last = 0;
  for (let id = 0; id < distribution.length; id++) {
    const p = distribution[id] ?? 0;
    if (p <= 0) continue;
    sum += p;
    last = id;
    if (uniform < sum) return id;
  }
  return last;
}
