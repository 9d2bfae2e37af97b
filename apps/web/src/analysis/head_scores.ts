// Scores of the attention patterns of a layer's heads, from 0 to 1 (entropy: in nats). The same in Python:
// oriel/analysis/head_scores.py.
import type { Numbers, Values } from './values';

export type ScoreName =
  'entropy' | 'previous_token' | 'first_token' | 'duplicate_token' | 'induction';

/** Returns the keys whose attention a score adds up for one query. */
type Keys = (ids: readonly number[], query: number) => readonly number[];

/** Return the mean entropy of each head's rows, in nats. `probs`: (batch, heads, seq, seq). */
export function entropy(probs: Values): Float64Array {
  const { texts, heads, seq } = sizesOf(probs);
  const found = new Float64Array(heads);
  const row = seq * seq;
  for (let at = 0; at < probs.data.length; at++) {
    const share = probs.data[at] ?? 0;
    const head = Math.floor(at / row) % heads;
    if (share > 0) found[head] = (found[head] ?? 0) - share * Math.log(share);
  }
  return found.map((sum) => sum / (texts * seq));
}

/** Return each head's mean attention to the previous token, over all tokens but the first. */
export function previousToken(probs: Values): Float64Array {
  return meanOver(probs, null, (_, query) => (query > 0 ? [query - 1] : []));
}

/** Return each head's mean attention to the first token, over all other tokens. */
export function firstToken(probs: Values): Float64Array {
  return meanOver(probs, null, (_, query) => (query > 0 ? [0] : []));
}

/**
 * Return each head's mean attention to earlier occurrences of the same token, over the tokens that have one; NaN if no
 * token repeats. `ids`: token ids of each text.
 */
export function duplicateToken(probs: Values, ids: readonly (readonly number[])[]): Float64Array {
  return meanOver(probs, ids, samePlaces);
}

/**
 * Return each head's mean attention to the tokens that followed earlier occurrences of the same token, over the tokens
 * that have one (Olsson et al., 2022, "In-context Learning and Induction Heads"); NaN if there is none.
 */
export function induction(probs: Values, ids: readonly (readonly number[])[]): Float64Array {
  return meanOver(probs, ids, (text, query) => samePlaces(text, query).map((key) => key + 1));
}

/** Return every score of a layer's heads for one batch of texts. */
export function scoresOf(
  probs: Values,
  ids: readonly (readonly number[])[],
): Record<ScoreName, Float64Array> {
  return {
    entropy: entropy(probs),
    previous_token: previousToken(probs),
    first_token: firstToken(probs),
    duplicate_token: duplicateToken(probs, ids),
    induction: induction(probs, ids),
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
 * Return attention weighted by the norms of the values: probs (batch, heads, seq, total) times the norms of values
 * (batch, kv_heads, total, width), scaled so that each row sums to 1 (Kobayashi et al., 2020, "Attention is Not Only a
 * Weight", without the output matrix).
 */
export function valueWeighted(probs: Values, values: Values): Numbers {
  const [texts = 0, heads = 0, seq = 0, total = 0] = probs.dims;
  const [, keyHeads = 1, , width = 0] = values.dims;
  const group = heads / keyHeads;
  const found = new Float64Array(probs.data.length);
  for (let text = 0; text < texts; text++)
    for (let head = 0; head < heads; head++) {
      const from = (text * keyHeads + Math.floor(head / group)) * total * width;
      const lengths = Array.from({ length: total }, (_, key) =>
        lengthOf(values.data, from + key * width, width),
      );
      for (let query = 0; query < seq; query++) {
        const at = ((text * heads + head) * seq + query) * total;
        let sum = 0;
        for (const [key, length] of lengths.entries()) {
          const weight = (probs.data[at + key] ?? 0) * length;
          found[at + key] = weight;
          sum += weight;
        }
        if (sum > 0)
          for (let key = 0; key < total; key++) found[at + key] = (found[at + key] ?? 0) / sum;
      }
    }
  return { dims: probs.dims, data: found };
}

function lengthOf(data: ArrayLike<number>, start: number, width: number): number {
  let sum = 0;
  for (let at = start; at < start + width; at++) sum += (data[at] ?? 0) ** 2;
  return Math.sqrt(sum);
}

function samePlaces(ids: readonly number[], query: number): number[] {
  const places: number[] = [];
  for (let key = 0; key < query; key++) if (ids[key] === ids[query]) places.push(key);
  return places;
}

/**
 * Return each head's mean attention from queries to their selected keys, over the queries of all texts that have any.
 */
function meanOver(
  probs: Values,
  ids: readonly (readonly number[])[] | null,
  keysOf: Keys,
): Float64Array {
  const { texts, heads, seq } = sizesOf(probs);
  if (ids !== null && (ids.length !== texts || ids.some((text) => text.length !== seq)))
    throw new RangeError(
      `the ids are of other texts; got ${ids.length} × ${ids[0]?.length ?? 0}; expected ${texts} × ${seq}`,
    );
  const found = new Float64Array(heads);
  let count = 0;
  for (let text = 0; text < texts; text++)
    for (let query = 0; query < seq; query++) {
      const keys = keysOf(ids?.[text] ?? [], query);
      if (keys.length === 0) continue;
      count++;
      for (let head = 0; head < heads; head++) {
        const at = ((text * heads + head) * seq + query) * seq;
        for (const key of keys) found[head] = (found[head] ?? 0) + (probs.data[at + key] ?? 0);
      }
    }
  // 0 / 0 gives NaN if no query has such keys.
  return found.map((sum) => sum / count);
}

function sizesOf({ dims }: Values): { texts: number; heads: number; seq: number } {
  const [texts = 0, heads = 0, seq = 0, total = 0] = dims;
  if (dims.length !== 4 || seq !== total || seq < 1)
    throw new RangeError(
      `these are no probabilities of whole texts; got ${dims.join(' × ')}; expected batch × heads × seq × seq`,
    );
  return { texts, heads, seq };
}
