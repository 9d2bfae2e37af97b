// Undo and redo of the text, and the ids that are kept where the tokenizer would make others of it.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PromptState, type PromptEntry } from '../../apps/web/src/session/prompt_state.svelte';
import {
  readPrompt,
  textAfter,
  withoutLastToken,
  type TextModel,
} from '../../apps/web/src/session/read_prompt';
import { fitsLink, formatHash, parseHash } from '../../apps/web/src/url/hash_state';

const entry = (text: string, more: Partial<PromptEntry> = {}): PromptEntry => ({
  text,
  ids: null,
  typed: null,
  withoutFirst: false,
  ...more,
});

describe('undo', () => {
  test('brings back exactly what every change replaced, and redo what it undid', () => {
    const change = fc.record({
      text: fc.string({ maxLength: 4 }),
      kind: fc.constantFrom('typing', 'generating', null),
      pause: fc.constantFrom(10, 5000),
      withoutFirst: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
        const state = new PromptState();
        state.reset(entry('start'));
        const seen = [state.now];
        let now = 0;
        for (const { text, kind, pause, withoutFirst } of changes) {
          now += pause;
          state.change({ text, withoutFirst }, kind, now);
          seen.push(state.now);
        }
        const last = state.now;
        while (state.undo()) expect(seen).toContainEqual(state.now);
        expect(state.now).toEqual(entry('start'));
        while (state.redo());
        expect(state.now).toEqual(last);
      }),
    );
  });

  test('takes typing without a pause back at once, and a choice of the page alone', () => {
    const state = new PromptState();
    state.reset(entry(''));
    for (const [at, text] of ['a', 'ab', 'abc'].entries())
      state.change({ text }, 'typing', 100 * at);
    state.change({ text: 'an example' }, null, 350);
    state.undo();
    expect(state.now.text).toBe('abc');
    state.undo();
    expect(state.now.text).toBe('');
    expect(state.canUndo).toBe(false);
  });

  test('a change after undo ends what could be done again', () => {
    const state = new PromptState();
    state.reset(entry('a'));
    state.change({ text: 'b' }, null, 0);
    state.undo();
    state.change({ text: 'c' }, null, 1);
    expect(state.canRedo).toBe(false);
    state.undo();
    expect(state.now.text).toBe('a');
  });

  test('brings no ids of another model back', () => {
    const state = new PromptState();
    state.reset(entry('abc', { ids: [1, 2] }));
    state.change({ text: 'abcd' }, null, 0);
    state.change({ text: 'abcde' }, null, 1);
    state.undo();
    state.dropIds();
    expect(state.now).toEqual(entry('abcd'));
    state.undo();
    expect(state.now).toEqual(entry('abc'));
    state.redo();
    state.redo();
    expect(state.now).toEqual(entry('abcde'));
  });

  test('holds a bounded number of steps and of characters', () => {
    const state = new PromptState();
    for (let step = 0; step < 1000; step++) state.change({ text: String(step) }, null, step);
    let steps = 0;
    while (state.undo()) steps++;
    expect(steps).toBe(200);
    const book = 'x'.repeat(1_500_000);
    for (let step = 0; step < 9; step++) state.change({ text: book + String(step) }, null, step);
    steps = 0;
    while (state.undo()) steps++;
    expect(steps).toBe(2);
  });
});

/** A tokenizer of bytes that knows four pairs: `ab`, `cd`, and the two halves of é and of ü as one token each. */
const PAIRS = ['ab', 'cd', 'é', 'ü'].map((pair) => new TextEncoder().encode(pair));
const CONTEXT = 50;
const model: TextModel & { asked: number } = {
  hasTokenizer: true,
  vocab: 256 + PAIRS.length,
  contextLength: CONTEXT,
  asked: 0,
  encode(text) {
    const bytes = new TextEncoder().encode(text);
    this.asked = Math.max(this.asked, text.length);
    const ids: number[] = [];
    for (let at = 0; at < bytes.length;) {
      const pair = PAIRS.findIndex(([a, b]) => a === bytes[at] && b === bytes[at + 1]);
      ids.push(pair < 0 ? (bytes[at] ?? 0) : 256 + pair);
      at += pair < 0 ? 1 : 2;
    }
    return Promise.resolve(ids);
  },
  bytes: (ids) => Promise.resolve(ids.map((id) => PAIRS[id - 256] ?? Uint8Array.of(id))),
};

