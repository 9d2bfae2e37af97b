// The neurons view: activations, row norms and effects on the logits equal PyTorch's on the bundled model and on a random
// Llama; a neuron that is switched off changes the prediction as in PyTorch; it works by keyboard and link, and in the
// variant whose kernels round most.
import { readFileSync } from 'node:fs';
import { expect as plainExpect, type Locator, type Page } from '@playwright/test';
import { askPython, checkpoints } from './ask_python';
import { axeFaults } from './axe_faults';
import { startBundleServer, type BundleServer } from './bundle_server';
import { readFixtures, type Prompt } from './fixtures';
import { offer } from './offered_models';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 60_000 });
const { demo, 'tiny-llama': llama } = checkpoints;

let bundles: BundleServer;
test.beforeAll(async () => {
  bundles = await startBundleServer();
});
test.afterAll(async () => {
  await bundles.close();
});

const view = (page: Page): Locator => page.getByTestId('neurons');

interface Right {
  /** (layers, tokens, neurons). */
  readonly activations: readonly (readonly (readonly number[])[])[];
  readonly rows: readonly (readonly number[])[];
  /** (vocab): of the neuron that was asked about, for an activation of 1. */
  readonly effects: readonly number[];
  readonly logits: readonly number[];
}

function neuronsOf(
  checkpoint: string,
  ids: readonly number[],
  neuron: readonly [layer: number, neuron: number, position: number],
  off: readonly [number, number] | null = null,
): Right {
  const input = JSON.stringify({ ids, neuron, off });
  return askPython('read_layers.py', [checkpoint], input) as Right;
}

async function visit(page: Page, model: 'demo' | 'tiny-llama', hash = ''): Promise<Prompt> {
  const prompt = readFixtures(model).prompt('sentence');
  const text = encodeURIComponent(prompt.text ?? prompt.ids.join(' '));
  await offer(page, { model: model === 'demo' ? 'demo/manifest.json' : bundles.url(model) });
  await page.goto(`/#lang=en&on=wasm&model=model&p=${text}${hash}`);
  await expect(page.getByTestId('token-count')).toHaveText(new RegExp(`^${prompt.ids.length} `));
  await view(page).scrollIntoViewIfNeeded();
  // It opens by itself where there is memory for a second session.
  const open = page.getByTestId('open-neurons');
  await expect(open.or(page.getByTestId('strongest-neurons'))).toBeVisible();
  if (await open.isVisible()) await open.click();
  return prompt;
}

/** Wait until a neuron at a position is read, with its effect on the logits. */
async function settled(page: Page, neuron: string, position: number): Promise<void> {
  const found = view(page).locator(
    `[data-testid=neurons-found][data-position="${position}"][data-current=true]`,
  );
  await expect(found.locator(`[data-testid=one-neuron][data-neuron="${neuron}"]`)).toBeVisible();
  await expect(found.getByTestId('neuron-up')).toBeVisible();
}

interface Listed {
  readonly neuron: string;
  readonly activation: number;
  readonly row: number;
  readonly write: number;
}

async function listedIn(page: Page): Promise<Listed[]> {
  return view(page)
    .locator('[data-testid=strongest-neurons] tbody tr')
    .evaluateAll((rows) =>
      rows.map((row) => {
        const { neuron = '', activation, row: norm, write } = (row as HTMLElement).dataset;
        return {
          neuron,
          activation: Number(activation),
          row: Number(norm),
          write: Number(write),
        };
      }),
    );
}

function near(got: number, wanted: number, within: number, what: string): void {
  expect(Math.abs(got - wanted), `${what}: ${got}, not ${wanted}`).toBeLessThanOrEqual(
    within * Math.max(1, Math.abs(wanted)),
  );
}

