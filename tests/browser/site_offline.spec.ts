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
  await expect.poll(() => keptPaths(other)).not.toContain(oldEntry);
  await expect.poll(() => keptPaths(other)).toContain(newEntry);
  // The runtime is the same in both, and was fetched once.
  const runtime = site.requests.filter(({ path }) => path.endsWith('.wasm'));
  expect(new Set(runtime.map(({ path }) => path)).size).toBe(1);

  await cutOff(context, site);
  await other.reload();
  await expect(other.getByTestId('language')).toBeVisible();
  await expect(other.locator(`script[src$="${newEntry}"]`)).toHaveCount(1);
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
