// Measures the page's memory for benchmarks/page_memory.py: along a generated text, beside a page that was opened with it,
// and along changes of the model.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, expect, test, type Page } from '@playwright/test';
import tests from '../../playwright.config';
import { startBundleServer } from '../../tests/browser/bundle_server';
import { offer } from '../../tests/browser/offered_models';
import { memoryOfPage } from './memory';

interface Plan {
  readonly tokens: number;
  readonly switches: number;
  readonly answers: string;
}

const plan = JSON.parse(process.env['ORIEL_BENCHMARK_PLAN'] ?? '{}') as Plan;
/** Places along each course at which memory is measured. */
const MEASURED = 5;

/** A page of a browser of its own, whose largest process is the page's. */
interface OwnBrowser {
  readonly page: Page;
  /** Return the page's resident memory in bytes, after garbage was collected. */
  readonly held: () => Promise<number>;
  readonly close: () => Promise<void>;
}

async function ownBrowser(): Promise<OwnBrowser> {
  const profile = await mkdtemp(join(tmpdir(), 'oriel-memory-'));
  const context = await chromium.launchPersistentContext(profile, {
    ...tests.use?.launchOptions,
    serviceWorkers: 'block',
  });
  const page = await context.newPage();
  const devtools = await context.newCDPSession(page);
  return {
    page,
    held: async () => {
      await devtools.send('Memory.simulatePressureNotification', { level: 'critical' });
      await devtools.send('HeapProfiler.collectGarbage');
      // Freed pages go back to the system in a moment.
      await page.waitForTimeout(2000);
      return memoryOfPage(profile).after;
    },
    close: async () => {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}

async function quiet(page: Page, tokens: number): Promise<void> {
  await expect(page.getByTestId('candidate').first()).toBeVisible({ timeout: 60_000 });
  await expect(page.getByTestId('token-count')).toHaveText(new RegExp(`^${tokens} `), {
    timeout: 60_000,
  });
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false', { timeout: 60_000 });
}

test('memory', async ({ baseURL }) => {
  if (baseURL === undefined) throw new Error('the configuration names no address of the page');
  const answers = { generated: await generated(baseURL), switched: await switched(baseURL) };
  await writeFile(plan.answers, JSON.stringify(answers));
});

async function generated(address: string): Promise<number[][]> {
  const rows: number[][] = [];
  const { page, held, close } = await ownBrowser();
  await page.goto(`${address}#lang=en&on=wasm&p=The`);
  await quiet(page, 1);
  for (let tokens = 0; tokens <= plan.tokens; tokens++) {
    if (tokens > 0) {
      await page.getByTestId('step').click();
      await quiet(page, 1 + tokens);
    }
    if (tokens % Math.ceil(plan.tokens / MEASURED) !== 0) continue;
    const stepped = await held();
    // The address follows the text with a delay, which the measurement has taken.
    const linked = page.url();
    const beside = await ownBrowser();
    await beside.page.goto(linked);
    await quiet(beside.page, 1 + tokens);
    rows.push([tokens, stepped, await beside.held()]);
    await beside.close();
  }
  await close();
  return rows;
}

async function switched(address: string): Promise<number[][]> {
  const rows: number[][] = [];
  const server = await startBundleServer();
  const { page, held, close } = await ownBrowser();
  const models = [server.url('tiny-gpt2'), server.url('tiny-llama')] as const;
  await offer(page, { first: models[0], second: models[1] });
  await page.goto(`${address}#lang=en&on=wasm`);
  const picker = page.getByRole('combobox', { name: 'Model' });
  for (let switches = 1; switches <= plan.switches; switches++) {
    const [even, odd] = models;
    const next = switches % 2 === 0 ? even : odd;
    await picker.selectOption(next);
    await expect(page.getByTestId('opening')).toHaveCount(0, { timeout: 60_000 });
    await expect(picker).toHaveValue(next);
    // These models read token ids.
    await page.locator('#prompt').fill('5 9 33');
    await quiet(page, 3);
    if (switches === 2 || switches % Math.ceil(plan.switches / MEASURED) === 0)
      rows.push([switches, await held()]);
  }
  await close();
  await server.close();
  return rows;
}