async function spell(ids: readonly number[]): Promise<string> {
  const parts = await model.bytes(ids);
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(
    Uint8Array.from(parts.flatMap((part) => [...part])),
  );
}

async function bodyOf(
  text: string,
  ids: readonly number[] | null,
): Promise<{ body: readonly number[]; own: boolean }> {
  const reading = await readPrompt(entry(text, { ids }), model);
  if (reading.kind !== 'ids') throw new Error('no ids');
  return reading;
}

describe('kept ids', () => {
  const anyIds = fc.array(
    fc.oneof(fc.constantFrom(97, 98, 99, 100, 0xc3, 0xa9), fc.integer({ min: 256, max: 259 })),
    { minLength: 1, maxLength: 20 },
  );

  test('come back from a link as they were, also where the text cannot carry them', async () => {
    await fc.assert(
      fc.asyncProperty(anyIds, async (ids) => {
        const text = await spell(ids);
        const back = parseHash(`#${formatHash({ prompt: text, ids, typed: 1 })}`);
        expect(back.ids).toEqual(ids);
        const { body, own } = await bodyOf(back.prompt ?? '', back.ids ?? null);
        const tokenizers = await model.encode(text);
        expect(body).toEqual(ids);
        expect(own).toBe(JSON.stringify(tokenizers) === JSON.stringify(ids));
      }),
    );
  });

  test('stay before what is typed after them', async () => {
    // a, b apart, which the tokenizer would join.
    expect(await bodyOf('abcd', [97, 98])).toEqual({
      kind: 'ids',
      body: [97, 98, 257],
      own: false,
      complete: true,
    });
    // Half an é, shown as a replacement character.
    const half = await spell([97, 0xc3]);
    expect((await bodyOf(`${half} cd`, [97, 0xc3])).body).toEqual([97, 0xc3, 32, 257]);
  });

  test('stay after and around what is typed before or between them', async () => {
    expect((await bodyOf('xab', [97, 98])).body).toEqual([120, 97, 98]);
    const half = await spell([0xc3]);
    expect((await bodyOf(`cd${half}ab`, [0xc3, 97, 98])).body).toEqual([257, 0xc3, 97, 98]);
    expect((await bodyOf(`ab cd${half}`, [97, 98, 99, 100, 0xc3])).body).toEqual([
      97, 98, 32, 99, 100, 0xc3,
    ]);
  });

  test('stay wherever one edit leaves them alone, and the rest is the tokenizer’s', async () => {
    await fc.assert(
      fc.asyncProperty(
        anyIds,
        anyIds,
        fc.string({ maxLength: 3 }),
        async (before, after, typed) => {
          // Commas, which no token holds, part what was kept from what is typed.
          const left = [...before, 44];
          const right = [44, ...after];
          const edited = `${await spell(left)}${typed}${await spell(right)}`;
          const { body } = await bodyOf(edited, [...left, ...right]);
          expect(body.slice(0, left.length)).toEqual(left);
          expect(body.slice(-right.length)).toEqual(right);
          // The two spell what the tokenizer reads, whatever was typed.
          expect(await spell(body)).toBe(await spell(await model.encode(edited)));
        },
      ),
    );
  });

  test('go where the text no longer spells them', async () => {
    expect((await bodyOf('ab', [97, 99])).own).toBe(true);
    expect((await bodyOf('zz', [97, 98])).body).toEqual([122, 122]);
    expect((await bodyOf('', [97, 98])).body).toEqual([]);
  });

  test('of another vocabulary are not fed', async () => {
    expect((await bodyOf('ab', [999_999])).body).toEqual([256]);
  });

  test('in a link are bounded and whole numbers', () => {
    for (const ids of [
      '',
      '1.',
      '-1',
      '1.5e3',
      'x',
      '1..2',
      '1,2',
      '9999999999',
      Array(5000).fill(1).join('.'),
    ])
      expect(parseHash(`#p=a&ids=${ids}`).ids).toBeNull();
    expect(parseHash('#p=a&ids=0.5.7&typed=9').typed).toBe(3);
  });
});

