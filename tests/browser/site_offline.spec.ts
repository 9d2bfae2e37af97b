// The built page below a path of its own: without a network after one visit, and across deploys.
import { expect as plainExpect, type BrowserContext, type Page } from '@playwright/test';
import { entryOf, isolationHeaders, keptPaths, test } from './site';
import type { StaticSite } from './static_site';

const expect = plainExpect.configure({ timeout: 60_000 });

/** Waits until the page has answered and everything that it used is kept. */
async function visited(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await expect
    .poll(() => keptPaths(page))
    .toContainEqual(expect.stringMatching(/^assets\/ort-.*\.wasm$/));
  await expect
    .poll(() => page.evaluate(() => navigator.serviceWorker.controller !== null))
    .toBe(true);
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

test('a deploy that is half there is not kept', async ({ page, host, deploys }) => {
  const site = await host({ headers: isolationHeaders });
  await visited(page, `${site.url}#lang=en&on=wasm`);
  // The new page already, but the old service worker and none of the new files.
  site.mixIn({ 'index.html': deploys.second });
  await page.evaluate(async () => (await navigator.serviceWorker.getRegistration())?.unregister());
  await page.evaluate(async () => {
    for (const name of await caches.keys()) await caches.delete(name);
  });
  await page.reload();
  await expect
    .poll(() => site.requests.filter(({ path }) => path === 'service_worker.js').length)
    .toBeGreaterThan(1);
  await expect
    .poll(() =>
      page.evaluate(async () => {
        const registration = await navigator.serviceWorker.getRegistration();
        return registration?.active ?? null;
      }),
    )
    .toBe(null);
});
