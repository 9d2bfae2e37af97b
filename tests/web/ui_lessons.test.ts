// Lessons on the page: where they may come from, the structure of their texts, what their claims are measured by, and the
// lessons that ship: complete in both languages, with states that the page reads whole.
import { readdirSync, readFileSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { listLessons } from '../../apps/web/plugins/lessons';
import { DEFAULT_SAMPLING } from '../../apps/web/src/analysis/sampling';
import type { Claim, LessonDocument } from '../../apps/web/src/contract/generated';
import { DICTIONARIES } from '../../apps/web/src/i18n/all_dictionaries';
import { lessonErrorText } from '../../apps/web/src/i18n/lesson_error_text';
import { lessonAddress, type AskingPage } from '../../apps/web/src/lessons/lesson_address';
import type { LessonErrorData } from '../../apps/web/src/lessons/lesson_error';
import { blocksOf, inlineOf } from '../../apps/web/src/lessons/lesson_text';
import { measureClaim, type ShownRun } from '../../apps/web/src/lessons/measure_claim';
import { formatHash, readHash } from '../../apps/web/src/url/hash_state';
import { termOf } from '../../apps/web/src/views/glossary/terms';
import { claimWords } from '../../apps/web/src/views/lessons/shown_claims';
import { VIEWS } from '../../apps/web/src/views/registry';

const page: AskingPage = {
  href: 'https://oriel.example/view/#p=a',
  base: 'https://oriel.example/view/',
  allowed: ['https://school.example'],
};

test.each([
  ['tour', 'https://oriel.example/view/lessons/tour.json'],
  ['https://school.example/l/1.json#x', 'https://school.example/l/1.json'],
  ['https://oriel.example/my.json', 'https://oriel.example/my.json'],
])('a lesson may come from %s', (given, url) => {
  expect(lessonAddress(given, page)).toBe(url);
});

test.each([
  ['nowhere', 'unknown-lesson'],
  ['https://other.example/1.json', 'lesson-origin'],
  ['http://school.example/1.json', 'lesson-address'],
  ['https://a:b@school.example/1.json', 'lesson-address'],
  ['javascript:alert(1)', 'lesson-address'],
  [`https://school.example/${'a'.repeat(5000)}`, 'lesson-address'],
])('no lesson may come from %s', (given, kind) => {
  expect(() => lessonAddress(given, page)).toThrow(
    expect.objectContaining({ data: expect.objectContaining({ kind }) as unknown }) as Error,
  );
});

test('a page on a host without https takes lessons from itself alone', () => {
  const local = { href: 'http://localhost:1/', base: 'http://localhost:1/', allowed: ['https:'] };
  expect(lessonAddress('http://localhost:1/a.json', local)).toBe('http://localhost:1/a.json');
  expect(lessonAddress('https://anywhere.example/a.json', local)).toContain('anywhere');
  expect(() => lessonAddress('http://localhost:2/a.json', local)).toThrow();
});

test('the address carries a lesson and its step', () => {
  const { state, ignored } = readHash('#lesson=tour&step=3');
  expect([state.lesson, state.lessonStep, ignored]).toEqual(['tour', 3, []]);
  expect(readHash(`#${formatHash(state)}`).state).toEqual(state);
  expect(readHash('#lesson=A+b').ignored.map(({ name }) => name)).toEqual(['lesson']);
});

test('texts have paragraphs, lists and marks, and nothing else', () => {
  expect(blocksOf('One\ntwo.\n\nLook:\n- a `b`\n- *c d*\nend <b>')).toEqual([
    { kind: 'paragraph', parts: [{ kind: 'text', text: 'One two.' }] },
    { kind: 'paragraph', parts: [{ kind: 'text', text: 'Look:' }] },
    {
      kind: 'list',
      items: [
        [
          { kind: 'text', text: 'a ' },
          { kind: 'token', text: 'b' },
        ],
        [{ kind: 'emphasis', text: 'c d' }],
      ],
    },
    { kind: 'paragraph', parts: [{ kind: 'text', text: 'end <b>' }] },
  ]);
  expect(inlineOf('[[logit]] and [[head|heads]], 2 * 3 * 4, `open')).toEqual([
    { kind: 'term', id: 'logit', text: null },
    { kind: 'text', text: ' and ' },
    { kind: 'term', id: 'head', text: 'heads' },
    { kind: 'text', text: ', 2 * 3 * 4, `open' },
  ]);
});

/** Four tokens, a to d, with probabilities 0.5, 0.25, 0.125 and 0.125. */
const run: ShownRun = {
  tokens: 3,
  logits: [Math.log(4), Math.log(2), 0, 0],
  sampling: { ...DEFAULT_SAMPLING, temperature: 1, topP: 0.7 },
  lensToken: (layer) => (layer === 1 ? 2 : null),
  attention: ([layer, head], from) =>
    layer === 0 && head === 1 ? ([[1], [0.25, 0.75], [0.1, 0.2, 0.7]][from] ?? null) : null,
  attribution: {
    answer: 0,
    other: 1,
    heads: [
      [0.5, -3],
      [2, 1],
    ],
  },
  tokenId: (text) => ({ a: 0, b: 1, c: 2, d: 3, ab: null })[text],
};

test.each<[Claim, unknown]>([
  [
    { claim: 'probability', token: 'a', least: 0.5, most: 0.6 },
    { holds: true, value: 0.5 },
  ],
  [
    { claim: 'probability', token: 'b', least: 0.3, most: 1 },
    { holds: false, value: 0.25 },
  ],
  [
    { claim: 'likeliest', token: 'a' },
    { holds: true, id: 0 },
  ],
  [
    { claim: 'likeliest', token: 'b' },
    { holds: false, id: 0 },
  ],
  [
    { claim: 'difference', token: 'a', other: 'c', least: 1.38, most: 1.39 },
    { holds: true, value: Math.log(4) },
  ],
  [
    { claim: 'lens', layer: 1, token: 'c' },
    { holds: true, id: 2 },
  ],
  [
    { claim: 'lens', layer: 0, token: 'c' },
    { kind: 'closed', needs: 'lens' },
  ],
  [
    { claim: 'attention', head: '0.1', from: 2, to: 1, least: 0.1, most: 0.3 },
    { holds: true, value: 0.2 },
  ],
  [
    { claim: 'attention', head: '1.1', from: 2, to: 1, least: 0, most: 1 },
    { kind: 'closed', needs: 'attention' },
  ],
  [
    { claim: 'attention', head: '0.1', from: 3, to: 1, least: 0, most: 1 },
    { kind: 'unfit', what: '3' },
  ],
  [
    { claim: 'attribution', token: 'a', other: 'b', heads: ['1.0', '1.1'] },
    {
      holds: true,
      heads: [
        [1, 0],
        [1, 1],
      ],
    },
  ],
  [{ claim: 'attribution', token: 'a', other: 'b', heads: ['1.0', '0.1'] }, { holds: false }],
  // Of another question than the one that was asked.
  [
    { claim: 'attribution', token: 'a', heads: ['1.0'] },
    { kind: 'closed', needs: 'attribution' },
  ],
  // Top-p 0.7 keeps a and b, 2 to 1.
  [{ claim: 'drawn', token: 'a', least: 0.66, most: 0.67 }, { holds: true }],
  [
    { claim: 'drawn', token: 'c', least: 0, most: 0 },
    { holds: true, value: 0 },
  ],
  [
    { claim: 'kept', least: 2, most: 2 },
    { holds: true, value: 2 },
  ],
  [
    { claim: 'likeliest', token: 'ab' },
    { kind: 'unfit', what: 'ab' },
  ],
  [
    { claim: 'likeliest', token: 'e' },
    { kind: 'closed', needs: 'tokens' },
  ],
])('%o is measured', (claim, found) => {
  expect(measureClaim(claim, run)).toMatchObject(found as object);
  // Each has words in each language, with what was expected.
  for (const words of Object.values(DICTIONARIES)) {
    const labels = { labelOf: String, tokenAt: String };
    const said = claimWords(claim, measureClaim(claim, run), labels, words);
    expect(said.what).not.toBe('');
    expect(said.expected).not.toBe('');
    expect((said.measured === null) !== (said.why === null)).toBe(true);
  }
});

const folder = fileURLToPath(new URL('../../apps/web/static/lessons/', import.meta.url));
const shipped = readdirSync(folder).map((file): [string, LessonDocument] => [
  file,
  JSON.parse(readFileSync(join(folder, file), 'utf8')) as LessonDocument,
]);

/** Every text of a lesson. */
function textsOf(value: unknown, key = ''): unknown[] {
  const keys = ['title', 'introduction', 'text', 'reply'];
  if (keys.includes(key)) return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, under]) => textsOf(under, name));
}

