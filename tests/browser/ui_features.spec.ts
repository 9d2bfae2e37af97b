// The features view: values, explained variance and effects on the logits equal PyTorch's for each kind of dictionary; one
// that is added or set changes the prediction as in PyTorch; it works by keyboard and link, downloads a dictionary once, and
// refuses a damaged one.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect as plainExpect, type Locator, type Page } from '@playwright/test';
import type { Manifest } from '../../apps/web/src/contract/generated';
import { askPython, checkpoints } from './ask_python';
import { axeFaults } from './axe_faults';
import { startBundleServer, type BundleServer } from './bundle_server';
import { readFixtures, type Prompt } from './fixtures';
import { offer } from './offered_models';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 60_000 });
const bundle = fileURLToPath(
  new URL('../../test-results/browser/bundles/demo-features', import.meta.url),
);
const { dictionaries = [] } = JSON.parse(
  readFileSync(`${bundle}/manifest.json`, 'utf8'),
) as Manifest;

let bundles: BundleServer;
test.beforeAll(async () => {
  bundles = await startBundleServer();
});
test.afterAll(async () => {
  await bundles.close();
});

const view = (page: Page): Locator => page.getByTestId('features');
const pathOf = (name: string): string =>
  dictionaries.find((each) => each.name === name)?.path ?? `no dictionary ${name}`;

interface Right {
  /** (tokens, features). */
  readonly features: readonly (readonly number[])[];
  /** null for the first token. */
  readonly explained: readonly (number | null)[];
  /** null where fewer than two tokens are left. */
  readonly text: number | null;
  /** (vocab): of the feature that was asked about, for a value of 1. */
  readonly effects: readonly number[];
  readonly logits: readonly number[];
}

type Change = { readonly add: number } | { readonly clamp: number } | null;

function featuresOf(
  name: string,
  ids: readonly number[],
  [feature, position]: readonly [number, number],
  change: Change = null,
): Right {
  const input = JSON.stringify({ ids, feature, position, change });
  const given = [checkpoints.demo, `${bundle}/${pathOf(name)}`];
  return askPython('read_features.py', given, input) as Right;
}

async function visit(page: Page, hash: string, address?: string): Promise<Prompt> {
  const prompt = readFixtures('demo').prompt('sentence');
  const text = encodeURIComponent(prompt.text ?? prompt.ids.join(' '));
  await offer(page, { model: address ?? bundles.url('demo-features') });
  await page.goto(`/#lang=en&on=wasm&model=model&v=fp32&p=${text}&only=features&${hash}`);
  await expect(page.getByTestId('token-count')).toHaveText(new RegExp(`^${prompt.ids.length} `));
  return prompt;
}

/** Open the dictionary, which is done already where there is memory for a second session, and it ends as `outcome`. */
async function openTo(page: Page, outcome: Locator): Promise<void> {
  const open = page.getByTestId('open-features');
  await expect(open.or(outcome).first()).toBeVisible();
  if (await open.isVisible()) await open.click();
}

/** Wait until a feature at a position is read, and return it. */
async function settled(page: Page, position: number): Promise<number> {
  await openTo(page, page.getByTestId('features-found'));
  const found = view(page).locator(
    `[data-testid=features-found][data-position="${position}"][data-current=true]`,
  );
  await expect(found.getByTestId('feature-up')).toBeVisible();
  return Number(await found.getByTestId('one-feature').getAttribute('data-feature'));
}

function near(got: number, wanted: number, within: number, what: string): void {
  expect(Math.abs(got - wanted), `${what}: ${got}, not ${wanted}`).toBeLessThanOrEqual(
    within * Math.max(1, Math.abs(wanted)),
  );
}

interface Row {
  readonly feature: number;
  readonly value: number;
}

async function listedIn(page: Page): Promise<Row[]> {
  return view(page)
    .locator('[data-testid=strongest-features] tbody tr')
    .evaluateAll((rows) =>
      rows.map((row) => {
        const { feature, value } = (row as HTMLElement).dataset;
        return { feature: Number(feature), value: Number(value) };
      }),
    );
}

