// What a visitor on a slow line sees: the publisher's example, marked as such, until the model itself answers.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect as plainExpect, type Page } from '@playwright/test';
import { percent } from '../../apps/web/src/i18n/number_format';
import { softmax } from '../../apps/web/src/analysis/probabilities';
import { readSafetensors } from '../../apps/web/src/bundle/weights/safetensors';
import type { Manifest } from '../../apps/web/src/contract/generated';
import { openHungTab } from './hung_tab';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 30_000 });

const folder = fileURLToPath(
  new URL('../../test-results/browser/published/demo/', import.meta.url),
);
const manifest = JSON.parse(readFileSync(`${folder}manifest.json`, 'utf8')) as Manifest;
const chunksOf = (path: string | undefined): string[] =>
  manifest.files.find((file) => file.path === path)?.chunks?.map((chunk) => chunk.path) ?? [];
const [examplePath = ''] = chunksOf(manifest.first_pass?.path);
const weights = new Set(manifest.variants.flatMap((variant) => variant.weights.flatMap(chunksOf)));

interface Host {
  /** Lets go of the weights. */
  release: () => void;
  /** Paths asked for, in order. */
  readonly asked: string[];
}

/** The demo as it was published, in the place of the development server's; its weights come when they are let go. `edit` changes the example; with null it never comes. */
async function publish(
  page: Page,
  edit: (bytes: Buffer) => Buffer | null = (same) => same,
): Promise<Host> {
  const asked: string[] = [];
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.route('**/models/demo/**', async (route) => {
    const path = new URL(route.request().url()).pathname.split('/models/demo/')[1] ?? '';
    asked.push(path);
    if (weights.has(path)) await released;
    const bytes = readFileSync(`${folder}${path}`);
    const contentType = path.endsWith('.json') ? 'application/json' : 'application/octet-stream';
    const body = path === examplePath ? edit(bytes) : bytes;
    if (body === null) return;
    await route.fulfill({ body, contentType }).catch(() => undefined);
  });
  return { release, asked };
}

function problemsOf(page: Page): string[] {
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  return problems;
}

async function inked(page: Page): Promise<boolean> {
  return page
    .getByTestId('head-11-0')
    .locator('canvas')
    .evaluate((canvas: HTMLCanvasElement) => {
      const data = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data;
      return data?.some((byte) => byte !== 0) ?? false;
    });
}

test('every view works on the example, marked as such, and nothing moves when the model answers', async ({
  page,
}) => {
  const problems = problemsOf(page);
  const { release, asked } = await publish(page);
  // Folded: the view of all heads gets what only the model can measure, which moves the views below it.
  await page.goto('/#lang=en&fold=overview');
  const mark = page.getByTestId('beforehand');
  await expect(mark).toContainText('computed beforehand by the publisher');
  await expect(mark).toContainText(`fp32 in ${manifest.first_pass?.runtime ?? '?'}`);
  await expect(mark).toContainText('still on its way');
  await expect(mark.locator('progress')).toBeVisible();
  // Before any weights.
  const first = asked.findIndex((path) => weights.has(path));
  expect(asked.slice(0, first === -1 ? undefined : first)).toContain(examplePath);

  const file = readSafetensors(new Uint8Array(readFileSync(`${folder}${examplePath}`)));
  const ids = Array.from(file.get('input_ids')?.data ?? [], String);
  await expect(page.locator('.chip .id')).toHaveText(ids);
  const truth = softmax(Array.from(file.get('logits')?.data ?? [], Number));
  const candidate = page.getByTestId('candidate').first();
  const best = truth.indexOf(Math.max(...truth));
  await expect(candidate).toHaveAttribute('data-id', String(best));
  await expect(candidate).toContainText(percent(truth[best] ?? 0));
  await expect.poll(() => inked(page)).toBe(true);
  await page.getByTestId('head-5-1').click();
  await expect(page.getByTestId('shown-head')).toContainText('Layer 5, head 1');

  // What needs the model waits, and says so.
  for (const needed of ['toggle-head', 'play', 'step', 'open-lens', 'tap-layer_3_q'])
    await expect(page.getByTestId(needed)).toBeDisabled();
  await expect(candidate.getByRole('button')).toBeDisabled();
  await expect(page.getByTestId('toggle-head')).toHaveAttribute('title', /on its way/);
  await expect(page.getByTestId('facts')).toHaveCount(0);

  const parts = ['prompt', 'next-title', 'attention-title', 'lens-title'];
  const places = (): Promise<number[]> =>
    page.evaluate(
      (ids) =>
        ids.map((id) => (document.getElementById(id)?.getBoundingClientRect().top ?? 0) + scrollY),
      parts,
    );
  const before = await places();
  release();
  await expect(mark).toHaveCount(0);
  await expect(page.getByTestId('toggle-head')).toBeEnabled();
  await expect(page.getByTestId('facts')).toBeVisible();
  const after = (await places()).slice(0, 3);
  after.forEach((top, index) => {
    expect(Math.abs(top - (before[index] ?? 0))).toBeLessThan(2);
  });
  expect(problems).toEqual([]);
});

