// Runs loading.spec.ts alone; benchmarks/loading.py starts it.
import { join } from 'node:path';
import { defineConfig } from '@playwright/test';
import tests from '../../playwright.config';
import { loadingPort } from './loading_servers';

const files = process.env['ORIEL_BENCHMARK_FILES'] ?? '';
/** A copy of the repository at an earlier revision; empty if only this one is measured. */
const before = process.env['ORIEL_BENCHMARK_BEFORE'] ?? '';

const serve = (port: number, cwd: string, env: Record<string, string>) => ({
  command:
    'npx vite build --config vite.config.ts --logLevel warn && ' +
    `npx vite preview --config vite.config.ts --port ${port} --strictPort`,
  cwd,
  env,
  url: `http://localhost:${port}/`,
  reuseExistingServer: false,
  timeout: 120_000,
});

export default defineConfig({
  testDir: '.',
  testMatch: 'loading.spec.ts',
  outputDir: '../../test-results/browser/loading',
  workers: 1,
  timeout: 0,
  reporter: [['line']],
  use: { ...tests.use, baseURL: `http://localhost:${loadingPort}/`, trace: 'off' },
  webServer: [
    serve(loadingPort, import.meta.dirname, {}),
    ...(before === ''
      ? []
      : [
          serve(loadingPort + 1, join(before, 'benchmarks', 'browser'), {
            ORIEL_BENCHMARK_FILES: join(files, 'before'),
          }),
        ]),
  ],
});
