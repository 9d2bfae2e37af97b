// Bytes of tokens: put side by side, they are the text again.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NoTokenError, TextTokenizer } from '../../apps/web/src/tokenizer/text_tokenizer';
import { checkCases } from '../../apps/web/src/tokenizer/check_cases';
import { tokenBytes, vocabularyStyle } from '../../apps/web/src/tokenizer/token_bytes';
import { examples } from './thorough';

const demo = new URL('../../tools/model-export/oriel/models/demo/weights/', import.meta.url);
const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const joined = (pieces: { bytes: Uint8Array }[]): string =>
  Buffer.concat(pieces.map(({ bytes }) => bytes)).toString('utf8');

describe('byte-level vocabularies', () => {
  const tokenizer = new TextTokenizer(
    readFileSync(new URL('tokenizer.json', demo)),
    readFileSync(new URL('tokenizer_config.json', demo)),
  );

  test('any text comes back byte for byte', () => {
    const text = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.string({ unit: 'binary' }),
      fc
        .array(fc.constantFrom(' ', '  ', '\n', '\t', 'a', 'the', '’s', '你', '🙂', '́'))
        .map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(text, (text) => {
        expect(joined(tokenizer.encode(text))).toBe(text);
      }),
      { numRuns: examples(500) },
    );
  });

  test('no text gives no tokens: a first token is the page’s to add', () => {
    expect(tokenizer.encode('')).toEqual([]);
  });

  test('characters stand for bytes as in GPT-2', () => {
    const cases: [entry: string, bytes: number[]][] = [
      ['Ġthe', [0x20, 0x74, 0x68, 0x65]],
      ['Ċ', [0x0a]],
      ['Ā', [0x00]],
      ['ł', [0xa0]],
      ['Ń', [0xad]],
      ['ä½ł', [0xe4, 0xbd, 0xa0]],
      ['ÿ', [0xff]],
    ];
    for (const [entry, bytes] of cases) {
      expect([...tokenBytes(entry, 'byte-level')], entry).toEqual(bytes);
    }
  });

  test('an added token is its own text, and an id beyond the vocabulary has none', () => {
    expect(joined([tokenizer.piece(0)])).toMatch(/^<.*>$/);
    expect(tokenizer.piece(10_000_000)).toEqual({ id: 10_000_000, bytes: new Uint8Array() });
  });
});

describe('SentencePiece vocabularies', () => {
  const bytes = Array.from(
    { length: 256 },
    (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
  );
  const entries = ['<unk>', '<s>', ...bytes, '▁', 'h', 'i', '▁h', '▁hi'];
  const file = {
    version: '1.0',
    added_tokens: ['<unk>', '<s>'].map((content, id) => ({
      id,
      content,
      special: true,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
    })),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
      ],
    },
    model: {
      type: 'BPE',
      unk_token: '<unk>',
      byte_fallback: true,
      vocab: Object.fromEntries(entries.map((entry, id) => [entry, id])),
      merges: [
        ['▁', 'h'],
        ['▁h', 'i'],
      ],
    },
  };
  const tokenizer = new TextTokenizer(encode(file), encode({}));

  test('spaces and bytes are themselves', () => {
    const pieces = tokenizer.encode('hi 你');
    expect(pieces.map(({ bytes }) => [...bytes])).toEqual([
      [0x20, 0x68, 0x69],
      [0x20],
      [0xe4],
      [0xbd],
      [0xa0],
    ]);
  });

  test('a special token is its literal text', () => {
    expect(joined([tokenizer.piece(1)])).toBe('<s>');
  });
});

test('the style is read from the file, however deep it stands', () => {
  expect(
    vocabularyStyle({
      pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'ByteLevel' }] },
    }),
  ).toBe('byte-level');
  expect(vocabularyStyle({ decoder: { type: 'Metaspace' }, model: { type: 'Unigram' } })).toBe(
    'sentencepiece',
  );
  expect(vocabularyStyle({ decoder: { type: 'Fuse' }, model: { type: 'BPE' } })).toBe('plain');
  expect(
    vocabularyStyle({ model: { type: 'WordPiece', continuing_subword_prefix: '##' } }),
  ).toEqual({ before: ' ', inner: '##', end: '' });
});

test('a file that is no tokenizer throws', () => {
  expect(() => new TextTokenizer(encode([]), encode({}))).toThrow();
  expect(() => new TextTokenizer(encode(null), encode({}))).toThrow(TypeError);
  expect(() => new TextTokenizer(new Uint8Array([0x7b]), encode({}))).toThrow(SyntaxError);
});

describe('the proof of the page’s tokenizer', () => {
  const words = new TextTokenizer(
    encode({
      model: { type: 'WordLevel', vocab: { a: 0, b: 1 }, unk_token: '[UNK]' },
      pre_tokenizer: { type: 'WhitespaceSplit' },
      normalizer: null,
      post_processor: null,
      decoder: null,
      added_tokens: [],
    }),
    encode({}),
  );
  const check = (cases: unknown) => checkCases(words, encode({ cases }));

  test('passes where every text has the ids of the file', () => {
    expect(check([{ text: 'a b  a', ids: [0, 1, 0] }])).toBeNull();
    expect(check([])).toBeNull();
  });

  test('names the first text that differs', () => {
    const cases = [
      { text: 'a', ids: [0] },
      { text: 'b a', ids: [1] },
    ];
    const differs = { kind: 'differs', text: 'b a', expected: [1], got: [1, 0] };
    expect(check(cases)).toEqual(differs);
  });

  test('a word without a token is none, and never an undefined id', () => {
    expect(() => words.encode('a c')).toThrow(NoTokenError);
    expect(check([{ text: 'c', ids: [0] }])).toMatchObject({ kind: 'differs', got: null });
  });

  test('a file that holds no cases proves nothing', () => {
    for (const wrong of ['x', [1], [{ text: 1, ids: [] }], [{ text: 'a', ids: ['0'] }], {}])
      expect(check(wrong)).toMatchObject({ kind: 'unsupported' });
    expect(checkCases(words, new Uint8Array([0xff]))).toMatchObject({ kind: 'unsupported' });
    expect(checkCases(words, new Uint8Array(70_000))).toMatchObject({ kind: 'unsupported' });
  });
});
