// Text to tokens and tokens to bytes, over a checkpoint's own tokenizer files. Bytes of entries: token_bytes.ts.
import { Tokenizer } from '@huggingface/tokenizers';
import { tokenBytes, vocabularyStyle, type VocabularyStyle } from './token_bytes';

export interface TokenPiece {
  id: number;
  /** The token's own bytes: may be part of a UTF-8 character. */
  bytes: Uint8Array<ArrayBuffer>;
}

export class TextTokenizer {
  readonly #tokenizer: Tokenizer;
  readonly #style: VocabularyStyle;
  readonly #addedText: ReadonlyMap<number, string>;

  /** Contents of `tokenizer.json` and `tokenizer_config.json`. Throws where they are not a tokenizer. */
  constructor(tokenizerFile: Uint8Array, configFile: Uint8Array) {
    const json = parseObject(tokenizerFile);
    this.#tokenizer = new Tokenizer(json, parseObject(configFile));
    this.#style = vocabularyStyle(json);
    this.#addedText = new Map(
      Array.from(this.#tokenizer.get_added_tokens_decoder(), ([id, { content }]) => [id, content]),
    );
  }

  /** The plain text's tokens: whether a first token goes before them is the caller's to say. */
  encode(text: string): TokenPiece[] {
    const { ids } = this.#tokenizer.encode(text, { add_special_tokens: false });
    return ids.map((id) => this.piece(id));
  }

  /** No bytes for an id that the vocabulary lacks, as padded vocabularies have. */
  piece(id: number): TokenPiece {
    const added = this.#addedText.get(id);
    if (added !== undefined) return { id, bytes: new TextEncoder().encode(added) };
    const entry = this.#tokenizer.id_to_token(id);
    return {
      id,
      bytes: entry === undefined ? new Uint8Array() : tokenBytes(entry, this.#style),
    };
  }
}

function parseObject(file: Uint8Array): object {
  const parsed: unknown = JSON.parse(new TextDecoder().decode(file));
  if (typeof parsed !== 'object' || parsed === null) throw new TypeError('not a JSON object');
  return parsed;
}
