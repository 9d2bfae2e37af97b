// "Copy as Python" and "Download notebook": what the page gives for the numbers of each view runs with PyTorch and
// transformers on the checkpoint that the bundle was made from, and computes the same numbers.
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect as plainExpect, type Locator, type Page } from '@playwright/test';
import { runPython } from './ask_python';
import { readFixtures } from './fixtures';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 60_000 });
const root = fileURLToPath(new URL('../..', import.meta.url));
const demo = join(root, 'tools/model-export/oriel/models/demo/weights');
const llama = join(root, 'test-results/browser/checkpoints/tiny-llama');
const sentence = readFixtures('demo').prompt('sentence');

interface Row {
  readonly shown: number;
  readonly here: number;
}

interface Job {
  readonly file: string;
  readonly words: readonly string[];
}

/** Run programs in one process of Python, and read the rows that each prints. */
function rowsOf(jobs: readonly Job[], folder: string): Row[][] {
  const printed = runPython(join(root, 'tests/browser/run_programs.py'), [], {
    input: JSON.stringify(jobs),
    folder,
  });
  return (JSON.parse(printed) as string[]).map((output) => {
    const found = output.matchAll(/ on screen (\S+) +here (\S+) +difference /g);
    const rows = Array.from(found, ([, shown, here]) => ({
      shown: Number(shown),
      here: Number(here),
    }));
    expect(rows.length, output).toBeGreaterThan(0);
    for (const { shown, here } of rows)
      expect(Math.abs(shown - here), output).toBeLessThan(1e-4 * Math.max(1, Math.abs(shown)));
    return rows;
  });
}

let folder = '';
let jobs: Job[] = [];
test.beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'oriel-scripts-'));
  jobs = [];
});
test.afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function keep(program: string, words: readonly string[]): void {
  const file = `program_${jobs.length}.py`;
  writeFileSync(join(folder, file), program);
  jobs.push({ file, words });
}

/** Copy the script of a view with the keyboard. */
async function copyScript(page: Page, view: Locator, words: readonly string[]): Promise<void> {
  const copy = view.getByTestId('copy-python');
  // A new answer has a new script, which was not copied yet.
  await expect(async () => {
    await copy.focus();
    await page.keyboard.press('Enter');
    await expect(copy).toHaveText('copied', { timeout: 3000 });
  }).toPass();
  keep(await page.evaluate(() => navigator.clipboard.readText()), words);
}

/** Download the notebook of a view: its cells one after another are a program. */
async function saveNotebook(page: Page, view: Locator, name: RegExp): Promise<void> {
  const button = view.getByTestId('notebook');
  const [download] = await Promise.all([page.waitForEvent('download'), button.click()]);
  expect(download.suggestedFilename()).toMatch(name);
  const notebook = JSON.parse(readFileSync(await download.path(), 'utf8')) as {
    cells: { cell_type: string; source: string[] }[];
  };
  const cells = notebook.cells.filter((cell) => cell.cell_type === 'code');
  keep(cells.map(({ source }) => source.join('')).join('\n\n'), []);
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
  await copyScript(page, next, [demo]);

  await attention.getByTestId('toggle-head').click();
  await expect(attention.getByTestId('toggle-head')).toHaveAttribute('aria-pressed', 'true');
  await expect(page.getByTestId('candidate').first()).not.toHaveAttribute(
    'data-probability',
    String(probability),
  );
  await copyScript(page, next, [demo]);
  await saveNotebook(page, next, /^demo_fp32_[0-9a-f]{8}_next_token\.ipynb$/);
  await copyScript(page, attention, [demo]);
  await saveNotebook(page, attention, /_layer_5_attn_probs_head_2\.ipynb$/);

  const lens = page.getByTestId('lens');
  await lens.scrollIntoViewIfNeeded();
  await copyScript(page, lens, [demo]);
  await saveNotebook(page, lens, /_logit_lens\.ipynb$/);

  const activations = page.getByTestId('activations');
  await activations.scrollIntoViewIfNeeded();
  await copyScript(page, activations, [demo]);
  await saveNotebook(page, activations, /_layer_5_mlp_output\.ipynb$/);

  const attribution = page.getByTestId('attribution');
  await attribution.scrollIntoViewIfNeeded();
  await attribution.getByTestId('open-attribution').click();
  await copyScript(page, attribution, [demo]);

  const rows = rowsOf(jobs, folder);
  const [before = [], edited = [], , weights = [], , guesses = [], , values = []] = rows;
  expect(before).toHaveLength(10);
  expect(before[0]?.shown).toBeCloseTo(probability, 6);
  expect(edited[0]?.here).not.toBeCloseTo(probability, 5);
  expect(weights).toHaveLength(sentence.ids.length);
  expect(weights.reduce((sum, { here }) => sum + here, 0)).toBeCloseTo(1, 5);
  expect(guesses).toHaveLength(10);
  // Eight values and the vector's length.
  expect(values).toHaveLength(9);
  // Embedding, bias, and of each layer four heads, the rest of attention, and the MLP.
  expect(rows[9]).toHaveLength(2 + 12 * 6);
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
  await copyScript(page, next, [llama]);
  const attention = page.getByTestId('attention');
  await attention.getByTestId('toggle-head').click();
  await expect(attention.getByTestId('toggle-head')).toHaveAttribute('aria-pressed', 'true');
  await copyScript(page, attention, [llama]);
  await saveNotebook(page, attention, /^tiny-llama_fp32_[0-9a-f]{8}_layer_\d_attn_probs/);
  const [likeliest] = rowsOf(jobs, folder);
  expect(likeliest).toHaveLength(10);
});
