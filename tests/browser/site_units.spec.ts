// A unit's page over the corpus, from nginx and from the disk: read in three requests of at most 300 KB, with PyTorch's
// values, searched and sorted, without a network once it was read, and refused where a byte was changed on the way.
import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect as plainExpect, type Locator, type Page, type Request } from '@playwright/test';
import type { Manifest } from '../../apps/web/src/contract/generated';
import { exact } from '../../apps/web/src/i18n/number_format';
import { askPython, checkpoints } from './ask_python';
import { axeFaults } from './axe_faults';
import { readFixtures } from './fixtures';
import { isolationHeaders, test } from './site';

const expect = plainExpect.configure({ timeout: 60_000 });
const root = fileURLToPath(new URL('../..', import.meta.url));
const dictionary = `${root}tools/model-export/oriel/models/demo/dictionaries/mlp_11.safetensors`;

let server: ChildProcess;
let address: string;
test.beforeAll(async () => {
  const python = process.env['ORIEL_PYTHON'] ?? '.venv/bin/python';
  const script = ['tests/browser/serve_published.py', 'test-results/browser/bundles/demo-units'];
  const child = spawn(python, script, { cwd: root, stdio: ['pipe', 'pipe', 'inherit'] });
  server = child;
  const line = await new Promise<string>((resolve) => {
    let text = '';
    child.stdout.on('data', (data: Buffer) => {
      text += data.toString();
      if (text.includes('\n')) resolve(text);
    });
  });
  address = (JSON.parse(line) as Record<string, string>)['nginx'] ?? '';
});
test.afterAll(async () => {
  const ended = new Promise((resolve) => server.on('exit', resolve));
  server.stdin?.end();
  await ended;
});

const hash = (unit: string): string => `#lang=en&on=wasm&p=The%20cat&only=units&unit=${unit}`;
const unitPage = (page: Page, unit: string): Locator =>
  page.locator(`[data-testid=unit-page][data-unit="${unit}"]:not(.stale)`);

interface ShownPassage {
  readonly ids: readonly number[];
  /** It begins where the model began to read. */
  readonly isWhole: boolean;
  readonly values: readonly number[];
}

/** Return the passages that a unit's page shows. */
function passagesOf(shown: Locator): Promise<ShownPassage[]> {
  return shown.locator('[data-testid=unit-passages] > li').evaluateAll((items) =>
    items.map((item) => ({
      ids: (item.getAttribute('data-ids') ?? '').split(' ').map(Number),
      isWhole: item.getAttribute('data-position') === item.getAttribute('data-peak'),
      values: Array.from(item.querySelectorAll<HTMLElement>('[data-value]'), ({ dataset }) =>
        Number(dataset['value']),
      ),
    })),
  );
}

function valuesOf(text: Locator): Promise<number[]> {
  return text
    .locator('[data-value]')
    .evaluateAll((items) => items.map((item) => Number(item.getAttribute('data-value'))));
}

/** Return a feature of the bundled model's dictionary along a text, by PyTorch. */
function featureAlong(ids: readonly number[], feature: number): number[] {
  const given = { ids, feature, position: 0, change: null };
  const args = [checkpoints.demo, dictionary];
  const { features } = askPython('read_features.py', args, JSON.stringify(given)) as {
    features: number[][];
  };
  return features.map((row) => row[feature] ?? NaN);
}

function expectNear(found: readonly number[], right: readonly number[]): void {
  expect(found.length).toBe(right.length);
  for (const [at, value] of found.entries())
    expect(Math.abs(value - (right[at] ?? NaN))).toBeLessThan(1e-3 * Math.max(1, ...right));
}

