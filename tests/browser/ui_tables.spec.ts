// Every table that the page saves, read by Python's csv module: its tokens are the tokenizer's own entries, its numbers PyTorch's.
import { expect as plainExpect, type Locator, type Page } from '@playwright/test';
import { softmax } from '../../apps/web/src/analysis/probabilities';
import { askPython } from './ask_python';
import { largestError, readFixtures, reference } from './fixtures';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 60_000 });
const sentence = readFixtures('demo').prompt('sentence');
const count = sentence.ids.length;

interface Table {
  head: string[];
  rows: string[][];
}

const readByPython = (kind: 'table' | 'vocabulary', path: string): unknown =>
  askPython('read_table.py', [kind, path]);

/** Bytes of each id's entry, in hexadecimal. */
let vocabulary: Record<string, string> = {};
test.beforeAll(() => {
  const path = 'apps/web/static/models/demo/tokenizer.json';
  vocabulary = readByPython('vocabulary', path) as typeof vocabulary;
});

async function save(page: Page, button: Locator): Promise<Table> {
  const [download] = await Promise.all([page.waitForEvent('download'), button.click()]);
  const [head = [], ...rows] = readByPython('table', await download.path()) as string[][];
  for (const row of rows) expect(row).toHaveLength(head.length);
  return { head, rows };
}

function column({ head, rows }: Table, name: string): string[] {
  const at = head.indexOf(name);
  expect(at, name).toBeGreaterThanOrEqual(0);
  return rows.map((row) => row[at] ?? '');
}

/** The ids of a column and, beside each, the bytes that the tokenizer has for it. */
function expectTokens(table: Table, idColumn: string, tokenColumn: string): number[] {
  const ids = column(table, idColumn).map(Number);
  expect(column(table, tokenColumn)).toEqual(ids.map((id) => vocabulary[id]));
  return ids;
}

function last(name: string): Float32Array | Int32Array {
  const { dims, data } = reference(sentence, name);
  return data.subarray(data.length - (dims.at(-1) ?? 0));
}

test('every saved table holds the text, the ids and the numbers', async ({ page }) => {
  // Two models, six tables and thousands of rows, on a machine that others load.
  test.setTimeout(300_000);
  const open = ['layer_5_attn_probs', 'layer_5_attn_scores', 'layer_5_mlp_output'];
  const lens = ['layer_5_lens_ids', 'layer_5_lens_probs'];
  const state = new URLSearchParams({
    ...{ lang: 'en', on: 'wasm', v: 'fp32', p: sentence.text ?? '', h: '5.2', vs: 'fp16' },
    ...{ a: 'layer_5_mlp_output', open: [...open, ...lens].join(',') },
  });
  await page.goto(`/#${state.toString()}`);
  const csv = (within: Locator): Locator => within.getByRole('button', { name: 'CSV' });

  const next = await save(page, csv(page.locator('section', { has: page.locator('#next-title') })));
  const logits = last('logits');
  expect(expectTokens(next, 'id', 'token')).toEqual(Array.from(logits.keys()));
  expect(largestError(column(next, 'logit').map(Number), logits)).toBeLessThan(1e-4);
  const truth = softmax(logits);
  expect(largestError(column(next, 'probability').map(Number), truth)).toBeLessThan(1e-5);

  const attention = page.getByTestId('attention');
  const maps = await save(page, csv(attention));
  expect(expectTokens(maps, 'id', 'token')).toEqual(sentence.ids);
  const probs = reference(sentence, 'layer_5_attn_probs').data;
  const head = probs.subarray(2 * count * count, 3 * count * count);
  const written = maps.rows.flatMap((row) => row.slice(3).map(Number));
  expect(largestError(written, head)).toBeLessThan(1e-5);
  expect(maps.head.slice(3).map((name) => parseInt(name, 10))).toEqual([...maps.rows.keys()]);

  // A row of probabilities is the softmax of its row of scores.
  const toScores = attention.getByRole('button', { name: 'Scores' });
  await toScores.click();
  await expect(toScores).toHaveAttribute('aria-pressed', 'true');
  const scores = await save(page, csv(attention));
  scores.rows.forEach((row, query) => {
    const values = row.slice(3, 4 + query).map(Number);
    const right = head.subarray(query * count, query * count + query + 1);
    expect(largestError(softmax(values), right)).toBeLessThan(1e-5);
    expect(new Set(row.slice(4 + query))).toEqual(new Set(query + 1 < count ? [''] : []));
  });

  await page.getByTestId('lens').scrollIntoViewIfNeeded();
  const guesses = await save(page, csv(page.getByTestId('lens')));
  expectTokens(guesses, 'id', 'token');
  expectTokens(guesses, 'guess_id', 'guess_token');
  const layers = new Set(column(guesses, 'layer'));
  expect(layers).toContain('5');
  const right = [...layers].flatMap((layer) => [
    ...reference(sentence, `layer_${layer}_lens_probs`).data,
  ]);
  const guessed = column(guesses, 'probability').map(Number);
  expect(largestError(guessed, right)).toBeLessThan(1e-5);

  await page.getByTestId('activations').scrollIntoViewIfNeeded();
  const values = await save(page, csv(page.getByTestId('activations')));
  expect(expectTokens(values, 'id', 'token')).toEqual(sentence.ids);
  const outputs = values.rows.flatMap((row) => row.slice(3).map(Number));
  expect(largestError(outputs, reference(sentence, 'layer_5_mlp_output').data)).toBeLessThan(1e-4);

  await page.getByTestId('compare').scrollIntoViewIfNeeded();
  await expect(page.getByTestId('pairs')).toBeVisible();
  const pairs = await save(page, csv(page.getByTestId('pairs')));
  const ids = expectTokens(pairs, 'id', 'token');
  expect(ids.toSorted((a, b) => a - b)).toEqual(Array.from(logits.keys()));
  const ofA = column(pairs, 'fp32').map(Number);
  expect(
    largestError(
      ofA,
      ids.map((id) => truth[id] ?? NaN),
    ),
  ).toBeLessThan(1e-5);
});
