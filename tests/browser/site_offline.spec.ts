// The built page below a path of its own: without a network after one visit, and across deploys.
import { expect as plainExpect, type BrowserContext, type Page } from '@playwright/test';
import { answered, entryOf, isolationHeaders, keptPaths, test } from './site';
import type { StaticSite } from './static_site';

const expect = plainExpect.configure({ timeout: 60_000 });

/** Opens the page, and waits until it has answered and everything that it used is kept. */
async function visited(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await answered(page);
  await keptAll(page);
}

async function keptAll(page: Page): Promise<void> {
  await expect
    .poll(() => keptPaths(page))
    .toContainEqual(expect.stringMatching(/^assets\/ort-.*\.wasm$/));
  const isControlled = (): Promise<boolean> =>
    page.evaluate(() => navigator.serviceWorker.controller !== null);
  await expect.poll(isControlled).toBe(true);
}

/** Waits until the page's own deploy is the only one that is kept. */
async function tookOver(page: Page, older: string, newer: string): Promise<void> {
  const url = page.url();
  await expect(async () => {
    try {
      await expect.poll(() => keptPaths(page), { timeout: 15_000 }).not.toContain(older);
    } catch (error) {
      // Chromium drops the change at times, until the next time that no page is open.
      await page.goto('about:blank');
      await page.goto(url);
      throw error;
    }
  }).toPass({ timeout: 60_000 });
  await expect.poll(() => keptPaths(page)).toContain(newer);
}

async function cutOff(context: BrowserContext, site: StaticSite): Promise<void> {
  await context.setOffline(true);
  await site.close();
}

test('after one visit the page opens with the network off', async ({ page, context, host }) => {
  const site = await host({ headers: isolationHeaders });
  await visited(page, `${site.url}#lang=en&on=wasm`);
  const builds = new Set(
    site.requests.map(({ path }) => path).filter((path) => path.endsWith('.wasm')),
  );
  expect([...builds]).toEqual([
    expect.stringMatching(/^assets\/ort-wasm-simd-threaded-[\w-]+\.wasm$/),
  ]);
  const kept = await keptPaths(page);
  expect(kept.filter((path) => path.endsWith('.wasm'))).toEqual([...builds]);
  // Models have a store of their own.
  expect(kept.filter((path) => path.startsWith('models/'))).toEqual(['models/index.json']);
  expect(site.requests.filter(({ status }) => status !== 200)).toEqual([]);

  await cutOff(context, site);
  await page.reload();
  await expect(page.getByTestId('language')).toBeVisible();
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
  await answered(page);
  const answers = await page.evaluate(
    async (paths) => Promise.all(paths.map(async (path) => (await fetch(path)).status)),
    [...builds, 'models/index.json'],
  );
  expect(answers).toEqual([200, 200]);
});

test('a new deploy replaces the old one, and an old page keeps its files', async ({
  page,
  context,
  host,
  deploys,
}) => {
  const [oldEntry, newEntry] = [entryOf(deploys.first), entryOf(deploys.second)];
  expect(newEntry).not.toBe(oldEntry);
  const site = await host({ headers: isolationHeaders });
  await visited(page, `${site.url}#lang=en&on=wasm`);

  site.deploy(deploys.second);
  const other = await context.newPage();
  await other.goto(site.url);
  await expect(other.locator(`script[src$="${newEntry}"]`)).toHaveCount(1);
  await expect.poll(() => keptPaths(other)).toContain(newEntry);
  // The host has it no more, but the page that is still open may ask for it.
  expect(await page.evaluate(async (path) => (await fetch(path)).status, oldEntry)).toBe(200);

  await page.close();
  await other.reload();
  await tookOver(other, oldEntry, newEntry);
  // The runtime is the same in both, and was fetched once.
  const runtime = site.requests.filter(({ path }) => path.endsWith('.wasm'));
  expect(new Set(runtime.map(({ path }) => path)).size).toBe(1);

  await cutOff(context, site);
  await other.reload();
  await expect(other.getByTestId('language')).toBeVisible();
  await expect(other.locator(`script[src$="${newEntry}"]`)).toHaveCount(1);
});

test('a deploy that was being installed when the page came takes over all the same', async ({
  page,
  host,
  deploys,
}) => {
  const [oldEntry, newEntry] = [entryOf(deploys.first), entryOf(deploys.second)];
  const site = await host({ headers: isolationHeaders });
  await visited(page, `${site.url}#lang=en&on=wasm`);
  site.deploy(deploys.second);
  // The page does without it, the service worker does not.
  const release = site.holdBack('favicon.svg');
  const isInstalling = (): Promise<boolean> =>
    page.evaluate(async () => {
      const registration = await navigator.serviceWorker.getRegistration();
      return registration?.installing !== null;
    });
  await page.goto(site.url, { waitUntil: 'domcontentloaded' });
  await expect.poll(isInstalling).toBe(true);
  await page.reload({ waitUntil: 'domcontentloaded' });
  await expect(page.getByTestId('language')).toBeVisible();
  expect(await isInstalling()).toBe(true);
  release();
  await tookOver(page, oldEntry, newEntry);
});

test('the runtime is kept though it came before the service worker', async ({
  page,
  context,
  host,
}) => {
  const site = await host({ headers: isolationHeaders });
  const release = site.holdBack('service_worker.js');
  await page.goto(`${site.url}#lang=en&on=wasm`);
  await answered(page);
  expect(await page.evaluate(() => navigator.serviceWorker.controller)).toBeNull();
  release();
  await keptAll(page);
  await cutOff(context, site);
  const kept = await keptPaths(page);
  for (const kind of [/^assets\/ort\.wasm.*\.js$/, /^assets\/ort-wasm.*\.js$/, /\.wasm$/]) {
    expect(kept.filter((path) => kind.test(path))).toHaveLength(1);
  }
});

test('a deploy that is half there is not kept', async ({ page, host, deploys }) => {
  const site = await host({ headers: isolationHeaders });
  const release = site.holdBack('service_worker.js');
  await page.goto(`${site.url}#lang=en&on=wasm`);
  await answered(page);
  // The page is another build's by the time that this build's service worker asks for it.
  site.mixIn({ 'index.html': deploys.second });
  const pages = (): number => site.requests.filter(({ path }) => path === '').length;
  const before = pages();
  release();
  await expect.poll(pages).toBeGreaterThan(before);
  const registered = (): Promise<boolean> =>
    page.evaluate(async () => (await navigator.serviceWorker.getRegistration()) !== undefined);
  await expect.poll(registered).toBe(false);
});
