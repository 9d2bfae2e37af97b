// What a manifest says of feeding a whole text: the tokens around it, and the position that is predicted in a model
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
  const { model, tokenizer } = manifest;
  const last = continuesText(model.shape) ? [] : (tokenizer?.last_tokens ?? []);
  return [...firstTokensOf(manifest), ...body, ...last];
}

/** Return the token that stands for a word to be found; null where the model continues texts, or has none. */
export function maskTokenOf({
  model,
  tokenizer,
}: Pick<Manifest, 'model' | 'tokenizer'>): number | null {
  return continuesText(model.shape) ? null : (tokenizer?.mask_token ?? null);
}

/** Return the position whose logits are shown: that of the first mask token where there is one, else the last. */
export function predictedPosition(
  manifest: Pick<Manifest, 'model' | 'tokenizer'>,
  ids: readonly number[],
): number {
  const mask = maskTokenOf(manifest);
  const masked = mask === null ? -1 : ids.indexOf(mask);
  return masked < 0 ? ids.length - 1 : masked;
}

/** Return how many keys a query may see, the first ones of the text: those up to itself, or all of `tokens`. */
export function keysSeen(
  shape: Pick<ModelShape, 'bidirectional'>,
  tokens: number,
): (query: number) => number {
  return continuesText(shape) ? (query) => query + 1 : () => tokens;
}
