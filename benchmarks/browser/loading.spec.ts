// Loads one model in rounds, each way in turn: with the least possible work, by Oriel for the first time and again, and
// by an earlier revision's page if one is served.
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, expect, test, type Page } from '@playwright/test';
import type { BareJob, BareTimes } from './bare.worker';
import type { OwnTimes } from './loading';
import { beforeUrl } from './loading_servers';
import { memoryOfPage } from './memory';

interface Plan {
  readonly rounds: number;
  /** The published model's manifest, below the page's address. */
  readonly url: string;
  readonly variant: string;
  readonly bare: BareJob;
  /** True if an earlier page is measured as well. */
  readonly before: boolean;
  readonly answers: string;
}

/** Memory of the page's process in bytes: the peak, and at the end. */
interface Memory {
  readonly peak: number;
  readonly after: number;
}

/** Times in milliseconds. */
type Round = { bare: BareTimes & Memory; idle: number } & Partial<
  Record<`${'now' | 'before'}-${'cold' | 'warm'}`, OwnTimes & Memory>
>;

test('every way, in rounds', async ({ baseURL, launchOptions }) => {
  const planFile = process.env['ORIEL_BENCHMARK_PLAN'];
  if (planFile === undefined) throw new Error('ORIEL_BENCHMARK_PLAN is not set: run loading.py');
  const plan = JSON.parse(await readFile(planFile, 'utf8')) as Plan;
  const rounds: Round[] = [];
  /** Run one visit in a browser of its own, so that only the profile is kept afterwards. */
  const visit = async <Result>(
    base: string | undefined,
    profile: string,
    load: (page: Page) => Promise<Result>,
  ): Promise<Result & Memory> => {
    // This visit must not wait while data of an earlier one is written to disk.
    execFileSync('sync');
    const context = await chromium.launchPersistentContext(profile, launchOptions);
    try {
      const page = await context.newPage();
      await page.goto(new URL('loading.html', base).href);
      await page.waitForFunction(() => 'loadOurs' in globalThis);
      const result = await load(page);
      return { ...result, ...memoryOfPage(profile) };
    } finally {
      await context.close();
    }
  };
  const inNewProfile = async <Result>(
    name: string,
    work: (profile: string) => Promise<Result>,
  ): Promise<Result> => {
    const profile = await mkdtemp(join(tmpdir(), `oriel-loading-${name}-`));
    try {
      return await work(profile);
    } finally {
      await rm(profile, { recursive: true, force: true });
    }
  };
  const visits = async (name: 'now' | 'before', round: Round): Promise<void> => {
    const base = name === 'now' ? baseURL : beforeUrl;
    const ours = async (page: Page): Promise<OwnTimes> => {
      const times = await page.evaluate(([url, variant]) => globalThis.loadOurs(url, variant), [
        new URL(plan.url, base).href,
        plan.variant,
      ] as const);
      // Check that a working model was loaded, not just bytes.
      expect(await page.evaluate(() => globalThis.firstToken?.())).not.toBeNaN();
      return times;
    };
    await inNewProfile(name, async (profile) => {
      const cold = await visit(base, profile, ours);
      const warm = await visit(base, profile, ours);
      expect(cold.keptBytes).toBe(0);
      expect(warm.downloadedBytes).toBe(0);
      round[`${name}-cold`] = cold;
      round[`${name}-warm`] = warm;
    });
  };
  const pages = plan.before ? (['now', 'before'] as const) : (['now'] as const);
  for (let number = 0; number < plan.rounds; number++) {
    const idle = await inNewProfile('idle', (profile) =>
      visit(baseURL, profile, () => Promise.resolve({})),
    );
    const runBare = (): Promise<Round['bare']> =>
      inNewProfile('bare', (profile) =>
        visit(baseURL, profile, (page) =>
          page.evaluate((job) => globalThis.loadBare(job), plan.bare),
        ),
      );
    const early = number % 2 === 0 ? await runBare() : null;
    const round: Round = {
      bare: early ?? { fetch: 0, session: 0, peak: 0, after: 0 },
      idle: idle.peak,
    };
    for (const page of number % 2 === 0 ? pages : pages.toReversed()) await visits(page, round);
    if (early === null) round.bare = await runBare();
    rounds.push(round);
    await writeFile(plan.answers, JSON.stringify({ rounds }));
    console.log(`round ${number + 1} of ${plan.rounds}: ${JSON.stringify(round)}`);
  }
});
