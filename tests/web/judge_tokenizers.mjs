// The page's ids of texts: `{ tokenizer, config, texts }`, a list of them as JSON on standard input; for each a list of ids
// or what was wrong. It is called by tests/python/test_page_tokenizer.py, which compares it with the Python library.
import { text } from 'node:stream/consumers';
import { withPageModules } from './page_modules.mjs';

/**
 * @typedef {{ id: number, bytes: Uint8Array }} Piece
 * @typedef {new (file: Uint8Array, config: Uint8Array) => { encode(text: string): Piece[] }} TextTokenizer
 * @typedef {{ tokenizer: object, config: object, texts: string[] }} Asked
 */
await withPageModules(async (load) => {
  const module = await load('tokenizer/text_tokenizer.ts');
  const TextTokenizer = /** @type {TextTokenizer} */ (module['TextTokenizer']);
  /** @type {unknown} */
  const parsed = JSON.parse(await text(process.stdin));
  const asked = /** @type {Asked[]} */ (parsed);
  process.stdout.write(JSON.stringify(asked.map((one) => judge(one, TextTokenizer))));
});

/**
 * @param {Asked} asked
 * @param {TextTokenizer} TextTokenizer
 */
function judge({ tokenizer, config, texts }, TextTokenizer) {
  const bytes = (/** @type {object} */ value) => new TextEncoder().encode(JSON.stringify(value));
  try {
    const opened = new TextTokenizer(bytes(tokenizer), bytes(config));
    return texts.map((each) => {
      try {
        const pieces = opened.encode(each);
        return { ids: pieces.map(({ id }) => id), bytes: pieces.map((piece) => [...piece.bytes]) };
      } catch (error) {
        return { refused: String(error) };
      }
    });
  } catch (error) {
    return { refused: String(error) };
  }
}
