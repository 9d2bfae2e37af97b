// Opens the interventions benchmark's page and writes what it measured; benchmarks/page_interventions.py starts it.
import { readFile, writeFile } from 'node:fs/promises';
import { test } from '@playwright/test';
import type { Plan } from './interventions';

test('edits and analyses', async ({ page, baseURL }) => {
  const planFile = process.env['ORIEL_BENCHMARK_PLAN'];
  if (planFile === undefined)
    throw new Error('ORIEL_BENCHMARK_PLAN is not set: run page_interventions.py');
  const { answers, ...plan } = JSON.parse(await readFile(planFile, 'utf8')) as Plan & {
    answers: string;
  };
  page.on('console', (message) => {
    console.log(message.text());
  });
  await page.goto(new URL('interventions.html', baseURL).href);
  await page.waitForFunction(() => 'measureInterventions' in globalThis);
  const times = await page.evaluate((plan) => globalThis.measureInterventions(plan), plan);
  await writeFile(answers, JSON.stringify(times));
});
