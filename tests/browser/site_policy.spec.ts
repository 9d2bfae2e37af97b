// The built page under its Content-Security-Policy: a whole visit breaks none of it, and what it forbids doesn't happen.
import { expect as plainExpect, type Page, type Worker } from '@playwright/test';
import { answered, test } from './site';
import { startSite } from './static_site';

const expect = plainExpect.configure({ timeout: 60_000 });

declare global {
  // Only `var` declares a property of globalThis.
  var violations: string[];
}

/** Notes what a page, or a worker, breaks of its policy. */
function watch(): void {
  globalThis.violations = [];
  addEventListener('securitypolicyviolation', (event) => {
    globalThis.violations.push(`${event.effectiveDirective}: ${event.blockedURI}`);
  });
}

function isModelWorker(worker: Worker): boolean {
  return worker.url().includes('model.worker');
}

function modelWorker(page: Page): Worker {
  // The newest: one that was prepared beside another takes its place.
  const worker = page.workers().findLast(isModelWorker);
  if (worker === undefined) throw new Error('the page has no model worker');
  return worker;
}

async function opened(page: Page, url: string): Promise<void> {
  await page.addInitScript(watch);
  page.on('worker', (worker) => void worker.evaluate(watch).catch(() => undefined));
  await page.goto(`${url}#lang=en&on=wasm`);
  await answered(page);
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');
  // The proof may have a worker of its own, which ends with it.
  await expect(page.getByTestId('proof-in-brief')).toContainText('matches PyTorch to');
  const workers = (): Worker[] => page.workers().filter(isModelWorker);
  await expect.poll(() => workers().length).toBe(1);
}

test('a whole visit breaks nothing of the policy', async ({ page, host }) => {
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  const site = await host();
  await opened(page, site.url);
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);

  await page.getByRole('textbox').first().fill('The cat sat on the');
  await expect(page).toHaveURL(/p=The/);
  await page.getByTestId('step').click();
  await expect(page.getByTestId('step-time')).toBeVisible();
  for (const kind of ['SVG', 'PNG', 'CSV']) {
    const download = page.waitForEvent('download');
    await page.locator('.save').getByRole('button', { name: kind, exact: true }).first().click();
    expect(await (await download).failure()).toBeNull();
  }
  await page.getByTestId('activations').or(page.locator('footer')).first().scrollIntoViewIfNeeded();
  const tap = page.getByTestId('tap-layer_3_mlp_act');
  await tap.scrollIntoViewIfNeeded();
  // The tap is opened in another worker.
  expect(await modelWorker(page).evaluate(() => globalThis.violations)).toEqual([]);
  await tap.click();
  await expect(tap).toHaveAttribute('data-state', 'tapped');
  await page.getByTestId('theme').click();
  await page.getByTestId('language').click();
  await page.getByTestId('facts').scrollIntoViewIfNeeded();
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');

  expect(await page.evaluate(() => globalThis.violations)).toEqual([]);
  expect(await modelWorker(page).evaluate(() => globalThis.violations)).toEqual([]);
  expect(problems).toEqual([]);
});

test('what the policy forbids does not happen', async ({ page, host, deploys }) => {
  const site = await host();
  // The build allows models from other ports of localhost, by that name.
  const stranger = await startSite({
    folder: deploys.first,
    base: '/',
    headers: { 'Access-Control-Allow-Origin': '*', 'Cross-Origin-Resource-Policy': 'cross-origin' },
  });
  const address = `${stranger.url.replace('localhost', '127.0.0.1')}favicon.svg`;
  await opened(page, site.url);

  const done = await page.evaluate(async (address) => {
    const outcome = async (attempt: () => unknown): Promise<string> => {
      try {
        await attempt();
        return 'done';
      } catch {
        return 'refused';
      }
    };
    const script = document.createElement('script');
    script.append('globalThis.injected = true');
    const { eval: evaluate } = globalThis;
    // What the test itself evaluates may evaluate more; a task of its own is the page's.
    const nextTask = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));
    return {
      markup: await outcome(() => {
        document.createElement('p').innerHTML = '<b>text</b>';
      }),
      code: await outcome(async () => {
        await nextTask();
        evaluate('1 + 1');
      }),
      worker: await outcome(() => new Worker(address)),
      fetched: await outcome(() => fetch(address)),
      script: await outcome(async () => {
        document.head.append(script);
        await nextTask();
        if (!('injected' in globalThis)) throw new Error('it did not run');
      }),
    };
  }, address);
  expect(done).toEqual({
    markup: 'refused',
    code: 'refused',
    worker: 'refused',
    fetched: 'refused',
    script: 'refused',
  });
  // Workers have no policy of the page's: the service worker gives them theirs.
  const fetched = await modelWorker(page).evaluate(
    (address) =>
      fetch(address).then(
        () => 'done',
        () => 'refused',
      ),
    address,
  );
  expect(fetched).toBe('refused');
  expect(await modelWorker(page).evaluate(() => globalThis.violations)).toEqual([
    `connect-src: ${address}`,
  ]);
  expect(stranger.requests).toEqual([]);
  await stranger.close();
});
