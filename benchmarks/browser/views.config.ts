// Runs views.spec.ts alone, on a build of the page; benchmarks/page_views.py starts it.
import { defineConfig } from '@playwright/test';
import tests from '../../playwright.config';

const [builtPage] = Array.isArray(tests.webServer) ? tests.webServer : [];
const [isolated] = tests.projects ?? [];

export default defineConfig({
  testDir: '.',
  testMatch: 'views.spec.ts',
  outputDir: '../../test-results/browser/views',
  workers: 1,
  timeout: 0,
  reporter: [['line']],
  use: { ...tests.use, ...isolated?.use, trace: 'off' },
  ...(builtPage && { webServer: { ...builtPage, cwd: '../..' } }),
});
