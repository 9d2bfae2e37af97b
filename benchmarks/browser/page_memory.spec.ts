// Measures the page's memory for benchmarks/page_memory.py: along a generated text, beside a page that was opened with it,
// and along changes of the model.
import { writeFile } from 'node:fs/promises';
import { chromium, expect, test, type Browser, type Page } from '@playwright/test';
import tests from '../../playwright.config';
import { startBundleServer } from '../../tests/browser/bundle_server';
import { offer } from '../../tests/browser/offered_models';

interface Plan {
  readonly tokens: number;
  readonly switches: number;
  readonly answers: string;
}

const plan = JSON.parse(process.env['ORIEL_BENCHMARK_PLAN'] ?? '{}') as Plan;
/** Places along each course at which memory is measured. */
const MEASURED = 5;

/** The page, its workers and their WebAssembly, in bytes, after garbage was collected. */
function held(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const measure = performance as unknown as {
      measureUserAgentSpecificMemory: () => Promise<{ bytes: number }>;
    };
    return (await measure.measureUserAgentSpecificMemory()).bytes;
  });
}

async function quiet(page: Page, tokens: number): Promise<void> {
  await expect(page.getByTestId('token-count')).toHaveText(new RegExp(`^${tokens} `), {
    timeout: 60_000,
  });
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false', { timeout: 60_000 });
}

test('memory', async ({ baseURL }) => {
  const browser = await chromium.launch({
    ...tests.use?.launchOptions,
    args: [
      ...(tests.use?.launchOptions?.args ?? []),
      // Measures at once, not at the browser's next collection of garbage.
      '--enable-blink-features=ForceEagerMeasureMemory',
    ],
  });
  if (baseURL === undefined) throw new Error('the configuration names no address of the page');
  const answers = {
    generated: await generated(browser, baseURL),
    switched: await switched(browser, baseURL),
  };
  await browser.close();
  await writeFile(plan.answers, JSON.stringify(answers));
});

async function generated(browser: Browser, address: string): Promise<number[][]> {
  const rows: number[][] = [];
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${address}#lang=en&on=wasm&p=The`);
  await quiet(page, 1);
  for (let tokens = 0; tokens <= plan.tokens; tokens++) {
    if (tokens > 0) {
      await page.getByTestId('step').click();
      await quiet(page, 1 + tokens);
    }
    if (tokens % Math.ceil(plan.tokens / MEASURED) !== 0) continue;
    const beside = await (await browser.newContext()).newPage();
    const stepped = await held(page);
    // The address follows the text with a delay, which the measurement has taken.
    const linked = page.url();
    await beside.goto(linked);
    await quiet(beside, 1 + tokens);
    rows.push([tokens, stepped, await held(beside)]);
    await beside.context().close();
  }
  await page.context().close();
  return rows;
}

async function switched(browser: Browser, address: string): Promise<number[][]> {
  const rows: number[][] = [];
  const server = await startBundleServer();
  const page = await (await browser.newContext()).newPage();
  const models = [server.url('tiny-gpt2'), server.url('tiny-llama')] as const;
  await offer(page, { first: models[0], second: models[1] });
  await page.goto(`${address}#lang=en&on=wasm`);
  const picker = page.getByRole('combobox', { name: 'Model' });
  const answered = page.getByTestId('candidate').first();
  await expect(answered).toBeVisible({ timeout: 60_000 });
  for (let switches = 1; switches <= plan.switches; switches++) {
    const [even, odd] = models;
    const next = switches % 2 === 0 ? even : odd;
    await picker.selectOption(next);
    await expect(page.getByTestId('opening')).toHaveCount(0, { timeout: 60_000 });
    await expect(picker).toHaveValue(next);
    await expect(answered).toBeVisible({ timeout: 60_000 });
    await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false', { timeout: 60_000 });
    if (switches === 2 || switches % Math.ceil(plan.switches / MEASURED) === 0)
      rows.push([switches, await held(page)]);
  }
  await page.context().close();
  await server.close();
  return rows;
}
