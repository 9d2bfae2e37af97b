// "Copy as Python" and "Download notebook": what the page gives for the numbers of each view runs with PyTorch and
// transformers on the checkpoint that the bundle was made from, and computes the same numbers.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect as plainExpect, type Locator, type Page } from '@playwright/test';
import { readFixtures } from './fixtures';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 60_000 });
const root = fileURLToPath(new URL('../..', import.meta.url));
const python = join(root, process.env['ORIEL_PYTHON'] ?? '.venv/bin/python');
const demo = join(root, 'tools/model-export/oriel/models/demo/weights');
const llama = join(root, 'test-results/browser/checkpoints/tiny-llama');
const sentence = readFixtures('demo').prompt('sentence');

interface Row {
  readonly shown: number;
  readonly here: number;
}

/** Run Python on a file and read the rows that the program prints. */
function rowsOf(file: string, words: readonly string[], folder: string): Row[] {
  const printed = execFileSync(python, [file, ...words], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, HF_HUB_OFFLINE: '1', OMP_NUM_THREADS: '1' },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const rows = Array.from(
    printed.matchAll(/ on screen (\S+) +here (\S+) +difference /g),
    ([, shown, here]) => ({ shown: Number(shown), here: Number(here) }),
  );
  expect(rows.length, printed).toBeGreaterThan(0);
  for (const { shown, here } of rows)
    expect(Math.abs(shown - here), printed).toBeLessThan(1e-4 * Math.max(1, Math.abs(shown)));
  return rows;
}

let folder = '';
test.beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'oriel-scripts-'));
});
test.afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Copy the script of a view with the keyboard, and run it. */
async function copiedRows(page: Page, view: Locator, words: readonly string[]): Promise<Row[]> {
  const copy = view.getByTestId('copy-python');
  await copy.focus();
  await page.keyboard.press('Enter');
  await expect(copy).toHaveText('copied');
  const script = await page.evaluate(() => navigator.clipboard.readText());
  writeFileSync(join(folder, 'script.py'), script);
  return rowsOf('script.py', words, folder);
}

/** Download the notebook of a view, and run its cells one after another. */
async function notebookRows(page: Page, view: Locator, name: RegExp): Promise<Row[]> {
  const button = view.getByTestId('notebook');
  const [download] = await Promise.all([page.waitForEvent('download'), button.click()]);
  expect(download.suggestedFilename()).toMatch(name);
  const notebook = JSON.parse(readFileSync(await download.path(), 'utf8')) as {
    cells: { cell_type: string; source: string[] }[];
  };
  const cells = notebook.cells.filter((cell) => cell.cell_type === 'code');
  const program = cells.map(({ source }) => source.join('')).join('\n\n');
  writeFileSync(join(folder, 'cells.py'), program);
  return rowsOf('cells.py', [], folder);
}

async function open(page: Page, state: Record<string, string>): Promise<void> {
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.goto(`/#${new URLSearchParams({ lang: 'en', on: 'wasm', ...state }).toString()}`);
  await expect(page.getByTestId('candidate').first()).toBeVisible();
}

test('the numbers of each view of the bundled model, with a head switched off', async ({
  page,
}) => {
  test.setTimeout(480_000);
  await open(page, {
    ...{ v: 'fp32', p: sentence.text ?? '', h: '5.2', a: 'layer_5_mlp_output' },
    open: 'layer_5_attn_probs,layer_5_mlp_output,layer_5_lens_ids,layer_5_lens_probs',
  });
  symlinkSync(demo, join(folder, 'demo'));
  const next = page.locator('section', { has: page.locator('#next-title') });
  const attention = page.getByTestId('attention');
  const probability = Number(
    await page.getByTestId('candidate').first().getAttribute('data-probability'),
  );
  const before = await copiedRows(page, next, [demo]);
  expect(before).toHaveLength(10);
  expect(before[0]?.shown).toBeCloseTo(probability, 6);

  await attention.getByTestId('toggle-head').click();
  await expect(attention.getByTestId('toggle-head')).toHaveAttribute('aria-pressed', 'true');
  await expect(page.getByTestId('candidate').first()).not.toHaveAttribute(
    'data-probability',
    String(probability),
  );
  const edited = await copiedRows(page, next, [demo]);
  expect(edited[0]?.here).not.toBeCloseTo(probability, 5);
  await notebookRows(page, next, /^demo_fp32_[0-9a-f]{8}_next_token\.ipynb$/);

  const weights = await copiedRows(page, attention, [demo]);
  expect(weights).toHaveLength(sentence.ids.length);
  expect(weights.reduce((sum, { here }) => sum + here, 0)).toBeCloseTo(1, 5);
  await notebookRows(page, attention, /_layer_5_attn_probs_head_2\.ipynb$/);

  const lens = page.getByTestId('lens');
  await lens.scrollIntoViewIfNeeded();
  expect(await copiedRows(page, lens, [demo])).toHaveLength(10);
  await notebookRows(page, lens, /_logit_lens\.ipynb$/);

  const activations = page.getByTestId('activations');
  await activations.scrollIntoViewIfNeeded();
  // Eight values and the vector's length.
  expect(await copiedRows(page, activations, [demo])).toHaveLength(9);
  await notebookRows(page, activations, /_layer_5_mlp_output\.ipynb$/);
});

test('a Llama, whose text is token ids', async ({ page }) => {
  test.setTimeout(480_000);
  await open(page, {});
  await page
    .getByTestId('folder-input')
    .setInputFiles(join(root, 'test-results/browser/bundles/tiny-llama'));
  await expect(page.getByRole('textbox', { name: 'Token ids' })).toBeVisible();
  await page.getByRole('textbox', { name: 'Token ids' }).fill('1 2 3 4 5 6');
  await expect(page.locator('.chip .id')).toHaveCount(6);
  symlinkSync(llama, join(folder, 'tiny-llama'));
  const next = page.locator('section', { has: page.locator('#next-title') });
  expect(await copiedRows(page, next, [llama])).toHaveLength(10);
  const attention = page.getByTestId('attention');
  await attention.getByTestId('toggle-head').click();
  await expect(attention.getByTestId('toggle-head')).toHaveAttribute('aria-pressed', 'true');
  await copiedRows(page, attention, [llama]);
  await notebookRows(page, attention, /^tiny-llama_fp32_[0-9a-f]{8}_layer_\d_attn_probs/);
});
