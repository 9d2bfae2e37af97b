// A device with too little memory for all activations of a text: part of them opens, the page says so, and no link fails
// twice. The runtime is given less memory than it asks for, which is what such a device does.
import { expect as plainExpect, type Page } from '@playwright/test';
import { startBundleServer, type BundleServer } from './bundle_server';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 90_000 });
// Each answer of 48 layers takes long without memory, and longer on a machine that others load.
test.describe.configure({ timeout: 360_000 });

const LAYERS = 48;
const HEADS = 25;
const TOKENS = 300;
/** Of all maps of the text: more than the runtime gets, in pages of 64 KiB. */
const mapBytes = HEADS * TOKENS * TOKENS * 4;
const heapPages = Math.floor((LAYERS * mapBytes * 0.55) / 65536);

let bundles: BundleServer;
test.beforeAll(async () => {
  bundles = await startBundleServer();
});
test.afterAll(async () => {
  await bundles.close();
});

async function limitMemory(page: Page): Promise<void> {
  await page.route('**/ort-wasm-simd-threaded*.mjs*', async (route) => {
    const response = await route.fetch();
    const code = await response.text();
    const limited = code.replace('initial:256,maximum:65536', `initial:256,maximum:${heapPages}`);
    await route.fulfill({ response, body: limited });
  });
  await page.route('**/models/index.json', (route) =>
    route.fulfill({
      json: [
        {
          name: 'deep',
          path: bundles.url('deep-gpt2'),
          architecture: 'gpt2',
          parameters: 1,
          bytes: 1,
        },
      ],
    }),
  );
}

function link(open: string): string {
  const ids = Array.from({ length: TOKENS }, (_, index) => index % 64).join(' ');
  const state = new URLSearchParams({ lang: 'en', on: 'wasm', model: 'deep', p: ids, open });
  return `/#${state.toString()}`;
}

async function answered(page: Page): Promise<void> {
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');
}

const learned = (page: Page): Promise<string | null> =>
  page.evaluate(() => localStorage.getItem('oriel.too-much-memory.wasm'));

async function openMaps(page: Page): Promise<number> {
  return page.locator('[data-testid$="_attn_probs"][data-state="tapped"]').count();
}

test('a link to more than memory holds opens part, says why, and never fails a second time', async ({
  page,
}) => {
  await limitMemory(page);
  await page.goto(link(`attn_probs:0-${LAYERS - 1}`));
  await answered(page);
  const note = page.getByTestId('left-out');
  await expect(note).toHaveAttribute('data-limit', 'failed');
  await expect(note).toContainText(`of the ${LAYERS} activations asked for are open`);
  await expect(page.getByRole('alert')).toHaveCount(0);
  // The address still asks for all.
  await expect.poll(() => page.url()).toContain(`attn_probs%3A0-${LAYERS - 1}`);
  const before = await learned(page);
  expect(Number(before)).toBeGreaterThan(mapBytes);

  await page.reload();
  await answered(page);
  await expect(note).toHaveAttribute('data-limit', 'failed');
  expect(await learned(page)).toBe(before);
  const panel = page.getByTestId('activations');
  await panel.scrollIntoViewIfNeeded();
  await expect(page.getByTestId('tap-layer_0_attn_probs')).toBeVisible();
  await expect.poll(() => openMaps(page)).toBeGreaterThan(0);
  expect(await openMaps(page)).toBeLessThan(LAYERS);

  await page.getByRole('button', { name: 'Open only what was exported' }).click();
  await expect(note).toHaveCount(0);
  await answered(page);
  await expect.poll(() => page.url()).not.toContain('open=');
  await expect.poll(() => openMaps(page)).toBe(0);

  // Asking for all of them here ends in a part of them, too: what was too much is not tried again.
  await panel.getByRole('button', { name: 'attn_probs', exact: true }).click();
  await expect(note).toBeVisible();
  await answered(page);
  await expect.poll(() => openMaps(page)).toBeGreaterThan(0);
  expect(await openMaps(page)).toBeLessThan(LAYERS);
  expect(Number(await learned(page))).toBeLessThanOrEqual(Number(before));
  await expect(page.getByRole('alert')).toHaveCount(0);
});

test('trying all of it all the same ends where it began, not in a dead end', async ({ page }) => {
  await limitMemory(page);
  await page.goto('/');
  await page.evaluate((bytes) => {
    localStorage.setItem('oriel.too-much-memory.wasm', String(bytes));
  }, LAYERS * mapBytes);
  await page.goto(link(`attn_probs:0-${LAYERS - 1}`));
  await page.reload();
  await answered(page);
  const note = page.getByTestId('left-out');
  await expect(note).toBeVisible();
  await page.getByRole('button', { name: 'Open all the same' }).click();
  await expect(note).toHaveCount(0);
  await expect(note).toBeVisible();
  await answered(page);
  await expect(page.getByRole('alert')).toHaveCount(0);
});
