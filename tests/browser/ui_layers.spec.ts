// The lens's measures: each cell's value, through the data that the view draws, equals PyTorch's, on the bundled model with
// the logit lens and its tuned lens, and on a random Llama; a token is followed that was typed, or that a link names.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect as plainExpect, type Locator, type Page } from '@playwright/test';
import { askPython, checkpoints } from './ask_python';
import { axeFaults } from './axe_faults';
import { startBundleServer, type BundleServer } from './bundle_server';
import { readFixtures, type Prompt } from './fixtures';
import { offer } from './offered_models';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 60_000 });
const root = fileURLToPath(new URL('../..', import.meta.url));
const { demo, 'tiny-llama': llama } = checkpoints;

let bundles: BundleServer;
test.beforeAll(async () => {
  bundles = await startBundleServer();
});
test.afterAll(async () => {
  await bundles.close();
});

const view = (page: Page): Locator => page.getByTestId('lens');

type Measures = Readonly<Record<string, readonly (readonly number[])[]>>;

/** Return what PyTorch says of a text. */
function measuresOf(checkpoint: string, ids: readonly number[], pack: string | null): Measures {
  const input = JSON.stringify({ ids, token: 7, pack });
  return askPython('read_layers.py', [checkpoint], input) as Measures;
}

async function visit(page: Page, model: 'demo' | 'tiny-llama', hash = ''): Promise<Prompt> {
  const prompt = readFixtures(model).prompt('sentence');
  const text = encodeURIComponent(prompt.text ?? prompt.ids.join(' '));
  await offer(page, { model: model === 'demo' ? 'demo/manifest.json' : bundles.url(model) });
  await page.goto(`/#lang=en&on=wasm&model=model&v=fp32&p=${text}${hash}`);
  await expect(page.getByTestId('token-count')).toHaveText(new RegExp(`^${prompt.ids.length} `));
  await view(page).scrollIntoViewIfNeeded();
  return prompt;
}

/** Wait until the newest question is answered. */
async function settled(page: Page, measure: string): Promise<void> {
  await expect(
    view(page).locator(`[data-testid=lens-cells][data-measure=${measure}][data-current=true]`),
  ).toBeVisible();
}

async function choose(page: Page, measure: string): Promise<void> {
  await page.getByTestId('lens-measure').selectOption(measure);
  await settled(page, measure);
}

/** Expect all cells that are drawn to be PyTorch's. */
async function expectCells(page: Page, right: Measures, name: string): Promise<void> {
  const rows = right[name] ?? [];
  const drawn = view(page).locator('[data-cell]');
  // They are put on the page a piece per frame.
  await expect(drawn).toHaveCount(rows.length * (rows[0]?.length ?? 0));
  const cells = await drawn.evaluateAll((all) =>
    all.map((each) => {
      const { cell = '', value = '' } = (each as HTMLElement).dataset;
      const [row = NaN, position = NaN] = cell.split('.').map(Number);
      return { row, position, value: Number(value) };
    }),
  );
  for (const { row, position, value } of cells) {
    const wanted = rows[row]?.[position] ?? NaN;
    if (name.endsWith('.next') && position === (rows[0]?.length ?? 0) - 1) {
      expect(value, name).toBe(NaN);
      continue;
    }
    // Ranks far down are of tokens whose logits differ in their last bits.
    const within = name.startsWith('rank')
      ? wanted < 20
        ? 0
        : 2
      : 2e-4 * Math.max(1, Math.abs(wanted));
    expect(Math.abs(value - wanted), `${name} at ${row}.${position}: ${value}`).toBeLessThanOrEqual(
      within,
    );
  }
}

async function expectAll(page: Page, right: Measures): Promise<void> {
  const numbers = ['certainty', 'probability', 'rank', 'divergence', 'entropy'];
  for (const measure of [...numbers, 'norm', 'growth', 'turn', 'final']) {
    await choose(page, measure);
    await expectCells(page, right, measure);
  }
}

const violations = (page: Page): Promise<string[]> => axeFaults(page, '[data-testid=lens]');

test("each measure of the bundled model's layers equals PyTorch's", async ({ page }) => {
  test.setTimeout(480_000);
  const { ids } = await visit(page, 'demo');
  const right = measuresOf(demo, ids, null);
  await expectAll(page, right);
  await choose(page, 'rank');
  await page.getByTestId('lens-token').selectOption('next');
  await expect(page).toHaveURL(/cells=rank\.next/);
  await expectCells(page, right, 'rank.next');
  await choose(page, 'probability');
  await expectCells(page, right, 'probability.next');
  expect(await violations(page)).toEqual([]);
});

test("the bundled model's layers are read through its tuned lens as in PyTorch", async ({
  page,
}) => {
  test.setTimeout(480_000);
  const { ids } = await visit(page, 'demo', '&cells=divergence');
  await settled(page, 'divergence');
  const packs = join(root, 'apps/web/static/models/demo');
  const file = readdirSync(packs).find(
    (name) =>
      /^lens_.*\.safetensors$/.test(name) &&
      readFileSync(join(packs, name)).includes('"kind\\": \\"tuned'),
  );
  await page.getByTestId('lens-choice').selectOption('tuned');
  await expect(page.locator('#lens-title')).toHaveText('Tuned lens');
  const tuned = measuresOf(demo, ids, join(packs, file ?? ''));
  await settled(page, 'divergence');
  await expectCells(page, tuned, 'divergence');
  await choose(page, 'rank');
  await expectCells(page, tuned, 'rank');
});

test("each measure of a random Llama equals PyTorch's, and follows a token that was typed", async ({
  page,
}) => {
  test.setTimeout(480_000);
  const { ids } = await visit(page, 'tiny-llama', '&cells=rank.7');
  const right = measuresOf(llama, ids, null);
  await settled(page, 'rank');
  await expectCells(page, right, 'rank.token');
  await page.getByTestId('lens-token').selectOption('predicted');
  await expectAll(page, right);
  await choose(page, 'probability');
  await page.getByTestId('lens-token').selectOption('typed');
  await page.getByTestId('lens-typed').fill('-1');
  await page.getByTestId('lens-typed').press('Enter');
  await expect(page.getByTestId('lens-problem')).toContainText('-1');
  await page.getByTestId('lens-typed').fill('7');
  await page.getByTestId('lens-typed').press('Enter');
  await expect(page).toHaveURL(/cells=probability\.7/);
  await settled(page, 'probability');
  await expectCells(page, right, 'probability.token');
});
