// Measures every job of a plan in Chromium, in rounds, and writes down each time. The plan is precision.py's.
import { readFile, writeFile } from 'node:fs/promises';
import { expect, test } from '@playwright/test';
import type { Answer, Job, Timings } from './jobs';

interface Plan {
  readonly rounds: number;
  readonly jobs: Readonly<Record<string, Job>>;
  /** Greatest difference of a cached step's logits from those of the whole text, over their spread. */
  readonly tolerance: Readonly<Record<string, number>>;
  /** File to write. */
  readonly answers: string;
}

test('every variant, in rounds', async ({ browser, baseURL }) => {
  const planFile = process.env['ORIEL_BENCHMARK_PLAN'];
  if (planFile === undefined) throw new Error('ORIEL_BENCHMARK_PLAN is not set: run precision.py');
  const plan = JSON.parse(await readFile(planFile, 'utf8')) as Plan;
  const timings: Record<string, Timings[]> = {};
  for (let round = 0; round < plan.rounds; round++) {
    // Whatever else the machine does falls on all; each has its turn early and late.
    const jobs = Object.entries(plan.jobs);
    for (const [name, planned] of round % 2 === 0 ? jobs : jobs.reverse()) {
      const job =
        planned.library === 'oriel' ? { ...planned, lastFirst: round % 2 === 0 } : planned;
      // A process of its own: Chromium would hand the runtime's code, as far as it has compiled it
      // well by now, from one worker to the next.
      const context = await browser.newContext({ baseURL: baseURL ?? '' });
      const page = await context.newPage();
      await page.goto('./');
      await page.waitForFunction(() => 'measure' in globalThis);
      const answer: Answer = await page.evaluate((job) => globalThis.measure(job), job);
      await context.close();
      expect(cacheError(answer), `${name}: a cached step against the whole text`).toBeLessThan(
        plan.tolerance[name] ?? 0,
      );
      (timings[name] ??= []).push(answer.timings);
      console.log(`round ${round + 1} of ${plan.rounds}: ${name}`);
    }
    await writeFile(plan.answers, JSON.stringify({ browser: browser.version(), timings }));
  }
});

/** Greatest difference over the standard deviation. */
function cacheError({ stepLogits, recomputeLogits }: Answer): number {
  const count = recomputeLogits.length;
  const mean = recomputeLogits.reduce((sum, value) => sum + value, 0) / count;
  const variance = recomputeLogits.reduce((sum, value) => sum + (value - mean) ** 2, 0) / count;
  const worst = recomputeLogits.reduce(
    (worst, value, index) => Math.max(worst, Math.abs(value - (stepLogits[index] ?? Infinity))),
    0,
  );
  return worst / Math.sqrt(variance);
}