/** Expect the list, the explained variance and one feature's effects to be PyTorch's. */
async function expectRight(page: Page, right: Right, feature: number, at: number): Promise<void> {
  const own = right.features[at] ?? [];
  const ordered = own.filter((value) => value > 0).sort((a, b) => b - a);
  const listed = await listedIn(page);
  expect(listed).toHaveLength(Math.min(12, ordered.length));
  for (const [place, row] of listed.entries()) {
    near(row.value, own[row.feature] ?? NaN, 1e-4, `feature ${row.feature}`);
    near(row.value, ordered[place] ?? NaN, 1e-4, `place ${place}`);
  }
  const fit = view(page).getByTestId('feature-fit');
  await expect(fit).toHaveAttribute('data-count', String(ordered.length));
  near(Number(await fit.getAttribute('data-explained')), right.explained[at] ?? NaN, 1e-4, 'here');
  near(Number(await fit.getAttribute('data-text')), right.text ?? NaN, 1e-4, 'in the text');
  const along = await view(page)
    .locator('[data-testid=feature-text] button')
    .evaluateAll((all) => all.map((each) => Number((each as HTMLElement).dataset['value'])));
  expect(along).toHaveLength(right.features.length);
  for (const [token, value] of along.entries())
    near(value, right.features[token]?.[feature] ?? NaN, 1e-4, `at ${token}`);
  for (const [side, sign] of [
    ['up', 1],
    ['down', -1],
  ] as const) {
    const shown = await view(page)
      .locator(`[data-testid=feature-${side}] tbody tr`)
      .evaluateAll((rows) =>
        rows.map((row) => ({
          id: Number((row as HTMLElement).dataset['id']),
          effect: Number((row as HTMLElement).dataset['effect']),
        })),
      );
    const best = right.effects.map((effect) => effect * sign).sort((a, b) => b - a);
    expect(shown).toHaveLength(10);
    for (const [place, { id, effect }] of shown.entries()) {
      near(effect, right.effects[id] ?? NaN, 2e-4, `effect on ${id}`);
      near(effect * sign, best[place] ?? NaN, 2e-4, `place ${place}, ${side}`);
    }
  }
}

/** Expect an edit's answer to arrive, and its features to be PyTorch's. */
async function expectEdited(page: Page, right: Right, feature: number, at: number): Promise<void> {
  await expectPrediction(page, right.logits);
  // Until it is there the answer before it is shown, which may predict nearly the same.
  await expect(async () => {
    expect(await settled(page, at)).toBe(feature);
    await expectRight(page, right, feature, at);
  }).toPass();
}

/** Expect the likeliest next token to have the probability that these logits give. */
async function expectPrediction(page: Page, logits: readonly number[]): Promise<void> {
  const largest = Math.max(...logits);
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
  await expect(async () => {
    const shown = await page.getByTestId('candidate').first().getAttribute('data-probability');
    expect(Math.abs(Number(shown) - 1 / total)).toBeLessThan(1e-4);
  }).toPass();
}

for (const name of ['stream', 'heads', 'neurons', 'coder'])
  test(`the features of a random dictionary equal PyTorch's: ${name}`, async ({ page }) => {
    test.setTimeout(480_000);
    const { ids } = await visit(page, `feature=${name}`);
    const last = ids.length - 1;
    const feature = await settled(page, last);
    await expectRight(page, featuresOf(name, ids, [feature, last]), feature, last);
    const written = dictionaries.find((each) => each.name === name)?.description;
    // Transcoder and topk features can't be set.
    const canClamp = written?.kind === 'sae' && written.activation !== 'topk';
    await expect(page.getByTestId('feature-clamp')).toHaveCount(canClamp ? 1 : 0);
    if (name === 'stream') {
      const value = page.getByTestId('dictionary-figures').locator('[data-figure=recovered]');
      await expect(value).toHaveAttribute('data-value', '0.9');
      expect(await axeFaults(page, '[data-testid=features]')).toEqual([]);
    }
  });

test('a feature is chosen by keyboard and number, stands in the link, and is added as PyTorch adds it', async ({
  page,
}) => {
  test.setTimeout(480_000);
  const { ids } = await visit(page, 'feature=stream.17&t=3');
  expect(await settled(page, 3)).toBe(17);
  await expectRight(page, featuresOf('stream', ids, [17, 3]), 17, 3);
  const row = view(page).locator('[data-testid=strongest-features] tbody tr').first();
  const first = await row.getAttribute('data-feature');
  await row.getByRole('button').focus();
  await page.keyboard.press('Enter');
  expect(await settled(page, 3)).toBe(Number(first));
  await expect(page).toHaveURL(new RegExp(`feature=stream\\.${first}(&|$)`));
  // By keyboard: an arrow leads to the token before, Enter looks at it.
  await page.getByTestId('feature-text').locator('[data-at="3"]').focus();
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('Enter');
  expect(await settled(page, 2)).toBe(Number(first));

  await page.getByTestId('features-number').fill('40');
  await page.keyboard.press('Tab');
  await settled(page, 2);
  await page.getByTestId('feature-amount').fill('6');
  await page.getByTestId('feature-add').click();
  const edited = featuresOf('stream', ids, [40, 2], { add: 6 });
  await expectEdited(page, edited, 40, 2);

  // Another dictionary, and back: its file is there.
  const fetched = (): number =>
    bundles.requests.filter((each) => each.endsWith(pathOf('stream'))).length;
  const before = fetched();
  await page.getByTestId('features-dictionary').selectOption('coder');
  await settled(page, 2);
  await page.getByTestId('features-dictionary').selectOption('stream');
  await settled(page, 2);
  expect(fetched()).toBe(before);
});