test('of a text far too long only the beginning is cut into tokens', async () => {
  model.asked = 0;
  const reading = await readPrompt(entry('xy'.repeat(500_000)), model);
  expect(reading).toMatchObject({ kind: 'ids', complete: false });
  expect(model.asked).toBeLessThan(30_000);
});

test('the last token of a long text is removed from its end, and nothing else', async () => {
  const long = 'one two '.repeat(20_000);
  expect(await withoutLastToken(`${long}ab`, model)).toBe(long);
  expect(await withoutLastToken(`${long}é`, model)).toBe(long);
  expect(await withoutLastToken('abc', model)).toBe('ab');
});

test('a link carries exactly the ids that it can be read back with', () => {
  const most = Array<number>(4096).fill(1);
  for (const ids of [most, [...most, 1]])
    expect(parseHash(`#${formatHash({ prompt: 'a', ids })}`).ids !== null).toBe(fitsLink('a', ids));
});

/** Tokenizers that do not spell a text as it was written, as SentencePiece, uncased BERT and whole words do. */
function wordModel(spelling: 'space first' | 'lower' | 'unknown'): TextModel {
  const words = ['<unk>', ' the', ' cat', ' saw', ' dog', '�'];
  return {
    hasTokenizer: true,
    vocab: words.length,
    contextLength: CONTEXT,
    encode: (text) =>
      Promise.resolve(
        (spelling === 'lower' ? text.toLowerCase() : text)
          .split(' ')
          .filter((word) => word !== '')
          .map((word) => Math.max(0, words.indexOf(` ${word}`))),
      ),
    bytes: (ids) => Promise.resolve(ids.map((id) => new TextEncoder().encode(words[id]))),
  };
}

describe('a step or a removal leaves the reader’s own words alone', () => {
  const cases = [
    ['space first', 'the cat', [1, 2]],
    ['lower', 'The CAT', [1, 2]],
    ['unknown', 'the zebra', [1, 0]],
    ['unknown', 'quagga cat', [0, 2]],
  ] as const;
  test.each(cases)('%s: %s', async (spelling, text, ids) => {
    const words = wordModel(spelling);
    expect(await words.encode(text)).toEqual(ids);
    expect(await textAfter(text, ids, [...ids, 3], words)).toEqual({
      text: `${text} saw`,
      own: true,
    });
    const { text: shorter, own } = await textAfter(text, ids, ids.slice(0, -1), words);
    expect(text.startsWith(shorter)).toBe(true);
    expect(own).toBe(true);
    expect(await words.encode(shorter)).toEqual(ids.slice(0, -1));
  });

  test('the first token of an empty text brings no space', async () => {
    expect(await textAfter('', [], [1], wordModel('space first'))).toEqual({
      text: 'the',
      own: true,
    });
  });

  test('a character that a step completes stands whole', async () => {
    const half = await spell([97, 0xc3]);
    expect(await textAfter(half, [97, 0xc3], [97, 0xc3, 0xa9], model)).toEqual({
      text: 'aé',
      own: false,
    });
    expect(await textAfter('aé', [97, 0xc3, 0xa9], [97, 0xc3], model)).toEqual({
      text: half,
      own: false,
    });
  });

  test('kept ids survive a tokenizer that spells a space first', async () => {
    const words = wordModel('space first');
    const kept = [1, 5, 2];
    const text = 'the� cat';
    // An id that the tokenizer never makes: the text spells it, the words do not.
    const cut: TextModel = {
      ...words,
      encode: (asked) => Promise.resolve(asked === text ? [1, 4, 2] : [1, 4, 2, 3]),
      bytes: (ids) =>
        Promise.resolve(
          ids.map((id) =>
            id === 5
              ? Uint8Array.of(0xf0, 0x9f)
              : new TextEncoder().encode(['', ' the', ' cat', ' saw', '�'][id]),
          ),
        ),
    };
    expect(await readPrompt(entry(text, { ids: kept }), cut)).toMatchObject({
      body: kept,
      own: false,
    });
    expect(await readPrompt(entry(`${text} saw`, { ids: kept }), cut)).toMatchObject({
      body: [...kept, 3],
    });
  });
});