describe.each(shipped)('%s', (_, lesson) => {
  test('has states that the page reads whole, and views that it has', () => {
    const views = VIEWS.map(({ id }) => id);
    for (const step of lesson.steps) {
      expect(views).toContain(step.view);
      for (const state of [step.state, step.done ?? '#']) {
        const { ignored, isNewer } = readHash(state);
        expect([ignored, isNewer]).toEqual([[], false]);
      }
    }
  });

  test('says everything in both languages, and explains words that the glossary has', () => {
    const texts = textsOf(lesson);
    expect(texts.length).toBeGreaterThan(10);
    for (const text of texts) {
      if (text === '100%') continue;
      const { en, zh } = text as { en: string; zh: string };
      expect(zh).toMatch(/[\u4e00-\u9fff]|^\d|^`/);
      const terms = (of: string): string[] =>
        blocksOf(of)
          .flatMap((block) => (block.kind === 'list' ? block.items.flat() : block.parts))
          .flatMap((part) => (part.kind === 'term' ? [part.id] : []));
      expect(terms(zh)).toEqual(terms(en));
      for (const id of terms(en)) expect(termOf(id), id).not.toBeNull();
    }
  });
});

test('a lesson that breaks the schema fails the build in a line', async () => {
  expect((await listLessons(folder)).map(({ name }) => name).slice(0, 1)).toEqual(['tour']);
  const bad = mkdtempSync(join(tmpdir(), 'oriel-lessons-'));
  writeFileSync(join(bad, 'bad.json'), JSON.stringify({ ...shipped[0]?.[1], steps: [] }));
  await expect(listLessons(bad)).rejects.toThrow(/lessons\/bad\.json\/steps must NOT have fewer/);
});

const errors: { [Kind in LessonErrorData['kind']]: LessonErrorData & { kind: Kind } } = {
  'unknown-lesson': { kind: 'unknown-lesson', got: 'g1', known: ['k1', 'k2'] },
  'lesson-address': { kind: 'lesson-address', got: 'g1' },
  'lesson-origin': { kind: 'lesson-origin', got: 'g1', allowed: ['a1'] },
  'lesson-missing': { kind: 'lesson-missing', url: 'u1', status: 404 },
  'lesson-too-large': { kind: 'lesson-too-large', url: 'u1', limit: 1000 },
  'not-a-lesson': { kind: 'not-a-lesson', url: 'u1', detail: 'd1' },
  'lesson-version': { kind: 'lesson-version', got: 'g1', supported: 's1' },
};

test.each(Object.values(errors))('$kind is told in a line with its values', (error) => {
  for (const words of Object.values(DICTIONARIES)) {
    const text = lessonErrorText(error, words);
    expect(text).toMatch(/[.。]$/);
    for (const value of Object.values(error).flat())
      if (/^[a-z]1$/.test(String(value))) expect(text).toContain(value);
  }
});
