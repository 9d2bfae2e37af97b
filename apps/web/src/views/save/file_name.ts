// Names of saved files: model, variant, a digest of the text's token ids, and what is in the file.
import { sha256Digest } from '../../bundle/download/digest';
import type { ViewedModel } from '../../inference/model_types';
import type { Answer } from '../../session/answer';

/** Return `model_variant_digest_what`, without an extension; the digest is the first 8 digits of the prompt's. */
export async function savedName(model: ViewedModel, answer: Answer, what: string): Promise<string> {
  const digest = await promptDigest(answer.tokens.map(({ id }) => id));
  const name = model.manifest.model.name;
  const short = digest.slice('sha256:'.length, 'sha256:'.length + 8);
  return joinedName([name, model.variant.name, short, what]);
}

/** Join the parts of a file's name, of characters that every system allows. */
export function joinedName(parts: readonly string[]): string {
  return parts.map((part) => part.replace(/[^\w.-]+/g, '-')).join('_');
}

/** Return the SHA-256 of the token ids as text, separated by commas. */
export function promptDigest(ids: readonly number[]): Promise<string> {
  return sha256Digest(new TextEncoder().encode(ids.join()));
}
