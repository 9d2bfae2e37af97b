// The text of a token for data files: JSON, from its bytes. token_text.ts makes the text that the page shows.
import { utf8Character } from './token_text';

/**
 * Return the token's text as a JSON string, quotation marks included, so that spaces, line breaks, and
 * texts such as `=1+1` or `007` reach a spreadsheet unchanged. A byte that is not valid UTF-8 becomes
 * the lone surrogate U+DC80 … U+DCFF, as in Python's `surrogateescape` (PEP 383):
 * `json.loads(cell).encode("utf-8", "surrogateescape")` gives every token's bytes back.
 * Empty where there are no bytes: the model has no tokenizer, or its vocabulary no such entry.
 */
export function tokenData(bytes: Uint8Array | null | undefined): string {
  if (bytes === null || bytes === undefined || bytes.length === 0) return '';
  let text = '';
  let at = 0;
  while (at < bytes.length) {
    const character = utf8Character(bytes, at);
    text += character?.text ?? String.fromCharCode(0xdc00 + (bytes[at] ?? 0));
    at += character?.length ?? 1;
  }
  return JSON.stringify(text);
}