/** Expect the list to be PyTorch's strongest neurons at a position, by the key of an order. */
function expectListed(
  listed: readonly Listed[],
  { activations, rows }: Right,
  position: number,
  key: (activation: number, row: number) => number,
): void {
  const all = rows.flatMap((norms, layer) =>
    norms.map((row, neuron) => {
      const activation = activations[layer]?.[position]?.[neuron] ?? NaN;
      return { neuron: `${layer}.${neuron}`, activation, row, key: key(activation, row) };
    }),
  );
  const keys = all.map((each) => each.key).sort((a, b) => b - a);
  const named = new Map(all.map((each) => [each.neuron, each]));
  expect(listed).toHaveLength(12);
  for (const [place, { neuron, activation, row, write }] of listed.entries()) {
    const right = named.get(neuron);
    if (right === undefined) throw new Error(`no neuron ${neuron}`);
    near(activation, right.activation, 1e-4, `activation of ${neuron}`);
    near(row, right.row, 1e-4, `norm of ${neuron}`);
    near(write, Math.abs(right.activation) * right.row, 1e-4, `write size of ${neuron}`);
    near(right.key, keys[place] ?? NaN, 1e-3, `place ${place}`);
  }
}

async function expectEffects(
  page: Page,
  effects: readonly number[],
  within: number,
): Promise<void> {
  for (const [side, sign] of [
    ['up', 1],
    ['down', -1],
  ] as const) {
    const shown = await view(page)
      .locator(`[data-testid=neuron-${side}] tbody tr`)
      .evaluateAll((rows) =>
        rows.map((row) => ({
          id: Number((row as HTMLElement).dataset['id']),
          effect: Number((row as HTMLElement).dataset['effect']),
        })),
      );
    const best = effects.map((effect) => effect * sign).sort((a, b) => b - a);
    expect(shown).toHaveLength(10);
    for (const [place, { id, effect }] of shown.entries()) {
      near(effect, effects[id] ?? NaN, within, `effect on ${id}`);
      near(effect * sign, best[place] ?? NaN, within, `place ${place}, ${side}`);
    }
  }
}

const violations = (page: Page): Promise<string[]> => axeFaults(page, '[data-testid=neurons]');

test("the bundled model's neurons equal PyTorch's, and one that is switched off changes the prediction as there", async ({
  page,
}) => {
  test.setTimeout(480_000);
  const { ids } = await visit(page, 'demo', '&v=fp32');
  const last = ids.length - 1;
  const first = view(page).locator('[data-testid=strongest-neurons] tbody tr').first();
  await expect(first).toBeVisible();
  const neuron = (await listedIn(page))[0]?.neuron ?? '';
  await settled(page, neuron, last);
  const [layer = 0, number = 0] = neuron.split('.').map(Number);
  const right = neuronsOf(demo, ids, [layer, number, last]);
  expectListed(await listedIn(page), right, last, (a, w) => Math.abs(a) * w);
  await page.getByTestId('neurons-order').selectOption('down');
  expectListed(await listedIn(page), right, last, (a) => -a);
  await page.getByTestId('neurons-order').selectOption('activation');
  expectListed(await listedIn(page), right, last, (a) => Math.abs(a));
  await expectEffects(page, right.effects, 2e-4);

  const along = await view(page)
    .locator('[data-testid=neuron-text] button')
    .evaluateAll((all) => all.map((each) => Number((each as HTMLElement).dataset['value'])));
  expect(along).toHaveLength(ids.length);
  for (const [at, value] of along.entries())
    near(value, right.activations[layer]?.[at]?.[number] ?? NaN, 1e-4, `at ${at}`);
  const strongest = along.map(Math.abs).indexOf(Math.max(...along.map(Math.abs)));
  await expect(page.getByTestId('neuron-contexts').locator('li').first()).toHaveAttribute(
    'data-at',
    String(strongest),
  );
  expect(await violations(page)).toEqual([]);

  // By keyboard: an arrow leads to the token before, Enter looks at it.
  await page.getByTestId('neuron-text').locator(`[data-at="${last}"]`).focus();
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('neurons-found')).toHaveAttribute('data-position', `${last - 1}`);

  const other = (await listedIn(page))[0]?.neuron ?? '';
  await view(page).locator(`tr[data-neuron="${other}"] button`).click();
  await settled(page, other, last - 1);
  await page.getByTestId('neuron-off').focus();
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('neuron-off')).toHaveAttribute('aria-pressed', 'true');
  await expect(page).toHaveURL(/mlp_act/);
  const off = other.split('.').map(Number);
  const edited = neuronsOf(demo, ids, [off[0] ?? 0, off[1] ?? 0, last], [off[0] ?? 0, off[1] ?? 0]);
  const total = edited.logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
  const best = Math.max(...edited.logits.map((logit) => Math.exp(logit) / total));
  await expect(async () => {
    const shown = await page.getByTestId('candidate').first().getAttribute('data-probability');
    expect(Math.abs(Number(shown) - best)).toBeLessThan(1e-4);
  }).toPass();
  await settled(page, other, last - 1);
  const after = await view(page)
    .locator('[data-testid=neuron-text] button')
    .evaluateAll((all) => all.map((each) => Number((each as HTMLElement).dataset['value'])));
  expect(after.every((value) => value === 0)).toBe(true);
  await page.getByTestId('neuron-off').click();
  await expect(page.getByTestId('neuron-off')).toHaveAttribute('aria-pressed', 'false');
});