test('a unit is read in three requests, equals PyTorch, and is there without a network', async ({
  page,
  context,
  host,
}) => {
  test.slow();
  const site = await host({ headers: isolationHeaders });
  const link = `${site.url}?model=${encodeURIComponent(address)}`;
  await page.goto(`${link}${hash('mlp_act.3.386')}`);
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  const unit = unitPage(page, 'mlp_act.3.386');
  await expect(unit).toBeVisible();

  // Other files of the model may still be arriving, as its reference pass.
  const { files } = (await (await fetch(address)).json()) as Pick<Manifest, 'files'>;
  const own = new Set(
    files
      .filter(({ path }) => path.startsWith('dashboards/'))
      .flatMap(({ chunks = [] }) => chunks.map(({ path }) => new URL(path, address).href)),
  );
  const asked: (string | null)[] = [];
  const note = (request: Request): void => {
    if (own.has(request.url())) asked.push(request.headers()['range'] ?? null);
  };
  context.on('request', note);
  await page.getByLabel('Layer', { exact: true }).selectOption('4');
  await expect(unitPage(page, 'mlp_act.4.386')).toBeVisible();
  await expect.poll(() => asked.length).toBe(3);
  context.off('request', note);
  const ranges = asked.flatMap((range) => /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? []);
  expect(ranges.length).toBe(6);
  const [, begin, end, , first, last] = ranges.map(Number);
  const read = await page.evaluate(
    () => document.querySelector<HTMLElement>('[data-testid=unit-page]')?.dataset['bytes'],
  );
  // The page's own sum has the index as well.
  const ofRanges = (end ?? NaN) - (begin ?? NaN) + (last ?? NaN) - (first ?? NaN) + 2;
  expect(Number(read)).toBeGreaterThan(ofRanges);
  expect(Number(read)).toBeLessThanOrEqual(300_000);

  // Passages that begin where the model began to read have their whole context; this neuron fires early in texts.
  const shown = unitPage(page, 'mlp_act.4.386');
  const more = shown.getByTestId('unit-more');
  if (await more.isVisible()) await more.click();
  const passages = await passagesOf(shown);
  expect(passages.length).toBeGreaterThan(3);
  const whole = passages.filter(({ isWhole }) => isWhole);
  expect(whole.length).toBeGreaterThan(0);
  for (const { ids, values } of whole.slice(0, 2)) {
    const input = { ids, neuron: [4, 386, 0], off: null };
    const right = askPython('read_layers.py', [checkpoints.demo], JSON.stringify(input)) as {
      activations: number[][][];
    };
    const along = right.activations[4]?.map((row) => row[386] ?? NaN) ?? [];
    for (const [at, value] of values.entries()) expect(value).toBeCloseTo(along[at] ?? NaN, 3);
  }

  await shown.getByTestId('unit-run').click();
  await expect(shown.getByTestId('unit-own')).toBeVisible();
  await page.getByTestId('read-layer').click();
  const list = page.getByTestId('unit-list');
  await expect(list.getByTestId('units-found')).toHaveText('512 of 512 units');
  await list.getByTestId('units-token').fill('the');
  await expect(list.getByTestId('units-found')).not.toHaveText('512 of 512 units');
  expect(await axeFaults(page)).toEqual([]);

  await expect
    .poll(() => page.evaluate(() => navigator.serviceWorker.controller !== null))
    .toBe(true);
  await context.setOffline(true);
  await page.goto(`${link}&again=1${hash('mlp_act.4.401')}`);
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await expect(unitPage(page, 'mlp_act.4.401')).toBeVisible();
});

test('a neuron leads to its page, where it runs on the own text, and is walked and saved', async ({
  page,
  host,
}) => {
  const prompt = readFixtures('demo').prompt('sentence');
  const site = await host({ headers: isolationHeaders });
  const text = encodeURIComponent(prompt.text ?? '');
  const link = `${site.url}?model=${encodeURIComponent(address)}#lang=en&on=wasm&p=${text}`;
  await page.goto(`${link}&only=neurons&n=3.386`);
  const one = page.getByTestId('one-neuron');
  await expect(one).toHaveAttribute('data-neuron', '3.386');
  await one.getByTestId('unit-link').click();
  const shown = unitPage(page, 'mlp_act.3.386');
  await expect(shown).toBeVisible();
  await expect(page.locator('#units')).toBeFocused();

  await shown.getByTestId('unit-run').click();
  const own = shown.getByTestId('unit-own');
  await expect(own.locator('[data-value]')).toHaveCount(prompt.ids.length);
  const input = { ids: prompt.ids, neuron: [3, 386, 0], off: null };
  const right = askPython('read_layers.py', [checkpoints.demo], JSON.stringify(input)) as {
    activations: number[][][];
  };
  expectNear(
    await valuesOf(own),
    (right.activations[3] ?? []).map((row) => row[386] ?? NaN),
  );

  const passage = shown.getByTestId('unit-passages').locator('li').first();
  const peak = Number(await passage.getAttribute('data-peak'));
  const beside = passage.locator('[data-at]').nth(peak === 0 ? 1 : peak - 1);
  await passage.locator(`[data-at="${peak}"]`).focus();
  await page.keyboard.press(peak === 0 ? 'ArrowRight' : 'ArrowLeft');
  await expect(beside).toBeFocused();
  const exactly = await beside.getAttribute('data-value');
  await expect(shown.getByTestId('unit-reading')).toContainText(exact(Number(exactly)));

  const waiting = page.waitForEvent('download');
  await shown.getByTestId('unit-csv').click();
  const saved = await waiting;
  expect(saved.suggestedFilename()).toMatch(/_layer_3_mlp_act_386_corpus\.csv$/);
  const lines = readFileSync(await saved.path(), 'utf8')
    .trim()
    .split('\r\n')
    .slice(1);
  const ids = (await passage.getAttribute('data-ids'))?.split(' ') ?? [];
  const first = lines.filter((line) => line.startsWith('1,')).map((line) => line.split(',')[4]);
  expect(first).toEqual(ids);
});

