// Converts text to tokens and tokens to bytes, with a checkpoint's own tokenizer files. token_bytes.ts reads entries.
import { Tokenizer } from '@huggingface/tokenizers';
import { chatTemplatesOf, type ChatTemplates } from './chat_template';
import { adaptTokenizer, UnsupportedTokenizerError } from './adapt_tokenizer';
import { cutSingleWords, type Section, type SingleWordToken } from './single_word_tokens';
import { tokenBytes, vocabularyStyle, type VocabularyStyle } from './token_bytes';

export interface TokenPiece {
  id: number;
  /** The token's own bytes: may be part of a UTF-8 character. */
  bytes: Uint8Array<ArrayBuffer>;
}

/** Thrown where the vocabulary has no token for a part of the text, and no unknown token either. */
export class NoTokenError extends Error {
  override readonly name = 'NoTokenError';
}

export class TextTokenizer {
  readonly chat: ChatTemplates | null;
  readonly #tokenizer: Tokenizer;
  readonly #style: VocabularyStyle;
  readonly #addedText: ReadonlyMap<number, string>;
  readonly #singleWords: readonly SingleWordToken[];

  /**
   * Take the contents of `tokenizer.json` and `tokenizer_config.json`. Throws where they are not a tokenizer, and an
   * UnsupportedTokenizerError where the page would give other tokens than transformers.
   */
  constructor(tokenizerFile: Uint8Array, configFile: Uint8Array) {
    const json = parseObject(tokenizerFile);
    const config = parseObject(configFile);
    const added = addedTokens(json);
    this.chat = chatTemplatesOf(json, config);
    const singleWords = added.filter((token) => token.single_word);
    if (singleWords.some((token) => token.normalized) && isSet(json, 'normalizer'))
      throw new UnsupportedTokenizerError('added tokens that are single words after normalizing');
    const others = added.filter((token) => !token.single_word);
    // Settings of the config that the Rust library does not know would change the text.
    this.#tokenizer = new Tokenizer(
      { ...adaptTokenizer(json as Readonly<Record<string, unknown>>), added_tokens: others },
      { tokenizer_class: (config as Record<string, unknown>)['tokenizer_class'] },
    );
    this.#style = vocabularyStyle(json);
    this.#singleWords = singleWords;
    this.#addedText = new Map(added.map(({ id, content }) => [id, content]));
  }

  /** Return the tokens of the text alone; a first token such as BOS is left to the caller. Throws a NoTokenError. */
  encode(text: string): TokenPiece[] {
    const sections: Section[] =
      this.#singleWords.length === 0 ? [{ text }] : cutSingleWords(text, this.#singleWords);
    return sections
      .flatMap((section) => ('id' in section ? [section.id] : this.#ids(section.text)))
      .map((id) => this.piece(id));
  }

  #ids(text: string): number[] {
    const { ids, tokens } = this.#tokenizer.encode(text, { add_special_tokens: false });
    const missing = ids.findIndex((id) => !Number.isSafeInteger(id) || id < 0);
    if (missing >= 0) throw new NoTokenError(tokens[missing] ?? text);
    return ids;
  }

  /** Return the token of an id; without bytes where the vocabulary lacks it, as padded vocabularies do. */
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

interface AddedToken extends SingleWordToken {
  single_word: boolean;
  normalized: boolean;
}

function addedTokens(json: object): AddedToken[] {
  const list = (json as Record<string, unknown>)['added_tokens'];
  if (!Array.isArray(list)) return [];
  return list.map((entry: unknown) => {
    const token = entry as Partial<AddedToken>;
    if (typeof token.content !== 'string' || !Number.isSafeInteger(token.id))
      throw new TypeError('an added token without its text or id');
    // Whatever else it holds is kept for the library.
    return token as AddedToken;
  });
}

function isSet(json: object, key: string): boolean {
  const value = (json as Record<string, unknown>)[key];
  return value !== undefined && value !== null;
}