test("a random Llama's neuron that a link names equals PyTorch's, in table, tensors and picture", async ({
  page,
}) => {
  const { ids } = await visit(page, 'tiny-llama', '&v=fp32&n=1.3&t=4');
  await settled(page, '1.3', 4);
  const right = neuronsOf(llama, ids, [1, 3, 4]);
  expectListed(await listedIn(page), right, 4, (a, w) => Math.abs(a) * w);
  await expectEffects(page, right.effects, 2e-4);
  const button = view(page).getByRole('button', { name: 'CSV' });
  const [download] = await Promise.all([page.waitForEvent('download'), button.click()]);
  const lines = readFileSync(await download.path(), 'utf8')
    .trim()
    .split(/\r?\n/);
  expect(lines[0]).toContain('layer,neuron,position,activation,row_norm,write_norm');
  expect(lines).toHaveLength(1 + right.rows.flat().length);
  const [layer, neuron, , activation, row] = (lines.at(-1) ?? '').split(',').map(Number);
  near(activation ?? NaN, right.activations[layer ?? 0]?.[4]?.[neuron ?? 0] ?? NaN, 1e-4, 'CSV');
  near(row ?? NaN, right.rows[layer ?? 0]?.[neuron ?? 0] ?? NaN, 1e-4, 'CSV');
  const picture = view(page).getByRole('button', { name: 'SVG' });
  const [saved] = await Promise.all([page.waitForEvent('download'), picture.click()]);
  const svg = readFileSync(await saved.path(), 'utf8');
  expect(svg).toContain('L1 · 3');
  expect(svg.match(/<rect /g)?.length ?? 0).toBeGreaterThanOrEqual(ids.length);
});

for (const variant of ['int8_static', 'int4', 'fp16'])
  test(`the neurons of ${variant} are near PyTorch's float32 ones`, async ({ page }) => {
    const { ids } = await visit(page, 'demo', `&v=${variant}&n=5.7&t=6`);
    await settled(page, '5.7', 6);
    const right = neuronsOf(demo, ids, [5, 7, 6]);
    const [listed] = await listedIn(page);
    const [layer = 0, neuron = 0] = (listed?.neuron ?? '').split('.').map(Number);
    // The rows as these kernels have them: rounded, and by no more than their bits allow.
    near((listed?.row ?? NaN) / (right.rows[layer]?.[neuron] ?? NaN), 1, 0.05, 'row');
    const shown = view(page).locator('[data-testid=neuron-up] tbody tr').first();
    const id = await shown.getAttribute('data-id');
    const effect = await shown.getAttribute('data-effect');
    const largest = Math.max(...right.effects.map(Math.abs));
    expect(Math.abs(Number(effect) - (right.effects[Number(id)] ?? NaN))).toBeLessThan(
      0.1 * largest,
    );
  });