test('what is typed meanwhile runs as soon as the model is open, and the example is not taken for it', async ({
  page,
}) => {
  const { release } = await publish(page);
  await page.goto('/#lang=en');
  await expect(page.getByTestId('beforehand')).toBeVisible();
  await page.locator('#prompt').fill('After Friday comes');
  await expect(page.getByTestId('beforehand')).toHaveCount(0);
  await expect(page.getByTestId('candidate')).toHaveCount(0);
  await expect(page.getByTestId('queued')).toBeVisible();
  release();
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await expect(page.locator('.chip')).toHaveCount(3);
  await expect(page.getByTestId('beforehand')).toHaveCount(0);
});

test('a link with another text never shows the example', async ({ page }) => {
  const { release } = await publish(page);
  await page.goto('/#lang=en&p=After%20Friday%20comes');
  await expect(page.getByTestId('queued')).toBeVisible();
  await expect(page.getByTestId('beforehand')).toHaveCount(0);
  release();
  await expect(page.locator('.chip')).toHaveCount(3);
});

for (const [name, edit] of [
  ['one wrong byte', (bytes: Buffer) => Buffer.concat([bytes.subarray(0, -1), Buffer.of(7)])],
  ['half of it', (bytes: Buffer) => bytes.subarray(0, bytes.length >> 1)],
] as const)
  test(`an example with ${name} is left out, and the model opens`, async ({ page }) => {
    const problems = problemsOf(page);
    const { release } = await publish(page, edit);
    await page.goto('/#lang=en');
    await expect(page.getByTestId('example-failed')).toBeVisible();
    await expect(page.getByTestId('candidate')).toHaveCount(0);
    release();
    await expect(page.getByTestId('candidate').first()).toBeVisible();
    await expect(page.getByTestId('facts')).toBeVisible();
    expect(problems).toEqual([]);
  });

test('an example that never comes holds nothing up: the model opens and answers itself', async ({
  page,
}) => {
  const problems = problemsOf(page);
  const { release, asked } = await publish(page, () => null);
  release();
  await page.goto('/#lang=en&on=wasm');
  await expect(page.getByTestId('facts')).toBeVisible();
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  expect(asked).toContain(examplePath);
  await expect(page.getByTestId('beforehand')).toHaveCount(0);
  await expect(page.getByRole('alert')).toHaveCount(0);
  expect(problems).toEqual([]);
});

test('an example that another tab does not stop fetching does not keep the weights waiting', async ({
  page,
  context,
}) => {
  const [digest = ''] =
    manifest.files
      .find((file) => file.path === manifest.first_pass?.path)
      ?.chunks?.map((chunk) => chunk.digest) ?? [];
  await openHungTab(context, '/models/index.json', [`oriel-piece-${digest}`]);
  const { release, asked } = await publish(page);
  await page.goto('/#lang=en&on=wasm');
  await expect.poll(() => asked.some((path) => weights.has(path))).toBe(true);
  expect(asked).not.toContain(examplePath);
  release();
  await expect(page.getByTestId('facts')).toBeVisible();
  await expect(page.getByTestId('candidate').first()).toBeVisible();
});
