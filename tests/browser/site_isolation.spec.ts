// The built page on hosts that don't isolate it: its service worker does, after one reload at most.
import { expect as plainExpect } from '@playwright/test';
import { startBundleServer } from './bundle_server';
import { answered, countLoads, test } from './site';

const expect = plainExpect.configure({ timeout: 60_000 });

test('a plain host’s page gets threads after one reload, and then without', async ({
  page,
  host,
}) => {
  const site = await host();
  const loads = countLoads(page);
  await page.goto(`${site.url}#lang=en&on=wasm`);
  await answered(page);
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
  expect(loads.count).toBe(2);
  const facts = page.getByTestId('facts');
  await facts.scrollIntoViewIfNeeded();
  await expect(facts).toContainText('the page is cross-origin isolated');
  await expect(facts).not.toContainText('one only');

  await page.reload();
  await answered(page);
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
  expect(loads.count).toBe(3);
});

test('isolated so, it still opens models from other hosts', async ({ page, host }) => {
  const models = await startBundleServer();
  const site = await host();
  await page.goto(`${site.url}#lang=en&on=wasm`);
  await answered(page);
  const [worker] = page.workers().filter((each) => each.url().includes('model.worker'));
  const status = await worker?.evaluate(
    async (url) => (await fetch(url)).status,
    models.url('demo'),
  );
  expect(status).toBe(200);
  await models.close();
});

test('where no service worker can be had, one thread and no reload', async ({ page, host }) => {
  const site = await host({ missing: ['service_worker.js'] });
  const loads = countLoads(page);
  await page.goto(`${site.url}#lang=en&on=wasm`);
  await answered(page);
  expect(loads.count).toBe(1);
  const facts = page.getByTestId('facts');
  await facts.scrollIntoViewIfNeeded();
  await expect(facts).toContainText('one only: the page is not cross-origin isolated');
});

test('where the host forbids isolation, the page is reloaded once and no more', async ({
  page,
  host,
}) => {
  const site = await host({ headers: { 'Cross-Origin-Opener-Policy': 'unsafe-none' } });
  const loads = countLoads(page);
  await page.goto(`${site.url}#lang=en&on=wasm`);
  await answered(page);
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(false);
  expect(loads.count).toBe(2);
  await page.reload();
  await answered(page);
  expect(loads.count).toBe(3);
});

/** What stands in for `register`, as source text: an answer that never comes, and a worker that never gets to work. */
const silentWorkers: [what: string, register: string][] = [
  ['never registered', '() => new Promise(() => {})'],
  [
    'never active',
    `() => {
      const registration = Object.assign(new EventTarget(), { active: null, waiting: null });
      registration.installing = Object.assign(new EventTarget(), { state: 'installing' });
      registration.update = () => new Promise(() => {});
      return Promise.resolve(registration);
    }`,
  ],
];

for (const [what, register] of silentWorkers) {
  test(`a service worker that is ${what} keeps the page waiting only so long, and says so`, async ({
    page,
    host,
  }) => {
    await page.addInitScript(`ServiceWorkerContainer.prototype.register = ${register};`);
    const site = await host();
    const loads = countLoads(page);
    await page.goto(`${site.url}#lang=en&on=wasm`);
    const waiting = page.getByTestId('variant-bar');
    await expect(waiting).toContainText('Preparing the page');
    await expect(page.getByRole('button', { name: 'Stop' })).toBeVisible();
    await answered(page);
    expect(loads.count).toBe(1);
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(false);
  });
}
