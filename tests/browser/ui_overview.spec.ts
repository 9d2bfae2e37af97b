// The overview of heads and the ways of showing attention: every score, map and row, through what the view shows, equals
// PyTorch's; heads are sorted, chosen, selected and walked; a link keeps it; the programs compute the same numbers.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect as plainExpect, type Locator, type Page } from '@playwright/test';
import { checkpoints, runPython } from './ask_python';
import { axeFaults } from './axe_faults';
import { startBundleServer, type BundleServer } from './bundle_server';
import { largeMap, probabilities, saved, weights } from './drawn_claims';
import { largestError, readFixtures, reference, type Prompt } from './fixtures';
import { offer } from './offered_models';
import { expectDrawn, type Claim } from './pixels';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 60_000 });
const NAMES = ['previous', 'first', 'duplicate', 'induction', 'entropy'] as const;
const DATA = ['previousToken', 'firstToken', 'duplicateToken', 'induction', 'entropy'] as const;

let bundles: BundleServer;
test.beforeAll(async () => {
  bundles = await startBundleServer();
});
test.afterAll(async () => {
  await bundles.close();
});

const view = (page: Page): Locator => page.getByTestId('overview');
const cell = (page: Page, layer: number, head: number): Locator =>
  page.getByTestId(`overview-${layer}-${head}`);

/** Open a model with a text of the fixtures, and wait for its answer. */
async function visit(page: Page, model: string, name: string, hash = ''): Promise<Prompt> {
  const prompt = readFixtures(model).prompt(name);
  const text = encodeURIComponent(prompt.text ?? prompt.ids.join(' '));
  await offer(page, { model: model === 'demo' ? 'demo/manifest.json' : bundles.url(model) });
  await page.goto(`/#lang=en&on=wasm&model=model&p=${text}${hash}`);
  await expect(page.getByTestId('token-count')).toHaveText(new RegExp(`^${prompt.ids.length} `));
  await view(page).scrollIntoViewIfNeeded();
  return prompt;
}

/** Each head's scores by plain loops over PyTorch's maps, in the order of NAMES. */
function scoresByHand(prompt: Prompt, layer: number, head: number): number[] {
  const { dims, data } = reference(prompt, `layer_${layer}_attn_probs`);
  const n = dims.at(-1) ?? 0;
  const at = (query: number, key: number): number => data[(head * n + query) * n + key] ?? NaN;
  const sums = { previous: [0, 0], first: [0, 0], duplicate: [0, 0], induction: [0, 0] };
  let entropy = 0;
  for (let query = 0; query < n; query++) {
    for (let key = 0; key <= query; key++) {
      const p = at(query, key);
      if (p > 0) entropy -= p * Math.log(p);
    }
    if (query === 0) continue;
    const same = prompt.ids.flatMap((id, key) =>
      key < query && id === prompt.ids[query] ? [key] : [],
    );
    const add = (name: keyof typeof sums, keys: readonly number[]): void => {
      if (keys.length === 0) return;
      sums[name][0] = (sums[name][0] ?? 0) + keys.reduce((sum, key) => sum + at(query, key), 0);
      sums[name][1] = (sums[name][1] ?? 0) + 1;
    };
    add('previous', [query - 1]);
    add('first', [0]);
    add('duplicate', same);
    add(
      'induction',
      same.map((key) => key + 1),
    );
  }
  const mean = ([sum = 0, count = 0]: readonly number[]): number => sum / count;
  const { previous, first, duplicate, induction } = sums;
  return [mean(previous), mean(first), mean(duplicate), mean(induction), entropy / n];
}

async function measuredOn(page: Page, text: 'text' | 'repeats'): Promise<void> {
  await page.getByTestId(`measured-${text}`).click();
  await expect(page.getByTestId('measured-on')).toHaveAttribute('data-measured', text);
  await expect(cell(page, 0, 0)).toHaveAttribute('data-entropy', /\d/);
}

async function expectScores(page: Page, prompt: Prompt, layers: number, heads: number) {
  for (let layer = 0; layer < layers; layer++)
    for (let head = 0; head < heads; head++) {
      const shown = await cell(page, layer, head).evaluate(
        (element, names) => names.map((name) => Number((element as HTMLElement).dataset[name])),
        DATA,
      );
      const right = scoresByHand(prompt, layer, head);
      for (const [index, name] of NAMES.entries()) {
        const [got = 0, wanted = 0] = [shown[index], right[index]];
        expect(Math.abs(got - wanted), `${layer}.${head} ${name}: ${got}`).toBeLessThan(1e-4);
      }
    }
}

