// The token that a reader names: by its id, or by its text.
import type { TextReader } from './text_numbers';

/** Return the token; null where the text is not exactly one, or there is no such id. Rejects with a ModelError. */
export async function namedToken(
  { client, model }: Pick<TextReader, 'client' | 'model'>,
  given: string,
): Promise<number | null> {
  const text = given.trim();
  if (/^\d{1,9}$/.test(text) && Number(text) < model.manifest.model.shape.vocab)
    return Number(text);
  if (text === '' || !model.hasTokenizer) return null;
  // Within a text, most tokenizers put the space before a word into its token.
  for (const spelt of given === text ? [` ${text}`, text] : [given, text]) {
    const [piece, ...more] = await client.encode(spelt);
    if (piece !== undefined && more.length === 0) return piece.id;
  }
  return null;
}
