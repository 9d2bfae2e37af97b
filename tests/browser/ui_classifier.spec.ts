// Classifiers on the page: the labels of a text and of each token equal transformers', also with a head switched off; the
// views of predicted tokens are absent.
import { expect as plainExpect, type Page } from '@playwright/test';
import { askPython, checkpoints } from './ask_python';
import { startBundleServer, type BundleServer } from './bundle_server';
import { offer } from './offered_models';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 60_000 });
const TEXT = 'the cat sat on the mat';

interface Labelled<Scores> {
  readonly ids: readonly number[];
  readonly labels: readonly string[];
  readonly before: Scores;
  readonly after: Scores;
}

let bundles: BundleServer;
test.beforeAll(async () => {
  bundles = await startBundleServer();
});
test.afterAll(async () => {
  await bundles.close();
});

async function visit(page: Page, name: 'tiny-bert-texts' | 'tiny-bert-tokens'): Promise<void> {
  await offer(page, { model: bundles.url(name) });
  await page.goto(`/#lang=en&on=wasm&model=model&v=fp32&h=0.0&p=${encodeURIComponent(TEXT)}`);
}

/** Read {label: score} of the rows that the page shows. */
function scoresOf(page: Page): Promise<Record<string, number>> {
  return page
    .getByTestId('label')
    .evaluateAll((rows: HTMLElement[]) =>
      Object.fromEntries(
        rows.map((row) => [
          row.querySelector('th')?.textContent.trim() ?? '',
          Number(row.dataset['score']),
        ]),
      ),
    );
}

function expectScores(
  shown: Record<string, number>,
  labels: readonly string[],
  wanted: readonly number[],
): void {
  expect(Object.keys(shown).sort()).toEqual([...labels].sort());
  labels.forEach((label, at) => {
    expect(Math.abs((shown[label] ?? NaN) - (wanted[at] ?? NaN))).toBeLessThan(1e-4);
  });
}

test('a classifier of texts shows its labels, and what an edit does to them', async ({ page }) => {
  const right = askPython('read_labels.py', [checkpoints['tiny-bert-texts']], TEXT) as Labelled<
    number[]
  >;
  await visit(page, 'tiny-bert-texts');
  await expect(page.locator('#labels-title')).toHaveText('Labels of this text');
  expectScores(await scoresOf(page), right.labels, right.before);
  await expect(page.getByText('This model labels texts; it generates none.')).toBeVisible();
  for (const id of ['play', 'mask', 'steps', 'paths', 'lens', 'attribution'])
    await expect(page.getByTestId(id)).toHaveCount(0);

  await page.locator('#attention').scrollIntoViewIfNeeded();
  await page.getByRole('button', { name: 'Switch off layer 0, head 0' }).first().click();
  await page.locator('#interventions').scrollIntoViewIfNeeded();
  const pairs = page.getByTestId('before-after').getByTestId('label-pair');
  await expect(pairs).toHaveCount(right.labels.length);
  const found = await pairs.evaluateAll((rows: HTMLElement[]) =>
    rows.map(({ dataset }) => [dataset['label'], dataset['before'], dataset['after']].map(Number)),
  );
  for (const [label = 0, before = NaN, after = NaN] of found) {
    expect(Math.abs(before - (right.before[label] ?? NaN))).toBeLessThan(1e-4);
    expect(Math.abs(after - (right.after[label] ?? NaN))).toBeLessThan(1e-4);
  }
  expectScores(await scoresOf(page), right.labels, right.after);

  // A sweep takes labels in the place of tokens.
  const sweep = page.getByTestId('sweep');
  await sweep.locator('textarea').fill('the dog ran on the mat');
  await sweep.getByLabel('Label', { exact: true }).fill('positive');
  await sweep.getByLabel('minus label').fill('negative');
  await page.getByTestId('run-sweep').click();
  await expect(page.getByTestId('sweep-summary')).toContainText('Logit of positive minus negative');
  await sweep.getByLabel('minus label').fill('happy');
  await page.getByTestId('run-sweep').click();
  await expect(page.getByTestId('sweep-problem')).toContainText('none of the model’s labels');
});

test('a classifier of tokens shows the label of each', async ({ page }) => {
  const right = askPython('read_labels.py', [checkpoints['tiny-bert-tokens']], TEXT) as Labelled<
    number[][]
  >;
  await visit(page, 'tiny-bert-tokens');
  await expect(page.locator('#labels-title')).toHaveText('Label of each token');
  const rows = page.getByTestId('token-label');
  await expect(rows).toHaveCount(right.ids.length);
  for (const [at, scores] of right.before.entries()) {
    const best = Math.max(...scores);
    await expect(rows.nth(at)).toHaveAttribute(
      'data-label',
      right.labels[scores.indexOf(best)] ?? '',
    );
    expect(Math.abs(Number(await rows.nth(at).getAttribute('data-score')) - best)).toBeLessThan(
      1e-4,
    );
  }
  await rows.nth(2).getByRole('button').click();
  await expect(page.getByRole('heading', { name: 'At position 2' })).toBeVisible();
  expectScores(await scoresOf(page), right.labels, right.before[2] ?? []);
});
