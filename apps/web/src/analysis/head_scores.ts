// Scores of attention patterns, from 0 to 1 (entropy: in nats), each defined once. The same in Python:
// oriel/analysis/head_scores.py.
import type { Numbers, Values } from './values';

export const SCORE_NAMES = [
  'induction',
  'duplicate_token',
  'previous_token',
  'first_token',
  'entropy',
] as const;
export type ScoreName = (typeof SCORE_NAMES)[number];
/** A score that is a mean share of attention; entropy is not. */
export type ShareName = Exclude<ScoreName, 'entropy'>;
/** NaN where no token of the texts has a key that the score is about. */
export type HeadScores = Readonly<Record<ScoreName, number>>;

/** Returns how much a token attends to each token: row `query` of a head's pattern in one of the texts. */
export type PatternRow = (text: number, query: number) => ArrayLike<number>;

/** The keys of one text whose attention each score adds up, for every query; queries without any do not count. */
export type ScoredKeys = Readonly<Record<ShareName, readonly (readonly number[])[]>>;

/**
 * Return the keys of each score in a text:
 * previous_token: the token before, for all tokens but the first.
 * first_token: the first token, for all others.
 * duplicate_token: earlier occurrences of the same token.
 * induction: the tokens that followed earlier occurrences of the same token (Olsson et al., 2022, "In-context Learning
 * and Induction Heads").
 */
export function scoredKeys(ids: readonly number[]): ScoredKeys {
  const places = new Map<number, number[]>();
  const same = ids.map((id, query) => {
    const before = places.get(id) ?? [];
    places.set(id, [...before, query]);
    return before;
  });
  return {
    previous_token: ids.map((_, query) => (query > 0 ? [query - 1] : [])),
    first_token: ids.map((_, query) => (query > 0 ? [0] : [])),
    duplicate_token: same,
    induction: same.map((before) => before.map((key) => key + 1)),
  };
}

/** Return the scores of one head over texts, whose keys `scoredKeys` gives: means over the queries of all texts. */
export function scoresOfHead(row: PatternRow, texts: readonly ScoredKeys[]): HeadScores {
  return {
    previous_token: meanShare(row, texts, 'previous_token'),
    first_token: meanShare(row, texts, 'first_token'),
    duplicate_token: meanShare(row, texts, 'duplicate_token'),
    induction: meanShare(row, texts, 'induction'),
    entropy: meanEntropy(row, texts),
  };
}

/** Return one score alone: the mean attention from queries to their keys, over the queries that have any. */
export function meanShare(row: PatternRow, texts: readonly ScoredKeys[], name: ShareName): number {
  let sum = 0;
  let count = 0;
  for (const [text, keys] of texts.entries())
    for (const [query, wanted] of keys[name].entries()) {
      if (wanted.length === 0) continue;
      count++;
      const shares = row(text, query);
      for (const key of wanted) sum += shares[key] ?? 0;
    }
  // 0 / 0 gives NaN if no query has such keys.
  return sum / count;
}

/** Return the mean entropy of the rows, in nats. */
function meanEntropy(row: PatternRow, texts: readonly ScoredKeys[]): number {
  let sum = 0;
  let count = 0;
  for (const [text, { first_token: queries }] of texts.entries())
    for (let query = 0; query < queries.length; query++) {
      count++;
      const shares = row(text, query);
      const { length } = shares;
      for (let key = 0; key < length; key++) {
        const share = shares[key] ?? 0;
        if (share > 0) sum -= share * Math.log(share);
      }
    }
  return sum / count;
}

/**
 * Return every score of a layer's heads. `probs`: (batch, heads, seq, seq); `ids`: token ids of each text. Throws a
 * RangeError for other shapes.
 */