test('a feature of a dictionary equals PyTorch, in the corpus and on the reader’s text', async ({
  page,
  host,
}) => {
  test.slow();
  const site = await host({ headers: isolationHeaders });
  const unit = 'features_mlp_11.11.116';
  await page.goto(`${site.url}?model=${encodeURIComponent(address)}${hash(unit)}`);
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  const shown = unitPage(page, unit);
  await expect(shown).toBeVisible();
  await expect(shown.getByRole('heading').first()).toHaveText('Layer 11 · feature 116 of mlp_11');
  await expect(page.getByLabel('Kind', { exact: true })).toHaveValue('features_mlp_11');
  expect(Number(await shown.getAttribute('data-bytes'))).toBeLessThanOrEqual(300_000);

  const more = shown.getByTestId('unit-more');
  if (await more.isVisible()) await more.click();
  const passages = await passagesOf(shown);
  const whole = passages.filter(({ isWhole }) => isWhole);
  expect(whole.length).toBeGreaterThan(2);
  for (const { ids, values } of whole.slice(0, 3)) expectNear(values, featureAlong(ids, 116));

  await shown.getByTestId('unit-run').click();
  const own = shown.getByTestId('unit-own');
  await expect(own).toBeVisible();
  // The ids of “The cat”.
  const right = featureAlong([274, 1818], 116);
  expect(Math.max(...right)).toBeGreaterThan(0);
  expectNear(await valuesOf(own), right);
  expect(await axeFaults(page)).toEqual([]);
  await page.setViewportSize({ width: 390, height: 844 });
  const overflow = (): Promise<number> =>
    page.evaluate(() => {
      const { scrollWidth, clientWidth } = document.documentElement;
      return scrollWidth - clientWidth;
    });
  await expect.poll(overflow).toBe(0);
});

test('a model opened from the disk has its units, read from its own files', async ({
  page,
  host,
}) => {
  const site = await host({ headers: isolationHeaders });
  await page.goto(`${site.url}#lang=en&on=wasm&p=The%20cat`);
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  // The model that the site offers has no dashboards.
  await expect(page.locator('#units')).toHaveCount(0);
  const asked: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  await page
    .getByTestId('folder-input')
    .setInputFiles(`${root}test-results/browser/bundles/demo-units`);
  const picker = page.getByRole('combobox', { name: 'Model' });
  await expect(picker.locator('option:checked')).toContainText('on this device');
  const units = page.locator('#units');
  await expect(units).toBeVisible();
  await units.getByLabel('Layer', { exact: true }).selectOption('3');
  await units.getByLabel('Number', { exact: true }).fill('386');
  await page.keyboard.press('Enter');
  const shown = unitPage(page, 'mlp_act.3.386');
  await expect(shown).toBeVisible();
  expect(Number(await shown.getAttribute('data-bytes'))).toBeLessThanOrEqual(300_000);
  const whole = (await passagesOf(shown)).find(({ isWhole }) => isWhole);
  expect(whole).toBeDefined();
  const input = { ids: whole?.ids, neuron: [3, 386, 0], off: null };
  const right = askPython('read_layers.py', [checkpoints.demo], JSON.stringify(input)) as {
    activations: number[][][];
  };
  expectNear(
    whole?.values ?? [],
    (right.activations[3] ?? []).map((row) => row[386] ?? NaN),
  );
  expect(asked.filter((url) => url.includes('dashboards'))).toEqual([]);
});

test('a changed byte is told, and the rest of the page stays', async ({ page, context, host }) => {
  const site = await host({ headers: isolationHeaders });
  await context.route(
    (url) => url.href.startsWith(address.replace('manifest.json', '')),
    async (route) => {
      if (route.request().headers()['range'] === undefined) return route.continue();
      const response = await route.fetch();
      const body = Buffer.from(await response.body());
      body[100] = (body[100] ?? 0) ^ 1;
      return route.fulfill({ response, body });
    },
  );
  await page.goto(`${site.url}?model=${encodeURIComponent(address)}${hash('mlp_act.3.386')}`);
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await expect(page.getByTestId('units')).toContainText(
    'A file is not the one that the manifest describes.',
  );
  await expect(page.getByTestId('unit-page')).toHaveCount(0);
});

test('a damaged dictionary is told where a feature is run, and can be tried again', async ({
  page,
  context,
  host,
}) => {
  const site = await host({ headers: isolationHeaders });
  const { files } = (await (await fetch(address)).json()) as Pick<Manifest, 'files'>;
  const parts = new Set(
    files
      .filter(({ path }) => path.startsWith('dictionary_'))
      .flatMap(({ path, chunks = [{ path }] }) =>
        chunks.map((chunk) => new URL(chunk.path, address).href),
      ),
  );
  let isDamaged = true;
  await context.route(
    (url) => parts.has(url.href),
    async (route) => {
      const response = await route.fetch();
      const body = Buffer.from(await response.body());
      if (isDamaged) body[body.length - 1] = (body.at(-1) ?? 0) ^ 1;
      return route.fulfill({ response, body });
    },
  );
  const unit = 'features_mlp_11.11.116';
  await page.goto(`${site.url}?model=${encodeURIComponent(address)}${hash(unit)}`);
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  const shown = unitPage(page, unit);
  await expect(shown.getByTestId('unit-own-caption')).toContainText('needs the dictionary’s file');
  await shown.getByTestId('unit-run').click();
  await expect(shown.getByRole('alert')).toContainText('A file is not the one that');
  isDamaged = false;
  await shown.getByRole('alert').getByRole('button').click();
  await expect(shown.getByTestId('unit-own')).toBeVisible();
});
