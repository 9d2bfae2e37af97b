// The exact bytes that a vocabulary entry stands for. Cutting text into tokens is text_tokenizer.ts.

/** The way that a vocabulary writes bytes as text, read from the parts of `tokenizer.json`. */
export type VocabularyStyle = 'byte-level' | 'sentencepiece' | 'plain' | WordMarks;

/** Marks of a vocabulary of words and pieces of words, whose entries lack the spaces between words. */
export interface WordMarks {
  /** Text between words, put before a word's first piece. */
  readonly before: string;
  /** Marks a piece that continues a word, as ## does; empty where none does. */
  readonly inner: string;
  /** Marks the last piece of a word, as </w> does; empty where none is marked. */
  readonly end: string;
}

const encoder = new TextEncoder();

/**
 * GPT-2's map from printable characters back to bytes: printable Latin-1 stands for itself, and the
 * rest were moved, in order, to 256 and up. After openai/gpt-2 `encoder.py`, `bytes_to_unicode`.
 */
const byteOfCharacter = ((): ReadonlyMap<string, number> => {
  const isPrintable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  const map = new Map<string, number>();
  let moved = 0;
  for (let byte = 0; byte < 256; byte++) {
    map.set(String.fromCharCode(isPrintable(byte) ? byte : 256 + moved++), byte);
  }
  return map;
})();

export function tokenBytes(entry: string, style: VocabularyStyle): Uint8Array<ArrayBuffer> {
  if (typeof style === 'object') return encoder.encode(wordText(entry, style));
  switch (style) {
    case 'byte-level':
      return byteLevelBytes(entry);
    case 'sentencepiece':
      return sentencePieceBytes(entry);
    case 'plain':
      return encoder.encode(entry);
  }
}

function wordText(entry: string, { before, inner, end }: WordMarks): string {
  if (end !== '') return entry.endsWith(end) ? `${entry.slice(0, -end.length)} ` : entry;
  return inner !== '' && entry.startsWith(inner) ? entry.slice(inner.length) : before + entry;
}

function byteLevelBytes(entry: string): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  for (const character of entry) {
    const byte = byteOfCharacter.get(character);
    // An entry outside the map was added as plain text by hand.
    if (byte === undefined) return encoder.encode(entry);
    bytes.push(byte);
  }
  return new Uint8Array(bytes);
}

function sentencePieceBytes(entry: string): Uint8Array<ArrayBuffer> {
  const hex = /^<0x([0-9A-F]{2})>$/.exec(entry)?.[1];
  return hex === undefined
    ? encoder.encode(entry.replaceAll('▁', ' '))
    : new Uint8Array([Number.parseInt(hex, 16)]);
}

/** Read the style from a parsed `tokenizer.json`. */
export function vocabularyStyle(tokenizerJson: object): VocabularyStyle {
  const { decoder, pre_tokenizer, normalizer, model } = tokenizerJson as Record<string, unknown>;
  const parts = [decoder, pre_tokenizer, normalizer].flatMap(componentsOf);
  if (parts.some(({ type }) => type === 'ByteLevel')) return 'byte-level';
  const { type, byte_fallback } = isRecord(model) ? model : {};
  if (byte_fallback === true || type === 'Unigram') return 'sentencepiece';
  if (parts.some((part) => part['type'] === 'Metaspace' || part['type'] === 'ByteFallback'))
    return 'sentencepiece';
  const marks = isRecord(model) ? wordMarks(model, componentsOf(pre_tokenizer)) : null;
  return marks ?? 'plain';
}

function wordMarks(
  model: Record<string, unknown>,
  preTokenizers: readonly Record<string, unknown>[],
): WordMarks | null {
  const text = (key: string): string => {
    const value = model[key];
    return typeof value === 'string' ? value : '';
  };
  if (model['type'] === 'BPE' && text('end_of_word_suffix') !== '')
    return { before: '', inner: '', end: text('end_of_word_suffix') };
  if (model['type'] === 'WordPiece')
    return { before: ' ', inner: text('continuing_subword_prefix'), end: '' };
  const delimiter = preTokenizers.find(({ type }) => type === 'CharDelimiterSplit')?.['delimiter'];
  if (model['type'] !== 'WordLevel') return null;
  if (typeof delimiter === 'string') return { before: delimiter, inner: '', end: '' };
  const drops = ['Whitespace', 'WhitespaceSplit', 'BertPreTokenizer'];
  return preTokenizers.some(({ type }) => typeof type === 'string' && drops.includes(type))
    ? { before: ' ', inner: '', end: '' }
    : null;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** Return a component and those that a `Sequence` nests. */
function componentsOf(component: unknown): Record<string, unknown>[] {
  if (!isRecord(component)) return [];
  const nested = ['decoders', 'pretokenizers', 'normalizers'].flatMap((key) => {
    const list = component[key];
    return Array.isArray(list) ? list.flatMap(componentsOf) : [];
  });
  return [component, ...nested];
}
