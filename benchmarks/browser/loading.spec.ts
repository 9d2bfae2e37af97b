// Loads one model in rounds, each way in turn: with the least work, by Oriel the first time, by Oriel again.
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, expect, test, type Page } from '@playwright/test';
import type { BareJob, BareTimes } from './bare.worker';
import type { OwnTimes } from './loading';
import { peakOfPage } from './memory';

interface Plan {
  readonly rounds: number;
  /** The published model's manifest, below the page's address. */
  readonly url: string;
  readonly variant: string;
  readonly bare: BareJob;
  readonly answers: string;
}

/** Times in milliseconds, memory in bytes. */
interface Round {
  readonly bare: BareTimes & { peak: number };
  readonly cold: OwnTimes & { peak: number };
  readonly warm: OwnTimes & { peak: number };
  /** A page of this process that has loaded nothing. */
  readonly idle: number;
}

test('every way, in rounds', async ({ baseURL, launchOptions }) => {
  const planFile = process.env['ORIEL_BENCHMARK_PLAN'];
  if (planFile === undefined) throw new Error('ORIEL_BENCHMARK_PLAN is not set: run loading.py');
  const plan = JSON.parse(await readFile(planFile, 'utf8')) as Plan;
  const rounds: Round[] = [];
  /** Run one visit in a browser of its own, so that only the profile is kept afterwards. */
  const visit = async <Result>(
    profile: string,
    load: (page: Page) => Promise<Result>,
  ): Promise<Result & { peak: number }> => {
    // This visit must not wait while data of an earlier one is written to disk.
    execFileSync('sync');
    const context = await chromium.launchPersistentContext(profile, launchOptions);
    try {
      const page = await context.newPage();
      await page.goto(new URL('loading.html', baseURL).href);
      await page.waitForFunction(() => 'loadOurs' in globalThis);
      const result = await load(page);
      return { ...result, peak: peakOfPage(profile) };
    } finally {
      await context.close();
    }
  };
  const ours = async (page: Page): Promise<OwnTimes> => {
    const times = await page.evaluate(([url, variant]) => globalThis.loadOurs(url, variant), [
      new URL(plan.url, baseURL).href,
      plan.variant,
    ] as const);
    // Check that a working model was loaded, not just bytes.
    expect(await page.evaluate(() => globalThis.firstToken?.())).not.toBeNaN();
    return times;
  };
  for (let round = 0; round < plan.rounds; round++) {
    const folders = await Promise.all(
      ['bare', 'ours', 'idle'].map((name) => mkdtemp(join(tmpdir(), `oriel-loading-${name}-`))),
    );
    const [bareProfile = '', profile = '', idleProfile = ''] = folders;
    const runBare = (): Promise<Round['bare']> =>
      visit(bareProfile, (page) => page.evaluate((job) => globalThis.loadBare(job), plan.bare));
    const early = round % 2 === 0 ? await runBare() : null;
    const cold = await visit(profile, ours);
    const warm = await visit(profile, ours);
    const { peak: idle } = await visit(idleProfile, () => Promise.resolve({}));
    const bare = early ?? (await runBare());
    expect(warm.downloadedBytes).toBe(0);
    expect(cold.keptBytes).toBe(0);
    rounds.push({ bare, cold, warm, idle });
    await writeFile(plan.answers, JSON.stringify({ rounds }));
    await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })));
    console.log(`round ${round + 1} of ${plan.rounds}: ${JSON.stringify(rounds.at(-1))}`);
  }
});