for (const { model, name, layers, heads } of [
  { model: 'demo', name: 'sentence', layers: 12, heads: 4 },
  { model: 'tiny-llama', name: 'sentence', layers: 3, heads: 6 },
])
  test(`${model}: every head has its scores and its map, also of layers that are not open`, async ({
    page,
  }) => {
    const prompt = await visit(page, model, name);
    await measuredOn(page, 'text');
    const closed = layers === 12 ? 3 : 2;
    await expect(page.getByTestId(`head-${closed}-0`)).toHaveCount(0);
    await expectScores(page, prompt, layers, heads);
    await expectDrawn(
      cell(page, closed, 1).locator('canvas'),
      probabilities(prompt, closed, 1),
      weights(false),
      'light',
      `the map of head ${closed}.1`,
    );
    const table = (await saved(page, 'CSV', 'overview')).toString('utf8').trim().split(/\r?\n/);
    expect(table).toHaveLength(1 + layers * heads);
    const row = table.find((line) => line.startsWith(`${closed},1,`))?.split(',') ?? [];
    const induction = table[0]?.replace('\ufeff', '').split(',').indexOf('induction') ?? -1;
    const right = scoresByHand(prompt, closed, 1)[NAMES.indexOf('induction')] ?? NaN;
    expect(Math.abs(Number(row[induction]) - right)).toBeLessThan(1e-4);
    const svg = (await saved(page, 'SVG', 'overview')).toString('utf8');
    expect(svg.match(/<g transform="translate\([\d. ]+\)" fill=/g)).toHaveLength(layers * heads);
    expect(svg).toContain('sha256:');
  });

test('on random tokens, twice, a newcomer reads off the induction heads, and a program agrees', async ({
  page,
}) => {
  test.setTimeout(480_000);
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await visit(page, 'demo', 'sentence');
  // Measured unasked: the model is small.
  await expect(page.getByTestId('measured-on')).toHaveAttribute('data-measured', 'repeats');
  const role = page.getByTestId('roles-of-heads').locator('[data-role=induction]');
  await expect(role).toHaveAttribute('data-count', '3');
  for (const [layer, head] of [
    [4, 0],
    [5, 2],
    [6, 2],
  ] as const)
    await expect(page.getByTestId(`role-induction-${layer}-${head}`)).toBeVisible();
  const before = await cell(page, 5, 2).getAttribute('data-induction');

  const copy = view(page).getByTestId('copy-python');
  await copy.click();
  await expect(copy).toHaveText('copied');
  const folder = mkdtempSync(join(tmpdir(), 'oriel-heads-'));
  try {
    const file = join(folder, 'program.py');
    writeFileSync(file, await page.evaluate(() => navigator.clipboard.readText()));
    const printed = runPython(file, [checkpoints.demo]);
    const rows = Array.from(printed.matchAll(/ on screen (\S+) +here (\S+) +difference /g));
    expect(rows).toHaveLength(12 * 4 * 5);
    for (const [line, shown, here] of rows)
      expect(Math.abs(Number(shown) - Number(here)), line).toBeLessThan(1e-4);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }

  // Another seed is another text, and the same heads.
  await page.getByTestId('measured-seed').fill('7');
  await page.getByTestId('measured-seed').press('Enter');
  await expect(page.getByTestId('measured-on')).toContainText('seed 7');
  await expect(cell(page, 5, 2)).not.toHaveAttribute('data-induction', before ?? '');
  await expect(role).toHaveAttribute('data-count', '3');
});

async function violations(page: Page): Promise<string[]> {
  return [...(await axeFaults(page, '#overview')), ...(await axeFaults(page, '#attention'))];
}

test('heads are sorted, chosen and selected by mouse, keyboard and link', async ({ page }) => {
  await visit(page, 'demo', 'sentence');
  await expect(page.getByTestId('measured-on')).toHaveAttribute('data-measured', 'repeats');
  await expect(page.getByTestId('role-induction-5-2')).toBeVisible();
  expect(await violations(page)).toEqual([]);

  // Arrows walk the grid, and the reading has the exact scores.
  await cell(page, 0, 0).focus();
  for (const key of ['ArrowDown', 'ArrowDown', 'ArrowDown', 'ArrowRight'])
    await page.keyboard.press(key);
  await expect(cell(page, 3, 1)).toBeFocused();
  await expect(page.getByTestId('overview-reading')).toContainText('Layer 3, head 1: Induction');
  // A press selects the head for all views, and opens its layer for them.
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/h=3\.1(&|$)/);
  await expect(page.getByTestId('shown-head')).toContainText('Layer 3, head 1');

  // Only heads of one role, in the order of their scores.
  const role = page.getByTestId('roles-of-heads').locator('[data-role=induction]');
  await role.getByRole('checkbox').check();
  await expect(page.getByTestId('overview-count')).toHaveText('3 of 48 heads');
  await page.getByTestId('overview-sort').selectOption('induction');
  const order = page.getByTestId('cells-of-heads').getByRole('button');
  const induction = await order.evaluateAll((all) =>
    all.map((each) => Number((each as HTMLElement).dataset['induction'])),
  );
  expect(induction).toEqual(induction.toSorted((a, b) => b - a));
  await role.getByRole('spinbutton').fill('0.95');
  await role.getByRole('spinbutton').press('Enter');
  const above = induction.filter((score) => score >= 0.95).length;
  await expect(order).toHaveCount(above);
  await expect(page).toHaveURL(/heads=auto_0_induction_induction_950\./);
  await page.reload();
  await view(page).scrollIntoViewIfNeeded();
  await expect(order).toHaveCount(above);

  // Heads by name; what names none is told and shows all.
  await page.getByTestId('overview-all').click();
  await page.getByTestId('overview-only').fill('0-1, 5.2');
  await page.getByTestId('overview-only').press('Enter');
  await expect(page.getByTestId('overview-count')).toHaveText('9 of 48 heads');
  await page.getByTestId('overview-only').fill('0-99');
  await page.getByTestId('overview-only').press('Enter');
  await expect(view(page)).toContainText('Got “0-99”; expected layers 0 to 11');
  expect(await violations(page)).toEqual([]);
});

