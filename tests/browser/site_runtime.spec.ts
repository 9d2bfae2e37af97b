// Which of the runtime's builds the page fetches in a browser that has WebGPU but not JSPI.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from '@playwright/test';
import config from '../../playwright.config';
import { answered, isolationHeaders, test } from './site';

// A GPU in software, on whatever cores there are.
const softwareGpu = config.projects?.find(({ name }) => name === 'webgpu')?.use?.launchOptions;
test.use({ launchOptions: softwareGpu ?? {} });

test('WebGPU without JSPI takes the build that needs none, and no other', async ({
  page,
  host,
  deploys,
}, info) => {
  test.setTimeout(300_000);
  const site = await host({ headers: isolationHeaders });
  const name = readdirSync(join(deploys.first, 'assets')).find((each) =>
    each.startsWith('model.worker-'),
  );
  const worker = `assets/${name ?? ''}`;
  // As in browsers whose engine can't wait for a promise.
  mkdirSync(info.outputPath('assets'), { recursive: true });
  const script = readFileSync(join(deploys.first, worker), 'utf8');
  writeFileSync(info.outputPath(worker), `delete WebAssembly.Suspending;${script}`);
  site.mixIn({ [worker]: info.outputPath() });

  await page.goto(`${site.url}#lang=en&on=webgpu`);
  await answered(page, 240_000);
  const fetched = new Set(
    site.requests.map(({ path }) => path).filter((path) => path.endsWith('.wasm')),
  );
  expect([...fetched]).toEqual([expect.stringMatching(/\.asyncify-[\w-]+\.wasm$/)]);
});
