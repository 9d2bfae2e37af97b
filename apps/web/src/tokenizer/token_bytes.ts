// The exact bytes that a vocabulary entry stands for. Cutting text into tokens is text_tokenizer.ts.

/** How a vocabulary writes bytes as text; `tokenizer.json` says it through its decoder. */
export type VocabularyStyle = 'byte-level' | 'sentencepiece' | 'plain';

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
  switch (style) {
    case 'byte-level':
      return byteLevelBytes(entry);
    case 'sentencepiece':
      return sentencePieceBytes(entry);
    case 'plain':
      return encoder.encode(entry);
  }
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

/** Reads the style from a parsed `tokenizer.json`. */
export function vocabularyStyle(tokenizerJson: object): VocabularyStyle {
  const { decoder, pre_tokenizer, normalizer, model } = tokenizerJson as Record<string, unknown>;
  const parts = [decoder, pre_tokenizer, normalizer].flatMap(componentsOf);
  if (parts.some(({ type }) => type === 'ByteLevel')) return 'byte-level';
  const hasByteTokens =
    isRecord(model) && (model['byte_fallback'] === true || model['type'] === 'Unigram');
  return hasByteTokens || parts.some(({ type }) => type === 'Metaspace' || type === 'ByteFallback')
    ? 'sentencepiece'
    : 'plain';
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** A component, or those that a `Sequence` nests. */
function componentsOf(component: unknown): Record<string, unknown>[] {
  if (!isRecord(component)) return [];
  const nested = ['decoders', 'pretokenizers', 'normalizers'].flatMap((key) => {
    const list = component[key];
    return Array.isArray(list) ? list.flatMap(componentsOf) : [];
  });
  return [component, ...nested];
}