/** PyTorch's attention of a head times the norms of its values, each row scaled to 1. */
function weighted(prompt: Prompt, layer: number, head: number): number[][] {
  const { dims, data } = reference(prompt, `layer_${layer}_v`);
  const [, valueHeads = 1, n = 0, width = 0] = dims;
  const heads = reference(prompt, `layer_${layer}_attn_probs`).dims[1] ?? 1;
  const own = Math.floor(head / (heads / valueHeads));
  const norm = (key: number): number =>
    Math.hypot(...data.slice((own * n + key) * width, (own * n + key + 1) * width));
  return probabilities(prompt, layer, head).map((row, query) => {
    const products = row.slice(0, query + 1).map((p, key) => (p ?? 0) * norm(key));
    const total = products.reduce((sum, product) => sum + product, 0);
    return products.map((product) => product / total);
  });
}

/** Put rows of several heads together, with nothing for tokens to come. */
function claimOf(maps: readonly number[][][], over: (values: number[]) => number): Claim {
  const n = maps[0]?.length ?? 0;
  return Array.from({ length: n }, (_, query) =>
    Array.from({ length: n }, (_, key) =>
      key > query ? null : over(maps.map((map) => map[query]?.[key] ?? NaN)),
    ),
  );
}
const mean = (values: number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** Return what the CSV of the attention view says: a row for each token. */
async function table(page: Page): Promise<number[][]> {
  const lines = (await saved(page, 'CSV')).toString('utf8').trim().split(/\r?\n/).slice(1);
  // Position, id and token come first; a token may hold a comma.
  return lines.map((line) => line.split(',').slice(-lines.length).map(Number));
}

for (const { model, layers, heads } of [
  { model: 'demo', layers: [0, 5, 11], heads: 4 },
  { model: 'tiny-llama', layers: [0, 1], heads: 6 },
])
  test(`${model}: value-weighted attention, mean and max of heads are PyTorch’s`, async ({
    page,
  }) => {
    const prompt = await visit(page, model, 'sentence', '&h=0.1');
    const attention = page.getByTestId('attention');
    await attention.scrollIntoViewIfNeeded();
    await page.getByTestId('kind-weighted').click();
    await expect(page.getByTestId('weighted-means')).toBeVisible();
    await expect(page.getByTestId('shown-head')).toContainText('Layer 0, head 1');
    const own = weighted(prompt, 0, 1);
    const one = claimOf([own], ([value = NaN]) => value);
    const plain = { ...weights(false) };
    await expectDrawn(largeMap(page), one, plain, 'light', 'value-weighted');
    const check = async (claim: Claim, what: string): Promise<void> => {
      const rows = await table(page);
      const right = claim.map((row) => row.map((value) => value ?? 0));
      const error = largestError(Float32Array.from(rows.flat()), Float32Array.from(right.flat()));
      expect(error, what).toBeLessThan(1e-5);
    };
    await check(one, 'value-weighted');

    await page.getByTestId('attention-log').click();
    const log = { ...plain, decades: 4 };
    await expectDrawn(largeMap(page), one, log, 'light', 'value-weighted, log');

    // All open heads, then a chosen set; weighted, then as probabilities.
    const open = layers.flatMap((layer) =>
      Array.from({ length: heads }, (_, head) => [layer, head] as const),
    );
    await page.getByTestId('over-mean').click();
    const all = claimOf(
      open.map(([layer, head]) => weighted(prompt, layer, head)),
      mean,
    );
    await expectDrawn(largeMap(page), all, log, 'light', 'mean of all');
    await check(all, 'mean of all');
    await page.getByTestId('kind-attn_probs').click();
    await page.getByTestId('over-max').click();
    await page.getByTestId('attention-set').fill(`${layers[1]}, 0.1`);
    await page.getByTestId('attention-set').press('Enter');
    await expect(page.getByTestId('shown-head')).toHaveText(`Max of ${heads + 1} heads`);
    const chosen = open.filter(
      ([layer, head]) => layer === layers[1] || (layer === 0 && head === 1),
    );
    const most = claimOf(
      chosen.map(([layer, head]) =>
        probabilities(prompt, layer, head).map((row) => row.map((p) => p ?? 0)),
      ),
      (values) => Math.max(...values),
    );
    await expectDrawn(largeMap(page), most, log, 'light', 'max of a set');
    await check(most, 'max of a set');
    await expect(page).toHaveURL(new RegExp(`map=probs_max_log_${layers[1]}_0\\.1(&|$)`));
  });
