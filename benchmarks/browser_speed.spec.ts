// Measures the page's speed in Chromium with the bundled model: `npm run bench:browser`. No result fails it.
import { cpus, loadavg } from 'node:os';
import { test, type Page } from '@playwright/test';
import type {} from '../tests/browser/engine';

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}

function report(what: string, values: readonly number[]): void {
  const range = `${Math.min(...values).toFixed(1)} to ${Math.max(...values).toFixed(1)}`;
  console.log(`${what}: median ${median(values).toFixed(1)} ms of ${values.length} (${range})`);
}

/** Record the milliseconds of every task that blocks the main thread for 50 ms or more from here on. */
async function watchLongTasks(page: Page): Promise<() => Promise<number[]>> {
  await page.evaluate(() => {
    const tasks: number[] = [];
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) tasks.push(duration);
    }).observe({ entryTypes: ['longtask'] });
    Object.assign(globalThis, { longTasks: tasks });
  });
  return () => page.evaluate(() => (globalThis as unknown as { longTasks: number[] }).longTasks);
}

test.beforeAll(() => {
  console.log(`\n${cpus().length} cores, load ${loadavg()[0]?.toFixed(1) ?? '?'}`);
});

test('first prediction with an empty cache', async ({ browser, baseURL }) => {
  const times: number[] = [];
  for (let time = 0; time < 7; time++) {
    const context = await browser.newContext({ baseURL: baseURL ?? '' });
    const page = await context.newPage();
    const began = performance.now();
    await page.goto('./', { waitUntil: 'commit' });
    await page.getByTestId('candidate').first().waitFor();
    times.push(performance.now() - began);
    await context.close();
  }
  report('from opening to the first prediction', times);
});

test('a step through the cache beside a whole pass', async ({ page }) => {
  await page.goto('engine_test.html');
  await page.waitForFunction(() => 'createModelClient' in globalThis);
  const { pass, step } = await page.evaluate(async () => {
    const client = globalThis.createModelClient();
    await client.open({ url: 'models/demo/manifest.json', provider: 'wasm' }, () => undefined);
    const ids = Array.from({ length: 128 }, (_, index) => (index * 37) % 4096);
    const pass: number[] = [];
    const step: number[] = [];
    // In turn, so that other load of the machine affects both.
    for (let round = 0; round < 40; round++) {
      pass.push((await client.run({ ids, reuseCache: false })).timings.runMs);
      // The whole prompt is cached now: this run feeds its last token alone.
      step.push((await client.run({ ids, reuseCache: true })).timings.runMs);
    }
    return { pass, step };
  });
  report('128 tokens uncached', pass);
  report('one cached step at 128 tokens', step);
  console.log(`step / pass: ${(median(step) / median(pass)).toFixed(3)}`);
});

test('the main thread while the engine opens and runs', async ({ page }) => {
  await page.goto('engine_test.html');
  await page.waitForFunction(() => 'createModelClient' in globalThis);
  const longTasks = await watchLongTasks(page);
  await page.evaluate(async () => {
    const client = globalThis.createModelClient();
    await client.open({ url: 'models/demo/manifest.json', provider: 'wasm' }, () => undefined);
    for (let end = 100; end <= 256; end += 2) {
      const ids = Array.from({ length: end }, (_, index) => (index * 37) % 4096);
      await client.run({ ids, reuseCache: end % 4 === 0 });
    }
  });
  const tasks = await longTasks();
  console.log(`tasks of 50 ms and more on the main thread: ${tasks.length} (${tasks.join(', ')})`);
});
