// Measures every job of webgpu.py, each in a new page, so that none reuses another's shaders or buffers.
import { readFile, writeFile } from 'node:fs/promises';
import { test, type Page } from '@playwright/test';
import type { AdapterFacts, WebgpuJob, WebgpuTimes } from './webgpu_jobs';

interface Answered {
  readonly job: WebgpuJob;
  readonly times?: WebgpuTimes;
  /** Reason why there are no measurements. */
  readonly error?: string;
}

test('every job', async ({ browser, baseURL }) => {
  const planFile = process.env['ORIEL_BENCHMARK_PLAN'];
  if (planFile === undefined) throw new Error('ORIEL_BENCHMARK_PLAN is not set: run webgpu.py');
  const plan = JSON.parse(await readFile(planFile, 'utf8')) as {
    jobs: readonly WebgpuJob[];
    answers: string;
  };
  const inPage = async <Result>(work: (page: Page) => Promise<Result>): Promise<Result> => {
    const page = await browser.newPage({ ...(baseURL !== undefined && { baseURL }) });
    try {
      await page.goto('webgpu.html');
      await page.waitForFunction(() => 'measureJob' in globalThis);
      return await work(page);
    } finally {
      await page.close();
    }
  };
  const adapter: AdapterFacts | string = await inPage((page) => page.evaluate(() => findAdapter()));
  const answered: Answered[] = [];
  if (typeof adapter !== 'string')
    for (const job of plan.jobs) {
      const needed = job.variant === 'fp16' && job.provider === 'webgpu' ? 'shader-f16' : null;
      if (needed !== null && !adapter.features.includes(needed)) {
        answered.push({ job, error: `the adapter has no ${needed}` });
        continue;
      }
      try {
        const times = await inPage((page) => page.evaluate((asked) => measureJob(asked), job));
        answered.push({ job, times });
      } catch (error) {
        answered.push({ job, error: String(error).split('\n')[0] ?? '' });
      }
    }
  await writeFile(plan.answers, JSON.stringify({ adapter, version: browser.version(), answered }));
});