export function scoresOf(
  probs: Values,
  ids: readonly (readonly number[])[],
): Record<ScoreName, Float64Array> {
  const { texts, heads, seq } = sizesOf(probs);
  if (ids.length !== texts || ids.some((text) => text.length !== seq))
    throw new RangeError(
      `the ids are of other texts; got ${ids.length} × ${ids[0]?.length ?? 0}; expected ${texts} × ${seq}`,
    );
  const data = Float64Array.from(probs.data);
  const keys = ids.map(scoredKeys);
  const each = Array.from({ length: heads }, (_, head) =>
    scoresOfHead((text, query) => {
      const at = ((text * heads + head) * seq + query) * seq;
      return data.subarray(at, at + seq);
    }, keys),
  );
  const column = (name: ScoreName): Float64Array => Float64Array.from(each, (one) => one[name]);
  return {
    previous_token: column('previous_token'),
    first_token: column('first_token'),
    duplicate_token: column('duplicate_token'),
    induction: column('induction'),
    entropy: column('entropy'),
  };
}

/**
 * Return random tokens followed by the same tokens again, on which induction heads can be told from knowledge of
 * language. `random` returns numbers in [0, 1). Throws a RangeError if the model can't read the length twice.
 */
export function repeatedTokens(
  length: number,
  { vocab, context }: { readonly vocab: number; readonly context: number },
  random: () => number,
): number[] {
  const most = Math.floor(context / 2);
  if (!(Number.isInteger(length) && length > 1 && length <= most))
    throw new RangeError(
      `the model can't read so many tokens twice; got length ${length}; expected 2 to ${most}`,
    );
  const once = Array.from({ length }, () => Math.floor(random() * vocab));
  return [...once, ...once];
}

/**
 * Return the norm of each token's value. `row`: a token's value of the head that fetches it, without the output matrix.
 */
export function valueNorms(
  row: (position: number) => ArrayLike<number>,
  tokens: number,
): Float64Array {
  return Float64Array.from({ length: tokens }, (_, position) => {
    const value = row(position);
    const { length } = value;
    let sum = 0;
    for (let at = 0; at < length; at++) sum += (value[at] ?? 0) ** 2;
    return Math.sqrt(sum);
  });
}

/** Return a row of attention times the norms of the values, scaled so that it sums to 1; zeros where nothing is left. */
export function weightedRow(shares: ArrayLike<number>, lengths: ArrayLike<number>): Float64Array {
  const found = new Float64Array(shares.length);
  let sum = 0;
  for (let key = 0; key < found.length; key++) {
    const weight = (shares[key] ?? 0) * (lengths[key] ?? 0);
    found[key] = weight;
    sum += weight;
  }
  if (sum > 0) for (let key = 0; key < found.length; key++) found[key] = (found[key] ?? 0) / sum;
  return found;
}

/** Return which head of the values a head reads: several query heads may share one. */
export function valueHead(head: number, heads: number, valueHeads: number): number {
  return Math.floor((head * valueHeads) / heads);
}

/**
 * Return attention weighted by the norms of the values: probs (batch, heads, seq, total) times the norms of values
 * (batch, kv_heads, total, width), scaled so that each row sums to 1 (Kobayashi et al., 2020, "Attention is Not Only a
 * Weight", without the output matrix).
 */
export function valueWeighted(probs: Values, values: Values): Numbers {
  const [texts = 0, heads = 0, seq = 0, total = 0] = probs.dims;
  const [, keyHeads = 1, , width = 0] = values.dims;
  const [from, lent] = [Float64Array.from(probs.data), Float64Array.from(values.data)];
  const found = new Float64Array(from.length);
  for (let text = 0; text < texts; text++)
    for (let head = 0; head < heads; head++) {
      const start = (text * keyHeads + valueHead(head, heads, keyHeads)) * total * width;
      const lengths = valueNorms(
        (key) => lent.subarray(start + key * width, start + (key + 1) * width),
        total,
      );
      for (let query = 0; query < seq; query++) {
        const at = ((text * heads + head) * seq + query) * total;
        found.set(weightedRow(from.subarray(at, at + total), lengths), at);
      }
    }
  return { dims: probs.dims, data: found };
}

function sizesOf({ dims }: Values): { texts: number; heads: number; seq: number } {
  const [texts = 0, heads = 0, seq = 0, total = 0] = dims;
  if (dims.length !== 4 || seq !== total || seq < 1)
    throw new RangeError(
      `these are no probabilities of whole texts; got ${dims.join(' × ')}; expected batch × heads × seq × seq`,
    );
  return { texts, heads, seq };
}
