// Runs loading.spec.ts alone; benchmarks/loading.py starts it.
import { defineConfig } from '@playwright/test';
import tests from '../../playwright.config';

const port = Number(process.env['ORIEL_TEST_PORT'] ?? 5340);

export default defineConfig({
  testDir: '.',
  testMatch: 'loading.spec.ts',
  outputDir: '../../test-results/browser/loading',
  workers: 1,
  timeout: 0,
  reporter: [['line']],
  use: { ...tests.use, baseURL: `http://localhost:${port}/`, trace: 'off' },
  webServer: {
    command:
      'npx vite build --config vite.config.ts --logLevel warn && ' +
      `npx vite preview --config vite.config.ts --port ${port} --strictPort`,
    cwd: import.meta.dirname,
    url: `http://localhost:${port}/`,
    reuseExistingServer: false,
    timeout: 120_000,
  },
});
