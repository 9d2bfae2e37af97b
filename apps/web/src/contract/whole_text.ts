// Reads how a manifest has a whole text fed: the tokens around it, and the position that is predicted in a model
// without a cache. The same rules in Python: oriel/contract/whole_text.py.
import type { Manifest, ModelShape } from './generated';

/** Return whether the model predicts what follows a text, so that it can go on with it. */
export function continuesText({
  bidirectional = false,
}: Pick<ModelShape, 'bidirectional'>): boolean {
  return !bidirectional;
}

/** Return the tokens that the checkpoint's tokenizer puts before every text; none where the bundle does not say. */
export function firstTokensOf({ tokenizer }: Manifest): readonly number[] {
  return tokenizer?.first_tokens ?? [];
}

/** Return a text's ids with those that its tokenizer puts before it, and after it where the model continues no text. */
export function idsAround(manifest: Manifest, body: readonly number[]): number[] {
  return [...firstTokensOf(manifest), ...body, ...lastTokensOf(manifest)];
}

/** Return how many numbers a row of logits has: one for each label of a classifier, else for each token. */
export function scoreCount({ vocab, labels = 0 }: Pick<ModelShape, 'vocab' | 'labels'>): number {
  return labels > 0 ? labels : vocab;
}

/**
 * Return the dimensions of the logits of a text's one position that is shown, (1, 1, vocabulary or labels); of whole
 * texts, (1, labels).
 */
export function shownLogits(shape: Pick<ModelShape, 'vocab' | 'labels' | 'pooled'>): number[] {
  return [1, ...(shape.pooled === true ? [] : [1]), scoreCount(shape)];
}

/**
 * Return how many rows of logits each text of a batch has, and how many numbers a row: texts with labels have one row.
 */
export function logitRows(dims: readonly number[]): { rows: number; width: number } {
  return { rows: dims.length === 2 ? 1 : (dims[1] ?? 0), width: dims.at(-1) ?? 0 };
}

/** Return the token that stands for a word to be found; null where the model predicts no such token, or has none. */
export function maskTokenOf({
  model,
  tokenizer,
}: Pick<Manifest, 'model' | 'tokenizer'>): number | null {
  const isAsked = !continuesText(model.shape) && (model.shape.labels ?? 0) === 0;
  return isAsked ? (tokenizer?.mask_token ?? null) : null;
}

/** Return the tokens that the checkpoint's tokenizer puts after a text; none where the model continues it. */
export function lastTokensOf({
  model,
  tokenizer,
}: Pick<Manifest, 'model' | 'tokenizer'>): readonly number[] {
  return continuesText(model.shape) ? [] : (tokenizer?.last_tokens ?? []);
}

/**
 * Return the position whose logits are shown: that of the first mask token where there is one, else of the last token of
 * the text itself.
 */
export function predictedPosition(
  manifest: Pick<Manifest, 'model' | 'tokenizer'>,
  ids: readonly number[],
): number {
  const mask = maskTokenOf(manifest);
  const masked = mask === null ? -1 : ids.indexOf(mask);
  if (masked >= 0) return masked;
  const behind = lastTokensOf(manifest);
  const start = ids.length - behind.length;
  const isEnded = start > 0 && behind.every((token, at) => ids[start + at] === token);
  return isEnded ? start - 1 : ids.length - 1;
}

/** Return how many keys a query may see, the first ones of the text: those up to itself, or all of `tokens`. */
export function keysSeen(
  shape: Pick<ModelShape, 'bidirectional'>,
  tokens: number,
): (query: number) => number {
  return continuesText(shape) ? (query) => query + 1 : () => tokens;
}