test('a feature that is set has the value that PyTorch gives it, and changes the prediction as there', async ({
  page,
}) => {
  test.setTimeout(480_000);
  const { ids } = await visit(page, 'feature=stream.17&t=3');
  await settled(page, 3);
  await page.getByTestId('feature-amount').fill('9');
  await page.getByTestId('feature-clamp').click();
  const edited = featuresOf('stream', ids, [17, 3], { clamp: 9 });
  await expectEdited(page, edited, 17, 3);
  await expect(page.getByTestId('off-badge')).toContainText('set to 9');
  await page.getByTestId('restore').click();
  await expectPrediction(page, featuresOf('stream', ids, [17, 3]).logits);
});

test('a table has a row for each feature above 0, and a picture a cell for each token', async ({
  page,
}) => {
  const { ids } = await visit(page, 'feature=stream.17');
  await settled(page, ids.length - 1);
  const right = featuresOf('stream', ids, [17, ids.length - 1]);
  const csv = view(page).getByRole('button', { name: 'CSV' });
  const [download] = await Promise.all([page.waitForEvent('download'), csv.click()]);
  const lines = readFileSync(await download.path(), 'utf8')
    .trim()
    .split(/\r?\n/);
  expect(lines[0]).toContain('position,feature,value');
  expect(lines).toHaveLength(1 + right.features.flat().filter((value) => value > 0).length);
  const [position = 0, feature = 0, value] = (lines.at(-1) ?? '').split(',').map(Number);
  near(value ?? NaN, right.features[position]?.[feature] ?? NaN, 1e-4, 'CSV');
  const picture = view(page).getByRole('button', { name: 'SVG' });
  const [saved] = await Promise.all([page.waitForEvent('download'), picture.click()]);
  const svg = readFileSync(await saved.path(), 'utf8');
  expect(svg).toContain('stream · 17');
  expect(svg.match(/<rect /g)?.length ?? 0).toBeGreaterThanOrEqual(ids.length);
});

test('a damaged dictionary is refused in one line, and another one opens', async ({ page }) => {
  const address = bundles.url('demo-features', pathOf('stream'), 'corrupted');
  const { ids } = await visit(page, 'feature=stream', address);
  const refusal = view(page).getByRole('alert');
  await openTo(page, refusal);
  await expect(refusal).toContainText(pathOf('stream'));
  await page.getByTestId('features-dictionary').selectOption('coder');
  await settled(page, ids.length - 1);
});

test('a reading stays the newest one where other things are selected', async ({ page }) => {
  test.setTimeout(480_000);
  const { ids } = await visit(page, 'feature=stream.17&t=3');
  await settled(page, 3);
  await page.keyboard.press('Escape');
  // Escape releases the feature and the token, and the strongest one of the last token is read.
  const feature = await settled(page, ids.length - 1);
  // Another one has nothing to release, but selects all the same.
  await page.keyboard.press('Escape');
  expect(await settled(page, ids.length - 1)).toBe(feature);
  await page.getByTestId('features-number').fill('99999999');
  await page.keyboard.press('Tab');
  const last = dictionaries.find(({ name }) => name === 'stream')?.description.features ?? 0;
  await expect(page.getByTestId('features-number')).toHaveValue(String(last - 1));
  expect(await settled(page, ids.length - 1)).toBe(last - 1);
  await page.getByTestId('features-number').fill('1.5');
  await page.keyboard.press('Tab');
  await expect(page.getByTestId('features-number')).toHaveValue(String(last - 1));
  await page.keyboard.press('Escape');
  expect(await settled(page, ids.length - 1)).toBe(feature);
});
